// A Socket.IO server to be killed: `node restartable.mjs PORT BOOT`. It prints its port once it listens.

import { createServer } from 'node:http';
import { Server } from 'socket.io-4';

const [port, boot] = process.argv.slice(2);
const http = createServer();
const io = new Server(http, { allowEIO3: true, serveClient: false, pingInterval: 1_000, pingTimeout: 2_000 });
io.on('connection', (socket) => {
  socket.emit('boot', boot);
  socket.on('echo', (value, answer) => answer(`${boot} ${value}`));
});
http.listen(Number(port), '127.0.0.1', () => console.log(http.address().port));
