// A name server that says what it is told to, on 127.0.0.1:53 of a network of its own: over UDP, and over TCP what does not fit there.
//
// It is told by lines of JSON on its stdin: `{"addresses": ["127.0.0.2"], "rcode": 0, "silent": false}`; it prints `{"ready": true}`, then
// `{"told": true}` for each of them, and `{"answered": "A"}` for each question for addresses. The same process is the web server at every
// address of the loopback, at port 3000, that names in `X-Server` the address at which it was asked; it speaks WebSocket too.

import dgram from 'node:dgram';
import { createServer } from 'node:http';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import { WebSocketServer } from 'ws';

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
let state = { addresses: [], rcode: 0, silent: false };

const A = 1;
const TYPES = { 1: 'A', 28: 'AAAA' };
/** What every resolver takes over UDP (RFC 1035, section 4.2.1). */
const UDP_SIZE = 512;

/** Where the question of a query ends: a name of labels, a type, a class. */
function questionEnd(query) {
  let at = 12;
  while (query[at] !== 0) at += query[at] + 1;
  return at + 5;
}

/** The answer to a query, at most so long; what does not fit is left out, and said to be. */
function answer(query, size) {
  const end = questionEnd(query);
  const type = query.readUInt16BE(end - 4);
  const { addresses, rcode } = state;
  const records = type === A && rcode === 0 ? addresses : [];
  const fits = end + records.length * 16 <= size;
  const head = Buffer.alloc(12);
  query.copy(head, 0, 0, 2);
  // A response, authoritative, recursion wanted and there; truncated or not.
  head.writeUInt16BE(0x8580 | (fits ? 0 : 0x0200) | rcode, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(fits ? records.length : 0, 6);
  const resources = (fits ? records : []).map((address) => {
    const resource = Buffer.alloc(16);
    // The name of the question, an address of the internet, for 5 s.
    [0xc00c, A, 1, 0, 5, 4].forEach((word, i) => resource.writeUInt16BE(word, 2 * i));
    address.split('.').forEach((byte, i) => (resource[12 + i] = Number(byte)));
    return resource;
  });
  tell({ answered: TYPES[type] ?? String(type) });
  return Buffer.concat([head, query.subarray(12, end), ...resources]);
}

const udp = dgram.createSocket('udp4');
udp.on('message', (query, { port, address }) => {
  if (state.silent) tell({ answered: 'nothing' });
  else udp.send(answer(query, UDP_SIZE), port, address);
});
udp.bind(53, '127.0.0.1');
await once(udp, 'listening');

const tcp = net.createServer((socket) => {
  let got = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('data', (data) => {
    got = Buffer.concat([got, data]);
    while (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0)) {
      const length = got.readUInt16BE(0);
      const said = answer(got.subarray(2, 2 + length), 65_535);
      got = got.subarray(2 + length);
      socket.write(Buffer.concat([Buffer.from([said.length >> 8, said.length & 0xff]), said]));
    }
  });
});
tcp.listen(53, '127.0.0.1');
await once(tcp, 'listening');

const web = createServer((request, response) => {
  response.setHeader('X-Server', request.socket.localAddress);
  response.end('a page');
});
const sockets = new WebSocketServer({ server: web });
sockets.on('headers', (lines, { socket }) => lines.push(`X-Server: ${socket.localAddress}`));
sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
web.listen(3000, '0.0.0.0');
await once(web, 'listening');

createInterface({ input: process.stdin }).on('line', (line) => {
  state = { addresses: [], rcode: 0, silent: false, ...JSON.parse(line) };
  tell({ told: true });
});
tell({ ready: true });
