// A v4 server without allowEIO3: its refusal of older clients must pass unaltered, though it looks like nonsense.

import assert from 'node:assert/strict';
import { V2, V4, WEAPP_2, WEAPP_3 } from '../support/clients.mjs';
import { converse } from '../support/conversation.mjs';
import { ask, parts, raw, untouched, upgradeHead } from '../support/http.mjs';
import { VIA, check } from '../support/ring.mjs';
import { socketIo } from '../support/servers.mjs';
import { next } from '../support/wait.mjs';

const HTTP_IN_THE_STREAM =
  /^HTTP\/1\.1 400 Bad Request\r\nConnection: close\r\nContent-type: text\/html\r\nContent-Length: 28\r\n\r\nUnsupported protocol version$/;

check('the HTTP 400 that a v4 server writes into an open WebSocket passes byte for byte', { diagnosed: ['eio3_refused'] }, async (ring) => {
  const server = await socketIo(ring, 4);
  const gate = await ring.gate(server);
  const head = upgradeHead('/socket.io/?EIO=3&transport=websocket', 'chat.test');
  const direct = parts(await raw(server.port, head));
  const through = parts(await raw(gate.port, head));

  assert.match(direct.rest.toString(), HTTP_IN_THE_STREAM);
  assert.equal(through.status, 'HTTP/1.1 101 Switching Protocols');
  assert.deepEqual(through.rest, direct.rest);
  assert.ok(through.lines.includes('Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo='));
  if (VIA !== 'nginx') assert.deepEqual(through.lines.sort(), direct.lines.sort(), 'and no line more in the 101');
});

check('the polling 400 of a v4 server for EIO 3 passes unaltered', { diagnosed: ['eio3_refused'] }, async (ring) => {
  const server = await socketIo(ring, 4);
  const gate = await ring.gate(server);
  const target = '/socket.io/?EIO=3&transport=polling&b64=1';
  const direct = await ask(`http://127.0.0.1:${server.port}${target}`);
  const through = await ask(`${gate.http}${target}`);

  assert.equal(through.status, 400);
  assert.equal(through.headers['content-type'], 'application/json');
  assert.equal(through.body.toString(), '{"code":5,"message":"Unsupported protocol version"}');
  assert.deepEqual(untouched(through), untouched(direct));
});

for (const [name, options, status, body] of [
  ['an unknown transport', { method: 'GET', target: '?EIO=4&transport=pigeon' }, 400, '{"code":0,"message":"Transport unknown"}'],
  ['an unknown sid', { method: 'GET', target: '?EIO=4&transport=polling&sid=nobody' }, 400, '{"code":1,"message":"Session ID unknown"}'],
  ['a POST without sid', { method: 'POST', target: '?EIO=4&transport=polling' }, 400, '{"code":2,"message":"Bad handshake method"}'],
]) {
  check(`the 400 of a v4 server for ${name} passes unaltered`, { diagnosed: ['transport_unknown', 'session_unknown'] }, async (ring) => {
    const server = await socketIo(ring, 4);
    const gate = await ring.gate(server);
    const request = { method: options.method, ...(options.method === 'POST' && { body: '40' }) };
    const direct = await ask(`http://127.0.0.1:${server.port}/socket.io/${options.target}`, request);
    const through = await ask(`${gate.http}/socket.io/${options.target}`, request);
    assert.equal(through.status, status);
    assert.equal(through.body.toString(), body);
    assert.deepEqual(untouched(through), untouched(direct));
  });
}

check('a refused upgrade for an unknown sid passes unaltered', { diagnosed: ['session_unknown'] }, async (ring) => {
  const server = await socketIo(ring, 4);
  const gate = await ring.gate(server);
  const head = upgradeHead('/socket.io/?EIO=4&transport=websocket&sid=nobody', 'chat.test', ['Connection: close']);
  const direct = parts(await raw(server.port, head));
  const through = parts(await raw(gate.port, head));
  assert.equal(through.status, 'HTTP/1.1 400 Bad Request');
  assert.equal(through.rest.toString(), 'Session ID unknown');
  assert.deepEqual(through.rest, direct.rest);
});

for (const [kind, message] of [
  [V2[0], 'websocket error'],
  [V2[1], 'xhr poll error'],
  [V2[2], 'xhr poll error'],
  [WEAPP_2, 'websocket error'],
]) {
  check(`${kind.name} says by itself why a v4 server without allowEIO3 does not want it`, { diagnosed: ['eio3_refused'] }, async (ring) => {
    const server = await socketIo(ring, 4);
    const gate = await ring.gate(server);
    const client = kind.connect(ring, gate.ws);
    const [error] = await next(client, 'connect_error');
    assert.equal(error.message, message);
    const why = error.description?.message ?? error.description?.error?.errMsg ?? error.description;
    const expected = kind.transports[0] === 'polling' ? 400 : 'Invalid WebSocket frame: RSV1 must be clear';
    assert.deepEqual(why, expected);
    assert.equal(server.connections.length, 0);
  });
}

for (const kind of [V4[2], WEAPP_3]) {
  check(`${kind.name} needs no allowEIO3 with a v4 server`, async (ring) => {
    const server = await socketIo(ring, 4);
    const gate = await ring.gate(server);
    await converse(kind.connect(ring, gate.ws), server, kind.settles);
  });
}
