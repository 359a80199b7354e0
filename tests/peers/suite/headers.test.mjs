// What a backend sees of a request, and what a client sees of an answer.

import assert from 'node:assert/strict';
import http from 'node:http';
import express from 'express';
import WebSocket from 'ws';
import { certificates } from '../support/certificates.mjs';
import { V4 } from '../support/clients.mjs';
import { connected, converse } from '../support/conversation.mjs';
import { ask, parts, raw, untouched } from '../support/http.mjs';
import { check, VIA } from '../support/ring.mjs';
import { httpServer, socketIo } from '../support/servers.mjs';
import { opened, wsServer } from '../support/websockets.mjs';

const PROXIED = { via: ['wsgate', 'nginx'] };
/** nginx's snippet does these wrong: it sends `Connection: upgrade` with every request, and a connection for each. */
const RIGHT = { via: ['wsgate', 'direct'] };
const OURS = { via: ['wsgate'] };
const ORIGIN = 'https://page.test';

const CORS = { cors: { origin: ORIGIN, credentials: true } };

check('a CORS preflight of a v4 server passes unaltered', async (ring) => {
  const server = await socketIo(ring, 4, CORS);
  const gate = await ring.gate(server);
  const request = {
    method: 'OPTIONS',
    headers: {
      Origin: ORIGIN,
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'content-type,x-token',
    },
  };
  const target = '/socket.io/?EIO=4&transport=polling';
  const direct = await ask(`http://127.0.0.1:${server.port}${target}`, request);
  const through = await ask(`${gate.http}${target}`, request);
  assert.equal(through.status, 204);
  assert.equal(through.headers['access-control-allow-origin'], ORIGIN);
  assert.equal(through.headers['access-control-allow-credentials'], 'true');
  assert.equal(through.headers['access-control-allow-methods'], 'GET,HEAD,PUT,PATCH,POST,DELETE');
  assert.equal(through.headers['access-control-allow-headers'], 'content-type,x-token');
  assert.equal(through.headers.vary, 'Origin, Access-Control-Request-Headers');
  // RFC 9110 forbids the Content-Length: 0 that the server puts on its 204; whether it passes is the gate's choice.
  const kept = (answer) => untouched({ ...answer, lines: answer.lines.filter(([name]) => !/^content-length$/i.test(name)) });
  assert.deepEqual(kept(through), kept(direct));
});

check('the CORS headers of a poll, of a POST and of a refusal pass unaltered', { diagnosed: ['session_unknown'] }, async (ring) => {
  const server = await socketIo(ring, 4, CORS);
  const gate = await ring.gate(server);
  const target = '/socket.io/?EIO=4&transport=polling';
  const headers = { Origin: ORIGIN };
  const hello = await ask(`${gate.http}${target}`, { headers });
  const { sid } = JSON.parse(hello.body.toString().slice(1));
  const posted = await ask(`${gate.http}${target}&sid=${sid}`, { method: 'POST', body: '40', headers });
  assert.equal(posted.body.toString(), 'ok');
  const refused = await ask(`${gate.http}${target}&sid=nobody`, { headers });
  assert.equal(refused.status, 400);
  for (const answer of [hello, posted, refused]) {
    assert.equal(answer.headers['access-control-allow-origin'], ORIGIN);
    assert.equal(answer.headers['access-control-allow-credentials'], 'true');
    assert.equal(answer.headers.vary, 'Origin');
  }
});

check('a server without CORS stays without: nothing is added', async (ring) => {
  const server = await socketIo(ring, 4);
  const gate = await ring.gate(server);
  const answer = await ask(`${gate.http}/socket.io/?EIO=4&transport=polling`, { headers: { Origin: ORIGIN } });
  assert.equal(answer.status, 200);
  assert.deepEqual(Object.keys(answer.headers).filter((name) => name.startsWith('access-control')), []);
});

check('bodies of polling POSTs pass byte for byte, several packets and several bytes a character', async (ring) => {
  const server = await socketIo(ring, 4);
  const gate = await ring.gate(server);
  const target = '/socket.io/?EIO=4&transport=polling';
  const { sid } = JSON.parse((await ask(`${gate.http}${target}`)).body.toString().slice(1));
  const post = (body) => ask(`${gate.http}${target}&sid=${sid}`, { method: 'POST', body });
  const poll = async () => (await ask(`${gate.http}${target}&sid=${sid}`)).body.toString();
  assert.equal((await post('40')).body.toString(), 'ok');
  assert.match(await poll(), /^40\{"sid":"[\w-]{20}"\}$/);
  await post('421["echo","连上了/"]\x1e422["echo",["é","👍"]]');
  assert.equal(await poll(), '431["连上了/"]\x1e432[["é","👍"]]');
});

for (const scheme of ['ws', 'wss']) {
  for (const kind of V4) {
    check(`${kind.name} over ${scheme} is introduced to the backend by Host and X-Forwarded headers`, PROXIED, async (ring) => {
      const { ca, pairs } = await certificates(ring);
      const server = await socketIo(ring, 4);
      const gate = await ring.gate(server, { tls: pairs });
      await converse(kind.connect(ring, gate[scheme], { device: { ca } }), server, kind.settles);
      const host = new URL(gate[scheme]).host;
      const all = [...server.requests.entries, ...server.upgrades.entries];
      assert.ok(all.length > 0);
      for (const { headers } of all) {
        assert.equal(headers.host, host);
        assert.equal(headers['x-forwarded-host'], host);
        assert.equal(headers['x-forwarded-for'], '127.0.0.1');
        assert.equal(headers['x-forwarded-proto'], scheme === 'ws' ? 'http' : 'https');
        assert.equal(headers['x-real-ip'], '127.0.0.1');
      }
    });
  }
}

check('what a client claims about itself in X-Forwarded headers is replaced', PROXIED, async (ring) => {
  const server = await wsServer(ring);
  const gate = await ring.gate(server, { location: '/' });
  const headers = {
    Host: 'chat.test:8080',
    'X-Forwarded-For': '203.0.113.9',
    'X-Real-IP': '203.0.113.9',
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Host': 'evil.test',
  };
  await opened(ring, new WebSocket(gate.ws, { headers }));
  await ask(`${gate.http}/page`, { headers });
  for (const seen of [await server.upgrades.find(), await server.requests.find()]) {
    assert.equal(seen.headers.host, 'chat.test:8080');
    assert.equal(seen.headers['x-forwarded-for'], '127.0.0.1');
    assert.equal(seen.headers['x-real-ip'], '127.0.0.1');
    assert.equal(seen.headers['x-forwarded-proto'], 'http');
    assert.equal(seen.headers['x-forwarded-host'], 'chat.test:8080');
  }
});

check('an upgrade reaches the backend with exactly one Connection and one Upgrade line', OURS, async (ring) => {
  const server = await wsServer(ring);
  const gate = await ring.gate(server, { location: '/' });
  const headers = { Connection: 'keep-alive, Upgrade', Cookie: 'a=1; b=2', Origin: ORIGIN, Authorization: 'Bearer x' };
  await opened(ring, new WebSocket(gate.ws, ['chat'], { headers }));
  const seen = await server.upgrades.find();
  const of = (wanted) => seen.rawHeaders.filter((_, i, list) => i % 2 && list[i - 1].toLowerCase() === wanted);
  assert.deepEqual(of('connection'), ['Upgrade']);
  assert.deepEqual(of('upgrade'), ['websocket']);
  assert.deepEqual(of('sec-websocket-version'), ['13']);
  assert.deepEqual(of('sec-websocket-protocol'), ['chat']);
  assert.deepEqual(of('cookie'), ['a=1; b=2']);
  assert.deepEqual(of('origin'), [ORIGIN]);
  assert.deepEqual(of('authorization'), ['Bearer x']);
  assert.equal(of('sec-websocket-key').length, 1);
});

check('no poll ever carries Upgrade to the backend', RIGHT, async (ring) => {
  const server = await socketIo(ring, 4, { allowEIO3: true });
  const gate = await ring.gate(server);
  await connected(V4[1].connect(ring, gate.ws));
  const target = '/socket.io/?EIO=4&transport=polling';
  await ask(`${gate.http}${target}`);
  if (VIA === 'wsgate') {
    // Also when the client itself sends what an nginx before it would have added.
    for (const lines of ['Connection: upgrade', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__']) {
      const head = `GET ${target} HTTP/1.1\r\nHost: chat.test\r\n${lines}\r\nConnection: close\r\n\r\n`;
      assert.equal(parts(await raw(gate.port, head)).status, 'HTTP/1.1 200 OK');
    }
  }
  assert.ok(server.requests.length >= (VIA === 'wsgate' ? 5 : 3));
  for (const { headers } of server.requests.entries) {
    assert.doesNotMatch(headers.connection ?? '', /upgrade/i);
    assert.equal(headers.upgrade, undefined);
    assert.equal(headers['http2-settings'], undefined);
  }
});

/** An express server that says which of its connections a request came by. */
async function portServer(ring) {
  const app = express();
  app.use((request, answer) => answer.json({ port: request.socket.remotePort }));
  return httpServer(ring, app);
}

function clientConnection(ring) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  ring.onEnd(() => agent.destroy());
  return agent;
}

check('one kept-alive client connection uses one upstream connection for all its requests', RIGHT, async (ring) => {
  const web = await portServer(ring);
  const gate = await ring.gate(web, { location: '/' });
  const agent = clientConnection(ring);
  const ports = [];
  for (let i = 0; i < 20; i += 1) {
    const method = i % 3 ? 'GET' : 'POST';
    const answer = await ask(`${gate.http}/${i}`, { agent, method, body: method === 'POST' ? 'x'.repeat(i) : undefined });
    ports.push(JSON.parse(answer.body).port);
  }
  assert.equal(new Set(ports).size, 1, ports.join());
});

check('two client connections never share an upstream connection', async (ring) => {
  const web = await portServer(ring);
  const gate = await ring.gate(web, { location: '/' });
  const agents = Array.from({ length: 8 }, () => clientConnection(ring));
  const ports = agents.map(() => new Set());
  const one = async (i, n) => {
    const answer = await ask(`${gate.http}/${i}/${n}`, { agent: agents[i] });
    ports[i].add(JSON.parse(answer.body).port);
  };
  // In turn and all at once: an upstream connection that is free could be taken by another client.
  for (let n = 0; n < 10; n += 1) for (const i of agents.keys()) await one(i, n);
  for (let n = 0; n < 10; n += 1) await Promise.all(agents.map((_, i) => one(i, n)));
  for (const [i, own] of ports.entries()) {
    const others = ports.filter((_, j) => j !== i).flatMap((set) => [...set]);
    assert.deepEqual(others.filter((port) => own.has(port)), []);
  }
});
