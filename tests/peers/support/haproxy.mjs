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

/** A balancer before the ports of `to`, each with the words that its server line has; gives a port for each. */
export async function haproxy(ring, to) {
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-haproxy-'));
  const ports = [];
  let config = 'defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n';
  for (const [number, { port, words }] of to.entries()) {
    ports.push(await freePort());
    config += `listen l${number}\n  bind 127.0.0.1:${ports[number]}\n  server s 127.0.0.1:${port} ${words}\n`;
  }
  const file = join(folder, 'haproxy.cfg');
  await writeFile(file, config);
  const child = start('haproxy', ['-db', '-f', file]);
  const log = new Journal('lines of HAProxy');
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', (line) => log.add(line));
  ring.onFailure(() => log.entries.join('\n'));
  ring.onEnd(async () => {
    child.kill('SIGKILL');
    await child.exited;
    await rm(folder, { recursive: true, force: true });
  });
  const all = async () => {
    for (const port of ports) while (!(await isOpen(port))) await new Promise((go) => setTimeout(go, 20));
  };
  const ended = child.exited.then(() => {
    throw new Error(`HAProxy ended instead of listening:\n${log.entries.join('\n')}`);
  });
  ended.catch(() => {});
  await within(DEADLINE, Promise.race([all(), ended]), 'a listening HAProxy');
  return ports;
}
