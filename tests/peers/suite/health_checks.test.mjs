// What load balancers ask to know whether wsgate serves: real HAProxy's checks, in HTTP/1.0 and without a Host.

import assert from 'node:assert/strict';
import { certificates } from '../support/certificates.mjs';
import { checkedBy } from '../support/haproxy.mjs';
import { freePort } from '../support/nginx.mjs';
import { check } from '../support/ring.mjs';
import { httpServer } from '../support/servers.mjs';
import { startWsgate } from '../support/wsgate.mjs';

const ONLY = { via: ['wsgate'], deadline: 60_000 };

check('HAProxy, whose `option httpchk` names no host, finds wsgate up, and the server behind it is told its own host', ONLY, async (ring) => {
  const server = await httpServer(ring, (request, response) => response.end('ok'));
  const gate = await ring.gate(server, { location: '/' });
  const checks = ['option httpchk GET /health', 'option httpchk HEAD /health', 'option httpchk GET /health HTTP/1.1\\r\\nHost:\\ chat.test'];
  const found = await checkedBy(ring, gate.port, checks);
  assert.deepEqual(found, checks.map(() => ({ status: 'UP', check: 'L7OK', code: '200' })));
  const asked = server.requests.filter(({ url }) => url === '/health');
  const hosts = new Set(asked.map(({ headers }) => headers.host));
  assert.deepEqual([...hosts].sort(), [`127.0.0.1:${server.port}`, 'chat.test'].sort());
});

check('HAProxy finds a listener up that sends everybody to https', ONLY, async (ring) => {
  const server = await httpServer(ring, (request, response) => response.end('ok'));
  const { pairs } = await certificates(ring);
  const [plain, secure] = [await freePort(), await freePort()];
  const listen = { plain: [`127.0.0.1:${plain}`], secure: [`127.0.0.1:${secure}`], redirect: true };
  const gate = await startWsgate({ routes: [['/', server]], tls: pairs, listen });
  ring.gates.push(gate);
  ring.onEnd(() => gate.stop());
  assert.deepEqual(await checkedBy(ring, plain, ['option httpchk GET /']), [{ status: 'UP', check: 'L7OK', code: '308' }]);
  assert.equal(server.requests.length, 0);
});
