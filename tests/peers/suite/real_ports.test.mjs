// The ports that nobody writes, 80 and 443, in a network namespace where they are free. Only in wsgate's own mode.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { certificates } from '../support/certificates.mjs';
import { namespace } from '../support/namespace.mjs';
import { check } from '../support/ring.mjs';
import { DEADLINE, within } from '../support/wait.mjs';
import { BINARY, routesYaml, startWsgate } from '../support/wsgate.mjs';

const OURS = { via: ['wsgate'] };
const EVERYWHERE = { plain: ['0.0.0.0:80', '[::]:80'], secure: ['0.0.0.0:443', '[::]:443'] };
const SERVER = fileURLToPath(new URL('../support/real_ports_server.mjs', import.meta.url));
const CLIENT = fileURLToPath(new URL('../support/real_ports_client.mjs', import.meta.url));

/** A Socket.IO server inside, on a port that the system chose. */
async function serverInside(ring, space) {
  const server = space.start(process.execPath, SERVER);
  ring.onEnd(async () => {
    server.kill('SIGKILL');
    await server.exited;
  });
  const [port] = await within(DEADLINE, once(createInterface({ input: server.stdout }), 'line'), 'the port of the server');
  return { port: Number(port) };
}

/** wsgate and a server in a namespace, and a way to send clients there that trust wsgate's certificate. */
async function inside(ring) {
  const { caFile, pairs } = await certificates(ring);
  const space = await namespace(ring);
  const server = await serverInside(ring, space);
  const settings = { routes: [['/socket.io', server]], tls: pairs, listen: EVERYWHERE, command: space.command };
  const gate = await startWsgate(settings);
  ring.gates.push(gate);
  ring.onEnd(() => gate.stop());
  const client = ['env', `NODE_EXTRA_CA_CERTS=${caFile}`, process.execPath, CLIENT];
  return { gate, ask: async (journeys) => JSON.parse(await space.run(...client, JSON.stringify(journeys))) };
}

check('ws:// and wss:// without a port find wsgate on 80 and 443, by IPv4 and IPv6', OURS, async (ring) => {
  const { gate, ask } = await inside(ring);
  const listening = gate.log.filter(({ message }) => message === 'listening').map(({ address }) => address);
  assert.deepEqual(listening.sort(), [...EVERYWHERE.plain, ...EVERYWHERE.secure].sort());

  const journeys = [];
  for (const scheme of ['ws', 'wss']) {
    for (const transport of ['websocket', 'polling']) {
      for (const address of ['127.0.0.1', '::1']) journeys.push({ url: `${scheme}://a.test`, address, transport });
      journeys.push({ url: `${scheme}://127.0.0.1`, address: '127.0.0.1', transport });
    }
    // Not by polling: in Node the client then says `Host: ::1`, which nginx refuses as well.
    journeys.push({ url: `${scheme}://[::1]`, address: '::1', transport: 'websocket' });
  }
  const expected = journeys.map(({ url, address, transport }) => {
    const { protocol, hostname: host } = new URL(url);
    return { transport, host, forwardedHost: host, forwardedFor: address, forwardedProto: protocol === 'wss:' ? 'https' : 'http' };
  });
  assert.deepEqual(await ask(journeys), expected);
});

check('a usual port that a client spells out is no part of the Host that a server sees', OURS, async (ring) => {
  const { ask } = await inside(ring);
  const urls = ['ws://127.0.0.1:80', 'http://127.0.0.1:80', 'wss://127.0.0.1:443', 'https://127.0.0.1:443'];
  const journeys = urls.flatMap((url) => ['websocket', 'polling'].map((transport) => ({ url, address: '127.0.0.1', transport })));
  const answers = await ask(journeys);
  assert.deepEqual(answers.map(({ host }) => host), journeys.map(() => '127.0.0.1'));
});

/** Starts wsgate as a user who may do nothing but what the options `allowed` of setpriv say. */
async function unprivileged(ring, address, { format = 'json', allowed = [] } = {}) {
  const space = await namespace(ring);
  await space.run('sh', '-c', 'echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start');
  // Where nobody may read them: the folder of a test is its owner's, and so may be the one of the build.
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-nobody-'));
  ring.onEnd(() => rm(folder, { recursive: true, force: true }));
  const [binary, config] = [join(folder, 'wsgate'), join(folder, 'routes.yaml')];
  await copyFile(BINARY, binary);
  await writeFile(config, routesYaml({ routes: [['/', { port: 9 }]], listen: { plain: [address] } }));
  await chmod(folder, 0o755);
  await chmod(binary, 0o755);
  await chmod(config, 0o644);

  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', ...allowed];
  const child = space.start(...nobody, binary, '--config', config, '--log-format', format);
  ring.onEnd(async () => {
    child.kill('SIGKILL');
    await child.exited;
  });
  const lines = [];
  child.lines = createInterface({ input: child.stderr }).on('line', (line) => lines.push(line));
  child.closed = once(child.lines, 'close');
  child.text = () => lines.join('\n').replaceAll(folder, '.');
  ring.gates.push(child);
  return child;
}

/** Until an unprivileged wsgate says that it is ready; then it is told to go, and does. */
async function startsAndStops(child) {
  const ready = new Promise((resolve, reject) => {
    child.lines.on('line', (line) => JSON.parse(line).message === 'ready' && resolve());
    child.lines.on('close', () => reject(new Error('wsgate ended instead')));
  });
  await within(DEADLINE, ready, 'a wsgate that is ready');
  child.kill('SIGTERM');
  assert.deepEqual(await within(DEADLINE, child.exited, 'the end of wsgate'), { code: 0, signal: null });
}

for (const [address, instead] of [
  ['0.0.0.0:80', 8080],
  ['[::]:443', 8443],
]) {
  check(`a user who may not have ${address} is told which address that is and what to do, and wsgate ends with 1`, OURS, async (ring) => {
    const child = await unprivileged(ring, address, { format: 'text' });
    assert.deepEqual(await within(DEADLINE, child.exited, 'the end of wsgate'), { code: 1, signal: null });
    await child.closed;
    assert.equal(
      child.text(),
      `./routes.yaml:3: error: cannot listen on ${address}: permission denied\n`
        + '  = help: ports below 1024 need a permission: start as root, give the binary `setcap cap_net_bind_service=+ep`, '
        + `in systemd \`AmbientCapabilities=CAP_NET_BIND_SERVICE\`, or choose a port such as ${instead}`,
    );
  });
}

check('the permission that wsgate asks for is enough for port 80', OURS, async (ring) => {
  const allowed = ['--inh-caps=+net_bind_service', '--ambient-caps=+net_bind_service'];
  await startsAndStops(await unprivileged(ring, '0.0.0.0:80', { allowed }));
});

check('the port that wsgate proposes instead needs no permission', OURS, async (ring) => {
  await startsAndStops(await unprivileged(ring, '0.0.0.0:8080'));
});
