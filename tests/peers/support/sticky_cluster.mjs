// A cluster of Socket.IO servers behind @socket.io/sticky 1.0.3: it sends a connection to the worker of the session that the first
// request on it names, and never looks at the connection again. Run as a process of its own; it says its port.

import cluster from 'node:cluster';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { setupMaster, setupWorker } = require('socket.io-sticky-1');
const { Server } = require('socket.io-4');

if (cluster.isPrimary) {
  const http = createServer();
  setupMaster(http, { loadBalancingMethod: 'round-robin' });
  const workers = [0, 1, 2].map(() => cluster.fork());
  await Promise.all(workers.map((worker) => new Promise((ready) => worker.once('message', ready))));
  http.listen(0, '127.0.0.1', () => console.log(http.address().port));
} else {
  const http = createServer((request, response) => response.end('a page'));
  const io = new Server(http);
  setupWorker(io);
  io.on('connection', (socket) => socket.on('echo', (value, answer) => answer(value)));
  process.send({ type: 'ready' });
}
