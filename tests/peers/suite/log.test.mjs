// What wsgate writes about tunnels and requests, and what it never writes. Only in wsgate's own mode.

import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import WebSocket from 'ws';
import { V2, V4, WEAPP_3 } from '../support/clients.mjs';
import { converse } from '../support/conversation.mjs';
import { BINARY, CLOSE, TEXT, frame } from '../support/frames.mjs';
import { ask, upgradeHead } from '../support/http.mjs';
import { check } from '../support/ring.mjs';
import { deadPort, httpServer, socketIo } from '../support/servers.mjs';
import { DEADLINE, within } from '../support/wait.mjs';
import { message, opened, wsServer } from '../support/websockets.mjs';

const OURS = { via: ['wsgate'] };
const SECRETS = ['s3cr3t-token', 's3cr3t-cookie', 's3cr3t-bearer', 's3cr3t-room'];
const QUERY = { token: 's3cr3t-token', room: 's3cr3t-room' };
const HEADERS = { Cookie: 'session=s3cr3t-cookie', Authorization: 'Bearer s3cr3t-bearer' };

const opening = ({ message: text }) => text === 'tunnel opened';
const ending = ({ message: text }) => text === 'tunnel ended';

check('a tunnel opens and ends in the log by one id, each tunnel by its own', OURS, async (ring) => {
  const server = await wsServer(ring);
  const gate = await ring.gate(server, { location: '/chat' });
  const clients = [];
  for (let i = 0; i < 3; i += 1) clients.push(await opened(ring, new WebSocket(`${gate.ws}/chat`)));
  const peers = clients.map(({ _socket }) => `127.0.0.1:${_socket.localPort}`);
  for (const client of clients) client.close();
  await gate.log.several(3, ending);

  const [opens, ends] = [gate.log.filter(opening), gate.log.filter(ending)];
  assert.equal(opens.length, 3);
  assert.equal(new Set(opens.map(({ tunnel }) => tunnel)).size, 3);
  for (const open of opens) {
    const end = ends.find(({ tunnel }) => tunnel === open.tunnel);
    assert.ok(end, `tunnel ${open.tunnel} has an end`);
    assert.ok(peers.includes(open.remote_addr), open.remote_addr);
    assert.equal(end.remote_addr, open.remote_addr);
    assert.equal(open.upstream_addr, `127.0.0.1:${server.port}`);
    assert.equal(end.upstream_addr, open.upstream_addr);
    assert.equal(Number(open.status), 101);
    assert.equal(open.request, 'GET /chat HTTP/1.1');
    assert.equal(open.location, '/chat');
    assert.match(open.route, /routes\.yaml:\d+$/);
    assert.equal(open.level, 'INFO');
    assert.equal(end.level, 'INFO');
    assert.ok(Number.isFinite(Date.parse(end.timestamp)), end.timestamp);
    assert.ok(Number(end.duration_ms) >= 0 && Number(end.duration_ms) < 30_000, `${end.duration_ms}`);
  }
});

check('the bytes of a tunnel in the log are those behind the two heads, to the byte', OURS, async (ring) => {
  const server = await wsServer(ring, { perMessageDeflate: false }, (socket) => {
    socket.send('welcome, right behind the 101');
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  const gate = await ring.gate(server, { location: '/' });
  const socket = net.connect(gate.port, '127.0.0.1');
  ring.onEnd(() => socket.destroy());
  const chunks = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  const sent = Buffer.concat([frame(TEXT, 'hello'), frame(BINARY, 'b'.repeat(40_000)), frame(CLOSE, [3, 232])]);
  socket.write(Buffer.concat([Buffer.from(upgradeHead('/', 'chat.test')), sent]));
  await within(DEADLINE, once(socket, 'end'), 'the end of the tunnel');
  socket.end();

  const got = Buffer.concat(chunks);
  const behind = got.length - (got.indexOf('\r\n\r\n') + 4);
  assert.ok(behind > 40_000);
  const end = await gate.log.find(ending);
  assert.equal(Number(end.bytes_to_upstream), sent.length);
  assert.equal(Number(end.bytes_to_client), behind);
});

check('the log says whether the client or the upstream ended a tunnel', OURS, async (ring) => {
  const server = await wsServer(ring);
  const gate = await ring.gate(server, { location: '/' });
  const client = await opened(ring, new WebSocket(gate.ws));
  client.terminate();
  assert.equal((await gate.log.find(ending)).ended_by, 'client');

  await opened(ring, new WebSocket(gate.ws));
  const [, { socket }] = await server.connections.several(2);
  socket.terminate();
  const [, second] = await gate.log.several(2, ending);
  assert.equal(second.ended_by, 'upstream');
});

check('a tunnel that SIGTERM cut was ended by the drain', OURS, async (ring) => {
  const server = await wsServer(ring);
  const gate = await ring.gate(server, { location: '/' });
  const client = await opened(ring, new WebSocket(gate.ws));
  const close = once(client, 'close');
  await gate.stop();
  await within(DEADLINE, close, 'the end of the client');
  assert.equal((await gate.log.find(ending)).ended_by, 'drain');
  assert.ok(gate.log.filter(({ message: text }) => text === 'draining').length === 1);
});

check('an ordinary request is one line with its status, place, bytes and duration', OURS, async (ring) => {
  const web = await httpServer(ring, (request, answer) => answer.writeHead(207).end('x'.repeat(1_234)));
  const gate = await ring.gate(web, { location: '/' });
  await ask(`${gate.http}/a%20page?user=s3cr3t-token`);
  const line = await gate.log.find(({ message: text }) => text === 'request');
  assert.equal(Number(line.status), 207);
  assert.equal(Number(line.body_bytes_sent), 1_234);
  assert.equal(line.upstream_addr, `127.0.0.1:${web.port}`);
  assert.equal(line.location, '/');
  assert.match(line.request, /^GET \/a%20page(\?\S*)? HTTP\/1\.1$/);
  assert.equal(line.level, 'INFO');
  assert.ok(Number(line.duration_ms) >= 0);
  assert.equal(gate.log.filter(({ message: text }) => text === 'request').length, 1);
});

check('an upstream that refuses is 502 and a warning that names it', OURS, async (ring) => {
  const gone = await deadPort(ring);
  const gate = await ring.gate(gone, { location: '/' });
  const answer = await ask(`${gate.http}/page`);
  assert.equal(answer.status, 502);
  assert.match(answer.body.toString(), /^wsgate: [^\n]+\n?$/);
  const line = await gate.log.find(({ message: text }) => text === 'request');
  assert.equal(line.level, 'WARN');
  assert.equal(Number(line.status), 502);
  assert.equal(line.upstream_addr, `127.0.0.1:${gone.port}`);
  assert.match(line.reason, /refused/i);
  const { upstream } = await gate.log.find(({ message: text }) => text === 'upstream does not answer');
  assert.equal(upstream, `127.0.0.1:${gone.port}`);

  const client = new WebSocket(gate.ws);
  client.on('error', () => {});
  const [, refusal] = await within(DEADLINE, once(client, 'unexpected-response'), 'the refusal');
  assert.equal(refusal.statusCode, 502);
});

check('every line of the log is one JSON object', OURS, async (ring) => {
  const server = await socketIo(ring, 4);
  const gate = await ring.gate(server);
  await converse(V4[2].connect(ring, gate.ws), server, 'websocket');
  assert.ok(gate.log.length >= 4, `${gate.log.length} lines`);
  assert.deepEqual(gate.log.filter(({ unparsed }) => unparsed), []);
  for (const { timestamp, level, message: text } of gate.log.entries) {
    assert.ok(Number.isFinite(Date.parse(timestamp)), timestamp);
    assert.match(level, /^(ERROR|WARN|INFO|DEBUG|TRACE)$/);
    assert.equal(typeof text, 'string');
  }
});

for (const format of ['json', 'text']) {
  check(`no token of a query, no cookie and no bearer is anywhere in the ${format} log`, { ...OURS, diagnosed: ['session_unknown', 'no_client'] }, async (ring) => {
    const server = await socketIo(ring, 4, { allowEIO3: true });
    const gate = await ring.gate(server, { format });
    for (const kind of [...V4, V2[0], WEAPP_3]) {
      const client = kind.connect(ring, gate.ws, { query: QUERY, extraHeaders: HEADERS, auth: { token: 's3cr3t-token' } });
      const { id } = await converse(client, server, kind.settles);
      client.close();
      await server.disconnects.find((left) => left.id === id);
    }
    await ask(`${gate.http}/socket.io/?EIO=4&transport=polling&token=s3cr3t-token&sid=s3cr3t-room`, { headers: HEADERS });
    await ask(`${gate.http}/elsewhere?token=s3cr3t-token`, { headers: HEADERS });
    await ask(`${gate.http}/socket.io/?token=s3cr3t-token`, { method: 'POST', body: 's3cr3t-token', headers: HEADERS });
    await gate.stop();

    // They did travel, and what may be shown is shown.
    const all = [...server.requests.entries, ...server.upgrades.entries];
    assert.ok(all.some(({ url }) => url.includes('token=s3cr3t-token')));
    assert.ok(server.upgrades.entries.some(({ headers }) => headers.cookie === 'session=s3cr3t-cookie'));
    assert.match(gate.text(), /EIO=4/);
    assert.match(gate.text(), /transport=websocket/);
    for (const secret of SECRETS) assert.ok(!gate.text().includes(secret), `${secret} in the log`);
    const sids = all.map(({ url }) => new URL(url, 'http://x').searchParams.get('sid')).filter((sid) => sid?.length === 20);
    assert.ok(sids.length > 0);
    for (const sid of sids) assert.ok(!gate.text().includes(sid), 'a whole sid in the log');
  });
}

check('a client cannot write lines or escapes into the log', OURS, async (ring) => {
  const server = await wsServer(ring, {}, (socket) => socket.on('message', (data) => socket.send(`${data}!`)));
  const gate = await ring.gate(server, { location: '/', format: 'text' });
  const evil = '/%0Aforged%20line/%1B[31mred?EIO=%0Aforged&transport=%1B[31m&sid=%0D%0Aforged';
  const client = await opened(ring, new WebSocket(gate.ws, { finishRequest: (asks) => Object.assign(asks, { path: evil }).end() }));
  const answer = message(client);
  client.send('through');
  assert.equal(await answer, 'through!');
  client.close();
  await gate.stop();
  assert.ok(!/[\x00-\x08\x0b-\x1f\x7f]/.test(gate.text()), JSON.stringify(gate.text()));
  assert.doesNotMatch(gate.text(), /^forged/m);
  assert.match(gate.text(), /%0Aforged%20line/);
});
