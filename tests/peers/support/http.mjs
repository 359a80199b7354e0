// Ordinary requests with everything that came back, and raw bytes where the bytes are the point.

import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { once } from 'node:events';
import { DEADLINE, within } from './wait.mjs';

/** The answer to one request: `{ status, reason, headers, lines, body }`, `lines` as `[name, value]` as they came. */
export function ask(url, { method = 'GET', headers = {}, body, agent = false, ms = DEADLINE, ...options } = {}) {
  const { request } = url.startsWith('https:') ? https : http;
  const answered = new Promise((resolve, reject) => {
    const asking = request(url, { method, headers, agent, ...options }, async (answer) => {
      try {
        const { rawHeaders } = answer;
        resolve({
          status: answer.statusCode,
          reason: answer.statusMessage,
          headers: answer.headers,
          lines: rawHeaders.flatMap((name, i) => (i % 2 ? [] : [[name, rawHeaders[i + 1]]])),
          body: Buffer.concat(await answer.toArray()),
        });
      } catch (error) {
        reject(error);
      }
    });
    asking.on('error', reject);
    asking.end(body);
  });
  return within(ms, answered, `the answer to ${method} ${url}`);
}

/** What belongs to one connection, or to the moment, and so may differ behind a proxy. */
const OWN = ['connection', 'keep-alive', 'date', 'transfer-encoding', 'server'];

/** What of an answer a proxy must pass as it is. */
export function untouched({ status, reason, lines, body }) {
  const kept = lines.filter(([name]) => !OWN.includes(name.toLowerCase()));
  return { status, reason, lines: kept.sort(), body: body.toString('latin1') };
}

/** Everything that a raw connection gives until its end, after `bytes` were written to it. */
export async function raw(port, bytes) {
  const socket = net.connect(port, '127.0.0.1');
  const chunks = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(bytes);
  try {
    await within(DEADLINE, once(socket, 'end'), 'the end of a raw connection');
  } finally {
    socket.destroy();
  }
  return Buffer.concat(chunks);
}

/** A raw answer in its two parts: the lines of its head, and all the bytes behind it. */
export function parts(bytes) {
  const end = bytes.indexOf('\r\n\r\n');
  const [status, ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  return { status, lines, rest: bytes.subarray(end + 4) };
}

/** The head of an upgrade request. */
export function upgradeHead(target, host, extra = []) {
  return [
    `GET ${target} HTTP/1.1`,
    `Host: ${host}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13',
    ...extra,
    '\r\n',
  ].join('\r\n');
}
