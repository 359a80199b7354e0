// Clients that come back to their server by a cookie, where the group does not ask about sessions.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import WebSocket from 'ws';
import { FLEET, fleet, POLLING, UPGRADED } from '../support/fleet.mjs';
import { fleetServers, groupGate } from '../support/group.mjs';
import { ask } from '../support/http.mjs';
import { check } from '../support/ring.mjs';

const NAMES = ['a', 'b', 'c'];
const COOKIE = { via: ['wsgate'], deadline: 120_000 };
const CHAT = '/socket.io/?EIO=4&transport=';

const groupWith = async (ring, cookie, more = {}) => {
  const servers = await fleetServers(ring, NAMES);
  return groupGate(ring, servers, { group: { sticky: { cookie }, ...more } });
};

check('clients with a jar stay with their server by a cookie, and clients without one do not', { ...COOKIE, diagnosed: ['session_unknown'] }, async (ring) => {
  const gate = await groupWith(ring, 'srv');
  for (const transports of [POLLING, UPGRADED]) {
    const jar = await fleet(ring, 4, gate.http, { transports, withCredentials: true });
    assert.deepEqual([jar.well, jar.faults], [FLEET, []], `by ${transports}`);
    assert.deepEqual(Object.keys(jar.servers).sort(), NAMES);
    const python = await fleet(ring, 'python', gate.http, { transports });
    assert.deepEqual([python.well, python.faults], [FLEET, []], `python by ${transports}`);
  }
  const { well } = await fleet(ring, 4, gate.http);
  assert.equal(well, 0, 'without a jar');
});

/** The value of the cookie that an answer sets, and what else the answer says of it. */
function setCookie(headers) {
  const [line, ...more] = headers['set-cookie'] ?? [];
  assert.deepEqual(more, [], 'one cookie at most');
  return line && { value: /^srv=([^;]+)/.exec(line)[1], line };
}

/** Opens a tunnel with this cookie; what the 101 says. */
async function upgraded(ring, gate, cookie) {
  const socket = new WebSocket(`${gate.ws}${CHAT}websocket`, { headers: cookie ? { Cookie: cookie } : {} });
  ring.onEnd(() => socket.terminate());
  socket.on('error', () => {});
  const [{ headers }] = await once(socket, 'upgrade');
  return { server: headers['x-server'], cookie: setCookie(headers) };
}

check('a cookie is set on a poll and on a 101, once, leads to its server, and shows no address', COOKIE, async (ring) => {
  const gate = await groupWith(ring, 'srv', { balance: 'round_robin' });
  const values = new Map();
  for (let number = 0; number < 6; number += 1) {
    const { headers } = await ask(`${gate.http}${CHAT}polling`);
    values.set(headers['x-server'], setCookie(headers).value);
    const tunnel = await upgraded(ring, gate);
    assert.equal(tunnel.cookie.value, values.get(tunnel.server) ?? tunnel.cookie.value);
  }
  assert.deepEqual([...values.keys()].sort(), NAMES);
  assert.equal(new Set(values.values()).size, 3);
  for (const [server, value] of values) {
    assert.match(value, /^[\w-]{10,40}$/);
    assert.doesNotMatch(value, new RegExp(String(gate.port)));
    for (let number = 0; number < 4; number += 1) {
      const headers = { Cookie: `theme=dark; srv=${value}` };
      const poll = await ask(`${gate.http}${CHAT}polling`, { headers });
      assert.deepEqual([poll.headers['x-server'], setCookie(poll.headers)], [server, undefined]);
      assert.deepEqual(await upgraded(ring, gate, `srv=${value}`), { server, cookie: undefined });
    }
  }
  const wrong = await ask(`${gate.http}${CHAT}polling`, { headers: { Cookie: 'srv=AAAAAAAAAAAAAAAA' } });
  assert.ok([...values.values()].includes(setCookie(wrong.headers).value), 'a cookie of nobody is replaced');
  const options = await ask(`${gate.http}${CHAT}polling`, { method: 'OPTIONS', headers: { Origin: 'http://a.test' } });
  assert.equal(setCookie(options.headers), undefined, 'OPTIONS gets none');
});

check('another wsgate before the same servers gives and takes the same cookies', COOKIE, async (ring) => {
  const servers = await fleetServers(ring, NAMES);
  const group = { sticky: { cookie: 'srv' }, balance: 'round_robin' };
  const [one, other] = [await groupGate(ring, servers, { group }), await groupGate(ring, [...servers].reverse(), { group })];
  for (let number = 0; number < 3; number += 1) {
    const { headers } = await ask(`${one.http}${CHAT}polling`);
    const { value } = setCookie(headers);
    const there = await ask(`${other.http}${CHAT}polling`, { headers: { Cookie: `srv=${value}` } });
    assert.deepEqual([there.headers['x-server'], setCookie(there.headers)], [headers['x-server'], undefined]);
  }
});
