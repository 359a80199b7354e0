// A cluster of Socket.IO servers behind @socket.io/sticky: it sends a connection to the worker of the session that the first request
// on it names, and never looks at the connection again. `node sticky_cluster.mjs SETTINGS`, a JSON object with the `version`
// (`1` is 1.0.3), a `name`, and how many `workers` there are. A process of its own that prints `{"listening": PORT}`; what the
// workers do is what fleet_server.mjs says, and they answer an `echo`.

import cluster from 'node:cluster';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { version, name, workers } = JSON.parse(process.argv[2]);
const { setupMaster, setupWorker } = require(`socket.io-sticky-${version}`);
const { Server } = require('socket.io-4');

if (cluster.isPrimary) {
  const http = createServer();
  // 2.0 hands bytes to its workers as a Buffer.
  cluster.setupPrimary({ serialization: 'advanced' });
  setupMaster(http, { loadBalancingMethod: 'round-robin' });
  cluster.on('message', (worker, message) => message.known && worker.send(message));
  const forked = Array.from({ length: workers }, () => cluster.fork());
  await Promise.all(forked.map((worker) => new Promise((ready) => worker.once('message', ready))));
  http.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ listening: http.address().port })));
} else {
  const http = createServer((request, response) => response.end('a page'));
  const io = new Server(http, { allowEIO3: true });
  setupWorker(io);
  answerOnceKnown(http);
  io.on('connection', (socket) => {
    let due = 0;
    socket.on('echo', (value, answer) => answer(value));
    socket.on('up', (number) => {
      if (number !== due) socket.emit('disorder', number);
      due = number + 1;
      socket.emit('down', number, `${name}-${cluster.worker.id}`);
    });
  });
  process.send({ type: 'ready' });
}

/**
 * Holds the answer to a handshake until the primary process knows whose session it is. It hears of it beside the answer, so that a
 * client that is quick is sent to another worker, about once in two hundred clients, also where nothing stands between them.
 */
function answerOnceKnown(http) {
  const held = new Map();
  let count = 0;
  process.on('message', ({ known }) => {
    held.get(known)?.();
    held.delete(known);
  });
  http.prependListener('request', ({ url }, response) => {
    if (url.includes('sid=')) return;
    const end = response.end.bind(response);
    response.end = (...rest) => {
      count += 1;
      held.set(count, () => end(...rest));
      // The worker tells the primary of the session in this turn of its loop, behind the answer.
      setImmediate((known) => process.send({ known }), count);
      return response;
    };
  });
}
