// Sessions that share a connection of their client, before a cluster that sends each connection to one worker.

import assert from 'node:assert/strict';
import http from 'node:http';
import { stickyCluster } from '../support/group.mjs';
import { check } from '../support/ring.mjs';
import { socketIo } from '../support/servers.mjs';

const ONLY = { via: ['wsgate'] };

/** A client that has one connection; requests wait for one another. */
function oneConnection(ring) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  ring.onEnd(() => agent.destroy());
  return agent;
}

function ask(agent, url, body) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { agent, method: body ? 'POST' : 'GET' }, (response) => {
      let text = '';
      response.on('data', (data) => (text += data)).on('end', () => resolve({ status: response.statusCode, text }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

check('two sessions that share a connection of their client both find their worker, before a sticky cluster of 2021', ONLY, async (ring) => {
  const cluster = await stickyCluster(ring);
  const gate = await ring.gate(cluster, { location: '/' });
  const polling = `${gate.http}/socket.io/?EIO=4&transport=polling`;
  const sessions = [];
  const shared = oneConnection(ring);
  for (let number = 0; number < 6; number += 1) {
    // Each was opened over a connection of its own, and so by the next worker.
    const { text } = await ask(oneConnection(ring), polling);
    sessions.push(`${polling}&sid=${JSON.parse(text.slice(1)).sid}`);
  }
  // What a session is sent comes over a connection of its own: a kept one that began with a POST hangs in this cluster, also for a
  // client without a proxy.
  const sends = async (session, text) => assert.deepEqual(await ask(oneConnection(ring), session, text), { status: 200, text: 'ok' });
  for (const session of sessions) await sends(session, '40');
  for (const session of sessions) assert.match((await ask(shared, session)).text, /^40\{"sid":/);
  assert.equal((await ask(shared, `${gate.http}/page`)).text, 'a page');
  for (const [number, session] of sessions.entries()) {
    await sends(session, `42${number}["echo",${number}]`);
    assert.equal((await ask(shared, session)).text, `43${number}[${number}]`);
  }
});

check('a server learns at once that a client that polls has left', ONLY, async (ring) => {
  const server = await socketIo(ring, 4);
  const gate = await ring.gate(server);
  const agent = oneConnection(ring);
  const polling = `${gate.http}/socket.io/?EIO=4&transport=polling`;
  const session = `${polling}&sid=${JSON.parse((await ask(agent, polling)).text.slice(1)).sid}`;
  await ask(agent, session, '40');
  await ask(agent, session);
  const poll = http.get(session, { agent });
  poll.on('error', () => {});
  await server.requests.find(({ method, url }, at, all) => method === 'GET' && all.filter((one) => one.url === url && one.method === 'GET').length === 2);
  const began = Date.now();
  poll.socket.end();
  const { reason } = await server.disconnects.find(() => true);
  assert.ok(Date.now() - began < 1000, `${Date.now() - began} ms`);
  assert.match(reason, /transport (close|error)/);
});
