// Who may, and who the client is: real browsers, mini programs and load balancers.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';
import { browser, connect, pageServer } from '../support/browser.mjs';
import { certificates } from '../support/certificates.mjs';
import { V4, WEAPP_3 } from '../support/clients.mjs';
import { connected, converse } from '../support/conversation.mjs';
import { haproxy } from '../support/haproxy.mjs';
import { freePort, runNginx } from '../support/nginx.mjs';
import { check } from '../support/ring.mjs';
import { socketIo } from '../support/servers.mjs';
import { opened, wsServer } from '../support/websockets.mjs';
import { startWsgate } from '../support/wsgate.mjs';

const ONLY = { via: ['wsgate'], deadline: 60_000 };

/** Another address of the loopback than the balancers', so that it can be told from theirs. */
const CLIENT = '127.0.0.2';

check('a page of an origin that is named opens a WebSocket, one of another polls on, as a browser writes them', ONLY, async (ring) => {
  const server = await socketIo(ring, 4, { cors: { origin: true } });
  const [ours, theirs] = [await pageServer(ring, 4), await pageServer(ring, 4)];
  const origins = [`allowed_origins: http://localhost:${ours.port}`];
  const gate = await ring.gate(server, { routes: [['/socket.io', server, undefined, origins]] });
  const { tab } = await browser(ring);

  const good = await tab();
  await good.goto(`http://localhost:${ours.port}`);
  await connect(good, gate.http, { transports: ['websocket'] });
  assert.equal(server.upgrades.filter(() => true)[0].headers.origin, `http://localhost:${ours.port}`);

  const bad = await tab();
  await bad.goto(`http://localhost:${theirs.port}`);
  await assert.rejects(connect(bad, gate.http, { transports: ['websocket'] }), /connect_error: websocket error/);
  // What is no upgrade is the server's `cors` to judge.
  await connect(bad, gate.http, { transports: ['polling', 'websocket'] });
  const refused = await gate.log.several(2, ({ status }) => status === 403);
  for (const { reason } of refused) {
    assert.equal(reason, `refused by \`allowed_origins\`: origin http://localhost:${theirs.port} is not among them`);
  }
  assert.equal(server.upgrades.filter(() => true).length, 1);
});

check('a mini program and a Node client, which send no Origin, pass, unless that is refused', ONLY, async (ring) => {
  const server = await socketIo(ring, 4);
  const origins = ['allowed_origins: https://chat.example.com'];
  const gate = await ring.gate(server, { routes: [['/socket.io', server, undefined, origins]] });
  for (const kind of [WEAPP_3, V4[0]]) await converse(kind.connect(ring, gate.ws), server, kind.settles);
  const strict = await ring.gate(server, { routes: [['/socket.io', server, undefined, [...origins, 'missing_origin: deny']]] });
  for (const kind of [WEAPP_3, V4[0]]) {
    await assert.rejects(connected(kind.connect(ring, strict.ws)), /connect_error/);
  }
  await strict.log.several(2, ({ reason }) => reason === 'refused by `missing_origin`: no Origin');
});

check('behind HAProxy, which passes bytes on, the client is the one of its PROXY header, of either version and in front of TLS', ONLY, async (ring) => {
  const server = await wsServer(ring);
  const { pairs } = await certificates(ring);
  const [plain, secure] = [await freePort(), await freePort()];
  const listen = { plain: [`127.0.0.1:${plain}`], secure: [`127.0.0.1:${secure}`], more: ['proxy_protocol: true'] };
  const gate = await startWsgate({ routes: [['/', server]], tls: pairs, top: ['trusted_proxies: 127.0.0.1'], listen });
  ring.gates.push(gate);
  ring.onEnd(() => gate.stop());
  const to = [plain, secure].flatMap((port) => ['send-proxy', 'send-proxy-v2'].map((words) => ({ port, words })));
  const ports = await haproxy(ring, to);
  for (const [number, port] of ports.entries()) {
    const scheme = to[number].port === secure ? 'wss' : 'ws';
    const options = { localAddress: CLIENT, rejectUnauthorized: false };
    await opened(ring, new WebSocket(`${scheme}://127.0.0.1:${port}/${number}`, options));
    const { request } = await server.connections.find((one) => one.request.url === `/${number}`);
    assert.equal(request.headers['x-forwarded-for'], CLIENT, to[number].words);
    assert.equal(request.headers['x-forwarded-proto'], scheme === 'wss' ? 'https' : 'http');
    await gate.log.find((line) => line.message === 'tunnel opened' && line.remote_addr.startsWith(`${CLIENT}:`) && line.request.includes(`/${number} `));
  }
  // Without the header nobody is served.
  const bare = new WebSocket(`ws://127.0.0.1:${plain}/bare`);
  await assert.rejects(opened(ring, bare));
  await gate.log.find(({ message, reason }) => message === 'no PROXY header' && reason.startsWith('it does not begin with'));
});

check('behind nginx, which adds to X-Forwarded-For, the client is the one that nginx saw, whatever it claims', ONLY, async (ring) => {
  const server = await socketIo(ring, 4);
  const gate = await ring.gate(server, { top: ['trusted_proxies: 127.0.0.1'] });
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-front-'));
  ring.onEnd(() => rm(folder, { recursive: true, force: true }));
  const port = await freePort();
  const http = `
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass ${gate.http};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto https;
    }
  }`;
  const front = await runNginx({ http, folder });
  ring.onEnd(() => front.stop());
  const [kind] = V4;
  const options = { extraHeaders: { 'X-Forwarded-For': '6.6.6.6' }, localAddress: CLIENT };
  await converse(kind.connect(ring, `ws://127.0.0.1:${port}`, options), server, kind.settles);
  const [{ headers }] = server.upgrades.filter(() => true);
  assert.equal(headers['x-forwarded-for'], `6.6.6.6, ${CLIENT}, 127.0.0.1`);
  assert.deepEqual([headers['x-real-ip'], headers['x-forwarded-proto']], [CLIENT, 'https']);
  const { remote_addr } = await gate.log.find(({ message }) => message === 'tunnel opened');
  assert.equal(remote_addr, CLIENT);
});
