// Chromium of the distribution, without a window, and pages in it that hold the real bundle of socket.io-client.

import { X509Certificate, createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { httpServer } from './servers.mjs';
import { DEADLINE, within } from './wait.mjs';

const require = createRequire(import.meta.url);
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const OUT = fileURLToPath(new URL('../out/', import.meta.url));

const FLAGS = [
  '--no-sandbox', // it would not start as root
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Nothing leaves the loopback, whatever else a browser may think of.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
];

/** The hash by which Chromium knows a public key. */
function pin(certificate) {
  const { publicKey } = new X509Certificate(readFileSync(certificate));
  return createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
}

/** A program that runs `program` with its arguments behind `command`. */
async function wrapped(ring, command, program) {
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-browser-'));
  ring.onEnd(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'browser');
  await writeFile(file, `#!/bin/sh\nexec ${command.join(' ')} '${program}' "$@"\n`);
  await chmod(file, 0o755);
  return file;
}

/**
 * A browser that is closed with the test. It takes the certificate files of `trust` and no other ones, and starts
 * behind `command`, if there is one. `tab()` opens a page with cookies of its own; each page whose test fails leaves a
 * picture behind.
 */
export async function browser(ring, { trust = [], command = [] } = {}) {
  if (!existsSync(CHROMIUM)) throw new Error(`no Chromium at ${CHROMIUM}: install it, or say where it is in CHROMIUM`);
  const pins = trust.length ? [`--ignore-certificate-errors-spki-list=${trust.map(pin).join(',')}`] : [];
  const running = await chromium.launch({
    executablePath: command.length ? await wrapped(ring, command, CHROMIUM) : CHROMIUM,
    args: [...FLAGS, ...pins],
    timeout: 2 * DEADLINE,
  });
  ring.onEnd(() => running.close());
  let tabs = 0;

  async function tab() {
    const context = await running.newContext();
    context.setDefaultTimeout(DEADLINE);
    const page = await context.newPage();
    tabs += 1;
    const file = join(OUT, `${ring.sentence.replaceAll(/\W+/g, '-').slice(0, 120)}-${tabs}.png`);
    // What the page itself complains about, in the words of the browser's console.
    page.complaints = [];
    page.on('pageerror', (error) => page.complaints.push(String(error)));
    page.on('console', (line) => line.type() === 'error' && page.complaints.push(line.text()));
    ring.onFailure(async () => {
      await mkdir(OUT, { recursive: true });
      await page.screenshot({ path: file, timeout: 5_000 });
      return [`screenshot of ${page.url()}: ${file}`, ...page.complaints].join('\n  ');
    });
    return page;
  }

  return { tab };
}

const BUNDLES = {
  4: join(require.resolve('socket.io-client-4/package.json'), '../dist/socket.io.min.js'),
  2: join(require.resolve('socket.io-client-2/package.json'), '../dist/socket.io.js'),
};

/** A web server whose page has the bundle of that generation; it gives every visitor a cookie `visitor`. */
export async function pageServer(ring, generation) {
  const page = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>peer</title>'
    + '<script src="/client.js"></script><h1>a page with socket.io-client</h1><pre id="said"></pre>';
  const bundle = readFileSync(BUNDLES[generation]);
  return httpServer(ring, ({ url, headers }, answer) => {
    if (url === '/client.js') return answer.setHeader('Content-Type', 'text/javascript').end(bundle);
    const secure = headers['x-forwarded-proto'] === 'https' ? '; Secure' : '';
    answer.setHeader('Content-Type', 'text/html');
    answer.setHeader('Set-Cookie', `visitor=${generation}; Path=/; HttpOnly; SameSite=Lax${secure}`);
    return answer.end(page);
  });
}

/** Connects from inside `page` and gives the client's id; an error to connect is an error here. */
export function connect(page, url, options) {
  const connected = page.evaluate(
    ([to, settings]) =>
      new Promise((resolve, reject) => {
        const client = window.io(to, { forceNew: true, reconnection: false, timeout: 10_000, ...settings });
        const said = [];
        Object.assign(window, { client, said });
        client.on('connect', () => resolve(client.id));
        client.on('connect_error', (error) => reject(new Error(`connect_error: ${error.message ?? error}`)));
        client.on('news', (...news) => {
          said.push(news);
          document.querySelector('#said').textContent += `${JSON.stringify(news)}\n`;
        });
        client.on('file', ({ name, parts }) => said.push([name, ...parts.map((part) => [...new Uint8Array(part)])]));
        client.on('disconnect', (reason) => said.push(['disconnect', reason]));
      }),
    [url, options],
  );
  return within(DEADLINE, connected, `the connection of a page to ${url ?? page.url()}`);
}

/** The answer to an event with `value`, a Buffer being an ArrayBuffer in the page, and a list of bytes when it comes back. */
export function ask(page, event, value) {
  const answered = page.evaluate(
    ([name, what, binary]) =>
      new Promise((resolve) => {
        const sent = binary ? new Uint8Array(what).buffer : what;
        window.client.emit(name, sent, (answer) => {
          resolve(answer instanceof ArrayBuffer ? [...new Uint8Array(answer)] : answer);
        });
      }),
    Buffer.isBuffer(value) ? [event, [...value], true] : [event, value, false],
  );
  return within(DEADLINE, answered, `the answer to "${event}" in a page`);
}

/** What the page heard, once it is `count` things. */
export async function heard(page, count) {
  await page.waitForFunction((wanted) => window.said.length >= wanted, count);
  return page.evaluate(() => window.said);
}

/** Until the page's engine is on that transport. */
export async function settledOn(page, transport) {
  await page.waitForFunction((name) => window.client.io.engine.transport.name === name, transport);
}
