// The real wsgate binary with a routes.yaml of its own, on ports that the system chose.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { start } from './child.mjs';
import { Journal, within } from './wait.mjs';

const HERE = fileURLToPath(new URL('..', import.meta.url));
const BINARY = process.env.WSGATE ?? join(HERE, '../../target/debug/wsgate');

function routesYaml(routes, tls) {
  const text = JSON.stringify;
  const lines = ['drain_timeout: 1s', 'listen:', '  - address: 127.0.0.1:0'];
  if (tls) {
    lines.push('  - address: 127.0.0.1:0', '    tls:');
    for (const { cert, key } of tls) lines.push(`      - { cert: ${text(cert)}, key: ${text(key)} }`);
  }
  lines.push('routes:');
  for (const [location, to] of routes) {
    lines.push(`  - location: ${text(location)}`, `    proxy_pass: http://127.0.0.1:${to.port}`);
  }
  return `${lines.join('\n')}\n`;
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return { message: line, unparsed: true };
  }
}

export async function startWsgate({ routes, tls, format = 'json' }) {
  assert.ok(existsSync(BINARY), `no wsgate at ${BINARY}: run "cargo build", or say where it is in WSGATE`);
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-'));
  const config = join(folder, 'routes.yaml');
  await writeFile(config, routesYaml(routes, tls));

  const child = start(BINARY, ['--config', config, '--log-format', format]);
  const lines = [];
  const log = new Journal('log lines');
  const hear = (line) => {
    lines.push(line);
    log.add(format === 'json' ? parsed(line) : { message: line });
  };
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', hear);
  const text = () => lines.join('\n');

  /** Its address for a scheme, out of the line that says it listens there. */
  async function address(scheme) {
    const there = new RegExp(`(?<![a-z])${scheme}://(127\\.0\\.0\\.1:[1-9]\\d*)`);
    const ended = child.exited.then(({ code }) => {
      throw new Error(`wsgate ended with ${code} instead of listening:\n${text()}`);
    });
    ended.catch(() => {});
    const said = (entry) => there.test(entry.url ?? (format === 'json' ? '' : entry.message));
    const entry = await Promise.race([log.find(said), ended]);
    return there.exec(entry.url ?? entry.message)[1];
  }

  async function stop() {
    child.kill('SIGTERM');
    try {
      const { code, signal } = await within(8_000, child.exited, 'the end of wsgate after SIGTERM');
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, 'wsgate ends with 0 after SIGTERM');
      assert.doesNotMatch(text(), /panicked at/);
    } finally {
      child.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true });
    }
  }

  try {
    const plain = await address('ws');
    const secure = tls && (await address('wss'));
    if (format === 'json') await log.find(({ message }) => message === 'ready');
    return {
      http: `http://${plain}`,
      ws: `ws://${plain}`,
      port: Number(plain.split(':')[1]),
      ...(secure && { https: `https://${secure}`, wss: `wss://${secure}`, tlsPort: Number(secure.split(':')[1]) }),
      log,
      text,
      stop,
    };
  } catch (error) {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
    throw new Error(`${error.message}\n${text()}`, { cause: error });
  }
}
