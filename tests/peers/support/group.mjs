// Several servers that know nothing of one another, each a process of its own, and a wsgate before them.

import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { start } from './child.mjs';
import { PYTHON } from './python.mjs';
import { Journal } from './wait.mjs';

const NODE_SERVER = fileURLToPath(new URL('fleet_server.mjs', import.meta.url));
const PYTHON_SERVER = fileURLToPath(new URL('python_fleet_server.py', import.meta.url));
const CLUSTER = fileURLToPath(new URL('sticky_cluster.mjs', import.meta.url));

/** The lines of JSON of a child as journals by their key, its complaints on stderr, and a way to kill it. */
export function heard(ring, child) {
  const journals = {};
  const of = (key) => (journals[key] ??= new Journal(key));
  const complaints = [];
  createInterface({ input: child.stderr }).on('line', (line) => complaints.push(line));
  createInterface({ input: child.stdout }).on('line', (text) => {
    for (const [key, value] of Object.entries(JSON.parse(text))) of(key).add(value);
  });
  const kill = async (signal = 'SIGKILL') => {
    child.kill(signal);
    await child.exited;
  };
  ring.onEnd(() => kill());
  ring.onFailure(async () => complaints.length > 0 && `a server said:\n  ${complaints.slice(-20).join('\n  ')}`);
  return { of, complaints, kill };
}

/**
 * A Socket.IO server of generation 4, 2 or `python` in a process of its own: its `name` and `port`, journals of sessions
 * that were `opened` and `closed` and of what only a health check asks (`checked`), `open()` for how many there are, `kill(signal)`.
 */
export async function fleetServer(ring, { generation = 4, name, port = 0, host, options }) {
  const python = generation === 'python';
  const settings = JSON.stringify({ generation, name, port, host, options });
  const child = start(...(python ? [PYTHON, [PYTHON_SERVER, settings]] : [process.execPath, [NODE_SERVER, settings]]));
  const { of, complaints, kill } = heard(ring, child);
  const ended = child.exited.then(({ code }) => {
    throw new Error(`server ${name} ended with ${code} instead of listening:\n${complaints.join('\n')}`);
  });
  ended.catch(() => {});
  const listening = await Promise.race([of('listening').find(), ended]);
  const [opened, closed, checked] = ['opened', 'closed', 'checked'].map(of);
  return { name, port: listening, opened, closed, checked, open: () => opened.length - closed.length, kill };
}

/** Servers of the same kind, by name; all are started at once. */
export function fleetServers(ring, names, settings = {}) {
  return Promise.all(names.map((name) => fleetServer(ring, { name, ...settings })));
}

/** A cluster of workers behind that version of @socket.io/sticky (`1`, `1.0.4`, `2`), a server to those before it. */
export async function stickyCluster(ring, { version = '1', name = 'cluster', workers = 3 } = {}) {
  const child = start(process.execPath, [CLUSTER, JSON.stringify({ version, name, workers })]);
  const { of, kill } = heard(ring, child);
  return { name, port: await of('listening').find(), kill };
}

/** `host:port` of each server. */
export const addresses = (servers) => servers.map(({ port }) => `127.0.0.1:${port}`);

/** A whole routes.yaml, as an object: `group` has what else the one group is told, `top` what stands beside it. */
export function groupFile(servers, { group = {}, top = {}, location = '/socket.io', listen = '127.0.0.1:0' } = {}) {
  return {
    drain_timeout: '1s',
    ...top,
    listen: [{ address: listen }],
    upstreams: { chat: { servers: servers.map((server) => server.line ?? `127.0.0.1:${server.port}`), ...group } },
    routes: [{ location, proxy_pass: 'http://chat' }],
  };
}

/** A wsgate before these servers. */
export function groupGate(ring, servers, settings) {
  return ring.gate(null, { document: groupFile(servers, settings) });
}
