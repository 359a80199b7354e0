// What the acceptance of groups asks, asked of nginx and HAProxy: a test that they could pass by chance would prove nothing of wsgate.

import assert from 'node:assert/strict';
import { statuses, UPGRADE } from '../support/crowd.mjs';
import { FLEET, fleet, POLLING, UPGRADED } from '../support/fleet.mjs';
import { addresses, fleetServers } from '../support/group.mjs';
import { haproxyBackend } from '../support/haproxy.mjs';
import { ask } from '../support/http.mjs';
import { startNginxGroup } from '../support/nginx.mjs';
import { check } from '../support/ring.mjs';

const ONLY = { via: ['wsgate'], deadline: 120_000 };
const NAMES = ['a', 'b', 'c'];

/** nginx's default: one server after the other. */
async function nginx(ring, servers) {
  const gate = await startNginxGroup(addresses(servers).map((address) => `server ${address};`));
  ring.onEnd(() => gate.stop());
  return gate.http;
}

/** The lines that the documentation of Socket.IO has for HAProxy ("Using multiple nodes"), with its health check. */
async function haproxy(ring, servers) {
  const port = await haproxyBackend(ring, [
    'option httpchk HEAD /health',
    'http-check expect status 200',
    'cookie io prefix indirect nocache',
    ...servers.map(({ name, port: at }) => `server ${name} 127.0.0.1:${at} check cookie ${name}`),
  ]);
  return `http://127.0.0.1:${port}`;
}

/**
 * How many of a fleet may get through by chance: each poll finds its server in one of three cases, and one that is to
 * change to a WebSocket has few of them. python-socketio's changes with the very first request, so that it has only one.
 */
const LUCKY = (generation, transports) => {
  if (transports === POLLING) return 0;
  return generation === 'python' ? 20 : 5;
};

for (const [name, proxy] of Object.entries({ 'nginx, one server after the other': nginx, 'HAProxy, as Socket.IO documents it': haproxy })) {
  check(`${name}: no client that begins by polling stays with its server, those by WebSocket do`, ONLY, async (ring) => {
    // Pings come often since a python client that was refused waits for one before it gives up.
    const servers = await fleetServers(ring, NAMES, { options: { pingInterval: 1_000, pingTimeout: 1_000 } });
    const url = await proxy(ring, servers);
    for (const generation of [4, 3, 2, 'python']) {
      for (const transports of [POLLING, UPGRADED]) {
        const { well } = await fleet(ring, generation, url, { transports });
        const lucky = LUCKY(generation, transports);
        assert.ok(well <= lucky, `${well} of ${FLEET} of generation ${generation} by ${transports}, where chance gives ${lucky} at most`);
      }
    }
    const { well, faults } = await fleet(ring, 4, url, { transports: ['websocket'] });
    assert.equal(well, FLEET, faults.join('\n'));
  });
}

check('nginx takes a whole group down for one client that asks for a WebSocket where nobody answers', ONLY, async (ring) => {
  const servers = await fleetServers(ring, NAMES);
  const url = await nginx(ring, servers);
  assert.deepEqual(await statuses(url, 60), { 200: 60 });
  const { status } = await ask(`${url}/nobody/answers`, { headers: UPGRADE });
  assert.equal(status, 502);
  assert.deepEqual(await statuses(url, 500), { 502: 500 });
});
