// Many clients that are no Socket.IO clients: ordinary requests from several at a time, and WebSockets that are opened and kept.

import { once } from 'node:events';
import WebSocket from 'ws';
import { ask } from './http.mjs';
import { DEADLINE, within } from './wait.mjs';

/** The fields of an upgrade request, for `ask`. */
export const UPGRADE = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version': '13',
};

/** How often each status was the answer to `count` handshakes of polling, asked by so many clients at a time. */
export async function statuses(url, count, clients = 20) {
  const seen = {};
  let left = count;
  const client = async () => {
    while (left > 0) {
      left -= 1;
      const { status } = await ask(`${url}/socket.io/?EIO=4&transport=polling`);
      seen[status] = (seen[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return seen;
}

/** An open WebSocket of Engine.IO that names no session, and the name of the server that it came to. */
export async function tunnel(ring, url) {
  const socket = new WebSocket(`${url}/socket.io/?EIO=4&transport=websocket`);
  ring.onEnd(() => socket.terminate());
  socket.on('error', () => {});
  const [{ headers }] = await within(DEADLINE, once(socket, 'upgrade'), 'a 101');
  return { socket, server: headers['x-server'] };
}

/** How often each name occurs, in the order of the names. */
export function count(names) {
  const counts = {};
  for (const name of [...names].sort()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
