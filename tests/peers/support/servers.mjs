// The backends: Socket.IO of both generations, and plain HTTP servers, all on ports of the system's choice.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { Server as Server4 } from 'socket.io-4';
import { Journal } from './wait.mjs';

const require = createRequire(import.meta.url);
const Server2 = require('socket.io-2');

/** What a backend saw of a request, kept before anybody else reads it. */
function seen(request) {
  return {
    method: request.method,
    url: request.url,
    headers: { ...request.headers },
    rawHeaders: [...request.rawHeaders],
    port: request.socket.remotePort,
  };
}

/**
 * A listening HTTP server for `handler`, with journals of its `requests` and `upgrades`. `attach` puts something on it
 * before it listens: Socket.IO takes the listeners that it finds away.
 */
export async function httpServer(ring, handler, attach = () => {}) {
  const http = createServer(handler);
  attach(http);
  const requests = new Journal('requests');
  const upgrades = new Journal('upgrades');
  http.prependListener('request', (request) => requests.add(seen(request)));
  http.prependListener('upgrade', (request) => upgrades.add(seen(request)));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  ring.onEnd(() => {
    http.closeAllConnections();
    http.close();
  });
  return { http, requests, upgrades, port: http.address().port };
}

/** Answers what `support/conversation.mjs` asks. */
export function talk(socket) {
  socket.on('echo', (value, answer) => answer(value));
  socket.on('reverse', (bytes, answer) => answer(Buffer.isBuffer(bytes) ? Buffer.from(bytes).reverse() : 'not binary'));
}

/**
 * A Socket.IO server of generation 4 or 2. Every connection to `/` and `/hello` is talked to; `connections` has
 * `{ nsp, socket }`, `disconnects` has `{ id, reason }`.
 */
export async function socketIo(ring, generation, options = {}, handler = undefined) {
  const settings = { serveClient: false, ...options };
  let io;
  const server = await httpServer(ring, handler, (http) => {
    io = generation === 4 ? new Server4(http, settings) : new Server2(http, settings);
  });
  ring.onEnd(() => io.close());
  // A polling transport that the server closes waits 30 s for its last poll, and the test's process with it.
  io.engine.on('connection', ({ transport }) => {
    transport.closeTimeout = 1_000;
  });

  const connections = new Journal('connections');
  const disconnects = new Journal('disconnects');
  for (const name of ['/', '/hello']) {
    const nsp = io.of(name);
    nsp.on('connection', (socket) => {
      talk(socket);
      socket.on('disconnect', (reason) => disconnects.add({ id: socket.id, reason }));
      connections.add({ nsp: name, socket });
    });
  }
  return { ...server, io, connections, disconnects };
}

/** A port of the loopback that nobody listens on. */
export async function deadPort(ring) {
  const { http, port } = await httpServer(ring);
  http.close();
  await once(http, 'close');
  return { port };
}
