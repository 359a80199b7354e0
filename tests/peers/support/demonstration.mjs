// The demonstration of the README, the example `chat` as it is shipped: its fixed ports are in a network of its own.

import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { namespace } from './namespace.mjs';
import { Journal, within } from './wait.mjs';
import { BINARY } from './wsgate.mjs';

const CHAT = process.env.CHAT ?? join(dirname(BINARY), 'examples/chat');

/** Running, with the `plain` and `secure` addresses that it tells people, its `certificate`, and the way to it. */
export async function demonstration(ring) {
  if (!existsSync(CHAT)) throw new Error(`no ${CHAT}: run "cargo build --example chat", or say where it is in CHAT`);
  const { command, start } = await namespace(ring);
  const child = start(CHAT);
  const lines = new Journal('lines of the demonstration');
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', (line) => lines.add(line));
  const text = () => lines.entries.join('\n');
  ring.gates.push({ text });
  ring.onEnd(async () => {
    child.kill('SIGTERM');
    try {
      const { code } = await within(8_000, child.exited, 'the end of the demonstration after SIGTERM');
      if (code !== 0) throw new Error(`the demonstration ended with ${code}:\n${text()}`);
    } finally {
      child.kill('SIGKILL');
    }
  });

  const ended = child.exited.then(({ code }) => {
    throw new Error(`the demonstration ended with ${code} instead of running:\n${text()}`);
  });
  ended.catch(() => {});
  const said = async (pattern) => pattern.exec(await Promise.race([lines.find((line) => pattern.test(line)), ended]));
  const [, plain, secure] = await said(/open (http:\S+) .* (https:[^\s,]+)/);
  const [, certificate] = await said(/^ +(\S.*\.pem) for localhost/);
  for (const port of [5001, 5002]) await said(new RegExp(`upstream answers .*127\\.0\\.0\\.1:${port}`));
  return { command, plain, secure, certificate: resolve(certificate) };
}
