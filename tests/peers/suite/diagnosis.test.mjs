// Why a client is refused, in the log: the exact line for each case, with real clients and servers. That healthy ones cause no
// line is asserted by every other test of the ring. Only in wsgate's own mode.

import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket, { WebSocketServer } from 'ws';
import { V2, V4, WEAPP_2 } from '../support/clients.mjs';
import { ask, parts, raw, untouched, upgradeHead } from '../support/http.mjs';
import { freePort, runNginx } from '../support/nginx.mjs';
import { pythonServer } from '../support/python.mjs';
import { check } from '../support/ring.mjs';
import { httpServer, socketIo } from '../support/servers.mjs';
import { DEADLINE, next, within } from '../support/wait.mjs';
import { nodejsWebsocketServer, opened, wsServer } from '../support/websockets.mjs';

const ALLOW_EIO3 =
  'the server is of version 3 or 4 and was not started with `allowEIO3: true`: set that, or use a client of version 3 or 4';
const OTHER_PATH =
  "no Socket.IO server is at this path: the server's option `path` and the client's must be the same, and what `proxy_pass` " +
  'has as a path replaces the location; `wsgate explain URL --connect` asks it';
const NO_WEBSOCKET =
  'what the location leads to has no WebSocket at this path: correct the path, or lead the location to the server that has; ' +
  '`wsgate explain URL --connect` asks it';
const NO_SLASH =
  'no Socket.IO server answers at `/socket.io`: its clients ask for `/socket.io/`, with a slash';
const TWO_LINES =
  'an nginx before wsgate needs `proxy_http_version 1.1;`, `proxy_set_header Upgrade $http_upgrade;` and ' +
  '`proxy_set_header Connection upgrade;` in its location';
const PLAIN = 'connect with `new WebSocket`, or lead this location to the Socket.IO server';
const ASKS_PLAIN = 'a Socket.IO client asks a WebSocket server that does not speak Engine.IO: ';
const PLAIN_CLIENT = {
  kind: 'plain_client',
  why: 'a WebSocket client without `EIO` in its query, so not one of Socket.IO, asks a Socket.IO server',
  help: 'connect with a Socket.IO client, or lead other WebSockets to their own server by a location of their own',
};
const LOG = "the upstream's own log may say why; if it is told to speak TLS, write `https://` in `proxy_pass`";

const POLLING = 'GET /socket.io/?EIO=4&transport=polling&.. HTTP/1.1';
const UPGRADE = 'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1';

/** A check whose one route leads to what `serve` gives, whose log is text, and in which this finding is to be made. */
function diagnosis(sentence, kind, serve, act, { location = '/socket.io', ...options } = {}) {
  check(sentence, { via: ['wsgate'], diagnosed: [kind] }, async (ring) => {
    const server = await serve(ring);
    const gate = await ring.gate(server, { location, format: 'text', ...options });
    const { level = 'WARN', request, why, help } = await act(ring, gate, server);
    const found = await gate.log.find(({ message }) => message.includes(` diagnosis kind="${kind}"`));
    const place = 5 + (options.top?.length ?? 0);
    const line = found.message.replace(/route="\S*\//, 'route="').replace(/remote_addr="127\.0\.0\.1:\d+"/, 'remote_addr="…"');
    assert.equal(
      line.replace(/^\S+ +/, ''),
      `${level} diagnosis kind="${kind}" remote_addr="…" request="${request}" upstream_addr="127.0.0.1:${server.port}" ` +
        `location="${location}" route="routes.yaml:${place}" why="${why}" help="${help}"`,
    );
    await gate.stop();
    assert.equal(gate.text().split(' diagnosis ').length, 2, 'and only one line');
  });
}

/** A client of this kind that is refused. */
async function refused(ring, gate, kind, options = {}) {
  const [error] = await next(kind.connect(ring, gate.ws, options), 'connect_error');
  return error;
}

/** A ws client that is refused; the status. */
async function refusedSocket(ring, url) {
  const client = new WebSocket(url);
  ring.onEnd(() => client.terminate());
  client.on('error', () => {});
  const [, { statusCode }] = await within(DEADLINE, once(client, 'unexpected-response'), 'the refusal');
  return statusCode;
}

const v4 = (ring) => socketIo(ring, 4);
const v2 = (ring) => socketIo(ring, 2);

/** A web server that knows of no upgrade, and so takes one for any other request. */
const page = (status, headers = {}) => async (ring) => {
  const http = createServer((_, answer) => answer.writeHead(status, headers).end('<!doctype html>'));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  ring.onEnd(() => {
    http.closeAllConnections();
    http.close();
  });
  return { port: http.address().port };
};

const EIO3 = { why: 'the client speaks EIO=3, and the server does not take that', help: ALLOW_EIO3 };
for (const [kind, request] of [
  [V2[0], 'GET /socket.io/?EIO=3&transport=websocket HTTP/1.1'],
  [V2[1], 'GET /socket.io/?EIO=3&transport=polling&.. HTTP/1.1'],
  [V2[2], 'GET /socket.io/?EIO=3&transport=polling&.. HTTP/1.1'],
  [WEAPP_2, 'GET /socket.io/?EIO=3&transport=websocket HTTP/1.1'],
]) {
  diagnosis(`the log says that a v4 server without allowEIO3 refuses ${kind.name}`, 'eio3_refused', v4, async (ring, gate) => {
    await refused(ring, gate, kind);
    return { request, ...EIO3 };
  });
}

check('the same line as JSON', { via: ['wsgate'], diagnosed: ['eio3_refused'] }, async (ring) => {
  const server = await socketIo(ring, 4);
  const gate = await ring.gate(server);
  await refused(ring, gate, WEAPP_2);
  const { timestamp, remote_addr: client, route, ...line } = await gate.log.find(({ message }) => message === 'diagnosis');
  assert.ok(Number.isFinite(Date.parse(timestamp)), timestamp);
  assert.match(client, /^127\.0\.0\.1:\d+$/);
  assert.match(route, /\/routes\.yaml:5$/);
  assert.deepEqual(line, {
    level: 'WARN',
    message: 'diagnosis',
    kind: 'eio3_refused',
    request: 'GET /socket.io/?EIO=3&transport=websocket HTTP/1.1',
    upstream_addr: `127.0.0.1:${server.port}`,
    location: '/socket.io',
    ...EIO3,
  });
});

diagnosis('the log says that python-socketio refuses a v2 client', 'eio3_refused', pythonServer, async (ring, gate) => {
  await refused(ring, gate, V2[1]);
  return {
    request: 'GET /socket.io/?EIO=3&transport=polling&.. HTTP/1.1',
    why: EIO3.why,
    help: 'python-socketio has taken EIO=4 alone since its version 5: use a client of version 3 or 4',
  };
});

for (const [kind, request] of [[V4[0], UPGRADE], [V4[1], POLLING]]) {
  diagnosis(`the log says that a v2 server is too old for ${kind.name}`, 'old_server', v2, async (ring, gate) => {
    await refused(ring, gate, kind);
    return {
      request,
      why: 'the client speaks EIO=4, and the server is of version 2, which speaks EIO=3',
      help: 'use a client of version 2, or a server of version 3 or 4, with `allowEIO3: true` for the clients that cannot be changed',
    };
  });
}

/** Takes connections for several servers in turn, as a balancer without affinity does. */
async function inTurn(ring, servers) {
  let count = 0;
  const balancer = net.createServer((client) => {
    const server = net.connect(servers[count++ % servers.length].port, '127.0.0.1');
    client.on('error', () => server.destroy()).on('close', () => server.destroy());
    server.on('error', () => client.destroy()).on('close', () => client.destroy());
    client.pipe(server).pipe(client);
  });
  balancer.listen(0, '127.0.0.1');
  await once(balancer, 'listening');
  ring.onEnd(() => balancer.close());
  return { port: balancer.address().port };
}

check('the log says that a session met a server that does not know it', { via: ['wsgate'], diagnosed: ['session_unknown'] }, async (ring) => {
  const server = await inTurn(ring, [await v4(ring), await v4(ring)]);
  const gate = await ring.gate(server);
  await Promise.all([1, 2, 3].map(() => next(V4[1].connect(ring, gate.ws), 'connect_error').catch(() => {})));
  const { level, request, why, help } = await gate.log.find(({ message }) => message === 'diagnosis');
  assert.equal(level, 'INFO');
  assert.match(request, /^(GET|POST) \/socket\.io\/\?EIO=4&transport=polling&sid=\S{6}\.\.&\.\. HTTP\/1\.1$/);
  assert.equal(why, 'the server knows no such session (code 1)');
  assert.match(help, /^after a restart of the server, .* finds the one that has the session$/);
  await gate.stop();
  assert.equal(gate.log.filter(({ message }) => message === 'diagnosis').length, 1, 'and says it once');
});

diagnosis('the log says that an upgrade with an unknown session was refused', 'session_unknown', v4, async (ring, gate) => {
  assert.equal(await refusedSocket(ring, `${gate.ws}/socket.io/?EIO=4&transport=websocket&sid=abcdefghij`), 400);
  return {
    level: 'INFO',
    request: 'GET /socket.io/?EIO=4&transport=websocket&sid=abcdef.. HTTP/1.1',
    why: 'the server knows no such session (code 1)',
    help:
      'after a restart of the server, or where it has just closed the session, this is normal, and the client begins anew; if it ' +
      'goes on, several servers share this address: give each an address of its own, and write them as a list in `proxy_pass`, so ' +
      'that wsgate finds the one that has the session',
  };
});

for (const status of [200, 404]) {
  const kind = status === 200 ? 'got_page' : 'not_found';
  const how = status === 200 ? 'answered 200, as a page is' : 'answered 404 by the upstream';
  diagnosis(`the log says that a Socket.IO client's upgrade was answered ${status}`, kind, page(status), async (ring, gate) => {
    await refused(ring, gate, V4[0]);
    return { request: UPGRADE, why: `an upgrade request was ${how}`, help: OTHER_PATH };
  });
  diagnosis(`the log says that a Socket.IO client's first poll was answered ${status}`, kind, page(status), async (ring, gate) => {
    await refused(ring, gate, V4[2]);
    return { request: POLLING, why: `the first request of a Socket.IO client was ${how}`, help: OTHER_PATH };
  });
  diagnosis(`the log says that a WebSocket's upgrade was answered ${status}`, kind, page(status), async (ring, gate) => {
    assert.equal(await refusedSocket(ring, `${gate.ws}/chat`), status);
    return { request: 'GET /chat HTTP/1.1', why: `an upgrade request was ${how}`, help: NO_WEBSOCKET };
  }, { location: '/' });
}

for (const status of [301, 302, 307, 308]) {
  diagnosis(`the log says that an upgrade was answered ${status}`, 'redirected', page(status, { Location: '/chat/' }), async (ring, gate) => {
    assert.equal(await refusedSocket(ring, `${gate.ws}/chat`), status);
    return {
      request: 'GET /chat HTTP/1.1',
      why: `an upgrade request was answered ${status}, a redirect`,
      help: 'no WebSocket client follows a redirect: give it the address to which this one leads',
    };
  }, { location: '/' });
}

diagnosis('the log says that a Socket.IO client asks without the slash', 'not_found', (ring) => socketIo(ring, 4, {}, (_, answer) => answer.writeHead(404).end()), async (ring, gate) => {
  await refused(ring, gate, V4[1], { addTrailingSlash: false });
  return {
    request: 'GET /socket.io?EIO=4&transport=polling&.. HTTP/1.1',
    why: 'the first request of a Socket.IO client was answered 404 by the upstream',
    help: NO_SLASH,
  };
});

/** A real nginx before `gate` whose location has these lines. */
async function nginxBefore(ring, gate, lines) {
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-before-'));
  ring.onEnd(() => rm(folder, { recursive: true, force: true }));
  const port = await freePort();
  const location = `location / { proxy_pass http://127.0.0.1:${gate.port}; ${lines} }`;
  const nginx = await runNginx({ http: `server { listen 127.0.0.1:${port}; ${location} }`, folder });
  ring.onEnd(() => nginx.stop());
  return { ws: `ws://127.0.0.1:${port}` };
}

for (const [version, lines, lost] of [
  ['1.1', '', 'without `Upgrade: websocket` and `Connection: Upgrade`'],
  ['1.0', '', 'without `Upgrade: websocket` and `Connection: Upgrade`'],
  ['1.1', 'proxy_set_header Connection upgrade;', 'without `Upgrade: websocket`'],
  ['1.1', 'proxy_set_header Upgrade $http_upgrade;', 'without `Connection: Upgrade`'],
  ['1.0', 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;', 'as HTTP/1.0'],
]) {
  for (const [who, serve, act, target] of [
    ['a v4 client', v4, (ring, front) => refused(ring, front, V4[0]), '/socket.io/?EIO=4&transport=websocket'],
    ['a WebSocket', wsServer, (ring, front) => refusedSocket(ring, `${front.ws}/chat`), '/chat'],
  ]) {
    diagnosis(`the log says what an nginx before wsgate lost of ${who}'s upgrade: ${lost}, by HTTP/${version}`, 'lost_headers', serve, async (ring, gate) => {
      await act(ring, await nginxBefore(ring, gate, `proxy_http_version ${version}; ${lines}`));
      return {
        request: `GET ${target} HTTP/${version}`,
        why: `an upgrade request came ${lost}, which a proxy before wsgate does not pass on`,
        help: TWO_LINES,
      };
    }, { location: '/' });
  }
}

diagnosis('the log says that a WebSocket was asked for in an address line', 'lost_headers', v4, async (ring, gate) => {
  await ask(`${gate.http}/socket.io/?EIO=4&transport=websocket`);
  return {
    request: UPGRADE,
    why: '`transport=websocket` was asked for without an upgrade: a proxy before wsgate does not pass that on, or somebody opened the address in a browser',
    help: TWO_LINES,
  };
});

for (const [name, serve] of [['a v4', v4], ['a v2', v2], ['a python-socketio', pythonServer]]) {
  diagnosis(`the log says that a plain WebSocket asks ${name} server`, 'plain_client', serve, async (ring, gate) => {
    await refusedSocket(ring, `${gate.ws}/socket.io/?room=1`);
    return { request: 'GET /socket.io/?.. HTTP/1.1', ...PLAIN_CLIENT };
  });
}

diagnosis('the log says that a WebSocket without EIO was refused inside its tunnel', 'plain_client', v4, async (ring, gate) => {
  const client = new WebSocket(`${gate.ws}/socket.io/?transport=websocket`);
  const [{ message }] = await next(client, 'error');
  assert.equal(message, 'Invalid WebSocket frame: RSV1 must be clear');
  return { request: 'GET /socket.io/?transport=websocket HTTP/1.1', ...PLAIN_CLIENT };
});

diagnosis('the log says that a page was asked for from a Socket.IO server', 'no_client', v4, async (ring, gate) => {
  const answer = await ask(`${gate.http}/socket.io/`);
  assert.equal(answer.body.toString(), '{"code":0,"message":"Transport unknown"}');
  return {
    level: 'INFO',
    request: 'GET /socket.io/ HTTP/1.1',
    why: 'a request without `EIO` in its query, so not of a Socket.IO client, came to a Socket.IO server (code 0)',
    help: "this is a browser's address line or a health check: a server that is well answers `/socket.io/?EIO=4&transport=polling`",
  };
});

diagnosis('the log says that a server was told to leave polling out', 'transport_unknown', (ring) => socketIo(ring, 4, { transports: ['websocket'] }), async (ring, gate) => {
  await refused(ring, gate, V4[2]);
  return {
    request: POLLING,
    why: 'the server does not speak this transport (code 0)',
    help: "the server's option `transports` leaves this one out; the client's `transports` must name one of those that are left",
  };
});

for (const [what, first] of [['text', 'welcome'], ['binary', Buffer.from('welcome')]]) {
  diagnosis(`the log says that a ws server which begins with ${what} is none of Socket.IO`, 'plain_server', (ring) => wsServer(ring, {}, (socket) => socket.send(first)), async (ring, gate) => {
    V4[0].connect(ring, gate.ws);
    return { request: UPGRADE, why: `${ASKS_PLAIN}its first message is no open packet`, help: PLAIN };
  });
}

diagnosis('the log says that a nodejs-websocket server is none of Socket.IO', 'plain_server', (ring) => nodejsWebsocketServer(ring, (conn) => conn.sendText('hi')), async (ring, gate) => {
  V2[0].connect(ring, gate.ws);
  return {
    request: 'GET /socket.io/?EIO=3&transport=websocket HTTP/1.1',
    why: `${ASKS_PLAIN}its first message is no open packet`,
    help: PLAIN,
  };
});

diagnosis('the log says that a silent WebSocket server is none of Socket.IO', 'plain_server', wsServer, async (ring, gate) => {
  const client = V4[0].connect(ring, gate.ws, { timeout: 2_500 });
  const [error] = await next(client, 'connect_error');
  assert.equal(error.message, 'timeout');
  return { request: UPGRADE, why: `${ASKS_PLAIN}it said nothing in 2 s`, help: PLAIN };
});

/** A ws server that has its port for itself: it answers whatever is no upgrade by 426. */
async function wsAlone(ring) {
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(wss, 'listening');
  ring.onEnd(() => wss.close());
  return { port: wss.address().port };
}

diagnosis('the log says that a ws server on a port of its own is none of Socket.IO', 'plain_server', wsAlone, async (ring, gate) => {
  await refused(ring, gate, V4[1]);
  return { request: POLLING, why: `${ASKS_PLAIN}it answers polling by 426`, help: PLAIN };
});

diagnosis('the log says that tunnel_timeout ended a tunnel', 'tunnel_timeout', wsServer, async (ring, gate) => {
  const client = await opened(ring, new WebSocket(`${gate.ws}/chat`));
  await within(DEADLINE, once(client, 'close'), 'the end of a silent tunnel');
  return {
    level: 'INFO',
    request: 'GET /chat HTTP/1.1',
    why: 'a tunnel was ended: no byte within 500ms (`tunnel_timeout`)',
    help: 'let the application send something more often, such as pings, or raise `tunnel_timeout`, at the top or in the route',
  };
}, { location: '/', top: ['tunnel_timeout: 500ms'] });

diagnosis('the log says that a v4 server closed on an upgrade for another path', 'unanswered', v4, async (ring, gate) => {
  assert.equal(await refusedSocket(ring, `${gate.ws}/elsewhere`), 502);
  return {
    request: 'GET /elsewhere HTTP/1.1',
    why: 'the upstream closed the connection without an answer',
    help: `a Socket.IO server does so about a second after an upgrade request for a path that is not its own; else ${LOG}`,
  };
}, { location: '/' });

diagnosis('the log says that a v4 server closed on an upgrade without the slash', 'unanswered', v4, async (ring, gate) => {
  assert.equal(await refusedSocket(ring, `${gate.ws}/socket.io`), 502);
  return {
    request: 'GET /socket.io HTTP/1.1',
    why: 'the upstream closed the connection without an answer',
    help: NO_SLASH,
  };
});

diagnosis('the log says that a server closed without an answer', 'unanswered', (ring) => httpServer(ring, (request) => request.socket.destroy()), async (ring, gate) => {
  assert.equal((await ask(`${gate.http}/page`)).status, 502);
  return {
    request: 'GET /page HTTP/1.1',
    why: 'the upstream closed the connection without an answer',
    help: `${LOG}; after a restart this is normal`,
  };
}, { location: '/' });

check('what a client gets is what its server sent, whatever the log says of it', { via: ['wsgate'], diagnosed: ['eio3_refused', 'session_unknown', 'plain_client', 'no_client', 'lost_headers'] }, async (ring) => {
  const server = await v4(ring);
  const gate = await ring.gate(server);
  for (const target of ['?EIO=3&transport=websocket', '?EIO=4&transport=websocket&sid=nobody', '', '?transport=websocket']) {
    const head = upgradeHead(`/socket.io/${target}`, 'chat.test', ['Connection: close']);
    const [direct, through] = [parts(await raw(server.port, head)), parts(await raw(gate.port, head))];
    assert.ok(direct.rest.length > 0, target);
    assert.deepEqual([through.status, through.rest], [direct.status, direct.rest], target);
  }
  for (const target of ['?EIO=3&transport=polling', '?EIO=4&transport=polling&sid=nobody', '', '?EIO=4&transport=websocket']) {
    const [direct, through] = [await ask(`http://127.0.0.1:${server.port}/socket.io/${target}`), await ask(`${gate.http}/socket.io/${target}`)];
    assert.equal(direct.status, 400, target);
    assert.deepEqual(untouched(through), untouched(direct), target);
  }
  await gate.stop();
  const kinds = gate.log.filter(({ message }) => message === 'diagnosis').map(({ kind }) => kind);
  assert.deepEqual(kinds.sort(), ['eio3_refused', 'lost_headers', 'no_client', 'plain_client', 'session_unknown']);
});
