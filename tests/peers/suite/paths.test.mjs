// Socket.IO at the root, and Socket.IO beside pages.

import assert from 'node:assert/strict';
import express from 'express';
import { V2, V4, WEAPP_3 } from '../support/clients.mjs';
import { converse } from '../support/conversation.mjs';
import { ask, untouched } from '../support/http.mjs';
import { check, wsgate } from '../support/ring.mjs';
import { httpServer, socketIo } from '../support/servers.mjs';

for (const [generation, kinds] of [
  [4, [...V4, WEAPP_3]],
  [2, V2],
]) {
  for (const kind of kinds) {
    check(`${kind.name} and a v${generation} server meet at path / behind location /`, async (ring) => {
      const server = await socketIo(ring, generation, { path: '/' });
      const gate = await ring.gate(server, { location: '/' });
      await converse(kind.connect(ring, gate.ws, { path: '/' }), server, kind.settles);
      for (const { url } of [...server.requests.entries, ...server.upgrades.entries]) assert.match(url, /^\/\?/);
    });
  }
}

check('a Socket.IO server at a path of its own is reached by that path', async (ring) => {
  const server = await socketIo(ring, 4, { path: '/chat/live' });
  const gate = await ring.gate(server, { location: '/chat/live' });
  const kind = V4[2];
  await converse(kind.connect(ring, gate.ws, { path: '/chat/live' }), server, kind.settles);
  for (const { url } of server.upgrades.entries) assert.match(url, /^\/chat\/live\/\?EIO=4/);
});

function pages() {
  const app = express();
  app.get('/', (_, answer) => answer.send('<h1>连上了</h1>'));
  app.post('/api/echo', express.json({ limit: '2mb' }), (request, answer) => answer.status(201).json(request.body));
  app.get('/old', (_, answer) => answer.redirect(302, '/new?from=old'));
  app.get('/login', (_, answer) => {
    answer.cookie('a', '1', { httpOnly: true }).cookie('b', '2; x', { path: '/login' }).send('two cookies');
  });
  app.get('/slowly', async (_, answer) => {
    for (const part of ['one ', 'two ', 'three']) {
      await new Promise((written) => answer.write(part, written));
    }
    answer.end();
  });
  app.get('/nothing', (_, answer) => answer.status(204).end());
  app.get('/teapot', (_, answer) => answer.writeHead(418, 'Short And Stout', { 'X-ODD-Case': 'kept' }).end('no coffee'));
  return app;
}

/** The same of the backend itself and through the gate. */
async function same(gate, backend, target, request) {
  const direct = await ask(`http://127.0.0.1:${backend.port}${target}`, request);
  const through = await ask(`${gate.http}${target}`, request);
  assert.deepEqual(untouched(through), untouched(direct));
  return through;
}

const TWO = { via: ['wsgate', 'nginx'] };

check('/socket.io goes to the Socket.IO server while every other path goes to express', TWO, async (ring) => {
  const chat = await socketIo(ring, 4, { allowEIO3: true });
  const web = await httpServer(ring, pages());
  const gate = await ring.gate(null, { routes: [['/', web], ['/socket.io', chat]] });

  for (const kind of [...V4, ...V2]) await converse(kind.connect(ring, gate.ws), chat, kind.settles);
  const page = await same(gate, web, '/');
  assert.equal(page.body.toString(), '<h1>连上了</h1>');
  assert.equal(page.headers['content-type'], 'text/html; charset=utf-8');

  assert.deepEqual(web.requests.filter(({ url }) => url.includes('socket.io')), []);
  assert.deepEqual(chat.requests.filter(({ url }) => !url.startsWith('/socket.io/?')), []);
  if (wsgate) {
    const { location } = await gate.log.find(({ request }) => request === 'GET / HTTP/1.1');
    assert.equal(location, '/');
  }
});

check('what express answers passes unaltered: page, JSON, 404, redirect, cookies, stream, HEAD and 204', async (ring) => {
  const web = await httpServer(ring, pages());
  const gate = await ring.gate(web, { location: '/' });
  const json = (value) => ({ method: 'POST', body: JSON.stringify(value), headers: { 'Content-Type': 'application/json' } });

  const posted = await same(gate, web, '/api/echo', json({ text: '你好', list: [1, 2] }));
  assert.equal(posted.status, 201);
  assert.deepEqual(JSON.parse(posted.body), { text: '你好', list: [1, 2] });

  const missing = await same(gate, web, '/no/such%20page?x=1');
  assert.equal(missing.status, 404);
  assert.match(missing.body.toString(), /Cannot GET \/no\/such%20page/);

  const moved = await same(gate, web, '/old');
  assert.equal(moved.status, 302);
  assert.equal(moved.headers.location, '/new?from=old');

  const login = await same(gate, web, '/login');
  assert.deepEqual(login.headers['set-cookie'], ['a=1; Path=/; HttpOnly', 'b=2%3B%20x; Path=/login']);

  assert.equal((await same(gate, web, '/slowly')).body.toString(), 'one two three');
  const head = await same(gate, web, '/', { method: 'HEAD' });
  assert.equal(head.headers['content-length'], '18');
  assert.equal((await same(gate, web, '/nothing')).status, 204);

  const odd = await same(gate, web, '/teapot');
  assert.equal(odd.reason, 'Short And Stout');
  assert.ok(odd.lines.some(([name, value]) => name === 'X-ODD-Case' && value === 'kept'));

  const { headers } = await same(gate, web, '/', {});
  const again = await same(gate, web, '/', { headers: { 'If-None-Match': headers.etag } });
  assert.equal(again.status, 304);
});

check('a body of 1 MiB of JSON passes both ways', async (ring) => {
  const web = await httpServer(ring, pages());
  const gate = await ring.gate(web, { location: '/' });
  const body = JSON.stringify({ text: '字'.repeat(350_000) });
  const answer = await ask(`${gate.http}/api/echo`, { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });
  assert.equal(answer.status, 201);
  assert.ok(answer.body.equals(Buffer.from(body)));
});

check('a path that no location has is 404 from wsgate itself', { via: ['wsgate'] }, async (ring) => {
  const chat = await socketIo(ring, 4);
  const gate = await ring.gate(chat);
  const answer = await ask(`${gate.http}/elsewhere`);
  assert.equal(answer.status, 404);
  assert.match(answer.headers['content-type'], /^text\/plain/);
  assert.match(answer.body.toString(), /^wsgate: [^\n]+\n?$/);
  assert.equal(chat.requests.length, 0);
});
