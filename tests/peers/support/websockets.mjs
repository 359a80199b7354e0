// WebSocket servers without Socket.IO: ws and nodejs-websocket.

import { once } from 'node:events';
import { createRequire } from 'node:module';
import { WebSocketServer } from 'ws';
import { httpServer } from './servers.mjs';
import { DEADLINE, Journal, within } from './wait.mjs';

const require = createRequire(import.meta.url);
const nodejsWebsocket = require('nodejs-websocket');

/** A ws server; `connections` has `{ socket, request }`. It does what `serve` does with each; a request gets a page. */
export async function wsServer(ring, options = {}, serve = () => {}) {
  const connections = new Journal('connections');
  let wss;
  const server = await httpServer(ring, (_, answer) => answer.end('a page'), (http) => {
    wss = new WebSocketServer({ server: http, ...options });
    wss.on('connection', (socket, request) => {
      socket.on('error', () => {});
      serve(socket, request);
      connections.add({ socket, request });
    });
  });
  ring.onEnd(() => {
    for (const socket of wss.clients) socket.terminate();
    wss.close();
  });
  return { ...server, wss, connections };
}

/** A nodejs-websocket server; `connections` has its `conn` objects, `closes` has `{ code, reason }`. */
export async function nodejsWebsocketServer(ring, serve, options = {}) {
  const connections = new Journal('connections');
  const closes = new Journal('closed connections');
  const server = nodejsWebsocket.createServer(options, (conn) => {
    conn.on('error', () => {});
    conn.on('close', (code, reason) => closes.add({ code, reason }));
    serve(conn);
    connections.add(conn);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ring.onEnd(() => {
    for (const { socket } of server.connections) socket.destroy();
    server.socket.close();
  });
  return { connections, closes, port: server.socket.address().port };
}

/** An open socket, or the error that it had instead. */
export async function opened(ring, socket) {
  ring.onEnd(() => socket.terminate());
  await within(DEADLINE, once(socket, 'open'), 'an open WebSocket');
  return socket;
}

/** The next message of a ws socket as text, or as bytes. */
export async function message(socket, ms = DEADLINE) {
  const [data, binary] = await within(ms, once(socket, 'message'), 'a message');
  return binary ? data : data.toString();
}

/** How a ws socket was closed. */
export async function closed(socket) {
  const [code, reason] = await within(DEADLINE, once(socket, 'close'), 'the close of a WebSocket');
  return { code, reason: reason.toString() };
}
