// python-socketio under uvicorn: EIO 4 only, in another language, and with another idea of HTTP than Node's.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { certificates } from '../support/certificates.mjs';
import { V2, V4, WEAPP_3 } from '../support/clients.mjs';
import { bytes, connected, settled } from '../support/conversation.mjs';
import { ask as request, parts, raw, untouched } from '../support/http.mjs';
import { pythonServer } from '../support/python.mjs';
import { check } from '../support/ring.mjs';
import { DEADLINE, next, within } from '../support/wait.mjs';

/** The answer to an event that asks for one. */
function ask(client, event, ...values) {
  return within(DEADLINE, new Promise((resolve) => client.emit(event, ...values, resolve)), `the answer to "${event}"`);
}

/** Answers, events and binary data both ways. */
async function converse(client, transport) {
  await connected(client);
  const said = { text: '你好 ✓ é', list: [1, null, true] };
  assert.deepEqual(await ask(client, 'echo', said), said);

  await settled(client, transport);
  assert.equal(await ask(client, 'transport'), transport, 'the transport as the server sees it');

  const sent = randomBytes(3_000);
  const buffer = sent.buffer.slice(sent.byteOffset, sent.byteOffset + sent.length);
  assert.deepEqual(bytes(await ask(client, 'reverse', buffer)), Buffer.from(sent).reverse());

  const [news, file] = [next(client, 'news'), next(client, 'file')];
  client.emit('tell_me', [buffer, buffer.slice(0, 1)]);
  assert.deepEqual(await news, ['连上了/', 42]);
  const [{ name, parts: got }] = await file;
  assert.equal(name, 'π.bin');
  assert.deepEqual(got.map(bytes), [sent, sent.subarray(0, 1)]);
}

/** The values of a header of a request. */
function values({ headers }, wanted) {
  return headers.filter(([name]) => name === wanted).map(([, value]) => value);
}

for (const kind of [...V4, WEAPP_3]) {
  check(`${kind.name} and a python-socketio server talk both ways, and the server sees it leave`, async (ring) => {
    const server = await pythonServer(ring);
    const gate = await ring.gate(server);
    const client = kind.connect(ring, gate.ws);
    await converse(client, kind.settles);
    const { id } = client;
    client.close();
    assert.equal((await server.disconnects.find((left) => left.id === id)).reason, 'client disconnect');
    assert.equal(server.requests.length > 0, kind.transports.includes('polling'));
    assert.equal(server.upgrades.length, kind.transports.includes('websocket') ? 1 : 0);
    assert.deepEqual(server.complaints, []);
  });
}

check('a v4 client that a python-socketio server disconnects knows that the server did it', async (ring) => {
  const server = await pythonServer(ring);
  const gate = await ring.gate(server);
  for (const kind of V4) {
    const client = kind.connect(ring, gate.ws);
    await connected(client);
    const disconnect = next(client, 'disconnect');
    client.emit('leave_me');
    assert.equal((await disconnect)[0], 'io server disconnect', kind.name);
  }
});

check('no poll carries Upgrade or a Connection that speaks of it to uvicorn', { via: ['wsgate'] }, async (ring) => {
  const server = await pythonServer(ring);
  const gate = await ring.gate(server);
  for (const kind of V4) await converse(kind.connect(ring, gate.ws), kind.settles);
  // Also when the client itself sends what an nginx before it would have added, or asks for what nobody here speaks.
  const strange = [
    'Connection: upgrade',
    'Connection: Upgrade\r\nUpgrade:',
    'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__',
    'Connection: keep-alive\r\nUpgrade: websocket',
  ];
  for (const lines of strange) {
    const target = '/socket.io/?EIO=4&transport=polling&strange=1';
    const head = `GET ${target} HTTP/1.1\r\nHost: chat.test\r\n${lines}\r\nConnection: close\r\n\r\n`;
    const { status, rest } = parts(await raw(gate.port, head));
    assert.equal(status, 'HTTP/1.1 200 OK', lines);
    assert.match(rest.toString(), /\r\n0\{"sid":"/);
  }
  await server.requests.several(strange.length, ({ query }) => query.has('strange'));

  assert.ok(server.requests.length >= strange.length + 8, `${server.requests.length} polls`);
  for (const seen of server.requests.entries) {
    assert.equal(seen.query.get('transport'), 'polling');
    assert.deepEqual(values(seen, 'upgrade'), []);
    assert.deepEqual(values(seen, 'http2-settings'), []);
    assert.doesNotMatch(values(seen, 'connection').join(), /upgrade/i);
  }
  assert.equal(server.upgrades.length, 2);
  for (const seen of server.upgrades.entries) {
    assert.deepEqual(values(seen, 'upgrade'), ['websocket']);
    assert.deepEqual(values(seen, 'connection'), ['Upgrade']);
  }
  assert.deepEqual(server.complaints, []);
});

const UNSUPPORTED = 'The client is using an unsupported version of the Socket.IO or Engine.IO protocols';

check('the polling 400 of python-socketio for EIO 3 passes unaltered', { diagnosed: ['eio3_refused'] }, async (ring) => {
  const server = await pythonServer(ring);
  const gate = await ring.gate(server);
  const target = '/socket.io/?EIO=3&transport=polling&b64=1';
  const direct = await request(`http://127.0.0.1:${server.port}${target}`);
  const through = await request(`${gate.http}${target}`);
  assert.equal(through.status, 400);
  assert.equal(through.headers['content-type'], 'text/plain');
  assert.equal(JSON.parse(through.body), UNSUPPORTED);
  assert.deepEqual(untouched(through), untouched(direct));
});

check('the 403 of python-socketio for an upgrade with EIO 3 passes unaltered', async (ring) => {
  const server = await pythonServer(ring);
  const gate = await ring.gate(server);
  const target = '/socket.io/?EIO=3&transport=websocket';
  const headers = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version': '13',
  };
  const direct = await request(`http://127.0.0.1:${server.port}${target}`, { headers });
  const through = await request(`${gate.http}${target}`, { headers });
  assert.equal(through.status, 403);
  assert.deepEqual(untouched(through), untouched(direct));
  await server.upgrades.several(2);
});

for (const [kind, description] of [
  [V2[0], 'Unexpected server response: 403'],
  [V2[1], 400],
]) {
  check(`${kind.name} says by itself that a python-socketio server does not want it`, { diagnosed: ['eio3_refused'] }, async (ring) => {
    const server = await pythonServer(ring);
    const gate = await ring.gate(server);
    const [error] = await next(kind.connect(ring, gate.ws), 'connect_error');
    assert.deepEqual(error.description?.message ?? error.description, description);
  });
}

for (const scheme of ['http', 'https']) {
  check(`python-socketio takes a page over ${scheme} for one of its own origin, by the X-Forwarded headers`, { via: ['wsgate', 'nginx'] }, async (ring) => {
    const { ca, pairs } = await certificates(ring);
    const server = await pythonServer(ring);
    const gate = await ring.gate(server, { tls: pairs });
    for (const kind of V4) {
      const own = { device: { ca }, extraHeaders: { Origin: gate[scheme] } };
      await converse(kind.connect(ring, gate[scheme], own), kind.settles);

      const elsewhere = { device: { ca }, extraHeaders: { Origin: `${scheme}://elsewhere.test` } };
      const [{ description }] = await next(kind.connect(ring, gate[scheme], elsewhere), 'connect_error');
      assert.match(String(description?.message ?? description), /40[03]/, kind.name);
    }
  });
}
