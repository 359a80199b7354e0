// What stands before several wsgates that share nothing: each connection goes to one of them, chosen at random.

import { once } from 'node:events';
import net from 'node:net';

/**
 * A listening picker before `ports`, with its `port`. One that refuses a connection is passed over, as load balancers do; and none
 * is sent to one that `leaves`, which is over when what was sent there has its request, until it `returns`.
 * `cut(port)` is the set of the sessions whose connection ended there without an answer: no proxy can save a poll that is under
 * way in a process that is killed, and both ends of it take the session for lost.
 */
export async function picker(ring, ports) {
  const connections = new Set();
  const broken = new Map(ports.map((port) => [port, new Set()]));
  const absent = new Set();
  const connecting = new Map(ports.map((port) => [port, 0]));

  function connect(client, head, left) {
    const port = left[Math.floor(Math.random() * left.length)];
    if (port === undefined) return client.destroy();
    const gate = net.connect(port, '127.0.0.1');
    const settle = () => connecting.set(port, connecting.get(port) - 1);
    connecting.set(port, connecting.get(port) + 1);
    connections.add(gate);
    let isConnected = false;
    gate.on('error', () => {});
    gate.on('close', () => {
      connections.delete(gate);
      if (!isConnected) settle();
      if (!isConnected && !client.destroyed) return connect(client, head, left.filter((other) => other !== port));
      const sid = /[?&]sid=([^& ]+)/.exec(head)?.[1];
      if (sid && gate.bytesRead === 0 && !client.destroyed) broken.get(port).add(sid);
      return client.destroySoon();
    });
    gate.on('connect', () => {
      isConnected = true;
      gate.write(head, settle);
      client.pipe(gate).pipe(client);
    });
    client.on('close', () => gate.destroy());
    return undefined;
  }

  const server = net.createServer((client) => {
    connections.add(client);
    client.on('error', () => {});
    client.on('close', () => connections.delete(client));
    client.once('data', (head) => {
      client.pause();
      connect(client, head, ports.filter((one) => !absent.has(one)));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ring.onEnd(() => {
    server.close();
    for (const connection of connections) connection.destroy();
  });
  const { port } = server.address();
  async function leaves(gate) {
    absent.add(gate);
    while (connecting.get(gate) > 0) await new Promise((go) => setImmediate(go));
  }

  return { http: `http://127.0.0.1:${port}`, port, leaves, returns: (gate) => absent.delete(gate), cut: (gate) => broken.get(gate) };
}
