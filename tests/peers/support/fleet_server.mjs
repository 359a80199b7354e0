// One of several Socket.IO servers that know nothing of one another: `node fleet_server.mjs SETTINGS`, a JSON object with the
// `generation` of the server, its `name`, the `port` to listen on (0 is the system's choice), and `options` for Socket.IO.
//
// It prints JSON lines: `{"listening": PORT}`, then `{"opened": ID}` and `{"closed": ID}` for each session of Engine.IO, and
// `{"checked": URL}` for each request with a session id that only a health check sends. It answers every `up` that comes in its turn with a
// `down` of the same number, and says `disorder` to any other. Answers to polls and to upgrades have its name in `X-Server`. Asked for
// `/refused` it answers how many requests named a session that it does not know.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { generation, name, port = 0, host = '127.0.0.1', options = {} } = JSON.parse(process.argv[2]);
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

let refused = 0;
const http = createServer((request, response) => {
  response.setHeader('X-Server', name);
  response.end(request.url === '/refused' ? String(refused) : 'a page');
});
const settings = { serveClient: false, ...(generation === 4 && { allowEIO3: true }), ...options };
const Server = generation === 4 ? require('socket.io-4').Server : require('socket.io-2');
const io = new Server(http, settings);

http.prependListener('request', ({ url }) => url.includes('sid=wsgate-check') && tell({ checked: url }));
io.engine.on('headers', (headers) => (headers['X-Server'] = name));
io.engine.on('connection_error', ({ code }) => (refused += code === 1 ? 1 : 0));
io.engine.on('connection', (session) => {
  const { id } = session;
  tell({ opened: id });
  session.on('close', () => tell({ closed: id }));
});
io.on('connection', (socket) => {
  let due = 0;
  socket.on('up', (number) => {
    if (number !== due) socket.emit('disorder', number);
    due = number + 1;
    socket.emit('down', number, name);
  });
});
http.listen(port, host, () => tell({ listening: http.address().port }));
