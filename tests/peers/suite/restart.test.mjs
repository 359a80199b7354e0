// A Socket.IO server that dies under its clients and comes back at the same port.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { V2, V4, WEAPP_2, WEAPP_3 } from '../support/clients.mjs';
import { ask, connected } from '../support/conversation.mjs';
import { start } from '../support/child.mjs';
import { ask as request } from '../support/http.mjs';
import { check, wsgate } from '../support/ring.mjs';
import { DEADLINE, Journal, next, within } from '../support/wait.mjs';

const SERVER = fileURLToPath(new URL('../support/restartable.mjs', import.meta.url));
const KINDS = [...V4, ...V2, WEAPP_2, WEAPP_3];

async function boot(ring, port, name) {
  const child = start(process.execPath, [SERVER, String(port), name], { stdio: ['ignore', 'pipe', 'inherit'] });
  ring.onEnd(() => child.kill('SIGKILL'));
  const [said] = await within(DEADLINE, once(child.stdout, 'data'), 'the port of a server');
  return { child, port: Number(said) };
}

for (const signal of ['SIGKILL', 'SIGTERM']) {
  check(`a server that is restarted after ${signal} gets its clients of all kinds back`, { deadline: 60_000, diagnosed: ['unanswered', 'session_unknown'] }, async (ring) => {
    const first = await boot(ring, 0, 'first');
    const gate = await ring.gate(first);
    const again = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };
    const clients = KINDS.map((kind) => kind.connect(ring, gate.ws, again));
    const boots = clients.map((client) => {
      const journal = new Journal('boots');
      client.on('boot', (name) => journal.add(name));
      return journal;
    });
    await Promise.all(clients.map(connected));
    for (const client of clients) assert.equal(await ask(client, 'echo', 'hello'), 'first hello');
    const ids = clients.map(({ id }) => id);

    const losses = clients.map((client) => next(client, 'disconnect'));
    first.child.kill(signal);
    await within(DEADLINE, first.child.exited, 'the end of the first server');
    const reasons = new Set((await Promise.all(losses)).map(([reason]) => reason));
    assert.ok([...reasons].every((reason) => ['transport close', 'transport error'].includes(reason)), [...reasons].join());

    if (wsgate) {
      const answer = await request(`${gate.http}/socket.io/?EIO=4&transport=polling`);
      assert.equal(answer.status, 502);
      assert.match(answer.body.toString(), /^wsgate: [^\n]+\n?$/);
      // Polls that were held when the server died are 502 for another reason.
      const line = await gate.log.find(({ message, reason }) => message === 'request' && /refused/i.test(reason));
      assert.equal(line.level, 'WARN');
      assert.equal(Number(line.status), 502);
      assert.ok(line.reason.includes(`127.0.0.1:${first.port}`), line.reason);
    }

    const second = await boot(ring, first.port, 'second');
    assert.equal(second.port, first.port);
    await Promise.all(boots.map((journal) => journal.find((name) => name === 'second', 20_000)));
    for (const [i, client] of clients.entries()) {
      assert.equal(await ask(client, 'echo', 'hello'), 'second hello', KINDS[i].name);
      assert.notEqual(client.id, ids[i]);
      assert.deepEqual(boots[i].entries, ['first', 'second'], KINDS[i].name);
    }
  });
}
