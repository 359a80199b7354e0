// `wsgate schema`: what it says of files and values, held against what wsgate itself makes of them.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { read } from '../support/documents.mjs';
import { check } from '../support/ring.mjs';
import { fixturesOf, folderWithSchema, goodFiles, LISTEN, printed, UNSEEN, validator } from '../support/schema.mjs';
import { BINARY } from '../support/wsgate.mjs';

const run = promisify(execFile);
const ONLY = { via: ['wsgate'] };

/** Broken files that are no YAML, which every editor underlines without a schema. */
const NOT_YAML = [
  'alias_bomb',
  'at_sign_without_quotes',
  'backslash_in_double_quotes',
  'brackets_without_quotes',
  'colon_in_value',
  'duplicate_key',
  'environment_without_quotes',
  'group_twice',
  'indentation',
  'indented_too_far',
  'list_on_the_line_of_its_key',
  'lookalike_brackets',
  'lookalike_colon',
  'lookalike_ideographic_space',
  'merge_without_map',
  'no_colon',
  'no_space_after_colon',
  'own_keys',
  'rewrite_twice',
  'star_without_quotes',
  'stray_bracket',
  'tab_in_entry',
  'tabs',
  'text_after_quotes',
  'text_after_the_end',
  'unclosed_bracket',
  'unclosed_quote',
];

/** Files with other than one document, of which a schema is asked about each alone. */
const NOT_ONE = ['empty', 'only_comments', 'two_documents'];

/** What `text` is in YAML 1.2, which editors take it for; or why it is none. */
function parsed(text) {
  try {
    const documents = parseAllDocuments(text, { merge: true, logLevel: 'silent' });
    const [error] = documents.flatMap(({ errors }) => errors);
    if (error) return { error: error.message };
    return { documents: documents.map((document) => document.toJS()) };
  } catch (error) {
    return { error: error.message };
  }
}

check('the committed schema is what the command prints, and a schema of draft-07', ONLY, async () => {
  const { schema } = await validator();
  assert.ok((await printed()) === (await read('docs/routes.schema.json')), 'the two differ');
  assert.equal(schema.$schema, 'http://json-schema.org/draft-07/schema#');
});

check('every good file of the repository is good for the schema too', ONLY, async () => {
  const { problems } = await validator();
  const good = await goodFiles();
  for (const [name, text] of good) {
    const { documents, error } = parsed(text);
    assert.equal(error, undefined, name);
    assert.deepEqual([documents.length, ...problems(documents[0])], [1], name);
  }
  assert.equal(good.size, 115, 'files were added or lost');
});

check('every broken file is refused, or stands here with what a schema cannot see', ONLY, async () => {
  const { problems } = await validator();
  const found = { unseen: [], notYaml: [], notOne: [] };
  const broken = await fixturesOf((wanted) => wanted.includes(': error: '));
  for (const [name, text] of broken) {
    const { documents, error } = parsed(text);
    if (error) found.notYaml.push(name);
    else if (documents.length !== 1) found.notOne.push(name);
    else if (problems(documents[0]).length === 0) found.unseen.push(name);
  }
  assert.deepEqual(found, { unseen: Object.keys(UNSEEN), notYaml: NOT_YAML, notOne: NOT_ONE });
  assert.equal(broken.size, 117, 'fixtures were added or lost');
});

check('what the schema offers is good for the schema', ONLY, async () => {
  const { schema, at } = await validator();
  let offered = 0;
  const walk = (node, pointer) => {
    if (typeof node !== 'object' || node === null) return;
    const values = [...(node.examples ?? []), ...('default' in node ? [node.default] : [])];
    for (const value of values) {
      assert.deepEqual(at(pointer)(value), [], `${pointer}: ${JSON.stringify(value)}`);
      offered += 1;
    }
    for (const [key, below] of Object.entries(node)) {
      if (key !== 'examples' && key !== 'default') walk(below, `${pointer}/${key.replaceAll('/', '~1')}`);
    }
  };
  walk(schema, '');
  assert.equal(offered, 173, 'examples were added or lost');
});

/** Texts for one key each: many that people write, and many that they should not. */
const TRIED = {
  address: [
    '8080', '0', '65535', '65536', '"8080"', '"*:80"', '127.0.0.1:0', '0.0.0.0:443', '"[::]:443"', '"[::1]:8080"', '":80"',
    '"[fe80::1]:80"', '"[::ffff:127.0.0.1]:80"', '"00080"', '" 8080 "', 'localhost:80', '1.2.3:80', '127.0.0.1', '"[::1]"',
    '::1:80', 'http://127.0.0.1:80', 'unix:/x', '443 ssl', '-1', '80.5', 'true', '~', '""', '[]', '{}', '127.0.0.1:http',
  ],
  tunnel_timeout: [
    '30s', '5m', '1h30m', '1h 30m', '500ms', '1m500ms', '365d', '1d2h3m4s5ms', '" 30s "', '007s', '0s', '0', '30', '1.5h', '-1s',
    '1h30', '30 s', '30 sec', '1S', 'off', 'never', '30m1h', '1s1s', '""', '~', 'true', '[]', '{}',
  ],
  location: [
    '/', '/socket.io', '/a b', '= /x', '=/x', '"=  /x"', '^~ /x', '^~/x', '~ ^/x$', '~^/x$', '~* \\.png$', '~*x', '" /x "',
    '"~* (?i)x"', '/größe', "'/#'", '"/\\n"', 'x', '= x', '^~ x', '"="', '"~"', '~*', '"@x"', '=~ x', '!~ x', 'http://a/x',
    '8080', '~', '""', '[]', '{}', 'true',
  ],
  proxy_pass: [
    'http://127.0.0.1:3000', 'http://127.0.0.1', 'HTTP://127.0.0.1:1', 'http://localhost:3000/', 'http://a_b.c-d:1',
    'http://[::1]', '"http://[::1]:3000/x?y"', 'http://unix:/run/a.sock', 'http://unix:/run/a.sock:/x', 'http://a.:1',
    'http://127.0.0.1:3000/a%20b', 'http://127.0.0.1:003000', 'http://127.0.0.1:3000/"x"', "http://127.0.0.1:3000/a'b",
    'http://chat', 'https://chat.example.com/x', 'http://256.0.0.1', 'http://5002', '[http://a:1, http://b:1]', '[http://a:1]',
    '[http://a:1, http://a]', '[http://a:1, https://b:1]', '[http://a:1, http://a:1]', '[[http://a:1]]', '[{ server: a:1 }]',
    '"http://unix:/run/a b.sock"', 'http://a:1/{x}|y', 'http://a', 'https://unix:/x', 'ws://127.0.0.1:1', '127.0.0.1:3000',
    'http://', 'http://:80', 'http://a:0', 'http://a:b', 'http://a@b:1', 'http://$host:1', 'http://a:1?x', 'http://a:1/x#y',
    'http://a:1/é', 'http://é:1', 'http://::1:80', 'http:/a:1', '//a:1', 'http://unix:x', 'http://unix:/x:y', 'http://a:1:2',
    '"http://a b:1"', '3000', '~', '""', '[]', '{}',
  ],
  return: [
    '404', '200', '"404"', '200 ok', '"200 a\\nb"', '301 /x', '302 https://$host$request_uri', '/x', 'https://a/', '204', '304',
    '$scheme://x/', '200 $remote_addr', '200 ${host}y', '200 5$', '200 $5', '200 $$host', '200 ${x', '" 404 "', '599', '500 é',
    '201 $host-x', '200 $host_', '200 $hostx', '301', '302', '"307"', '444', '444 x', '199', '600', '1000', 'ok', '204 x', '304 x',
    '301 $server_name', '200 ${x}', '200 $http_upgrade', '20', 'ftp://a', '~', '""', '[]', '{}', '2.5', 'true',
  ],
  host: [
    'a', 'a.b', '"*.a.b"', 'A.B', 'a.', 'a_b', 'a~b', '"[::1]"', '127.0.0.1', '[a, b]', '["*.a", b]', 'xn--a.b', 'a-', '"*"', 'a*',
    'www.*', 'a.b.*', '"*.a.*"', '"*.*.a"', 'a.*.*', 'a.*.b', 'a..*', '"[::1].*"', 'a:80', 'https://a', 'a/b', 'a..b', '.a', 'é', '""', '[]', '[a, a]', '[[a]]', '{}', '~', '"::1"', '"*."',
  ],
  name: ['chat', 'Chat-2.x_y', 'a b', '127.0.0.1', '8', 'a:1', '/x', '""', '~', '[]'],
  upstreams: [
    '{ g: { servers: ["a:1"] } }', '{ g: { servers: ["a:1", "[::1]:2", unix:/x] } }', '{ g: { servers: a:1 } }', '{ a.b: { servers: [a:1] } }',
    '{}', '[]', '~', 'g', '{ g: }', '{ g: [a:1] }', '{ g: { servers: [] } }', '{ "a b": { servers: [a:1] } }', '{ 10.0.0.1: { servers: [a:1] } }',
    '{ "8": { servers: [a:1] } }', '{ a:1: { servers: [a:1] } }', '{ g: { servers: [a:1], x: y } }',
  ],
  servers: [
    '["10.0.0.1:3000", app01:3000]', '[{ server: a:1 }]', '[{ server: "[::1]:1", weight: 2, max_fails: 0, fail_timeout: 30s, max_conns: 5 }]',
    '[a:1, { server: b:1, backup: true, down: no, drain: on, resolve: true }]', 'app01:3000', '[unix:/run/a.sock]', '[A.b-c_d.:80]',
    '[]', '~', '""', '{}', '[~]', '[[a:1]]', '[a]', '["1"]', '[http://a:1]', '[a:1/x]', '[a:0]', '[a:1, a:1]', '[unix:/a:/b]', '["::1:80"]',
    '["[::1]"]', '[10.0.0.1]', '[{ server: a }]', '[{ weight: 2 }]', '[{ server: a:1, weight: 0 }]', '[{ server: a:1, weight: 65536 }]',
    '[{ server: a:1, max_fails: -1 }]', '[{ server: a:1, max_conns: 0 }]', '[{ server: a:1, fail_timeout: 0s }]', '[{ server: a:1, x: y }]',
    '[{ server: a:1, backup: 2 }]', '[{ server: a:1, backup: true }]', '[{ server: a:1, down: true }]', '[{ server: a:1, zone: x }]', '[a:99999]',
    '[{ server: unix:/x, resolve: true }]', '[256.0.0.1:80]', '[{ server: a:1, weight: "2" }]', '[a:1, b: 1]', '[127.0.0.1:8080]',
  ],
  balance: [
    'least_conn', 'round_robin', 'ip_hash', '{ hash: $arg_room }', '{ hash: "${cookie_a}-$http_x_y" }', '{ hash: "x$request_uri" }', 'hash',
    'random', 'Least_conn', '{ hash: room }', '{ hash: $uri }', '{ hash: $arg_ }', '{}', '{ hash: }', '{ hash: [$host] }', '{ x: y }', '[]', '~', '""',
    '{ hash: $5 }', '{ hash: $host $5 }',
  ],
  sticky: [
    'sid', 'off', 'no', 'false', '{ cookie: srv }', '[sid, { cookie: srv }]', '[{ cookie: srv }]', '[sid]', 'on', 'cookie', '[]', '{}', '~', '""',
    '[off]', '[sid, sid]', '[sid, off]', '[[sid]]', '[{ cookie: a }, { cookie: b }]', '{ cookie: srv, expires: 1h, path: /x, domain: .a.test }',
    '{ cookie: srv, samesite: None, secure: true, httponly: on }', '{ cookie: srv, samesite: none }', '{ cookie: srv, samesite: lax }',
    '{ cookie: srv, samesite: none, secure: false }', '{ cookie: "a b" }', '{ cookie: io }', '{ cookie: Path }', '{ cookie: }', '{ cookie: [a] }',
    '{ cookie: srv, expires: 0s }', '{ cookie: srv, expires: max }', '{ cookie: srv, domain: 10.0.0.1 }', '{ cookie: srv, domain: "a:1" }',
    '{ cookie: srv, path: x }', '{ cookie: srv, path: "/;" }', '{ cookie: srv, samesite: all }', '{ cookie: srv, x: y }', '{ cookie: __Host-a }',
    '{ cookie: __Host-a, secure: true }', '{ expires: 1h }',
  ],
  health_check: [
    'tcp', 'engine_io', '{ http: /health }', '{ http: "/a?b=c" }', '{ engine_io: /chat }', 'http', 'TCP', 'on', '{}', '[]', '~', '""', '{ http: health }',
    '{ http: "/a b" }', '{ http: "/#" }', '{ http: /é }', '{ http: }', '{ engine_io: chat }', '{ engine_io: /a?b }', '{ http: /, engine_io: / }', '{ tcp: 1 }',
  ],
  slow_start: ['10s', '0s', '1m30s', '10', 'off', '~', '[]'],
  close_tunnels: ['true', 'off', 'maybe', '~', '[]'],
  valid: ['5s', '500ms', '0s', '5', '~', '[]'],
  ca: ['"-----BEGIN CERTIFICATE-----"', '""', '"a\\0b"', '[]', '{}', '~'],
  tls_name: [
    'chat.example.com', 'Chat.example.COM', 'a_b.test', 'localhost', 'a.test.', '10.0.0.5', '"fd00::1"', '"::ffff:10.0.0.1"',
    '"*.a.test"', 'https://a.test', 'a.test:443', '"[::1]"', 'a..b', '-a', 'a-', 'a b', '""', '[]', '{}', '~',
  ],
  set_headers: [
    '{ X-A: b }', '{ X-A: 1 }', '{ X-A: true }', '{ X-A: 1.5 }', '{ X-A: }', '{ X-A: "" }', '{ X-A: $host }', '{ X-A: "$" }',
    '{ x-a: b, X-B: c }', '{ X.A: "${scheme}x" }', '{ Host: a.b:80 }', '{ X-A: "\\t" }', '{ X-A: $x }', '{ X_A: b }', '{ "X A": b }',
    '{ Connection: x }', '{ upgrade: x }', '{ te: x }', '{ X-A: é }', '{ X-A: [b] }', '{ X-A: { b: c } }', '{}', '[]', 'X-A', '~',
    '{ X-A: "a\\nb" }', '{ "": x }', '{ X-A: b, x-a: c }', '{ Host: "a b" }',
  ],
  add_headers: [
    '{ X-A: b }', '{ X-A: 1 }', '{ X-A: true }', '{ X-A: "" }', '{ X_A: $host }', '{ X-A: [a, 1, { value: b }] }', '{ x-a: b, X-B: c }',
    '{ X-A: { value: a } }', '{ X-A: { value: 1, always: true } }', '{ X-A: { value: a, always: off } }', '{ Date: a, Set-Cookie: b }',
    '{ X-A: }', '{ X-A: [] }', '{ X-A: {} }', '{ X-A: { always: true } }', '{ X-A: { value: } }', '{ X-A: { value: a, always: maybe } }',
    '{ X-A: { value: a, when: b } }', '{ X-A: [[a]] }', '{ X-A: $x }', '{ X-A: { value: $x } }', '{ X-A: "a\\nb" }', '{ "X A": b }',
    '{ Connection: x }', '{ content-length: 1 }', '{ sec-websocket-accept: x }', '{ keep-alive: x }', '{}', '[]', 'X-A', '~',
    '{ X-A: b, x-a: c }', '{ X-A: é }',
  ],
  hide_headers: [
    'X-A', '[X-A]', '[X_A, x-b]', 'Date', 'X A', '""', '[]', '[[X-A]]', '{}', '~', 'Content-Length', '[TE]', 'sec-websocket-protocol',
    '[X-A, X-A]', '[X-A, x-a]',
  ],
  proxy_redirect: [
    'default', 'off', '{ /a/: / }', '{ /a/: "" }', '{ /a/: }', '{ "~^/(.*)": /$1 }', '{ "~* ^/A": $scheme }', '[default, { /a/: / }]',
    '[{ /a/: /, /b/: / }]', '{ 1: 2 }', 'on', 'Default', '/', '""', '~', '{}', '[]', '[off]', '[[default]]', '{ /a/: [/] }', '{ "": / }',
    '{ /a/: $x }', '{ /a/: /$1 }', '{ "~(": / }', '[{ /a/: / }, { /a/: /b }]',
  ],
  proxy_cookie_path: ['off', '{ /a/: / }', '[{ /a/: / }]', '{ "~/(.)": $1 }', 'default', '/', '~', '{}', '[]', '[off]', '{ /a/: {} }', '{ /a/: /$1 }'],
  rewrite: [
    '{ ^/a: /b }', '{ "^/(.*)$": "/x$1?" }', '{ a: $uri, b: "/$args" }', '{ "(?<n>a)": "/${n}" }', '{ ^/a: b }',
    '{ ^/a: "https://b" }', '{ ^/a: "$scheme://b" }', '{ ^/a: "${scheme}://b" }', '{ ^/a: "/b break" }', '{ ^/a: "/b last" }',
    '{ ^/a: "/b  permanent" }', '{ ^/a: /break }', '{ ^/a: }', '{ ^/a: "" }', '{ ^/a: [b] }', '{ ^/a: 1 }', '{}', '[]', '~',
    '^/a /b', '{ "(": /b }', '{ ^/a: /$1 }', '{ ^/a: /$x }', '{ ^/a: "/?a b" }',
  ],
  when: [
    '{ query: { EIO: "3" } }', '{ query: { EIO: 3 } }', '{ query: { a: [1, b, true, 1.5] } }', '{ header: { X-A: yes } }',
    '{ method: GET }', '{ method: [GET, M-SEARCH] }', '{ port: 80 }', '{ port: [80, "443"] }', '{ query: { "": x } }',
    '{ query: { a: "" }, method: PUT }', '{ method: [GET, GET] }', '{}', '[]', 'EIO=3', '~', '{ query: {} }', '{ query: [] }',
    '{ query: { a: } }', '{ query: { a: [] } }', '{ query: { a: { b: c } } }', '{ header: { X_A: b } }', '{ method: get }', '{ a: b }',
    '{ method: [] }', '{ method: "A B" }', '{ port: 0 }', '{ port: 65536 }', '{ port: x }', '{ port: [] }', '{ method: {} }',
    '{ port: { a: b } }', '{ query: { a: [[b]] } }', '{ websocket: true }', '{ websocket: off }', '{ websocket: maybe }',
    '{ websocket: }', '{ websocket: [true] }',
  ],
  url: ['ws://a', 'WSS://a/b?c#d', 'http://a:80/', 'https://[::1]/', '" ws://a "', 'a', '/a', 'ftp://a', '""', '~', '[]', 'ws://', '1'],
  expect: [
    'http://chat', 'http://256.0.0.1', '404', '"404"', '200', '599', 'http://127.0.0.1:3000', 'https://a:1', 'http://unix:/x', '101', '600', 'ok', 'http://a', '""',
    'http://a:1/x', 'ws://a:1', '~', '[]', '{}', 'true',
  ],
  client: [
    'socket.io', 'socketio', 'Socket.IO@4', 'socket.io@3', 'socket.io@2', 'socketio@2', 'weapp', 'weapp@2', 'weapp@3',
    'weapp.socket.io', 'weapp.socket.io@3', 'websocket', 'WebSocket', 'ws', 'http', 'HTTP', 'sockjs', 'socketio@4', 'weapp@4', '""',
    '~', '[]', '1',
  ],
  path: ['/', '/x', '/x/', '/a.b-c_d~e', "/a'b", '"/[a]"', '/a%20', 'x', '/a?b', '"/a#b"', '/a b', '/é', '""', '~', '[]', '"/{a}"'],
  reuseport: ['on', 'off', 'true', 'false', 'yes', 'no', 'Y', 'n', 'ON', '"true"', 'sometimes', '1', '0', '""', '~', '[]', '{}'],
  proxy_protocol: ['on', 'off', 'true', 'false', 'v2', '2', '""', '~', '[]'],
  redirect: ['https', 'http', 'HTTPS', 'true', '""', '~', '[]'],
  tls: [
    'self_signed', 'on', 'self-signed', 'true', '""', '~', '[]', '{}', '{ cert: a }', '{ key: a }', '[a]', '[{}]', '1',
    '{ cert: a, key: b, x: y }',
  ],
  trusted_proxies: [
    '10.0.0.0/8', '192.0.2.7', '::1', '"::1"', '[10.0.0.0/8, ::1]', '"::ffff:10.0.0.0/104"', '0.0.0.0/0', '["::/0"]', '10.0.0.0/08',
    '2001:DB8::/32', 'lb.test', '10.0.0.1:80', '"[::1]"', '10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/255.0.0.0', '10.0.0',
    'fe80::1%eth0', 'unix:', '[]', '[[::1]]', '[::1, ::1]', '""', '~', '{}', '8', '10.0.0.1/8', '256.0.0.1', '1::2::3',
  ],
  allowed_origins: [
    'https://a.test', 'HTTPS://A.test:443', '"https://*.a.test"', 'http://localhost:8080', '[https://a.test, "null"]', 'file://',
    'capacitor://localhost', 'chrome-extension://abc', '"https://[::1]:80"', '"null"', 'https://a.', 'https://a_b.c', '"http://a:080"',
    'null', '"*"', 'a.test', '//a.test', 'wss://a.test', 'ws://a', 'https://a.test/', 'https://a.test/x', 'https://a?b', 'https://a#b',
    '"https://*"', 'https://a.*', '"https://*a"', 'https://', 'https://a..b', 'https://.a', '"https://a:"', 'https://a:0', 'https://u@a',
    'https://é', '"https://a b"', '"https://[a]"', '"https://*.[::1]"', '[]', '{}', '""', '~', '8080', '[https://a, https://a]',
    '[[https://a]]', 'https://a:65536', '[https://a, HTTPS://A]', '"https://[::1::]"',
  ],
  allow: ['all', '10.0.0.0/8', '[::1, all]', '[all, all]', '[all, 0.0.0.0/0]', 'All', '*', '[]', '~', '10.0.0.1/8'],
  missing_origin: ['allow', 'deny', 'Deny', 'off', 'true', '""', '~', '[]'],
  threads: ['1', '1024', '"2"', '0', '1025', '-1', '1.5', 'auto', '""', '~', '[]'],
  per_ip: [
    '{ connections: 1 }', '{ handshakes_per_second: 1000000, connections: "2" }', '{ connections: 1000000000 }', '{}', '[]', '~', '100',
    '{ connections: 0 }', '{ handshakes_per_second: 1000001 }', '{ rate: 1 }', '{ connections: ~ }', '{ connections: [1] }',
    '{ connections: 1000000001 }', '{ handshakes_per_second: -1 }',
  ],
  max_connections: ['1', '1000000000', '"2"', '0', '1000000001', '-1', '1.5', 'auto', '""', '~', '[]'],
};

/** What is wrong with a value and stays unsaid by the schema, being more than a pattern can hold. */
const MISSED = {
  proxy_pass: [
    ['http://chat', '`proxy_pass` has a name without a port'],
    ['https://chat.example.com/x', '`proxy_pass` has a name without a port'],
    ['http://256.0.0.1', '`proxy_pass` has a host that is no IPv4 address'],
    ['[http://a:1, https://b:1]', 'the servers of a list are asked by one scheme'],
    ['http://a', '`proxy_pass` has a name without a port'],
  ],
  servers: [
    ['[{ server: a:1, backup: true }]', 'all servers of this group are `backup`'],
    ['[{ server: a:1, down: true }]', 'all servers of this group are `down`'],
    ['[a:99999]', 'no such port: `99999`'],
    ['[{ server: unix:/x, resolve: true }]', '`resolve` has nothing to look up: a Unix socket has no name'],
    ['[256.0.0.1:80]', '`server` has a host that is no IPv4 address'],
    ['[127.0.0.1:8080]', '`server` leads back to wsgate: it listens there, see line 5'],
  ],
  balance: [['{ hash: $5 }', '`hash` has no variable in it']],
  sticky: [
    ['[{ cookie: a }, { cookie: b }]', 'a cookie stands in `sticky` twice'],
    ['{ cookie: srv, samesite: none, secure: false }', '`samesite: none` without `secure: true`'],
    ['{ cookie: __Host-a }', 'a cookie of this name needs `secure: true`, the path `/` and no `domain`'],
  ],
  expect: [
    ['http://chat', '`expect` has a name without a port'],
    ['http://256.0.0.1', '`expect` has a host that is no IPv4 address'],
    ['http://a', '`expect` has a name without a port'],
  ],
  rewrite: [
    ['{ "(": /b }', 'regex does not compile: unclosed group'],
    ['{ ^/a: /$1 }', 'the regex has no group of this number'],
    ['{ ^/a: /$x }', 'unknown variable `$x`'],
    ['{ ^/a: "/?a b" }', 'a query cannot have this character: ` `'],
  ],
  set_headers: [
    ['{ X-A: b, x-a: c }', '`x-a` is set twice'],
    ['{ Host: "a b" }', 'Host cannot be `a b`'],
  ],
  add_headers: [['{ X-A: b, x-a: c }', '`x-a` stands here twice']],
  hide_headers: [['[X-A, x-a]', '`x-a` stands here twice']],
  proxy_redirect: [
    ['{ /a/: $x }', 'unknown variable `$x`'],
    ['{ /a/: /$1 }', '`$1` is a group of a regex, and there is none'],
    ['{ "~(": / }', 'this regex does not compile: unclosed group'],
    ['[{ /a/: / }, { /a/: /b }]', '`/a/` stands here twice'],
  ],
  proxy_cookie_path: [['{ /a/: /$1 }', '`$1` is a group of a regex, and there is none']],
  allow: [
    ['[all, 0.0.0.0/0]', '`0.0.0.0/0` stands here twice'],
    ['10.0.0.1/8', '`10.0.0.1/8` is an address within a network, not a network'],
  ],
  allowed_origins: [
    ['https://a:65536', 'an origin whose port is none: `https://a:65536`'],
    ['[https://a, HTTPS://A]', 'origin `HTTPS://A` stands here twice'],
    ['"https://[::1::]"', 'an origin with a character that none has: `[`: `https://[::1::]`'],
  ],
  trusted_proxies: [
    ['10.0.0.1/8', '`10.0.0.1/8` is an address within a network, not a network'],
    ['256.0.0.1', '`256.0.0.1` is no address and no network'],
    ['1::2::3', '`1::2::3` is no address and no network'],
  ],
};

/** A file with `text` as the value of `key`, and what must stand beside it. */
function fileOf(key, text) {
  const route = (rest) => `${LISTEN}routes:\n  - { location: /, ${rest} }\n`;
  switch (key) {
    case 'address':
      return `listen:\n  - address: ${text}\nroutes:\n  - { location: /, return: 404 }\n`;
    case 'reuseport':
    case 'tls':
      return `listen:\n  - address: 8080\n    ${key}: ${text}\nroutes:\n  - { location: /, return: 404 }\n`;
    case 'proxy_protocol':
      return `trusted_proxies: ::1\nlisten:\n  - address: 8080\n    ${key}: ${text}\nroutes:\n  - { location: /, return: 404 }\n`;
    case 'redirect':
      return `listen:\n  - { address: 8443, tls: self_signed }\n  - address: 8080\n    redirect: ${text}\nroutes:\n  - { location: /, return: 404 }\n`;
    case 'upstreams':
    case 'threads':
    case 'max_connections':
    case 'per_ip':
    case 'trusted_proxies':
      return `${key}: ${text}\n${route('return: 404')}`;
    case 'servers':
      return `upstreams:\n  g:\n    servers: ${text}\n${route('proxy_pass: http://g')}`;
    case 'balance':
    case 'sticky':
    case 'health_check':
    case 'slow_start':
    case 'valid':
      return `upstreams:\n  g:\n    servers: ["a:1", "b:1"]\n    ${key}: ${text}\n${route('proxy_pass: http://g')}`;
    case 'close_tunnels':
      return `upstreams:\n  g:\n    servers: ["a:1", "b:1"]\n    health_check: tcp\n    ${key}: ${text}\n${route('proxy_pass: http://g')}`;
    case 'location':
      return `${LISTEN}routes:\n  - location: ${text}\n    return: 404\n`;
    case 'return':
    case 'proxy_pass':
      return `${LISTEN}routes:\n  - location: /\n    ${key}: ${text}\n`;
    case 'missing_origin':
      return `${LISTEN}routes:\n  - location: /\n    proxy_pass: http://127.0.0.1:1\n    allowed_origins: https://a\n    ${key}: ${text}\n`;
    case 'ca':
    case 'tls_name':
      return `${LISTEN}routes:\n  - location: /\n    proxy_pass: https://127.0.0.1:1\n    ${key}: ${text}\n`;
    case 'url':
    case 'expect':
    case 'client':
    case 'path': {
      const entry = { url: 'ws://a.test:8080/x', expect: '404', [key]: text };
      const lines = Object.entries(entry).map(([name, value]) => `${name}: ${value}`);
      return `${route('return: 404')}tests:\n  - ${lines.join('\n    ')}\n`;
    }
    default:
      return `${LISTEN}routes:\n  - location: /\n    proxy_pass: http://127.0.0.1:1\n    ${key}: ${text}\n`;
  }
}

check('the schema refuses no value that wsgate takes, and few that it refuses pass', { ...ONLY, deadline: 180_000 }, async (ring) => {
  const { problems } = await validator();
  const folder = await folderWithSchema(ring);
  const file = join(folder, 'routes.yaml');
  const missed = {};
  const alarms = [];
  const tried = Object.values(TRIED).flat().length;
  let taken = 0;
  for (const [key, texts] of Object.entries(TRIED)) {
    for (const text of texts) {
      const whole = fileOf(key, text);
      await writeFile(file, whole);
      const refusal = await run(BINARY, ['check', '--config', file]).then(() => '', ({ stderr }) => stderr);
      // A promise that does not hold says nothing about the words in which it was given.
      const refused = refusal.includes(': error: ') && !/ goes to | is answered | reaches no listener: /.test(refusal);
      const { documents, error } = parsed(whole);
      const said = error ? [error] : problems(documents[0]);
      if (!refused) taken += 1;
      if (!refused && said.length > 0) alarms.push({ key, text, said });
      if (refused && said.length === 0) (missed[key] ??= []).push([text, refusal.split('\n')[0].split(': error: ')[1]]);
    }
  }
  assert.deepEqual(alarms, []);
  assert.deepEqual(missed, MISSED);
  assert.deepEqual([tried, taken], [845, 297], 'values were added or lost, or are taken now');
});
