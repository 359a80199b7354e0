// docs/from-nginx.md: its examples run on both programs as they stand there, and must do the same.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { certificates } from '../support/certificates.mjs';
import { namespace } from '../support/namespace.mjs';
import { runNginx } from '../support/nginx.mjs';
import { check } from '../support/ring.mjs';
import { startWsgate } from '../support/wsgate.mjs';

const INSIDE = fileURLToPath(new URL('../support/example_inside.mjs', import.meta.url));
const DOCUMENT = await readFile(new URL('../../../docs/from-nginx.md', import.meta.url), 'utf8');

/** The sections of the document that have two files. */
const EXAMPLES = DOCUMENT.split('\n## ')
  .map((section) => ({
    title: section.split('\n', 1)[0],
    before: /```nginx\n(.*?)```/s.exec(section)?.[1],
    after: /```yaml\n(.*?)```/s.exec(section)?.[1],
  }))
  .filter(({ before, after }) => before ?? after);

/** The one path of the examples that is not a test's own, and the one thing in them that is replaced. */
const SOCKET = '/run/app.sock';

const POLLING = ['polling'];
const WEBSOCKET = ['websocket'];
const BOTH = ['polling', 'websocket'];
const at = (port, more) => ({ name: String(port), listen: [port, '127.0.0.1'], ...more });
const page = (url, to, more) => ({ do: 'get', url, to, ...more });
const socket = (url, to, more) => ({ do: 'open', url, to, ...more });
const client = (url, generation, transports, to) => ({ do: 'talk', url, client: generation, transports, to });

/**
 * What is asked in each example, and where it must lead: an upstream and the target that it is asked for, or a status.
 * Where the two programs are meant to differ it is said for each.
 */
const ASKED = {
  '1. A Socket.IO server and a site': {
    upstreams: [at(5001), at(5002, { generation: 4 })],
    journeys: [
      page('http://127.0.0.1/', '5001 /'),
      page('http://chat.example.com/a%20b//c?d=e', '5001 /a%20b//c?d=e'),
      page('http://127.0.0.1/upload', '5001 /upload', { method: 'POST', size: 2_000_000 }),
      page('http://127.0.0.1/who', '5001 /who', { headers: { 'x-request-id': '7', cookie: 'c=d', origin: 'http://a.test' } }),
      page('http://127.0.0.1/spoofed', '5001 /spoofed', { headers: { 'x-forwarded-for': '192.0.2.1' }, spoofed: '192.0.2.1' }),
      socket('ws://127.0.0.1/live?room=1', '5001 /live?room=1'),
      client('http://127.0.0.1', 4, POLLING, '5002 polling'),
      client('http://127.0.0.1', 4, WEBSOCKET, '5002 websocket'),
      client('http://127.0.0.1', 4, BOTH, '5002 websocket'),
    ],
  },
  '2. wss for two names, and http sent there': {
    upstreams: [at(5001), at(5002), at(5003)],
    journeys: [
      page('https://chat.example.com/', '5001 /'),
      page('https://chat.example.com/socket.io/?EIO=4&transport=polling', '5002 /socket.io/?EIO=4&transport=polling'),
      socket('wss://chat.example.com/socket.io/?EIO=4&transport=websocket', '5002 /socket.io/?EIO=4&transport=websocket'),
      socket('wss://a.example.org/socket.io/', '5003 /socket.io/'),
      page('https://b.example.org/x', '5003 /x'),
      page('https://chat.example.com/', '5001 /', { headers: { host: 'elsewhere.test' }, servername: 'chat.example.com' }),
      page('http://chat.example.com/a?b=c', {
        nginx: { status: 301, location: 'https://chat.example.com/a?b=c' },
        wsgate: { status: 308, location: 'https://chat.example.com/a?b=c' },
      }),
      socket('ws://chat.example.com/socket.io/', { nginx: { status: 301 }, wsgate: { status: 426 } }),
    ],
  },
  '3. Paths that are taken off, files, a health check, an old address': {
    upstreams: [at(3000), at(3001), at(3002), at(3003)],
    journeys: [
      page('http://127.0.0.1:8080/healthz', { status: 200, text: 'ok' }),
      page('http://127.0.0.1:8080/healthz2', '3000 /healthz2'),
      page('http://chat.example.com:8080/old/page', { status: 301, location: 'https://chat.example.com/new/' }),
      page('http://127.0.0.1:8080/api/users?id=1', '3000 /users?id=1'),
      page('http://127.0.0.1:8080/api/a%2fb%20c//d', '3000 /a/b%20c/d'),
      page('http://127.0.0.1:8080/api/logo.png', '3003 /api/logo.png'),
      page('http://127.0.0.1:8080/assets/logo.png', '3002 /assets/logo.png'),
      page('http://127.0.0.1:8080/LOGO.PNG', '3003 /LOGO.PNG'),
      page('http://127.0.0.1:8080/', '3000 /'),
      socket('ws://127.0.0.1:8080/live/room?id=7', '3001 /ws/room?id=7'),
      page('http://127.0.0.1:8080/live/', '3001 /ws/'),
      page('http://127.0.0.1:8080/live', {
        nginx: { status: 301, location: 'http://127.0.0.1:8080/live/' },
        wsgate: { status: 301, location: '/live/' },
      }),
      socket('ws://127.0.0.1:8080/live', { nginx: { status: 301 }, wsgate: '3001 /ws/' }),
    ],
  },
  '4. Old and new Socket.IO clients on one path': {
    upstreams: [at(5002, { generation: 2 }), at(5004, { generation: 4 })],
    journeys: [
      ...[POLLING, WEBSOCKET, BOTH].flatMap((transports) => [
        client('http://127.0.0.1', 2, transports, `5002 ${transports.at(-1)}`),
        client('http://127.0.0.1', 4, transports, `5004 ${transports.at(-1)}`),
      ]),
      page('http://127.0.0.1/elsewhere', { status: 404 }),
    ],
  },
  '5. An upstream under TLS, one at a Unix socket, and a header taken out': {
    upstreams: [{ name: '8443', listen: [8443], tls: true }, { name: 'unix', listen: [SOCKET] }],
    journeys: [
      page('http://127.0.0.1:8080/a?b=c', '8443 /a?b=c', { headers: { authorization: 'Basic YTpi' } }),
      socket('ws://127.0.0.1:8080/live', '8443 /live', { headers: { authorization: 'Basic YTpi' } }),
      page('http://127.0.0.1:8080/app/x?y=z', 'unix /x?y=z', { headers: { authorization: 'Basic YTpi' } }),
      socket('ws://127.0.0.1:8080/app/live', 'unix /live'),
    ],
  },
};

/** The two programs, each started on the file of its own. */
const PROGRAMS = {
  nginx: ({ before, folder, command }) => runNginx({ http: before, folder, command }),
  wsgate: async ({ after, folder, command }) => {
    const file = join(folder, 'routes.yaml');
    await writeFile(file, after);
    return startWsgate({ file, command });
  },
};

/** What came of an example's journeys behind one of the programs, each in a network of its own. */
async function outcomes(ring, program, example, { upstreams, journeys }, { folder, caFile, pair }) {
  const space = await namespace(ring);
  const gate = await PROGRAMS[program]({ ...example, folder, command: space.command });
  ring.gates.push(gate);
  ring.onEnd(() => gate.stop());
  const plan = JSON.stringify({ upstreams, journeys, ca: await readFile(caFile, 'utf8'), pair });
  return JSON.parse(await space.run(process.execPath, INSIDE, plan.replaceAll(SOCKET, join(folder, 'app.sock'))));
}

/** What an outcome says about where a journey led. */
function led({ upstream, name, transport, ...answer }) {
  if (upstream) return `${upstream.name} ${upstream.url}`;
  return name ? `${name} ${transport}` : answer;
}

/** The fields that an upstream saw, without what belongs to one connection or to one client's nonce. */
function fields({ upstream: { headers } }) {
  const { connection, 'sec-websocket-key': _, ...rest } = headers;
  const upgrades = rest.upgrade !== undefined;
  assert.equal(connection?.toLowerCase() === 'upgrade', upgrades, `Connection: ${connection}`);
  return rest;
}

/** What there is to say of backends that only echo, where Socket.IO is asked for. */
const ECHOES = ['got_page', 'plain_server', 'redirected'];

for (const example of EXAMPLES) {
  check(`nginx and wsgate do the same: ${example.title}`, { via: ['wsgate'], deadline: 60_000, diagnosed: ECHOES }, async (ring) => {
    const asked = ASKED[example.title];
    assert.ok(asked, 'this example is not asked anything');
    const names = { 'chat.example.com': ['chat.example.com'], 'wild.example.org': ['*.example.org'], localhost: ['localhost'] };
    const { folder: certs, caFile, pairs } = await certificates(ring, names);
    const came = {};
    for (const program of Object.keys(PROGRAMS)) {
      const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-from-'));
      ring.onEnd(() => rm(folder, { recursive: true, force: true }));
      await symlink(certs, join(folder, 'certs'));
      const own = (text) => text.replaceAll(SOCKET, join(folder, 'app.sock'));
      const files = { before: own(example.before), after: own(example.after) };
      came[program] = await outcomes(ring, program, files, asked, { folder, caFile, pair: pairs[2] });
    }
    asked.journeys.forEach((journey, i) => {
      const { to, spoofed } = journey;
      const what = `${journey.do} ${journey.url} ${journey.transports ?? ''}`;
      const [nginx, wsgate] = [came.nginx[i], came.wsgate[i]];
      assert.deepEqual(led(nginx), to.nginx ?? to, `${what}, behind nginx: ${JSON.stringify(nginx)}`);
      assert.deepEqual(led(wsgate), to.wsgate ?? to, `${what}, behind wsgate: ${JSON.stringify(wsgate)}`);
      if (!nginx.upstream || !wsgate.upstream) return;
      const [theirs, ours] = [fields(nginx), fields(wsgate)];
      // The one field that is meant to differ: nginx passes on what the client claims.
      if (spoofed) theirs['x-forwarded-for'] = theirs['x-forwarded-for'].replace(`${spoofed}, `, '');
      assert.deepEqual(ours, theirs, `${what}: the fields that the upstream saw`);
      const { upstream: _, ...answer } = wsgate;
      const { upstream: __, ...same } = nginx;
      assert.deepEqual(answer, same, `${what}: the answer`);
      assert.equal(wsgate.upstream.bytes, nginx.upstream.bytes, `${what}: the bytes of the body`);
    });
  });
}

check('every example of the document is run', { via: ['wsgate'] }, async () => {
  assert.deepEqual(EXAMPLES.map(({ title }) => title), Object.keys(ASKED));
  assert.equal(EXAMPLES.length, 5);
  for (const { before, after } of EXAMPLES) assert.ok(before && after);
});
