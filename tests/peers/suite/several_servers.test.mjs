// Several servers that know nothing of one another, behind wsgates that know nothing of one another either: no client of any
// generation notices. What nginx and HAProxy do with the same clients and servers is in several_servers_elsewhere.test.mjs.

import assert from 'node:assert/strict';
import http from 'node:http';
import { FLEET, fleet, POLLING, summary, talkers, UPGRADED } from '../support/fleet.mjs';
import { fleetServers, groupGate, stickyCluster } from '../support/group.mjs';
import { ask } from '../support/http.mjs';
import { picker } from '../support/picker.mjs';
import { check } from '../support/ring.mjs';

const NAMES = ['a', 'b', 'c'];
// A client that leaves has a poll on its way now and then, which comes behind the packet that ended its session. Whether a session was
// lost is what the clients themselves count.
const GROUPS = { via: ['wsgate'], deadline: 120_000, diagnosed: ['session_unknown'] };

/** Which clients each kind of server takes. */
const TAKES = { 4: [4, 3, 2, 'python'], 2: [2], python: [4, 3, 'python'] };

/** Every client of a fleet got through, and each of the servers was somebody's. */
function assertAllWell({ well, faults, servers }, names, what) {
  assert.equal(well, FLEET, `${what}: ${well} of ${FLEET} without a fault:\n${faults.join('\n')}`);
  assert.deepEqual(Object.keys(servers).sort(), names, what);
}

for (const [kind, clients] of Object.entries(TAKES)) {
  const generation = kind === 'python' ? kind : Number(kind);
  check(`${FLEET} of ${FLEET} clients of each generation stay with one of three servers of generation ${kind}`, GROUPS, async (ring) => {
    const servers = await fleetServers(ring, NAMES, { generation });
    const gate = await groupGate(ring, servers);
    for (const client of clients) {
      for (const transports of [POLLING, UPGRADED]) {
        assertAllWell(await fleet(ring, client, gate.http, { transports }), NAMES, `${client} by ${transports}`);
      }
    }
  });
}

check('clients that keep their connections, and share them, stay with their servers', GROUPS, async (ring) => {
  const servers = await fleetServers(ring, NAMES);
  const gate = await groupGate(ring, servers);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 2 * FLEET });
  ring.onEnd(() => agent.destroy());
  assertAllWell(await fleet(ring, 4, gate.http, { agent }), NAMES, 'one agent for all');
  assertAllWell(await fleet(ring, 'python', gate.http, { kept: true, transports: UPGRADED }), NAMES, 'python');
});

for (const version of ['1.0.4', '2']) {
  check(`a group of clusters behind @socket.io/sticky ${version} is a group of servers`, GROUPS, async (ring) => {
    const clusters = await Promise.all(['a', 'b'].map((name) => stickyCluster(ring, { version, name, workers: 2 })));
    const workers = ['a-1', 'a-2', 'b-1', 'b-2'];
    const gate = await groupGate(ring, clusters, { location: '/' });
    for (const [client, transports] of [[4, POLLING], [4, UPGRADED], [2, POLLING]]) {
      assertAllWell(await fleet(ring, client, gate.http, { transports }), workers, `${client} by ${transports}`);
    }
    // Sessions of all workers that ask over one connection, one after another.
    const once = () => ({ agent: false });
    const polling = `${gate.http}/socket.io/?EIO=4&transport=polling`;
    const sessions = [];
    for (let number = 0; number < 8; number += 1) {
      const { body } = await ask(polling, once());
      sessions.push(`${polling}&sid=${JSON.parse(body.subarray(1)).sid}`);
    }
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    ring.onEnd(() => agent.destroy());
    const sends = async (session, text) => {
      const { status, body } = await ask(session, { ...once(), method: 'POST', body: text });
      assert.deepEqual([status, body.toString()], [200, 'ok']);
    };
    const polls = async (session) => (await ask(session, { agent })).body.toString();
    for (const session of sessions) await sends(session, '40');
    for (const session of sessions) assert.match(await polls(session), /^40\{"sid":/);
    for (const [number, session] of sessions.entries()) {
      await sends(session, `42${number}["echo",${number}]`);
      assert.equal(await polls(session), `43${number}[${number}]`);
    }
  });
}

/** Three wsgates before the same servers, and what picks one of them for each connection. */
async function threeGates(ring, servers) {
  const gates = await Promise.all(NAMES.map(() => groupGate(ring, servers, { top: { drain_timeout: '5s' } })));
  return { gates, pick: await picker(ring, gates.map(({ port }) => port)) };
}

check('three wsgates that share nothing serve the same sessions, each request at another one', GROUPS, async (ring) => {
  const servers = await fleetServers(ring, NAMES);
  const { gates, pick } = await threeGates(ring, servers);
  for (const client of [4, 3, 2, 'python']) {
    for (const transports of [POLLING, UPGRADED]) {
      assertAllWell(await fleet(ring, client, pick.http, { transports }), NAMES, `${client} by ${transports}`);
    }
  }
  for (const gate of gates) assert.ok(gate.log.some(({ message }) => message === 'request'), 'each of the three was asked');
});

check('no session is lost when one of three wsgates restarts, and only polls in its hands when one is killed', GROUPS, async (ring) => {
  const servers = await fleetServers(ring, NAMES);
  const { gates, pick } = await threeGates(ring, servers);
  const members = [4, 3, 2].flatMap((generation) => talkers(ring, generation, pick.http, { count: FLEET / 3, pace: 100 }));
  const talk = (rounds) => Promise.all(members.map((member) => member.talks(rounds, 20_000)));
  const session = ({ client }) => client.io.engine.id;
  await talk(5);
  assert.deepEqual(summary(members).faults, []);

  const restarted = gates[0].port;
  await pick.leaves(restarted);
  await Promise.all([gates[0].stop(), talk(5)]);
  assert.deepEqual(summary(members).faults, [], 'one has ended');
  await Promise.all([groupGate(ring, servers, { listen: `127.0.0.1:${restarted}` }), talk(5)]);
  pick.returns(restarted);
  await talk(5);
  assert.deepEqual(summary(members).faults, [], 'it has come back, and knows nothing');

  const sessions = new Map(members.map((member) => [member, session(member)]));
  await Promise.all([gates[1].kill(), talk(5)]);
  const cut = pick.cut(gates[1].port);
  const lost = members.filter(({ faults }) => faults.length > 0);
  const own = lost.filter((member) => !cut.has(sessions.get(member)));
  assert.deepEqual(own.map(({ faults }) => faults[0]), [], 'lost without a request in the hands of the one that was killed');
  assert.ok(lost.length < FLEET, `${lost.length} were cut`);
  await talk(5);
  assert.equal(summary(members).well, FLEET - lost.length);
});

check('clients of EIO 3 and of EIO 4 come to a group each, by their query', GROUPS, async (ring) => {
  const groups = { v2: await fleetServers(ring, ['a2', 'b2'], { generation: 2 }), v4: await fleetServers(ring, ['a4', 'b4']) };
  const lines = (servers) => servers.map(({ port }) => `127.0.0.1:${port}`);
  const gate = await ring.gate(null, {
    document: {
      listen: [{ address: '127.0.0.1:0' }],
      upstreams: { v2: { servers: lines(groups.v2) }, v4: { servers: lines(groups.v4) } },
      routes: [
        { location: '/socket.io', when: { query: { EIO: '3' } }, proxy_pass: 'http://v2' },
        { location: '/socket.io', proxy_pass: 'http://v4' },
      ],
    },
  });
  for (const client of [2, 3, 4, 'python']) {
    const names = client === 2 ? ['a2', 'b2'] : ['a4', 'b4'];
    assertAllWell(await fleet(ring, client, gate.http, { transports: UPGRADED }), names, `generation ${client}`);
  }
});

check('a list in proxy_pass is a group', GROUPS, async (ring) => {
  const servers = await fleetServers(ring, NAMES);
  const proxyPass = servers.map(({ port }) => `http://127.0.0.1:${port}`);
  const gate = await ring.gate(null, {
    document: { listen: [{ address: '127.0.0.1:0' }], routes: [{ location: '/socket.io', proxy_pass: proxyPass }] },
  });
  assertAllWell(await fleet(ring, 4, gate.http, { transports: UPGRADED }), NAMES, 'a list');
});
