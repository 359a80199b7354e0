// Two hundred clients of every kind, and every message exactly once and in order at each.

import assert from 'node:assert/strict';
import { V2, V4, WEAPP_2, WEAPP_3 } from '../support/clients.mjs';
import { connected } from '../support/conversation.mjs';
import { check } from '../support/ring.mjs';
import { socketIo } from '../support/servers.mjs';
import { DEADLINE, Journal, within } from '../support/wait.mjs';

const KINDS = [...V4, ...V2, WEAPP_2, WEAPP_3];
const CLIENTS = 200;
const MESSAGES = Array.from({ length: 50 }, (_, i) => `message ${i} 消息`);

check(
  '200 clients of all kinds get a broadcast of 50 messages, each exactly once and in order',
  { deadline: 90_000 },
  async (ring) => {
    const server = await socketIo(ring, 4, { allowEIO3: true });
    const gate = await ring.gate(server);
    const clients = Array.from({ length: CLIENTS }, (_, i) => KINDS[i % KINDS.length].connect(ring, gate.ws, { timeout: 30_000 }));
    const heard = clients.map((client) => {
      const journal = new Journal('broadcast messages');
      client.on('news', (text) => journal.add(text));
      return journal;
    });
    await Promise.all(clients.map((client) => within(30_000, connected(client), 'the connection of one of 200')));
    assert.equal(server.connections.length, CLIENTS);

    for (const text of MESSAGES) {
      server.io.emit('news', text);
      // The event loop goes round between two messages: polls and upgrades fall between them as well.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(heard.map((journal) => journal.several(MESSAGES.length, undefined, 30_000)));

    // What comes after the last message: a second copy of anything would have come before it.
    const done = clients.map((client) => new Promise((resolve) => client.once('done', resolve)));
    server.io.emit('done');
    await within(30_000, Promise.all(done), 'the end of the broadcast at 200 clients');
    for (const [i, journal] of heard.entries()) assert.deepEqual(journal.entries, MESSAGES, KINDS[i % KINDS.length].name);

    for (const client of clients) client.close();
    await server.disconnects.several(CLIENTS, undefined, 3 * DEADLINE);
    const reasons = new Set(server.disconnects.entries.map(({ reason }) => reason));
    assert.deepEqual([...reasons], ['client namespace disconnect']);
  },
);
