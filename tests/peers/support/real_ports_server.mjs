// A Socket.IO server for clients in a namespace: it prints its port, and tells whoever asks what it saw of them.

import { createServer } from 'node:http';
import { Server } from 'socket.io-4';

const http = createServer();
const io = new Server(http, { serveClient: false });
io.on('connection', (socket) => {
  const { headers } = socket.handshake;
  socket.on('seen', (answer) => {
    answer({
      transport: socket.conn.transport.name,
      host: headers.host,
      forwardedHost: headers['x-forwarded-host'],
      forwardedFor: headers['x-forwarded-for'],
      forwardedProto: headers['x-forwarded-proto'],
    });
  });
});
http.listen(0, '127.0.0.1', () => console.log(http.address().port));
