// A group whose one server is a name, in a network of its own with a name server that says what it is told.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { start } from '../support/child.mjs';
import { heard } from '../support/group.mjs';
import { ask } from '../support/http.mjs';
import { namespace } from '../support/namespace.mjs';
import { check } from '../support/ring.mjs';
import { DEADLINE, within } from '../support/wait.mjs';
import { startWsgate } from '../support/wsgate.mjs';

const FAKE_DNS = fileURLToPath(new URL('../support/fake_dns.mjs', import.meta.url));
// A client that leaves has a poll on its way now and then; see several_servers.test.mjs.
const NAMES = { via: ['wsgate'], deadline: 120_000, diagnosed: ['session_unknown'] };

const NXDOMAIN = 3;
const SERVFAIL = 2;

/** The only name server is ours, and it is not waited for long. */
const RESOLV = 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n';

/** A name server and web servers in a network of their own, and a wsgate there that is asked through a Unix socket. */
async function world(ring, { first, group = {} }) {
  const space = await namespace(ring);
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-names-'));
  ring.onEnd(() => rm(folder, { recursive: true, force: true }));
  const [program, ...words] = [...space.command, process.execPath, FAKE_DNS];
  const child = start(program, words, { stdio: ['pipe', 'pipe', 'pipe'] });
  const { of } = heard(ring, child);
  // A node of a network of its own is slow to start on a machine that is busy.
  await of('ready').find(() => true, 4 * DEADLINE);

  /** Says what names are from now on, and waits until wsgate has looked often enough to know it. */
  async function say(state, looks = 2) {
    const told = of('told').length + 1;
    child.stdin.write(`${JSON.stringify(state)}\n`);
    await of('told').several(told);
    const questions = of('answered').filter((type) => type !== 'AAAA').length;
    await of('answered').several(questions + looks, (type) => type !== 'AAAA');
  }

  child.stdin.write(`${JSON.stringify(first)}\n`);
  await of('told').find();
  const resolv = join(folder, 'resolv.conf');
  await writeFile(resolv, RESOLV);
  const socket = join(folder, 'gate.sock');
  const command = [...space.command, 'sh', '-c', 'mount --bind "$0" /etc/resolv.conf && exec "$@"', resolv];
  const gate = await startWsgate({
    command,
    document: {
      drain_timeout: '1s',
      listen: [{ address: '127.0.0.1:0' }, { address: `unix:${socket}` }],
      upstreams: {
        chat: { servers: [{ server: 'chat.test:3000', resolve: true }], balance: 'round_robin', valid: '200ms', ...group },
      },
      routes: [{ location: '/', proxy_pass: 'http://chat' }],
    },
  });
  ring.gates.push(gate);
  ring.onEnd(() => gate.stop());

  /** Which addresses answer so many requests, one after another, and what is no answer of theirs. */
  async function answering(requests) {
    const servers = new Set();
    for (let number = 0; number < requests; number += 1) {
      const { status, headers } = await ask('http://chat.test/', { socketPath: socket });
      servers.add(status === 200 ? headers['x-server'] : status);
    }
    return [...servers].sort();
  }

  /** An open WebSocket, the address of its server, and a way to hear that it lives. */
  async function tunnel() {
    const client = new WebSocket(`ws+unix:${socket}:/`);
    ring.onEnd(() => client.terminate());
    const [{ headers }] = await within(DEADLINE, once(client, 'upgrade'), 'a 101');
    const echo = async () => {
      const back = once(client, 'message');
      client.send('still here');
      await within(DEADLINE, back, 'an echo');
    };
    return { client, server: headers['x-server'], echo };
  }

  // A start does not wait for a name.
  const served = async () => {
    while ((await answering(1))[0] === 502);
  };
  if (first.addresses) await within(DEADLINE, served(), 'the first servers');
  return { say, gate, answering, tunnel };
}

const A = '127.0.0.11';
const B = '127.0.0.12';
const C = '127.0.0.13';
const ALL = [A, B, C];

check('a start does not wait for a name, and a name that comes later is served', NAMES, async (ring) => {
  const { say, answering } = await world(ring, { first: { rcode: NXDOMAIN } });
  assert.deepEqual(await answering(2), [502]);
  await say({ addresses: ALL });
  assert.deepEqual(await answering(6), ALL);
});

for (const [what, state] of Object.entries({
  NXDOMAIN: { rcode: NXDOMAIN },
  SERVFAIL: { rcode: SERVFAIL },
  'an answer without addresses': {},
  silence: { silent: true },
})) {
  check(`${what} takes no server away`, NAMES, async (ring) => {
    const { say, gate, answering, tunnel } = await world(ring, { first: { addresses: ALL } });
    const open = await tunnel();
    await say(state, 3);
    assert.deepEqual(await answering(6), ALL);
    await open.echo();
    assert.ok(!gate.log.some(({ message }) => message === 'server drained'));
  });
}

check('an address that vanishes drains: its tunnel goes on, nothing new comes there, and it can return', NAMES, async (ring) => {
  const { say, gate, answering, tunnel } = await world(ring, { first: { addresses: ALL } });
  const tunnels = [await tunnel(), await tunnel(), await tunnel()];
  assert.deepEqual(tunnels.map(({ server }) => server).sort(), ALL);
  await say({ addresses: [A, B] });
  assert.deepEqual(await answering(8), [A, B]);
  for (const { echo } of tunnels) await echo();
  // It leaves two minutes later at the earliest, for sessions of which nothing is known; until then it is there.
  tunnels.find(({ server }) => server === C).client.close();
  // Without slow start: it has its share at once.
  await say({ addresses: [C, B, A] });
  assert.deepEqual(await answering(3), ALL);
  for (const { client, echo } of tunnels) if (client.readyState === WebSocket.OPEN) await echo();
});

check('a name with 300 addresses has 300 servers', NAMES, async (ring) => {
  const addresses = Array.from({ length: 300 }, (_, i) => `127.1.${Math.floor(i / 250)}.${1 + (i % 250)}`);
  const { answering, say } = await world(ring, { first: { addresses } });
  // Two rounds of turns: on a busy machine one was missing in the first, twice.
  assert.equal((await answering(600)).length, 300);
  await say({ addresses: addresses.slice(0, 3) });
  assert.deepEqual(await answering(9), addresses.slice(0, 3));
});
