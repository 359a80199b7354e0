// Servers of a group that are added, drained, killed and come back, under the eyes of clients that talk.

import assert from 'node:assert/strict';
import { count, statuses, tunnel, UPGRADE } from '../support/crowd.mjs';
import { FLEET, summary, talkers } from '../support/fleet.mjs';
import { fleetServer, fleetServers, groupFile, groupGate } from '../support/group.mjs';
import { ask } from '../support/http.mjs';
import { check } from '../support/ring.mjs';

const NAMES = ['a', 'b', 'c'];
// A client that leaves has a poll on its way now and then; see several_servers.test.mjs.
const GROUPS = { via: ['wsgate'], deadline: 120_000, diagnosed: ['session_unknown'] };

/** The forms that README.md names: what they show takes longer than a test may. */
const LONG = Boolean(process.env.WSGATE_LONG);

const talk = (members, rounds) => Promise.all(members.map((member) => member.talks(rounds, 20_000)));

check('clients that poll notice nothing of servers that are added and drained by one reload after another', GROUPS, async (ring) => {
  const servers = await fleetServers(ring, [...NAMES, 'd']);
  const [a, b, c, d] = servers;
  const draining = (server) => ({ line: { server: `127.0.0.1:${server.port}`, drain: true } });
  const gate = await groupGate(ring, [a, b, c]);
  const members = [4, 3, 2].flatMap((generation) => talkers(ring, generation, gate.http, { count: FLEET / 3, pace: 50 }));
  await talk(members, 1);
  assert.deepEqual(Object.keys(summary(members).servers).sort(), NAMES);
  const files = [
    [a, b, c, d],
    [draining(a), b, c, d],
    [a, draining(b), c, d],
    [a, b, c],
  ];
  for (let reload = 0; reload < (LONG ? 100 : 20); reload += 1) await gate.save({ document: groupFile(files[reload % files.length]) });
  await talk(members, 2);
  assert.deepEqual(summary(members).faults, []);

  await gate.save({ document: groupFile(files[1]) });
  const opened = servers.map((server) => server.opened.length);
  const late = talkers(ring, 4, gate.http);
  await talk(late, 2);
  assert.deepEqual(summary(late).faults, []);
  assert.equal(a.opened.length, opened[0], 'no new session for the one that drains');
  assert.ok(d.opened.length > opened[3], 'the one that was added has some');
  await talk(members, 2);
  assert.deepEqual(summary(members).faults, []);
});

check('a client that asks for a WebSocket where nobody answers takes no server out', { ...GROUPS, diagnosed: ['session_unknown', 'unanswered'] }, async (ring) => {
  const servers = await fleetServers(ring, NAMES);
  const gate = await groupGate(ring, servers, { location: '/' });
  assert.deepEqual(await statuses(gate.http, 60), { 200: 60 });
  const nobody = () => ask(`${gate.http}/nobody/answers`, { headers: UPGRADE });
  const asked = Promise.all([nobody(), nobody(), nobody()]);
  assert.deepEqual(await statuses(gate.http, 250), { 200: 250 });
  assert.deepEqual((await asked).map(({ status }) => status), [502, 502, 502]);
  assert.deepEqual(await statuses(gate.http, 250), { 200: 250 });
});

check('the clients of a server that is killed are back within their own delay and half a second, and no other notices', { ...GROUPS, diagnosed: ['session_unknown', 'unanswered'] }, async (ring) => {
  const servers = await fleetServers(ring, NAMES);
  const gate = await groupGate(ring, servers);
  const delay = 500;
  const options = { pace: 100, reconnection: true, reconnectionDelay: delay, randomizationFactor: 0 };
  const members = talkers(ring, 4, gate.http, options);
  await talk(members, 3);
  const [killed] = servers;
  const own = members.filter(({ server }) => server === killed.name);
  const others = members.filter(({ server }) => server !== killed.name);
  assert.ok(own.length > 0 && others.length > own.length, `${own.length} and ${others.length}`);

  const back = own.map(({ client }) => new Promise((resolve) => client.once('connect', () => resolve(performance.now()))));
  // What as many clients take to connect at the same time: little, unless the machine is busy with something else. Then it takes one of
  // them three times as long as the others now and then.
  const fresh = performance.now();
  await talk(talkers(ring, 4, gate.http, { count: own.length }), 1);
  const connecting = performance.now() - fresh;

  const began = performance.now();
  await killed.kill();
  const times = (await Promise.all(back)).map((at) => at - began);
  assert.ok(Math.max(...times) <= delay + 500 + 3 * connecting, `back after ${times.map(Math.round)} ms, where ${connecting} ms are for connecting`);
  assert.deepEqual(own.map(({ faults }) => faults), own.map(() => ['disconnect: transport error']), 'one fault each');
  await talk(others, 5);
  assert.deepEqual(summary(others).faults, []);
  assert.ok(own.every(({ server }) => server !== killed.name));
});

/** Opens tunnels at an even rate and closes each after `lifetime` ms; `opened` has when each was opened, and by which server. */
function steadily(ring, url, { perSecond, lifetime }) {
  const opened = [];
  const failures = [];
  const began = performance.now();
  let asked = 0;
  const timer = setInterval(async () => {
    // So many as are due by now: a timer that is late asks for several.
    for (; asked < ((performance.now() - began) * perSecond) / 1_000; asked += 1) {
      tunnel(ring, url).then(
        ({ socket, server }) => {
          const one = { at: performance.now(), server, isOpen: true };
          opened.push(one);
          setTimeout(() => socket.terminate(), lifetime);
          socket.on('close', () => (one.isOpen = false));
        },
        (error) => failures.push(error.message),
      );
    }
  }, 5);
  ring.onEnd(() => clearInterval(timer));
  /** The share of a server among those that were opened in between, in milliseconds since `start`. */
  const share = (server, start, from, to) => {
    const some = opened.filter(({ at }) => at >= start + from && at < start + to);
    return { share: some.filter((one) => one.server === server).length / some.length, of: some.length };
  };
  const open = () => count(opened.filter(({ isOpen }) => isOpen).map(({ server }) => server));
  return { opened, failures, share, open };
}

const until = (at) => new Promise((resolve) => setTimeout(resolve, at - performance.now()));

check('a server that returns is neither flooded nor starved, and level with the others after slow_start', GROUPS, async (ring) => {
  // The long form is the one that a user has: nginx's words, the default of 10 s, and 40 handshakes a second.
  const [slowStart, perSecond, lifetime] = LONG ? [10_000, 40, 6_000] : [3_000, 100, 1_500];
  const servers = await fleetServers(ring, NAMES);
  const gate = await groupGate(ring, servers, { group: { slow_start: `${slowStart / 1_000}s` } });
  const [, , returning] = servers;
  const tunnels = steadily(ring, gate.ws, { perSecond, lifetime });
  await returning.kill();
  await gate.log.find(({ message }) => message === 'server down');
  await fleetServer(ring, { name: 'c', port: returning.port });
  await gate.log.find(({ message }) => message === 'server up');
  const start = performance.now();

  await until(start + slowStart + lifetime + 500);
  const first = tunnels.share('c', start, 0, slowStart / 10);
  assert.ok(first.share <= (LONG ? 0.05 : 0.1), `${first.share} of ${first.of} in the first tenth`);
  const last = tunnels.share('c', start, 0.8 * slowStart, slowStart);
  assert.ok(last.share > 0.2 && last.share < 0.4, `${last.share} of ${last.of} in the last fifth`);
  const isLevel = ({ a, b, c }) => [a, b, c].every((one) => Math.abs(one - (a + b + c) / 3) <= Math.max((0.05 * (a + b + c)) / 3, 2));
  let level = tunnels.open();
  // By now it is, unless the machine is busy and tunnels end late.
  for (const late = performance.now() + 10_000; !isLevel(level) && performance.now() < late; level = tunnels.open()) {
    await until(performance.now() + 50);
  }
  assert.ok(isLevel(level), JSON.stringify(level));
  assert.deepEqual(tunnels.failures, []);
  if (LONG) console.log(`first second ${first.share}, just before the end ${last.share}, then ${JSON.stringify(level)}`);
});

check('24 tunnels that are opened in turn are 8 at each of three servers, from four threads', GROUPS, async (ring) => {
  const servers = await fleetServers(ring, NAMES);
  const gate = await groupGate(ring, servers, { top: { threads: 4 } });
  const names = [];
  for (let number = 0; number < 24; number += 1) names.push((await tunnel(ring, gate.ws)).server);
  assert.deepEqual(count(names), { a: 8, b: 8, c: 8 });
});

check('no server of any generation has a session because of a health check', GROUPS, async (ring) => {
  const one = async (generation) => {
    const servers = await fleetServers(ring, ['a', 'b'], { generation });
    await groupGate(ring, servers, { group: { health_check: 'engine_io' } });
    for (const server of servers) {
      await server.checked.several(2, () => true, 30_000);
      assert.deepEqual(server.opened.entries, [], `generation ${generation}`);
    }
  };
  // Beside one another, since a check comes each 5 s.
  await Promise.all([2, 4, 'python'].map(one));
});
