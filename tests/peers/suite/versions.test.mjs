// A v2 server and a v4 one on the same path: each client comes to the one that speaks its protocol.

import assert from 'node:assert/strict';
import { V2, V4, WEAPP_2, WEAPP_3 } from '../support/clients.mjs';
import { converse } from '../support/conversation.mjs';
import { check } from '../support/ring.mjs';
import { socketIo } from '../support/servers.mjs';

for (const kind of [...V4, ...V2, WEAPP_2, WEAPP_3]) {
  const generation = kind.eio === '3' ? 2 : 4;
  check(`${kind.name} comes to the v${generation} server by its EIO=${kind.eio}`, { via: ['wsgate'] }, async (ring) => {
    // Without allowEIO3, so that the v4 server would refuse whoever came there by mistake.
    const servers = { 2: await socketIo(ring, 2), 4: await socketIo(ring, 4) };
    const gate = await ring.gate(null, {
      routes: [
        ['/socket.io', servers[4]],
        ['/socket.io', servers[2], { query: { EIO: '3' } }],
      ],
    });
    const client = kind.connect(ring, gate.ws);
    await converse(client, servers[generation], kind.settles);
    client.close();

    const other = servers[generation === 2 ? 4 : 2];
    assert.deepEqual([other.requests.length, other.upgrades.length], [0, 0], 'nothing came to the other server');
  });
}
