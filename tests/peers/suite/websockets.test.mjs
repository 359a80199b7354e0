// WebSockets without Socket.IO: nodejs-websocket and ws behind the gate, ws and wx.connectSocket before it.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import WebSocket from 'ws';
import { TEXT, BINARY, frames } from '../support/frames.mjs';
import { ask, untouched } from '../support/http.mjs';
import { check } from '../support/ring.mjs';
import { DEADLINE, Journal, within } from '../support/wait.mjs';
import { closed, message, nodejsWebsocketServer, opened, wsServer } from '../support/websockets.mjs';
import { createWx } from '../support/wx.mjs';

/** Sends back what it gets, in capitals or reversed. */
function answerBack(conn) {
  conn.on('text', (text) => conn.sendText(text.toUpperCase()));
  conn.on('binary', async (stream) => conn.sendBinary(Buffer.concat(await stream.toArray()).reverse()));
}

check('a native WebSocket and nodejs-websocket exchange text and binary', async (ring) => {
  const server = await nodejsWebsocketServer(ring, answerBack);
  const gate = await ring.gate(server, { location: '/' });
  const socket = await opened(ring, new WebSocket(`${gate.ws}/`));
  let answer = message(socket);
  socket.send('grüße ✓');
  assert.equal(await answer, 'GRÜSSE ✓');

  const bytes = randomBytes(70_000);
  answer = message(socket);
  socket.send(bytes);
  assert.deepEqual(await answer, Buffer.from(bytes).reverse());
});

check('nodejs-websocket sees the target as the client wrote it', async (ring) => {
  const server = await nodejsWebsocketServer(ring, () => {});
  const gate = await ring.gate(server, { location: '/' });
  const target = '/a//b/./c%20d/%E4%BD%A0?x=1&y=%26z&empty=&&flag';
  // The URL parser of Node would resolve the dot: a request of one's own does not.
  const socket = new WebSocket(gate.ws, { finishRequest: (request) => Object.assign(request, { path: target }).end() });
  await opened(ring, socket);
  assert.equal((await server.connections.find()).path, target);
});

check('a fragmented message from the client reaches nodejs-websocket as one', async (ring) => {
  const server = await nodejsWebsocketServer(ring, answerBack);
  const gate = await ring.gate(server, { location: '/' });
  const socket = await opened(ring, new WebSocket(gate.ws));
  const answer = message(socket);
  for (const part of ['one ', 'two ', 'three ']) socket.send(part, { fin: false });
  socket.send('four', { fin: true });
  assert.equal(await answer, 'ONE TWO THREE FOUR');
});

check('close code and reason pass both ways between ws and nodejs-websocket', async (ring) => {
  const server = await nodejsWebsocketServer(ring, (conn) => conn.on('text', () => conn.close(4002, 'bye from the server')));
  const gate = await ring.gate(server, { location: '/' });
  const first = await opened(ring, new WebSocket(gate.ws));
  first.close(4001, 'bye from the client');
  assert.deepEqual(await server.closes.find(), { code: 4001, reason: 'bye from the client' });

  const second = await opened(ring, new WebSocket(gate.ws));
  const close = closed(second);
  second.send('please close');
  assert.deepEqual(await close, { code: 4002, reason: 'bye from the server' });
});

check('a subprotocol is negotiated with nodejs-websocket', async (ring) => {
  const selectProtocol = (_, offered) => offered.find((name) => name === 'chat.v2');
  const server = await nodejsWebsocketServer(ring, () => {}, { selectProtocol });
  const gate = await ring.gate(server, { location: '/' });
  const socket = await opened(ring, new WebSocket(gate.ws, ['chat.v1', 'chat.v2']));
  assert.equal(socket.protocol, 'chat.v2');
  const conn = await server.connections.find();
  assert.deepEqual(conn.protocols, ['chat.v1', 'chat.v2']);
  assert.equal(conn.protocol, 'chat.v2');
});

/** A SocketTask with a journal of what it was told. */
function task(wx, options) {
  const events = new Journal('events of a SocketTask');
  const socket = wx.connectSocket(options);
  socket.onOpen(() => events.add({ open: true }));
  socket.onMessage(({ data }) => events.add({ data }));
  socket.onError(({ errMsg }) => events.add({ errMsg }));
  socket.onClose(({ code, reason }) => events.add({ code, reason }));
  return { socket, events };
}

check('wx.connectSocket and nodejs-websocket exchange text and binary and close with a reason', async (ring) => {
  const server = await nodejsWebsocketServer(ring, answerBack, { selectProtocol: (_, [first]) => first });
  const gate = await ring.gate(server, { location: '/' });
  const { socket, events } = task(createWx(), {
    url: `${gate.ws}/chat?room=1`,
    header: { 'X-Token': 'abc', Referer: 'https://elsewhere.test/' },
    protocols: ['mini'],
    perMessageDeflate: true,
  });
  await events.find(({ open }) => open);
  const { headers, path, protocol } = await server.connections.find();
  assert.equal(path, '/chat?room=1');
  assert.equal(protocol, 'mini');
  assert.equal(headers['x-token'], 'abc');
  assert.equal(headers.referer, 'https://servicewechat.com/wx0123456789abcdef/devtools/page-frame.html');
  assert.match(headers['sec-websocket-extensions'], /^permessage-deflate/);

  socket.send({ data: 'hallo 你好' });
  await events.find(({ data }) => data === 'HALLO 你好');
  socket.send({ data: Uint8Array.of(1, 2, 3).buffer });
  const { data } = await events.find(({ data }) => data instanceof ArrayBuffer);
  assert.deepEqual(Buffer.from(data), Buffer.from([3, 2, 1]));

  socket.close({ code: 4100, reason: 'page left' });
  assert.deepEqual(await server.closes.find(), { code: 4100, reason: 'page left' });
  assert.deepEqual(await events.find(({ code }) => code), { code: 4100, reason: 'page left' });
});

check('the global calls of an old mini program work as well', async (ring) => {
  const server = await nodejsWebsocketServer(ring, answerBack);
  const gate = await ring.gate(server, { location: '/' });
  const wx = createWx();
  const events = new Journal('global events');
  wx.connectSocket({ url: gate.ws });
  wx.onSocketOpen(() => wx.sendSocketMessage({ data: 'old' }));
  wx.onSocketMessage(({ data }) => events.add({ data }));
  wx.onSocketClose(({ code }) => events.add({ code }));
  await events.find(({ data }) => data === 'OLD');
  wx.closeSocket();
  assert.equal((await events.find(({ code }) => code)).code, 1000);
});

check('wx.connectSocket is told when nobody is behind the gate any more', async (ring) => {
  const server = await nodejsWebsocketServer(ring, (conn) => conn.on('text', () => conn.socket.destroy()));
  const gate = await ring.gate(server, { location: '/' });
  const { socket, events } = task(createWx(), { url: gate.ws });
  await events.find(({ open }) => open);
  socket.send({ data: 'vanish' });
  assert.deepEqual(await events.find(({ code }) => code, 2_000), { code: 1006, reason: '' });
});

check('permessage-deflate is negotiated with ws and used', async (ring) => {
  const perMessageDeflate = { threshold: 0, serverNoContextTakeover: true };
  const server = await wsServer(ring, { perMessageDeflate }, (socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  const gate = await ring.gate(server, { location: '/' });
  const client = new WebSocket(gate.ws, { perMessageDeflate: { threshold: 0, clientMaxWindowBits: 10 } });
  let answered;
  client.on('upgrade', ({ headers }) => (answered = headers['sec-websocket-extensions']));
  await opened(ring, client);
  const { socket, request } = await server.connections.find();
  assert.equal(request.headers['sec-websocket-extensions'], 'permessage-deflate; client_max_window_bits=10');
  assert.equal(answered, 'permessage-deflate; client_max_window_bits=10; server_no_context_takeover');
  assert.equal(client.extensions, 'permessage-deflate');
  assert.equal(socket.extensions, 'permessage-deflate');

  const chunks = [];
  client._socket.prependListener('data', (chunk) => chunks.push(chunk));
  const text = 'much the same, '.repeat(70_000);
  const answer = message(client);
  client.send(text);
  assert.equal(await answer, text);
  const [{ rsv1, length }] = frames(Buffer.concat(chunks));
  assert.equal(rsv1, true, 'the frame is compressed on the wire');
  assert.ok(length < 20_000, `a million characters in ${length} bytes`);
  assert.ok(socket._socket.bytesRead < 40_000, `and ${socket._socket.bytesRead} bytes towards the server`);
});

check('ping and pong pass both ways with their payload', async (ring) => {
  const server = await wsServer(ring);
  const gate = await ring.gate(server, { location: '/' });
  const client = await opened(ring, new WebSocket(gate.ws));
  const { socket } = await server.connections.find();
  for (const [from, to, payload] of [
    [client, socket, 'from the client'],
    [socket, client, 'from the server'],
  ]) {
    const [pinged, ponged] = [once(to, 'ping'), once(from, 'pong')];
    from.ping(payload);
    assert.equal((await within(DEADLINE, pinged, 'a ping')).toString(), payload);
    assert.equal((await within(DEADLINE, ponged, 'a pong')).toString(), payload);
  }
});

for (const [code, reason] of [
  [1000, ''],
  [1000, 'done'],
  [1011, 'something broke'],
  [4000, '再见'],
  [4999, 'r'.repeat(123)],
]) {
  check(`close code ${code} with a reason of ${reason.length} characters passes both ways`, async (ring) => {
    const server = await wsServer(ring);
    const gate = await ring.gate(server, { location: '/' });
    for (const fromClient of [true, false]) {
      const client = await opened(ring, new WebSocket(gate.ws));
      const { socket } = (await server.connections.several(fromClient ? 1 : 2)).at(-1);
      const both = Promise.all([closed(client), closed(socket)]);
      (fromClient ? client : socket).close(code, reason);
      assert.deepEqual(await both, [{ code, reason }, { code, reason }]);
    }
  });
}

check('an end without a close frame is 1006 at the other end at once', async (ring) => {
  const server = await wsServer(ring);
  const gate = await ring.gate(server, { location: '/' });
  for (const fromClient of [true, false]) {
    const client = await opened(ring, new WebSocket(gate.ws));
    const { socket } = (await server.connections.several(fromClient ? 1 : 2)).at(-1);
    const [goes, stays] = fromClient ? [client, socket] : [socket, client];
    const close = within(2_000, closed(stays), 'the news of the end');
    goes.terminate();
    assert.deepEqual(await close, { code: 1006, reason: '' });
  }
});

check('fragments stay the fragments that they were, both ways', async (ring) => {
  const server = await wsServer(ring, { perMessageDeflate: false });
  const gate = await ring.gate(server, { location: '/' });
  const client = await opened(ring, new WebSocket(gate.ws, { perMessageDeflate: false }));
  const { socket } = await server.connections.find();
  const lengths = [1, 0, 125, 126, 65_535, 65_536, 3];
  for (const [from, to] of [
    [client, socket],
    [socket, client],
  ]) {
    const chunks = [];
    to._socket.prependListener('data', (chunk) => chunks.push(chunk));
    const whole = message(to);
    const payload = lengths.map((length) => randomBytes(length));
    payload.forEach((part, i) => from.send(part, { fin: i === payload.length - 1, binary: true }));
    assert.deepEqual(await whole, Buffer.concat(payload));
    assert.deepEqual(
      frames(Buffer.concat(chunks)),
      lengths.map((length, i) => ({ fin: i === lengths.length - 1, rsv1: false, opcode: i ? 0 : BINARY, length })),
    );
  }
});

check('a thousand small messages arrive in order in frames of their own', async (ring) => {
  const server = await wsServer(ring, { perMessageDeflate: false }, (socket) => {
    socket.on('message', (data) => socket.send(`${data}!`));
  });
  const gate = await ring.gate(server, { location: '/' });
  const client = await opened(ring, new WebSocket(gate.ws, { perMessageDeflate: false }));
  const chunks = [];
  client._socket.prependListener('data', (chunk) => chunks.push(chunk));
  const heard = new Journal('messages');
  client.on('message', (data) => heard.add(data.toString()));
  const sent = Array.from({ length: 1_000 }, (_, i) => `message ${i}`);
  for (const text of sent) client.send(text);
  assert.deepEqual(await heard.several(1_000), sent.map((text) => `${text}!`));
  const seen = frames(Buffer.concat(chunks));
  assert.deepEqual(seen, sent.map((text) => ({ fin: true, rsv1: false, opcode: TEXT, length: text.length + 1 })));
});

for (const [status, headers, body] of [
  [401, { 'WWW-Authenticate': 'Bearer realm="chat"' }, 'who are you?'],
  [302, { Location: 'https://elsewhere.test/' }, 'over there'],
  [200, { 'X-Why': 'no WebSocket here' }, 'a page'],
]) {
  check(`a backend that answers an upgrade with ${status} is heard by the client`, { diagnosed: ['redirected', 'got_page'] }, async (ring) => {
    const server = await wsServer(ring, {
      verifyClient: (_, accept) => accept(false, status, body, headers),
    });
    const gate = await ring.gate(server, { location: '/' });
    const client = new WebSocket(gate.ws);
    const [, answer] = await within(DEADLINE, once(client, 'unexpected-response'), 'the refusal');
    assert.equal(answer.statusCode, status);
    for (const [name, value] of Object.entries(headers)) assert.equal(answer.headers[name.toLowerCase()], value);
    assert.equal(Buffer.concat(await answer.toArray()).toString(), body);
  });
}

check('a WebSocket version that the backend does not know is refused by the backend in its own words', async (ring) => {
  const server = await wsServer(ring);
  const gate = await ring.gate(server, { location: '/' });
  const headers = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version': '7',
  };
  const direct = await ask(`http://127.0.0.1:${server.port}/`, { headers });
  const through = await ask(`${gate.http}/`, { headers });
  assert.equal(through.status, 400);
  assert.equal(through.headers['sec-websocket-version'], '13, 8');
  assert.deepEqual(untouched(through), untouched(direct));
});
