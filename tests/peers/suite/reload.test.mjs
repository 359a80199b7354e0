// A routes.yaml that is saved while Socket.IO clients of every kind are connected.

import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { certificates } from '../support/certificates.mjs';
import { V2, V4, WEAPP_2, WEAPP_3 } from '../support/clients.mjs';
import { ask, connected, converse, settled } from '../support/conversation.mjs';
import { check } from '../support/ring.mjs';
import { socketIo } from '../support/servers.mjs';
import { Journal } from '../support/wait.mjs';

const WSGATE = { via: ['wsgate'], deadline: 60_000 };

/** Clients of these kinds over ws and over wss, settled on their transport, and a journal of those that are lost. */
async function clientsOf(kinds, ring, gate, ca) {
  const lost = new Journal('lost clients');
  const clients = [];
  for (const kind of kinds) {
    for (const [url, device] of [[gate.ws], [gate.wss, { ca }]]) {
      const client = kind.connect(ring, url, { device });
      await connected(client);
      await settled(client, kind.settles);
      client.on('disconnect', (reason) => lost.add(`${kind.name} at ${url}: ${reason}`));
      clients.push(client);
    }
  }
  return { clients, lost };
}

async function allAreServed(clients, word) {
  const answers = clients.map((client) => ask(client, 'echo', word));
  assert.deepEqual(await Promise.all(answers), clients.map(() => word));
}

check('clients of every kind notice nothing of a file that is saved again and again', WSGATE, async (ring) => {
  const server = await socketIo(ring, 4, { allowEIO3: true });
  const other = await socketIo(ring, 4);
  const { ca, pairs, folder } = await certificates(ring, { a: ['127.0.0.1'], c: ['127.0.0.1'] });
  const mine = ['/socket.io', server];
  const gate = await ring.gate(server, { tls: [pairs[0]] });
  const { clients, lost } = await clientsOf([...V4, ...V2, WEAPP_2, WEAPP_3], ring, gate, ca);
  const more = { plain: ['127.0.0.1:0', '127.0.0.1:0'], secure: ['127.0.0.1:0'] };
  const steps = [
    { routes: [['/other', other], mine] },
    { routes: [mine, ['/other', other], ['~ ^/socket[.]iox', other]] },
    { routes: [mine], top: ['response_timeout: 40s', 'tunnel_timeout: 2h'] },
    { routes: [mine], tls: [pairs[1]] },
    { routes: [mine], listen: more },
    { routes: [mine] },
  ];
  for (const [number, step] of steps.entries()) {
    await gate.save({ tls: [pairs[0]], ...step });
    await allAreServed(clients, `after step ${number}`);
  }
  for (const end of ['pem', 'key']) await copyFile(`${folder}/c.${end}`, `${folder}/a.${end}`);
  await gate.log.find(({ message }) => message === 'certificates renewed');
  await allAreServed(clients, 'after a new certificate');
  assert.deepEqual(lost.entries, []);
  // Who comes now is served too.
  await converse(V4[2].connect(ring, gate.wss, { device: { ca } }), server, V4[2].settles);
});

check('a WebSocket lives on when its own route leads elsewhere, or is gone', WSGATE, async (ring) => {
  const server = await socketIo(ring, 4, { allowEIO3: true });
  const other = await socketIo(ring, 4);
  const { ca, pairs } = await certificates(ring);
  const gate = await ring.gate(server, { tls: pairs });
  const { clients, lost } = await clientsOf([V4[0], V4[2], V2[2], WEAPP_2, WEAPP_3], ring, gate, ca);
  await gate.save({ tls: pairs, routes: [['/socket.io', other]] });
  await allAreServed(clients, 'elsewhere');
  await converse(V4[1].connect(ring, gate.ws), other, V4[1].settles);
  await gate.save({ routes: [['/other', other]] });
  await allAreServed(clients, 'gone');
  assert.deepEqual(lost.entries, []);
});
