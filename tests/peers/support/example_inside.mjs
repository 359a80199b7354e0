// `node example_inside.mjs PLAN`: the upstreams of an example of docs/from-nginx.md on the ports that it names, and the
// clients that ask for `journeys`. Prints what came of each, as JSON.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import { io as io4 } from 'socket.io-client-4';
import { Server as Server4 } from 'socket.io-4';
import WebSocket, { WebSocketServer } from 'ws';
import { loopback } from './certificates.mjs';
import { ask } from './http.mjs';
import { DEADLINE, next, within } from './wait.mjs';

const require = createRequire(import.meta.url);
const io2 = require('socket.io-client-2');
const Server2 = require('socket.io-2');

const { upstreams, journeys, ca, pair } = JSON.parse(process.argv[2]);

/** A server that tells every client what it was asked, by HTTP, by WebSocket, and as a Socket.IO server. */
async function serve({ name, listen, tls, generation }) {
  const told = ({ method, url, headers }) => ({ name, method, url, headers });
  const answer = async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    response.setHeader('set-cookie', ['a=1', 'b=2']);
    response.end(JSON.stringify({ ...told(request), bytes: body.length }));
  };
  const settings = tls && { cert: await readFile(pair.cert), key: await readFile(pair.key) };
  const server = tls ? https.createServer(settings, answer) : http.createServer(answer);
  if (generation) {
    const io = generation === 2 ? new Server2(server, { serveClient: false }) : new Server4(server, { serveClient: false });
    io.on('connection', (socket) => {
      socket.on('seen', (reply) => reply({ name, transport: socket.conn.transport.name }));
    });
  } else {
    new WebSocketServer({ server }).on('connection', (socket, request) => {
      socket.send(JSON.stringify(told(request)));
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    });
  }
  server.listen(...listen);
  await once(server, 'listening');
}

/** An ordinary request, answered by an upstream or by the proxy itself. */
async function get({ url, headers, servername, method = 'GET', size = 0 }) {
  const body = size > 0 ? Buffer.alloc(size, 'x') : undefined;
  const { status, headers: said, body: text } = await ask(url, { method, headers, body, servername, ca, lookup: loopback });
  if (said['set-cookie']) return { status, cookies: said['set-cookie'], upstream: JSON.parse(text) };
  return { status, ...(said.location && { location: said.location }), ...(status === 200 && { text: text.toString() }) };
}

/** A WebSocket: what its upstream saw, and a message there and back; or the answer instead. */
async function open({ url, headers }) {
  const socket = new WebSocket(url, { headers, ca, lookup: loopback });
  try {
    const refused = once(socket, 'unexpected-response').then(([, { statusCode }]) => ({ status: statusCode }));
    const talked = (async () => {
      const [first] = await once(socket, 'message');
      const back = once(socket, 'message');
      socket.send('你好');
      const [echo] = await back;
      return { status: 101, echo: echo.toString(), upstream: JSON.parse(first) };
    })();
    return await within(DEADLINE, Promise.race([refused, talked]), `an answer to ${url}`);
  } finally {
    socket.on('error', () => {});
    socket.terminate();
  }
}

/** A Socket.IO client, once it has settled on the last of its transports. */
async function talk({ url, client: generation, transports, path = '/socket.io' }) {
  const options = { transports, path, forceNew: true, reconnection: false };
  const client = (generation === 2 ? io2 : io4)(url, options);
  try {
    await next(client, 'connect');
    if (client.io.engine.transport.name !== transports.at(-1)) await next(client.io.engine, 'upgrade');
    const answer = new Promise((resolve) => client.emit('seen', resolve));
    return await within(DEADLINE, answer, `an answer to a v${generation} client at ${url}`);
  } finally {
    client.close();
  }
}

await Promise.all(upstreams.map(serve));
const outcomes = [];
for (const journey of journeys) {
  try {
    outcomes.push(await { get, open, talk }[journey.do](journey));
  } catch (error) {
    outcomes.push({ error: error.message });
  }
}
process.stdout.write(JSON.stringify(outcomes), () => process.exit(0));
