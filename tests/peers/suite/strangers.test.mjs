// Somebody who asks for sessions that never were, again and again, and clients that have some.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { FLEET, summary, talkers } from '../support/fleet.mjs';
import { fleetServers, groupGate } from '../support/group.mjs';
import { ask } from '../support/http.mjs';
import { picker } from '../support/picker.mjs';
import { check } from '../support/ring.mjs';

const LONG = Boolean(process.env.WSGATE_LONG);

/** Polls for that many sessions at random from one address, over connections that are kept; gives what they were answered. */
async function strangers(ring, port, count, connections = 16) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  ring.onEnd(() => agent.destroy());
  const statuses = {};
  let left = count;
  const one = async () => {
    while (left > 0) {
      left -= 1;
      const sid = randomBytes(15).toString('base64url');
      const url = `http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling&sid=${sid}`;
      const { status } = await ask(url, { agent, localAddress: '127.0.0.66' });
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: connections }, one));
  return statuses;
}

/** Memory of a process that is its own, in KiB. */
async function memory(pid) {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  return [...rollup.matchAll(/^Private_\w+:\s+(\d+) kB/gm)].reduce((sum, [, size]) => sum + Number(size), 0);
}

const STRANGERS = { via: ['wsgate'], deadline: LONG ? 3_600_000 : 120_000, diagnosed: ['session_unknown'] };

check('sessions that never were cost few questions and no memory, and harm no session that is', STRANGERS, async (ring) => {
  const servers = await fleetServers(ring, ['a', 'b', 'c']);
  // A million lines of a log would be the memory of this process.
  const top = { access_log: 'off', drain_timeout: '5s' };
  const gates = [await groupGate(ring, servers, { top }), await groupGate(ring, servers, { top })];
  const pick = await picker(ring, gates.map(({ port }) => port));
  const members = talkers(ring, 4, pick.http, { pace: 200 });
  const talk = (rounds) => Promise.all(members.map((member) => member.talks(rounds, 30_000)));
  await talk(3);
  const refusals = async () => {
    const each = servers.map(async ({ port }) => Number((await ask(`http://127.0.0.1:${port}/refused`)).body));
    return (await Promise.all(each)).reduce((sum, one) => sum + one, 0);
  };

  // A first part makes what there is to be made once; what belongs to it is not counted.
  const [target] = gates;
  const warm = LONG ? 20_000 : 500;
  await strangers(ring, target.port, warm);
  const [before, asked] = [await memory(target.pid), await refusals()];
  const count = LONG ? 1_000_000 : 2_000;
  const began = performance.now();
  const answers = strangers(ring, target.port, count);
  // Meanwhile the other wsgate forgets all that it knew.
  await pick.leaves(gates[1].port);
  await gates[1].stop();
  await groupGate(ring, servers, { top, listen: `127.0.0.1:${gates[1].port}` });
  pick.returns(gates[1].port);
  await talk(5);
  assert.deepEqual(await answers, { 400: count });
  const seconds = (performance.now() - began) / 1_000;
  await talk(5);
  assert.deepEqual(summary(members).faults, []);
  assert.equal(summary(members).well, FLEET);

  // Each is refused once by the server that it came to. A round of questions asks the two others, and so do those about the
  // sessions that a wsgate does not know any more.
  const more = (await refusals()) - asked - count;
  const grown = (await memory(target.pid)) - before;
  if (LONG) console.log(`${count} strangers in ${seconds.toFixed(0)} s: ${more} more questions, ${grown} KiB more memory`);
  assert.ok(more <= 2 * 5 * (seconds + 2) + 2 * 2 * FLEET, `${more} more questions in ${seconds} s`);
  assert.ok(grown < 1_024, `${grown} KiB more`);
});
