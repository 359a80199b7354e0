// Real HAProxy as a load balancer that passes bytes on, with a PROXY header in front of them.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { start } from './child.mjs';
import { freePort } from './nginx.mjs';
import { DEADLINE, Journal, within } from './wait.mjs';

/** Whether somebody listens there. */
function isOpen(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

/** Runs HAProxy with this file, into whose `FOLDER` it may write; its child, its lines and that folder. */
async function run(ring, config) {
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-haproxy-'));
  const file = join(folder, 'haproxy.cfg');
  await writeFile(file, config.replaceAll('FOLDER', folder));
  const child = start('haproxy', ['-db', '-f', file]);
  const log = new Journal('lines of HAProxy');
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', (line) => log.add(line));
  ring.onFailure(() => log.entries.join('\n'));
  ring.onEnd(async () => {
    child.kill('SIGKILL');
    await child.exited;
    await rm(folder, { recursive: true, force: true });
  });
  const ended = child.exited.then(() => {
    throw new Error(`HAProxy ended:\n${log.entries.join('\n')}`);
  });
  ended.catch(() => {});
  return { folder, ended };
}

/** What is written to a Unix socket is answered with, to its end; nothing if nobody listens yet. */
function asked(path, question) {
  return new Promise((resolve) => {
    let said = '';
    const socket = net.connect(path, () => socket.write(question));
    socket.on('data', (data) => (said += data)).on('end', () => resolve(said)).on('error', () => resolve(''));
  });
}

/** What each of these health checks makes of a port, as HAProxy's statistics say, as soon as each has looked. */
export async function checkedBy(ring, port, checks) {
  let config = 'global\n  stats socket FOLDER/stats level admin\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n  timeout check 5s\n';
  for (const [number, words] of checks.entries()) {
    config += `backend b${number}\n  ${words}\n  server s 127.0.0.1:${port} check inter 50ms fall 1 rise 1\n`;
  }
  const { folder, ended } = await run(ring, config);
  // A server is up until it was asked, so that only a result counts; a star stands before one while the next check is under way.
  const found = async () => {
    for (;;) {
      const [names, ...rows] = (await asked(join(folder, 'stats'), 'show stat\n')).replace('# ', '').trim().split('\n');
      const columns = names.split(',');
      const servers = rows.map((row) => row.split(',')).map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]])));
      const results = checks.map((_, number) => servers.find(({ pxname, svname }) => pxname === `b${number}` && svname === 's'));
      if (results.every((result) => result && !['', 'INI'].includes(result.check_status) && !result.check_status.startsWith('*'))) {
        return results.map(({ status, check_status: result, check_code: code }) => ({ status, check: result, code }));
      }
      await new Promise((go) => setTimeout(go, 20));
    }
  };
  return within(DEADLINE, Promise.race([found(), ended]), 'a result of each health check');
}

/** A listener of HAProxy's `http` mode before a backend of these lines; gives its port, once it listens. */
export async function haproxyBackend(ring, lines) {
  const port = await freePort();
  const limits = ['mode http', 'timeout connect 5s', 'timeout client 60s', 'timeout server 60s'];
  const text = (title, all) => `${[title, ...all].join('\n  ')}\n`;
  const front = text('listen chat', [`bind 127.0.0.1:${port}`, 'default_backend nodes']);
  const { ended } = await run(ring, text('defaults', limits) + front + text('backend nodes', lines));
  await within(DEADLINE, Promise.race([opened([port]), ended]), 'a listening HAProxy');
  return port;
}

/** Until somebody listens on each of these ports. */
async function opened(ports) {
  for (const port of ports) while (!(await isOpen(port))) await new Promise((go) => setTimeout(go, 20));
}

/** A balancer before the ports of `to`, each with the words that its server line has; gives a port for each. */
export async function haproxy(ring, to) {
  const ports = [];
  let config = 'defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n';
  for (const [number, { port, words }] of to.entries()) {
    ports.push(await freePort());
    config += `listen l${number}\n  bind 127.0.0.1:${ports[number]}\n  server s 127.0.0.1:${port} ${words}\n`;
  }
  const { ended } = await run(ring, config);
  await within(DEADLINE, Promise.race([opened(ports), ended]), 'a listening HAProxy');
  return ports;
}
