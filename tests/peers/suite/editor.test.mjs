// What the editors' own language server makes of the schema that `wsgate schema` prints.

import assert from 'node:assert/strict';
import { read, ROOT } from '../support/documents.mjs';
import { languageServer } from '../support/language_server.mjs';
import { namespace } from '../support/namespace.mjs';
import { check } from '../support/ring.mjs';
import { fixturesOf, folderWithSchema, goodFiles, LISTEN, UNSEEN, validator } from '../support/schema.mjs';

const ONLY = { via: ['wsgate'] };

const MODELINE = '# yaml-language-server: $schema=routes.schema.json\n';

/** Broken files, beside those `UNSEEN`, about which the language server says nothing, and why. */
const SILENT = {
  empty: 'there is nothing to look at',
  keys_that_are_no_words: 'it leaves out keys that are lists',
  merge_without_map: 'it passes over a merge of nothing that could be merged',
  only_comments: 'there is nothing to look at',
  two_documents: 'it looks at each of them alone',
};

check('the modeline of the shipped file gives completion, explanations and errors, without a network', ONLY, async (ring) => {
  const shipped = await read('routes.yaml');
  assert.equal(shipped.split('\n')[0], '# yaml-language-server: $schema=docs/routes.schema.json');
  const { command } = await namespace(ring);
  const server = await languageServer(ring, ROOT, command);
  assert.deepEqual(await server.problems(ROOT, shipped), []);

  const line = shipped.split('\n').findIndex((line) => line.includes('proxy_pass: http'));
  const slip = shipped.replace('proxy_pass: http', 'proxy_pas: http');
  const said = ['a route needs `proxy_pass`, or `return`', 'Property proxy_pas is not allowed.'];
  assert.deepEqual(await server.problems(ROOT, slip), said.map((words, number) => `${line + number}:5 ${words}`));
  const without = slip.split('\n').slice(1).join('\n');
  assert.deepEqual(await server.problems(ROOT, without), [], 'it is the modeline that makes the difference');

  const text = await server.hover(ROOT, shipped.replace('proxy_pass: http', 'proxy|_pass: http'));
  assert.match(text, /^#### route\n\nWho answers: http:\/\/ or https:\/\/ and host:port,.*http:\/\/127\.0\.0\.1:3000/s);
});

check('every key is offered where it belongs, with what it is for', ONLY, async (ring) => {
  const { schema } = await validator();
  const folder = await folderWithSchema(ring);
  const server = await languageServer(ring, folder);
  const route = `${LISTEN}routes:\n  - location: /\n    proxy_pass: http://127.0.0.1:1\n`;
  const { listener, route: { properties: inRoute }, pair, test } = schema.definitions;
  for (const [properties, text, there] of [
    [schema.properties, '|\n', []],
    [listener.properties, 'listen:\n  - address: 8080\n    |\n', ['address']],
    [inRoute, `${LISTEN}routes:\n  - location: /\n    |\n`, ['location']],
    [inRoute.when.properties, `${route}    when:\n      port: 80\n      |\n`, ['port']],
    [pair.properties, 'listen:\n  - address: 8080\n    tls:\n      cert: a.pem\n      |\n', ['cert']],
    [test.properties, `${route}tests:\n  - url: ws://a\n    |\n`, ['url']],
  ]) {
    const offers = new Map();
    for (const { label, documentation } of await server.offers(folder, MODELINE + text)) {
      offers.set(label, documentation?.value ?? documentation);
    }
    for (const [key, { description }] of Object.entries(properties)) {
      if (!there.includes(key)) assert.equal(offers.get(key), description, `${key} in ${text}`);
    }
  }
  for (const [text, labels] of [
    ['tunnel_timeout: |\n', ['1h', '10m', '1h30m', '1d']],
    ['listen:\n  - address: |\n', ['8080', '127.0.0.1:8080', '0.0.0.0:443', '"[::]:443"', 'unix:/run/wsgate/wsgate.sock']],
    ['listen:\n  - address: 8080\n    tls: |\n', ['self_signed', '{ cert: FILE, key: FILE }', 'a list of pairs']],
    ['listen:\n  - address: 8080\n    redirect: |\n', ['https']],
  ]) {
    const offers = await server.offers(folder, MODELINE + text);
    assert.deepEqual(offers.map(({ label }) => label), labels, text);
  }
});

check('mistakes are underlined where they are, in words that help', ONLY, async (ring) => {
  const folder = await folderWithSchema(ring);
  const server = await languageServer(ring, folder);
  const to = 'proxy_pass: http://127.0.0.1:1';
  const route = (...lines) => `${LISTEN}routes:\n  - ${lines.join('\n    ')}\n`;
  for (const [text, ...said] of [
    [route('location: /', 'proxy_pass: ws://127.0.0.1:1'), /^6:17 write http:\/\/ or https:\/\/, .*ws:\/\/ is http:\/\/ here/],
    [route('location: /', to, 'return: 404'), /^6:5 a route with `return` asks no upstream$/],
    [route('location: /'), /^5:5 a route needs `proxy_pass`, or `return`$/],
    [route('location: socket.io', to), /^5:15 write a path prefix such as \/socket\.io/],
    [route('location: ~ ^/x', `${to}/y`), /^6:17 `proxy_pass` cannot have a path in a location that is a regex/],
    [route('location: /', 'return: 301'), /^6:13 a redirect needs an address/],
    [route('location: /', 'return: 302 https://$server_name/'), /^6:13 the variables are \$host,/],
    [route('location: /', to, 'tunnel_timeout: 60'), /^7:21 write a whole number and a unit, d, h, m, s or ms/],
    [route('location: /', to, 'tunnel_timeout: 0s'), /^7:21 nothing would ever be in time/],
    [route('location: /', to, 'ca: ca.pem'), /^6:17 `ca` is for https:\/\//],
    [route('location: /', to, 'host: [a.test, "*"]'), /^7:20 write a name such as chat\.example\.com/],
    [route('location: /', to, 'set_headers: { Upgrade: $http_upgrade }'), /^7:20 Property Upgrade is not allowed\.$/],
    [route('location: /', to, 'set_headers: { X-A: $http_upgrade }'), /^7:25 the variables are \$host,/],
    ['listen:\n  - address: localhost:80\nroutes: [{ location: /, return: 404 }]\n', /^3:14 write a port for every interface/],
    ['listen:\n  - { address: 80, tls: on }\nroutes: [{ location: /, return: 404 }]\n', /^3:25 write self_signed, or/],
    [
      'listen:\n  - { address: 80, tls: { cret: a, key: b } }\nroutes: [{ location: /, return: 404 }]\n',
      /^3:20 Missing property "cert"\.$/,
      /^3:27 Property cret is not allowed\.$/,
    ],
    ['listen: [{ address: 80, redirect: https }]\nroutes: [{ location: /, return: 404 }]\n', /^2:9 `redirect` needs a listener/],
    [`access_log: file\n${route('location: /', to)}`, /^2:13 write on or off$/],
    [`server: x\n${route('location: /', to)}`, /^2:1 Property server is not allowed\.$/],
  ]) {
    const problems = await server.problems(folder, MODELINE + text);
    assert.equal(problems.length, said.length, `${text}${problems.join('\n')}`);
    said.forEach((words, number) => assert.match(problems[number], words, text));
  }
});

check('an editor has nothing against a good file, and something against every broken one that can be seen', ONLY, async (ring) => {
  const folder = await folderWithSchema(ring);
  const server = await languageServer(ring, folder);
  // All at once: it waits a while for each file to be typed on.
  const said = async (files) => {
    const about = async ([name, text]) => [name, await server.problems(folder, MODELINE + text)];
    return Promise.all([...files].map(about));
  };
  const good = await goodFiles();
  // The shipped file has its own line, which counts where it stands.
  good.delete('routes.yaml');
  for (const [name, problems] of await said(good)) assert.deepEqual(problems, [], name);
  const broken = await said(await fixturesOf((wanted) => wanted.includes(': error: ')));
  const silent = broken.filter(([, problems]) => problems.length === 0).map(([name]) => name);
  assert.deepEqual(silent, [...Object.keys(UNSEEN), ...Object.keys(SILENT)].sort());
});
