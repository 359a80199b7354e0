// `wsgate explain --connect` before real Socket.IO servers: what it says of them is what their clients would meet.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { check } from '../support/ring.mjs';
import { httpServer, socketIo } from '../support/servers.mjs';
import { BINARY } from '../support/wsgate.mjs';

const run = promisify(execFile);

/** What `--connect` says about each request that was asked of `server`. */
async function asked(ring, server, ...options) {
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-explain-'));
  ring.onEnd(() => rm(folder, { recursive: true }));
  const config = join(folder, 'routes.yaml');
  const to = `http://127.0.0.1:${server.port}`;
  const routes = `listen:\n  - address: 127.0.0.1:0\nroutes:\n  - location: /\n    proxy_pass: ${to}\n`;
  await writeFile(config, routes);
  const question = ['explain', 'ws://localhost/hello', '--connect', '--json', '--config', config, ...options];
  const { stdout } = await run(BINARY, question);
  return JSON.parse(stdout).requests.map(({ says }) => says).filter((says) => says);
}

const OPEN = '200: an Engine.IO session is open: ping every 25s, answered within';

check('a v4 server opens a session for its clients and says so', async (ring) => {
  const server = await socketIo(ring, 4);
  const [says] = await asked(ring, server);
  assert.equal(says.text, `${OPEN} 20s, upgrades to websocket, EIO=4`);
});

check('a v4 server refuses EIO 3 over polling and inside a WebSocket, and both are understood', async (ring) => {
  const server = await socketIo(ring, 4);
  const [polling] = await asked(ring, server, '--client', 'socket.io@2');
  const [inside, open] = await asked(ring, server, '--client', 'weapp');
  assert.equal(polling.text, "400 from an Engine.IO server that refuses: it does not speak this client's protocol (code 5)");
  assert.match(polling.help, /allowEIO3/);
  assert.deepEqual([inside.kind, inside.status], ['engine_io_refused', 101]);
  assert.deepEqual([open.kind, open.status], ['engine_io_open', 101]);
});

check('a v4 server with allowEIO3 opens a session for both', async (ring) => {
  const server = await socketIo(ring, 4, { allowEIO3: true });
  const [says] = await asked(ring, server, '--client', 'socket.io@2');
  assert.equal(says.kind, 'engine_io_open');
});

check('a v2 server is known by its framing', async (ring) => {
  const server = await socketIo(ring, 2);
  const [its] = await asked(ring, server, '--client', 'socket.io@2');
  const [newer] = await asked(ring, server);
  assert.match(its.text, /upgrades to websocket, EIO=3$/);
  assert.equal(its.help, null);
  assert.match(newer.help, /of version 2/);
});

check('a wrong path and a server that is none are told', async (ring) => {
  const server = await socketIo(ring, 4, {}, (_, answer) => answer.writeHead(404).end());
  const [path] = await asked(ring, server, '--path', '/elsewhere');
  assert.deepEqual([path.kind, path.status], ['not_engine_io', 404]);
  const page = await httpServer(ring, (_, answer) => answer.end('<!doctype html>'));
  const [none] = await asked(ring, page);
  assert.deepEqual([none.kind, none.status], ['not_engine_io', 200]);
});
