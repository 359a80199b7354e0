// ws and wss at once, certificates by SNI, versions of TLS and ALPN.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import WebSocket from 'ws';
import { certificates, loopback, threeInAChain } from '../support/certificates.mjs';
import { start } from '../support/child.mjs';
import { V2, V4, WEAPP_2, WEAPP_3 } from '../support/clients.mjs';
import { connected, converse } from '../support/conversation.mjs';
import { TEXT, frame } from '../support/frames.mjs';
import { upgradeHead } from '../support/http.mjs';
import { check, wsgate } from '../support/ring.mjs';
import { httpServer, socketIo } from '../support/servers.mjs';
import { DEADLINE, within } from '../support/wait.mjs';
import { message, opened, wsServer } from '../support/websockets.mjs';
import { startWsgate } from '../support/wsgate.mjs';

const SECURE = { via: ['wsgate', 'nginx'] };

async function secureGate(ring, backend, location) {
  const { ca, pairs } = await certificates(ring);
  return { ca, gate: await ring.gate(backend, { location, tls: pairs }) };
}

/** A finished handshake, with the certificate checked against the name that was asked for. */
async function handshake(ring, gate, options) {
  const socket = tls.connect({ host: '127.0.0.1', port: gate.tlsPort, ...options });
  ring.onEnd(() => socket.destroy());
  await within(DEADLINE, once(socket, 'secureConnect'), 'a TLS handshake');
  return socket;
}

/** The error that a handshake ends with. */
async function refused(gate, options) {
  const socket = tls.connect({ host: '127.0.0.1', port: gate.tlsPort, rejectUnauthorized: false, ...options });
  const shaken = once(socket, 'secureConnect').then(() => assert.fail(`connected by ${socket.getProtocol()}`));
  const error = await within(DEADLINE, shaken, 'the end of a handshake').catch((reason) => reason);
  socket.destroy();
  return error;
}

for (const kind of [...V4, ...V2, WEAPP_2, WEAPP_3]) {
  check(`${kind.name} talks to a v4 server over wss`, SECURE, async (ring) => {
    const server = await socketIo(ring, 4, { allowEIO3: true });
    const { ca, gate } = await secureGate(ring, server, '/socket.io');
    const client = kind.connect(ring, gate.wss, { device: { ca } });
    const { id } = await converse(client, server, kind.settles);
    client.close();
    assert.equal((await server.disconnects.find((d) => d.id === id)).reason, 'client namespace disconnect');
  });
}

check('clients over ws and over wss at once meet in one room', SECURE, async (ring) => {
  const server = await socketIo(ring, 4, { allowEIO3: true });
  const { ca, gate } = await secureGate(ring, server, '/socket.io');
  const kinds = [...V4, ...V2, WEAPP_2, WEAPP_3];
  const clients = kinds.flatMap((kind) => [
    kind.connect(ring, gate.ws),
    kind.connect(ring, gate.wss, { device: { ca } }),
  ]);
  await Promise.all(clients.map(connected));
  const heard = Promise.all(clients.map((client) => new Promise((resolve) => client.once('all', resolve))));
  server.io.emit('all', 'hello everyone');
  assert.deepEqual(await within(DEADLINE, heard, 'the news at all clients'), clients.map(() => 'hello everyone'));

  const seen = [...server.requests.entries, ...server.upgrades.entries];
  const schemes = new Set(seen.map(({ headers }) => headers['x-forwarded-proto']));
  assert.deepEqual([...schemes].sort(), ['http', 'https']);
});

check('the certificate is chosen by the name that the client asks for', SECURE, async (ring) => {
  const { ca, gate } = await secureGate(ring, await wsServer(ring), '/');
  for (const [servername, alternative] of [
    ['a.test', /DNS:a\.test/],
    ['chat.b.test', /DNS:\*\.b\.test/],
    ['CHAT.B.TEST', /DNS:\*\.b\.test/],
  ]) {
    const socket = await handshake(ring, gate, { ca, servername });
    assert.match(socket.getPeerCertificate().subjectaltname, alternative);
  }
});

check('a client without a name, or with one that no certificate has, gets the first certificate', SECURE, async (ring) => {
  const { ca, gate } = await secureGate(ring, await wsServer(ring), '/');
  const nameless = await handshake(ring, gate, { ca });
  assert.match(nameless.getPeerCertificate().subjectaltname, /DNS:a\.test/);
  // The wildcard of a certificate stands for one label; nginx's own choice by server_name is more generous.
  const strangers = ['elsewhere.test', 'b.test', ...(wsgate ? ['deep.chat.b.test'] : [])];
  for (const servername of strangers) {
    const stranger = await handshake(ring, gate, { ca, servername, checkServerIdentity: () => undefined });
    assert.match(stranger.getPeerCertificate().subjectaltname, /DNS:a\.test/, servername);
  }
});

check('wss clients by either name check their certificate and reach the same server', SECURE, async (ring) => {
  const server = await socketIo(ring, 4, { allowEIO3: true });
  const { ca, gate } = await secureGate(ring, server, '/socket.io');
  for (const name of ['a.test', 'chat.b.test']) {
    for (const kind of [V4[2], V2[0], WEAPP_2]) {
      const agent = new https.Agent({ ca, lookup: loopback });
      ring.onEnd(() => agent.destroy());
      const device = { ca, agent, lookup: loopback };
      const client = kind.connect(ring, `wss://${name}:${gate.tlsPort}`, { device });
      await converse(client, server, kind.settles);
    }
    const { headers } = await server.upgrades.find((seen) => seen.headers.host === `${name}:${gate.tlsPort}`);
    assert.equal(headers['x-forwarded-proto'], 'https');
  }
});

for (const version of ['TLSv1.2', 'TLSv1.3']) {
  check(`${version} is spoken, and a WebSocket works over it`, SECURE, async (ring) => {
    const server = await wsServer(ring, {}, (socket) => socket.on('message', (data) => socket.send(`${data}!`)));
    const { ca, gate } = await secureGate(ring, server, '/');
    const client = new WebSocket(gate.wss, { ca, minVersion: version, maxVersion: version });
    await opened(ring, client);
    assert.equal(client._socket.getProtocol(), version);
    const answer = message(client);
    client.send('hello');
    assert.equal(await answer, 'hello!');
  });
}

for (const version of ['TLSv1', 'TLSv1.1']) {
  check(`${version} is refused by an alert of the server`, SECURE, async (ring) => {
    const { ca, gate } = await secureGate(ring, await wsServer(ring), '/');
    const old = { minVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' };
    const error = await refused(gate, { ...old, maxVersion: version });
    // OpenSSL answers protocol_version; rustls looks for signature algorithms first, which these versions lack.
    const alerts = ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', ...(wsgate ? ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE'] : [])];
    assert.ok(alerts.includes(error.code), `${error.code}: ${error.message}`);
    if (wsgate) await gate.log.find(({ reason }) => reason?.includes('TLS 1.2'));

    const newer = await handshake(ring, gate, { ...old, maxVersion: 'TLSv1.2', ca });
    assert.equal(newer.getProtocol(), 'TLSv1.2', 'only the version was in the way');
  });
}

/** The cipher suites that docs/security.md shows for a version, from what sslscan said. */
async function documented(version) {
  const text = await readFile(new URL('../../../docs/security.md', import.meta.url), 'utf8');
  const lines = text.matchAll(/^(?:Preferred|Accepted) +(\S+) +\d+ bits +(\S+) +Curve/gm);
  return [...lines].filter(([, spoken]) => spoken === version).map(([, , suite]) => suite).sort();
}

/** Those that OpenSSL knows and a server takes, at the lowest level of security that OpenSSL has. */
async function accepted(gate, version) {
  const known = tls.getCiphers().map((name) => name.toUpperCase());
  const suites = known.filter((name) => name.startsWith('TLS_') === (version === 'TLSv1.3'));
  assert.ok(suites.length > 2, `${suites}`);
  const taken = [];
  for (const suite of suites) {
    const ciphers = version === 'TLSv1.3' ? suite : `${suite}:@SECLEVEL=0`;
    const offer = { minVersion: version, maxVersion: version, ciphers };
    const socket = tls.connect({ host: '127.0.0.1', port: gate.tlsPort, rejectUnauthorized: false, ...offer });
    const shaken = once(socket, 'secureConnect').then(() => socket.getCipher().name);
    const spoken = await within(DEADLINE, shaken.catch(() => undefined), 'the end of a handshake');
    if (spoken) taken.push(spoken);
    socket.destroy();
  }
  return taken.sort();
}

check('the cipher suites are those of docs/security.md and no others', { via: ['wsgate'] }, async (ring) => {
  const server = await httpServer(ring, (request, response) => response.end());
  const { gate } = await secureGate(ring, server, '/');
  assert.deepEqual(await accepted(gate, 'TLSv1.3'), await documented('TLSv1.3'));
  const suites = await accepted(gate, 'TLSv1.2');
  assert.deepEqual(suites, await documented('TLSv1.2'));
  assert.equal(suites.length, 3);
});

check('a client that offers h2 and http/1.1 is answered http/1.1, and a WebSocket opens', SECURE, async (ring) => {
  const server = await wsServer(ring);
  const { ca, gate } = await secureGate(ring, server, '/');
  const socket = await handshake(ring, gate, { ca, ALPNProtocols: ['h2', 'http/1.1'] });
  assert.equal(socket.alpnProtocol, 'http/1.1');
  socket.write(upgradeHead('/', 'a.test'));
  const [data] = await within(DEADLINE, once(socket, 'data'), 'the answer to an upgrade');
  assert.match(data.toString('latin1'), /^HTTP\/1\.1 101 Switching Protocols\r\n/);
});

check('a client without ALPN is served all the same', SECURE, async (ring) => {
  const { ca, gate } = await secureGate(ring, await wsServer(ring), '/');
  const socket = await handshake(ring, gate, { ca });
  assert.equal(socket.alpnProtocol, false);
  socket.write(upgradeHead('/', 'a.test'));
  const [data] = await within(DEADLINE, once(socket, 'data'), 'the answer to an upgrade');
  assert.match(data.toString('latin1'), /^HTTP\/1\.1 101 Switching Protocols\r\n/);
});

check('a client that offers only h2 is refused by an alert', { via: ['wsgate'] }, async (ring) => {
  const { gate } = await secureGate(ring, await wsServer(ring), '/');
  const error = await refused(gate, { ALPNProtocols: ['h2'] });
  assert.equal(error.code, 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
});

check('the end of a WebSocket is announced to a TLS client, not cut off', SECURE, async (ring) => {
  const server = await wsServer(ring, {}, (socket) => socket.on('message', () => socket._socket.end()));
  const { gate } = await secureGate(ring, server, '/');
  // Node takes a bare end of the TCP stream for an end; the openssl command tells them apart.
  const client = start('openssl', ['s_client', '-quiet', '-connect', `127.0.0.1:${gate.tlsPort}`], { stdio: 'pipe' });
  ring.onEnd(() => client.kill('SIGKILL'));
  let said = '';
  client.stderr.on('data', (data) => (said += data));
  client.stdin.write(upgradeHead('/', 'a.test'));
  const [answer] = await within(DEADLINE, once(client.stdout, 'data'), 'the answer to an upgrade');
  assert.match(answer.toString('latin1'), /^HTTP\/1\.1 101 Switching Protocols\r\n/);
  client.stdin.write(frame(TEXT, ''));
  await within(5_000, client.exited, 'the end of openssl s_client');
  assert.doesNotMatch(said, /unexpected eof|errno/i);
});

check('a page over https says so to express', SECURE, async (ring) => {
  const web = await httpServer(ring, (_, answer) => answer.end('secure page'));
  const { ca, gate } = await secureGate(ring, web, '/');
  const agent = new https.Agent({ ca, keepAlive: true });
  ring.onEnd(() => agent.destroy());
  for (let i = 0; i < 3; i += 1) {
    const request = https.get(`${gate.https}/page?${i}`, { agent });
    const [answer] = await within(DEADLINE, once(request, 'response'), 'a page');
    assert.equal(Buffer.concat(await answer.toArray()).toString(), 'secure page');
    assert.equal(request.reusedSocket, i > 0, 'the TLS connection is kept alive');
  }
  assert.deepEqual(web.requests.entries.map(({ headers }) => headers['x-forwarded-proto']), ['https', 'https', 'https']);
});

check('a chain that is not whole fails at a client that verifies, and wsgate has said so', { via: ['wsgate'] }, async (ring) => {
  const { ca, key, whole, alone } = await threeInAChain(ring);
  const server = await wsServer(ring);
  for (const cert of [alone, whole]) {
    const gate = await ring.gate(server, { location: '/', tls: [{ cert, key, names: ['a.test'] }] });
    const client = new WebSocket(`wss://a.test:${gate.tlsPort}`, { ca, lookup: loopback });
    const outcome = opened(ring, client).then(() => 'open', ({ code }) => code);
    assert.equal(await outcome, cert === whole ? 'open' : 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    assert.equal(gate.text().includes('is incomplete: a.test was issued by middle'), cert === alone);
  }
});

check('an upstream that is asked by its address is verified by its tls_name', { via: ['wsgate'] }, async (ring) => {
  const { caFile, pairs } = await certificates(ring, { inner: ['chat.inner.test'] });
  const asked = [];
  const options = { cert: await readFile(pairs[0].cert), key: await readFile(pairs[0].key) };
  const upstream = https.createServer(options, (request, response) => {
    asked.push([request.socket.servername, request.headers.host]);
    response.end('inner');
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  ring.onEnd(() => upstream.close());
  // The gates of this ring ask their upstreams without TLS.
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-tls-name-'));
  ring.onEnd(() => rm(folder, { recursive: true, force: true }));
  const answers = [];
  for (const name of ['chat.inner.test', 'other.inner.test']) {
    const file = join(folder, `${name}.yaml`);
    const to = `https://127.0.0.1:${upstream.address().port}`;
    await writeFile(file, `listen: [{ address: "127.0.0.1:0" }]\nroutes: [{ location: /, proxy_pass: "${to}", ca: "${caFile}", tls_name: ${name} }]\n`);
    const gate = await startWsgate({ file });
    ring.onEnd(() => gate.stop());
    const { url } = await gate.log.find(({ message }) => message === 'listening');
    const response = await fetch(url.replace('ws://', 'http://'));
    answers.push([response.status, await response.text()]);
    if (response.status === 502) {
      const { reason } = await gate.log.find(({ message }) => message === 'request');
      assert.match(reason, /its certificate is for chat\.inner\.test, not for other\.inner\.test \(`tls_name`\)$/);
    }
  }
  assert.deepEqual(answers[0], [200, 'inner']);
  assert.equal(answers[1][0], 502);
  assert.equal(asked.length, 1);
  assert.equal(asked[0][0], 'chat.inner.test');
  assert.match(asked[0][1], /^127\.0\.0\.1:/);
});
