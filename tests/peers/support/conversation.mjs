// What every pair of a Socket.IO client and server must be able to do.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { DEADLINE, next, within } from './wait.mjs';

/** Whatever a client shows binary data as. */
export function bytes(value) {
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  assert.ok(value instanceof ArrayBuffer, `binary data, not ${typeof value} ${JSON.stringify(value)}`);
  return Buffer.from(value);
}

/** The answer to an event that asks for one. */
export function ask(client, event, value) {
  return within(DEADLINE, new Promise((resolve) => client.emit(event, value, resolve)), `the answer to "${event}"`);
}

/** Until the client is connected; an error to connect ends it at once. */
export async function connected(client) {
  if (client.connected) return;
  const outcome = new Promise((resolve, reject) => {
    client.once('connect', resolve);
    client.once('connect_error', ({ message, description }) => {
      reject(new Error(`connect_error: ${message} (${description?.message ?? description})`));
    });
  });
  await within(DEADLINE, outcome, 'the connection of a client');
}

/** Until the client's engine has settled on a transport. */
export async function settled(client, transport) {
  const { engine } = client.io;
  if (engine.transport.name !== transport) await next(engine, 'upgrade');
  assert.equal(engine.transport.name, transport);
}

/** Answers, events and binary data both ways; gives the server's side of the connection. */
export async function converse(client, server, transport) {
  await connected(client);
  const { socket } = await server.connections.find((c) => c.socket.id === client.id);

  assert.deepEqual(await ask(client, 'echo', { text: '你好 ✓ é', list: [1, null, true] }), {
    text: '你好 ✓ é',
    list: [1, null, true],
  });

  await settled(client, transport);
  const news = next(client, 'news');
  socket.emit('news', '连上了/', 42);
  assert.deepEqual(await news, ['连上了/', 42]);
  assert.equal(socket.conn.transport.name, transport, 'the transport as the server sees it');

  const sent = randomBytes(3_000);
  // A mini program has ArrayBuffers, everybody takes them.
  const buffer = sent.buffer.slice(sent.byteOffset, sent.byteOffset + sent.length);
  assert.deepEqual(bytes(await ask(client, 'reverse', buffer)), Buffer.from(sent).reverse());

  const file = next(client, 'file');
  socket.emit('file', { name: 'π.bin', parts: [sent, sent.subarray(0, 1)] });
  const [{ name, parts }] = await file;
  assert.equal(name, 'π.bin');
  assert.deepEqual(parts.map(bytes), [sent, sent.subarray(0, 1)]);

  assert.deepEqual(await ask(client, 'echo', 'still there'), 'still there');
  return socket;
}
