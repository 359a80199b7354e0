// A v2 server, its own clients, and its cookie.

import assert from 'node:assert/strict';
import { V2, V4, WEAPP_2 } from '../support/clients.mjs';
import { connected, converse } from '../support/conversation.mjs';
import { ask, untouched } from '../support/http.mjs';
import { check } from '../support/ring.mjs';
import { socketIo } from '../support/servers.mjs';
import { next } from '../support/wait.mjs';

for (const kind of [...V2, WEAPP_2]) {
  check(`${kind.name} and a v2 server talk both ways, and the server sees it leave`, async (ring) => {
    const server = await socketIo(ring, 2);
    const gate = await ring.gate(server);
    const client = kind.connect(ring, gate.ws);
    const { id } = await converse(client, server, kind.settles);
    assert.equal(server.requests.length > 0, kind.transports.includes('polling'));
    assert.equal(server.upgrades.length, kind.transports.includes('websocket') ? 1 : 0);

    client.close();
    const left = await server.disconnects.find((d) => d.id === id);
    assert.equal(left.reason, 'client namespace disconnect');
  });
}

check('a v2 client that vanishes is a transport close for the v2 server', async (ring) => {
  const server = await socketIo(ring, 2);
  const gate = await ring.gate(server);
  const client = V2[0].connect(ring, gate.ws);
  await connected(client);
  client.io.engine.transport.ws._socket.destroy();
  const left = await server.disconnects.find(undefined, 2_000);
  assert.equal(left.reason, 'transport close');
});

check('the cookie of a v2 server passes with the handshake and with every poll', async (ring) => {
  const server = await socketIo(ring, 2);
  const gate = await ring.gate(server);
  const target = '/socket.io/?EIO=3&transport=polling&b64=1';
  const answer = await ask(`${gate.http}${target}`);
  assert.equal(answer.status, 200);
  const { sid } = JSON.parse(/\{.*?\}/.exec(answer.body.toString())[0].replace(/\]2:40.*/, ']'));
  const cookies = [`io=${sid}; Path=/; HttpOnly; SameSite=Strict`];
  assert.deepEqual(answer.headers['set-cookie'], cookies);
  assert.equal(answer.headers['access-control-allow-origin'], '*');

  const posted = await ask(`${gate.http}${target}&sid=${sid}`, {
    method: 'POST',
    body: '1:2',
    headers: { 'Content-Type': 'text/plain;charset=UTF-8', Cookie: `io=${sid}` },
  });
  assert.equal(posted.body.toString(), 'ok');
  assert.deepEqual(posted.headers['set-cookie'], cookies);

  const polled = await ask(`${gate.http}${target}&sid=${sid}`, { headers: { Cookie: `io=${sid}` } });
  assert.equal(polled.body.toString(), '1:3', 'the pong for the ping');
  assert.deepEqual(polled.headers['set-cookie'], cookies);
  assert.equal((await server.requests.find(({ method }) => method === 'POST')).headers.cookie, `io=${sid}`);
});

check('the 400 of a v2 server for an unknown sid passes unaltered', { diagnosed: ['session_unknown'] }, async (ring) => {
  const server = await socketIo(ring, 2);
  const gate = await ring.gate(server);
  const target = '/socket.io/?EIO=3&transport=polling&sid=nobody';
  const direct = await ask(`http://127.0.0.1:${server.port}${target}`);
  const through = await ask(`${gate.http}${target}`);
  assert.equal(through.status, 400);
  assert.equal(through.body.toString(), '{"code":1,"message":"Session ID unknown"}');
  assert.deepEqual(untouched(through), untouched(direct));
});

for (const [kind, message] of [
  [V4[0], /v2\.x.*v3\.x|v3\.x.*v2\.x/],
  [V4[1], /^server error$/],
]) {
  check(`${kind.name} says by itself that a v2 server is too old for it`, { diagnosed: ['old_server'] }, async (ring) => {
    const server = await socketIo(ring, 2);
    const gate = await ring.gate(server);
    const client = kind.connect(ring, gate.ws);
    const [error] = await next(client, 'connect_error');
    assert.match(error.message, message);
  });
}
