// 20 MiB both ways, by checksum.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import WebSocket from 'ws';
import { certificates } from '../support/certificates.mjs';
import { V2, V4 } from '../support/clients.mjs';
import { bytes, connected } from '../support/conversation.mjs';
import { ask } from '../support/http.mjs';
import { check, wsgate } from '../support/ring.mjs';
import { httpServer, socketIo } from '../support/servers.mjs';
import { within } from '../support/wait.mjs';
import { closed, message, opened, wsServer } from '../support/websockets.mjs';

const SIZE = 20 * 1024 * 1024;
const LONG = 60_000;
const sum = (data) => createHash('sha256').update(data).digest('hex');

/** A server that says the checksum of what it gets, and sends something as long. */
async function checksumServer(ring) {
  const own = randomBytes(SIZE);
  const options = { perMessageDeflate: false, maxPayload: 2 * SIZE };
  const server = await wsServer(ring, options, (socket) => {
    socket.on('message', (data) => {
      socket.send(sum(data));
      socket.send(own);
    });
  });
  return { ...server, own };
}

async function exchange(ring, server, url, options) {
  const settings = { perMessageDeflate: false, maxPayload: 2 * SIZE, ...options };
  const client = await opened(ring, new WebSocket(url, settings));
  const sent = randomBytes(SIZE);
  let answer = message(client, LONG);
  client.send(sent);
  assert.equal(await answer, sum(sent));
  answer = message(client, LONG);
  assert.equal(sum(await answer), sum(server.own));
  const close = closed(client);
  client.close(1000);
  assert.equal((await close).code, 1000);
}

check('a message of 20 MiB passes both ways over ws', { deadline: LONG }, async (ring) => {
  const server = await checksumServer(ring);
  const gate = await ring.gate(server, { location: '/' });
  await exchange(ring, server, gate.ws);
  if (wsgate) {
    const end = await gate.log.find(({ message }) => message === 'tunnel ended');
    assert.ok(end.bytes_to_upstream > SIZE && end.bytes_to_upstream < SIZE + 100, `${end.bytes_to_upstream}`);
    assert.ok(end.bytes_to_client > SIZE && end.bytes_to_client < SIZE + 200, `${end.bytes_to_client}`);
  }
});

check('a message of 20 MiB passes both ways over wss', { via: ['wsgate', 'nginx'], deadline: LONG }, async (ring) => {
  const { ca, pairs } = await certificates(ring);
  const server = await checksumServer(ring);
  const gate = await ring.gate(server, { location: '/', tls: pairs });
  await exchange(ring, server, gate.wss, { ca });
});

for (const kind of [V4[0], V4[1], V2[0]]) {
  check(`${kind.name} sends 20 MiB of binary and gets it back`, { deadline: LONG }, async (ring) => {
    const server = await socketIo(ring, 4, { allowEIO3: true, maxHttpBufferSize: 3 * SIZE });
    const gate = await ring.gate(server);
    const client = kind.connect(ring, gate.ws);
    await connected(client);
    const sent = randomBytes(SIZE);
    const answer = new Promise((resolve) => client.emit('reverse', sent, resolve));
    const reversed = bytes(await within(LONG, answer, 'the answer to 20 MiB'));
    assert.equal(sum(reversed.reverse()), sum(sent));
  });
}

check('an upload and an answer of 20 MiB pass with a length and chunked', { deadline: LONG }, async (ring) => {
  const web = await httpServer(ring, async (request, answer) => {
    const body = Buffer.concat(await request.toArray());
    answer.setHeader('X-Sum', sum(body));
    if (request.url === '/length') answer.setHeader('Content-Length', body.length);
    answer.write(body);
    answer.end();
  });
  const gate = await ring.gate(web, { location: '/' });
  for (const [target, framing] of [
    ['/length', { 'Content-Length': SIZE }],
    ['/chunked', { 'Transfer-Encoding': 'chunked' }],
  ]) {
    const body = randomBytes(SIZE);
    const answer = await ask(`${gate.http}${target}`, { method: 'POST', body, headers: framing });
    assert.equal(answer.headers['x-sum'], sum(body), target);
    assert.equal(sum(answer.body), sum(body), target);
    assert.equal(answer.headers['content-length'], target === '/length' ? String(SIZE) : undefined);
  }
});
