// A namespace is not a path: `ws://host/hello` asks for /socket.io/ and the name travels inside.

import assert from 'node:assert/strict';
import { V2, V4 } from '../support/clients.mjs';
import { ask, connected } from '../support/conversation.mjs';
import { check, wsgate } from '../support/ring.mjs';
import { socketIo } from '../support/servers.mjs';
import { next } from '../support/wait.mjs';

for (const [generation, kinds, connections] of [
  [2, V2, ['/', '/hello']],
  [4, V4, ['/hello']],
]) {
  for (const kind of kinds) {
    check(`${kind.name} of ws://host/hello reaches the namespace /hello and asks only for /socket.io/`, async (ring) => {
      const server = await socketIo(ring, generation);
      const gate = await ring.gate(server);
      const client = kind.connect(ring, `${gate.ws}/hello`);
      await connected(client);
      assert.equal(client.nsp, '/hello');
      assert.equal(await ask(client, 'echo', 'in /hello'), 'in /hello');
      assert.deepEqual(server.connections.entries.map(({ nsp }) => nsp), connections);

      const elsewhere = [...server.requests.entries, ...server.upgrades.entries].filter(
        ({ url }) => !url.startsWith('/socket.io/?'),
      );
      assert.deepEqual(elsewhere, []);
      if (wsgate) assert.ok(!gate.text().includes('GET /hello'));
    });
  }

  check(`events of / and /hello of a v${generation} server stay apart over one connection`, async (ring) => {
    const server = await socketIo(ring, generation);
    const gate = await ring.gate(server);
    const root = kinds[0].connect(ring, gate.ws);
    await connected(root);
    const hello = root.io.socket('/hello');
    ring.onEnd(() => hello.close());
    await connected(hello);
    assert.equal(server.upgrades.length, 1, 'one WebSocket for both');

    const heard = [];
    root.on('news', (text) => heard.push(`/ ${text}`));
    hello.on('news', (text) => heard.push(`/hello ${text}`));
    const last = next(hello, 'last');
    server.io.of('/').emit('news', 'a');
    server.io.of('/hello').emit('news', 'b');
    server.io.of('/hello').emit('last');
    await last;
    assert.deepEqual(heard, ['/ a', '/hello b']);
  });
}
