// What is silent for 65 s survives: nginx's snippet cuts it after 60, so this file has no meaning in its mode.
// The only tests that wait for time itself; all of them wait at once.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { setTimeout as pass } from 'node:timers/promises';
import WebSocket from 'ws';
import { V2, V4, WEAPP_3 } from '../support/clients.mjs';
import { ask, connected } from '../support/conversation.mjs';
import { ask as request } from '../support/http.mjs';
import { check, wsgate } from '../support/ring.mjs';
import { httpServer, socketIo } from '../support/servers.mjs';
import { next } from '../support/wait.mjs';
import { message, opened, wsServer } from '../support/websockets.mjs';

const SILENCE = 65_000;
const PATIENT = { via: ['wsgate', 'direct'], deadline: SILENCE + 25_000 };
/** No heartbeat of the server falls into the silence. */
const QUIET = { allowEIO3: true, pingInterval: 300_000, pingTimeout: 300_000 };

describe('patience', { concurrency: true }, () => {
  check('a WebSocket without a byte for 65 s is still open both ways', PATIENT, async (ring) => {
    const server = await wsServer(ring, {}, (socket) => socket.on('message', (data) => socket.send(`${data}!`)));
    const gate = await ring.gate(server, { location: '/' });
    const client = await opened(ring, new WebSocket(gate.ws));
    const { socket } = await server.connections.find();
    const before = socket._socket.bytesRead;
    await pass(SILENCE);
    assert.equal(client.readyState, WebSocket.OPEN);
    assert.equal(socket._socket.bytesRead, before, 'it was silent');
    let answer = message(client);
    client.send('awake');
    assert.equal(await answer, 'awake!');
    answer = message(client);
    socket.send('me too');
    assert.equal(await answer, 'me too');
    if (wsgate) assert.equal(gate.log.filter(({ message: text }) => text === 'tunnel ended').length, 0);
  });

  for (const kind of [V4[0], WEAPP_3]) {
    check(`${kind.name} without a heartbeat for 65 s is still connected`, PATIENT, async (ring) => {
      const server = await socketIo(ring, 4, QUIET);
      const gate = await ring.gate(server);
      const client = kind.connect(ring, gate.ws);
      await connected(client);
      const { id } = client;
      await pass(SILENCE);
      assert.equal(await ask(client, 'echo', 'awake'), 'awake');
      assert.equal(client.id, id);
      assert.equal(server.disconnects.length, 0);
    });
  }

  for (const kind of [V4[1], V2[1]]) {
    check(`${kind.name} has one poll held for 65 s, and it brings the news`, PATIENT, async (ring) => {
      const server = await socketIo(ring, 4, QUIET);
      const gate = await ring.gate(server);
      const client = kind.connect(ring, gate.ws);
      await connected(client);
      assert.equal(await ask(client, 'echo', 'hello'), 'hello');
      const { socket } = await server.connections.find();
      const polls = () => server.requests.filter(({ method }) => method === 'GET').length;
      const { transport } = socket.conn;
      if (!transport.writable) await next(transport, 'ready');
      const before = polls();
      await pass(SILENCE);
      assert.equal(polls(), before, 'the poll was held');
      const news = next(client, 'news');
      socket.emit('news', 'at last');
      assert.deepEqual(await news, ['at last']);
      assert.equal(server.disconnects.length, 0);
    });
  }

  check('a page that takes 65 s to its first byte arrives', PATIENT, async (ring) => {
    const web = await httpServer(ring, async (_, answer) => {
      await pass(SILENCE);
      answer.end('slow page');
    });
    const gate = await ring.gate(web, { location: '/' });
    const answer = await request(`${gate.http}/slow`, { ms: SILENCE + 10_000 });
    assert.equal(answer.status, 200);
    assert.equal(answer.body.toString(), 'slow page');
    assert.equal(web.requests.length, 1, 'it was asked once');
  });

  check('a stream with 65 s between two parts arrives whole', PATIENT, async (ring) => {
    const web = await httpServer(ring, async (_, answer) => {
      answer.write('first, ');
      await pass(SILENCE);
      answer.end('second');
    });
    const gate = await ring.gate(web, { location: '/' });
    const answer = await request(`${gate.http}/stream`, { ms: SILENCE + 10_000 });
    assert.equal(answer.body.toString(), 'first, second');
  });
});
