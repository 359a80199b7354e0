// A v4 server with allowEIO3 and every client that it takes.

import assert from 'node:assert/strict';
import { V2, V4, WEAPP_2, WEAPP_3 } from '../support/clients.mjs';
import { connected, converse } from '../support/conversation.mjs';
import { check, wsgate } from '../support/ring.mjs';
import { socketIo } from '../support/servers.mjs';
import { next } from '../support/wait.mjs';

/** The transport really is what is claimed: in the backend's requests and in wsgate's log. */
async function assertTransports(kind, server, gate) {
  const polls = server.requests.filter(({ url }) => url.includes('transport=polling'));
  assert.equal(server.requests.length, polls.length, 'every ordinary request is a poll');
  assert.equal(polls.length > 0, kind.transports.includes('polling'));
  assert.equal(server.upgrades.length, kind.transports.includes('websocket') ? 1 : 0);
  for (const { url } of [...polls, ...server.upgrades.entries]) {
    assert.match(url, /^\/socket\.io\/\?/);
    assert.equal(new URL(url, 'http://x').searchParams.get('EIO'), kind.eio);
  }
  if (!wsgate) return;
  if (kind.transports.includes('websocket')) {
    const { request } = await gate.log.find(({ message }) => message === 'tunnel opened');
    assert.match(request, new RegExp(`^GET /socket\\.io/\\?\\S*EIO=${kind.eio}\\S* HTTP/1\\.1$`));
    assert.match(request, /transport=websocket/);
  }
  if (kind.transports.includes('polling')) {
    const isPoll = ({ message, request }) => message === 'request' && request.includes('transport=polling');
    const { status, location } = await gate.log.find(isPoll);
    assert.equal(Number(status), 200);
    assert.equal(location, '/socket.io');
  }
  const opened = gate.log.filter(({ message }) => message === 'tunnel opened');
  assert.equal(opened.length, server.upgrades.length);
}

for (const kind of [...V4, ...V2, WEAPP_2, WEAPP_3]) {
  check(`${kind.name} and a v4 server with allowEIO3 talk both ways, and the server sees it leave`, async (ring) => {
    const server = await socketIo(ring, 4, { allowEIO3: true });
    const gate = await ring.gate(server);
    const client = kind.connect(ring, gate.ws);
    const { id } = await converse(client, server, kind.settles);

    client.close();
    const left = await server.disconnects.find((d) => d.id === id);
    assert.equal(left.reason, 'client namespace disconnect');
    await assertTransports(kind, server, gate);
  });
}

for (const kind of [V4[0], V2[0]]) {
  check(`${kind.name} that vanishes is a transport close for the v4 server`, async (ring) => {
    const server = await socketIo(ring, 4, { allowEIO3: true });
    const gate = await ring.gate(server);
    const client = kind.connect(ring, gate.ws);
    await connected(client);
    const { id } = client;

    client.io.engine.transport.ws._socket.destroy();
    const left = await server.disconnects.find((d) => d.id === id, 2_000);
    assert.equal(left.reason, 'transport close');
  });
}

/** One that polls may be about to POST when the server closes its session. */
const postsOn = ({ settles }) => (settles === 'polling' ? ['session_unknown'] : []);

for (const kind of [...V4, ...V2, WEAPP_2, WEAPP_3]) {
  check(`${kind.name} that a v4 server disconnects knows that the server did it`, { diagnosed: postsOn(kind) }, async (ring) => {
    const server = await socketIo(ring, 4, { allowEIO3: true });
    const gate = await ring.gate(server);
    const client = kind.connect(ring, gate.ws);
    await connected(client);
    const { socket } = await server.connections.find();

    const disconnect = next(client, 'disconnect');
    socket.disconnect(true);
    const [reason] = await disconnect;
    assert.equal(reason, 'io server disconnect');
    const left = await server.disconnects.find();
    assert.equal(left.reason, 'server namespace disconnect');
  });
}
