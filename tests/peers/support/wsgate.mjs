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
export const BINARY = process.env.WSGATE ?? join(HERE, '../../target/debug/wsgate');

/** Where to listen, plainly and (with `tls`) by TLS; port 0 is the system's choice. */
const LISTEN = { plain: ['127.0.0.1:0'], secure: ['127.0.0.1:0'] };

/** A routes.yaml of these parts, or of the `document` that is the whole of it: an object, since JSON is YAML. */
export function routesYaml({ document, routes, tls, top = [], listen: { plain, secure, more = [], redirect } = LISTEN }) {
  if (document) return `${JSON.stringify(document, null, 2)}\n`;
  const text = JSON.stringify;
  const rest = more.map((line) => `    ${line}`);
  const lines = ['drain_timeout: 1s', ...top, 'listen:', ...plain.flatMap((address) => [`  - address: ${text(address)}`, ...rest])];
  if (redirect) lines.push('    redirect: https');
  for (const address of tls ? secure : []) {
    lines.push(`  - address: ${text(address)}`, ...rest, '    tls:');
    for (const { cert, key } of tls) lines.push(`      - { cert: ${text(cert)}, key: ${text(key)} }`);
  }
  lines.push('routes:');
  for (const [location, to, when, more = []] of routes) {
    lines.push(`  - location: ${text(location)}`, `    proxy_pass: http://127.0.0.1:${to.port}`);
    if (when) lines.push(`    when: ${text(when)}`);
    lines.push(...more.map((line) => `    ${line}`));
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

/**
 * A running wsgate, started behind `command`, if there is one. It has urls unless it is given addresses to `listen` on,
 * or a `file` that says everything.
 */
export async function startWsgate({ document, routes, tls, top, format = 'json', listen, file, command = [] }) {
  assert.ok(existsSync(BINARY), `no wsgate at ${BINARY}: run "cargo build", or say where it is in WSGATE`);
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-'));
  const config = file ?? join(folder, 'routes.yaml');
  if (!file) await writeFile(config, routesYaml({ document, routes, tls, top, listen }));

  const [program, ...args] = [...command, BINARY, '--config', config, '--log-format', format];
  const child = start(program, args);
  const lines = [];
  const log = new Journal('log lines');
  const hear = (line) => {
    lines.push(line);
    log.add(format === 'json' ? parsed(line) : { message: line });
  };
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', hear);
  const text = () => lines.join('\n');

  /** The line of the log that matches, unless wsgate ends without it. */
  function said(matches) {
    const ended = child.exited.then(({ code }) => {
      throw new Error(`wsgate ended with ${code} instead of listening:\n${text()}`);
    });
    ended.catch(() => {});
    return Promise.race([log.find(matches), ended]);
  }

  /** Its address for a scheme, out of the line that says it listens there. */
  async function address(scheme) {
    const there = new RegExp(`(?<![a-z])${scheme}://(127\\.0\\.0\\.1:[1-9]\\d*)`);
    const entry = await said(({ url, message }) => there.test(url ?? (format === 'json' ? '' : message)));
    return there.exec(entry.url ?? entry.message)[1];
  }

  /** Saves another routes.yaml, and waits until it is served. */
  async function save(content) {
    const isReload = ({ message }) => message === 'reloaded';
    const before = log.filter(isReload).length;
    await writeFile(config, routesYaml(content));
    await log.several(before + 1, isReload);
  }

  /** Ends it as a crash would, without a word. */
  async function kill() {
    child.kill('SIGKILL');
    await child.exited;
    await rm(folder, { recursive: true, force: true });
  }

  async function stop() {
    if (child.signalCode === 'SIGKILL') return;
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
    const fixed = listen ?? file;
    const plain = !fixed && (await address('ws'));
    const secure = !fixed && tls && (await address('wss'));
    if (format === 'json') await said(({ message }) => message === 'ready');
    if (fixed) return { log, text, stop };
    return {
      http: `http://${plain}`,
      ws: `ws://${plain}`,
      port: Number(plain.split(':')[1]),
      ...(secure && { https: `https://${secure}`, wss: `wss://${secure}`, tlsPort: Number(secure.split(':')[1]) }),
      pid: child.pid,
      log,
      text,
      save,
      stop,
      kill,
    };
  } catch (error) {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
    throw new Error(`${error.message}\n${text()}`, { cause: error });
  }
}
