// A real python-socketio server under uvicorn, out of the virtual environment that tests/run makes.

import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { start } from './child.mjs';
import { Journal } from './wait.mjs';

/** The interpreter of the virtual environment. */
export const PYTHON = fileURLToPath(new URL('../.venv/bin/python', import.meta.url));
const SERVER = fileURLToPath(new URL('python_server.py', import.meta.url));

/**
 * A listening server, with journals of its `requests` and `upgrades` (`{ method, query, headers }`, headers as
 * `[name, value]`), and of its `disconnects` (`{ id, reason }`).
 */
export async function pythonServer(ring) {
  if (!existsSync(PYTHON)) throw new Error(`no ${PYTHON}: tests/run makes it, and README.md says how`);
  const child = start(PYTHON, [SERVER]);
  ring.onEnd(async () => {
    child.kill('SIGKILL'); // asked politely, it would wait for open polls
    await child.exited;
  });
  const complaints = [];
  createInterface({ input: child.stderr }).on('line', (line) => complaints.push(line));
  ring.onFailure(async () => complaints.length && `uvicorn said:\n  ${complaints.join('\n  ')}`);

  const listening = new Journal('ports');
  const [requests, upgrades, disconnects] = [new Journal('requests'), new Journal('upgrades'), new Journal('disconnects')];
  createInterface({ input: child.stdout }).on('line', (text) => {
    const { listening: port, seen, left } = JSON.parse(text);
    if (port) listening.add(port);
    if (left) disconnects.add(left);
    if (seen) (seen.type === 'websocket' ? upgrades : requests).add({ ...seen, query: new URLSearchParams(seen.query) });
  });
  const port = await listening.find();
  return { port, requests, upgrades, disconnects, complaints };
}
