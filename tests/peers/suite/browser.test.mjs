// A real browser: the demonstration as it is shipped, and pages with the bundles of socket.io-client.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { ask, browser, connect, heard, pageServer, settledOn } from '../support/browser.mjs';
import { certificates } from '../support/certificates.mjs';
import { V2, V4 } from '../support/clients.mjs';
import { demonstration } from '../support/demonstration.mjs';
import { check, wsgate } from '../support/ring.mjs';
import { socketIo } from '../support/servers.mjs';

const GENERATIONS = { 4: V4, 2: V2 };
const PROXIED = { via: ['wsgate', 'nginx'], deadline: 60_000 };

/** Types a message into a tab of the demonstration. */
async function say(tab, text) {
  await tab.locator('#text').fill(text);
  await tab.locator('#send').click();
}

/** Until a tab shows a message, by whom and over what. */
async function shown(tab, text, name, via) {
  const message = tab.locator('.said', { hasText: text });
  await message.waitFor();
  assert.equal(await message.locator('.text').innerText(), text);
  assert.equal(await message.locator('.by b').innerText(), name);
  assert.equal(await message.locator('.by .tag').innerText(), via);
}

check('two tabs of the demonstration, over http and https, read what the other one writes', { via: ['wsgate'], deadline: 60_000 }, async (ring) => {
  const { command, plain, secure, certificate } = await demonstration(ring);
  const { tab } = await browser(ring, { command, trust: [certificate] });
  const tabs = [
    { name: 'Anna', url: plain, via: 'ws', page: await tab() },
    { name: '白雪', url: secure, via: 'wss', page: await tab() },
  ];
  for (const { name, url, via, page } of tabs) {
    await page.goto(url);
    await page.locator('#state', { hasText: /^connected$/ }).waitFor();
    assert.match(await page.locator('#address').innerText(), new RegExp(`^${via}://${new URL(url).host}/socket\\.io/`));
    assert.equal(await page.locator('#transport').innerText(), 'websocket (Engine.IO 4)');
    await page.locator('#name').fill(name);
    await page.locator('#name').press('Enter');
  }
  const [anna, bai] = tabs.map(({ page }) => page);
  for (const page of [anna, bai]) await page.locator('#people li', { hasText: 'Anna' }).waitFor();
  for (const page of [anna, bai]) await page.locator('#people li', { hasText: '白雪' }).waitFor();

  await say(anna, '你好 ✓ from http');
  await shown(bai, '你好 ✓ from http', 'Anna', 'ws');
  await say(bai, '<b>from https</b>');
  await shown(anna, '<b>from https</b>', '白雪', 'wss');
  await shown(anna, '你好 ✓ from http', 'you', 'ws');
  await anna.locator('.took').waitFor();

  assert.equal(await bai.locator('#seen div').nth(1).innerText(), 'X-Forwarded-Proto: https');
  for (const { page } of tabs) assert.deepEqual(page.complaints, []);
});

/** The values of cookies in a request, by name. */
function cookies({ headers }) {
  return Object.fromEntries((headers.cookie ?? '').split('; ').map((pair) => pair.split('=')));
}

/** Answers, events and binary data both ways between a page and a server. */
async function converse(page, server, { transport, id }) {
  const { socket } = await server.connections.find((connection) => connection.socket.id === id);
  const said = { text: '你好 ✓ é', list: [1, null, true] };
  assert.deepEqual(await ask(page, 'echo', said), said);

  await settledOn(page, transport);
  socket.emit('news', '连上了/', 42);
  assert.deepEqual(await heard(page, 1), [['连上了/', 42]]);
  assert.equal(socket.conn.transport.name, transport, 'the transport as the server sees it');

  const sent = randomBytes(3_000);
  assert.deepEqual(await ask(page, 'reverse', sent), [...sent].reverse());
  socket.emit('file', { name: 'π.bin', parts: [sent, sent.subarray(0, 1)] });
  assert.deepEqual((await heard(page, 2))[1], ['π.bin', [...sent], [sent[0]]]);
}

/** What a server saw of one tab, by the query of its client. */
function seenOf(server, tab) {
  const own = ({ url }) => new URL(url, 'http://x').searchParams.get('tab') === tab;
  return { asked: server.requests.filter(own), upgrades: server.upgrades.filter(own) };
}

for (const scheme of ['http', 'https']) {
  for (const [generation, kinds] of Object.entries(GENERATIONS)) {
    check(`over ${scheme}, pages talk to a v${generation} server by WebSocket, by polling and by the upgrade, and bring cookies`, PROXIED, async (ring) => {
      const { pairs } = await certificates(ring);
      const cookie = { name: 'io', httpOnly: true }; // by default only the v2 server has one
      const server = await socketIo(ring, Number(generation), generation === '4' ? { cookie } : {});
      const pages = await pageServer(ring, Number(generation));
      const gate = await ring.gate(server, { routes: [['/socket.io', server], ['/', pages]], tls: pairs });
      const { tab } = await browser(ring, { trust: [pairs[0].cert] });

      await Promise.all(kinds.map(async ({ name, transports, settles, eio }) => {
        const page = await tab();
        await page.goto(gate[scheme]);
        const id = await connect(page, undefined, { transports, query: { tab: settles + transports.length } });
        await converse(page, server, { transport: settles, id });

        const { asked, upgrades } = seenOf(server, settles + transports.length);
        assert.equal(asked.length > 0, transports.includes('polling'), name);
        assert.equal(upgrades.length, transports.includes('websocket') ? 1 : 0, name);
        // Only the answer to a poll sets the server's cookie here; what the page itself set comes with everything.
        const [hello, ...later] = [...asked, ...upgrades];
        assert.deepEqual(cookies(hello), { visitor: generation }, name);
        for (const seen of later) {
          assert.equal(cookies(seen).visitor, generation, name);
          assert.match(cookies(seen).io, /^[\w-]{20}$/, name);
        }
        for (const { url, headers } of [hello, ...later]) {
          assert.equal(new URL(url, 'http://x').searchParams.get('EIO'), eio);
          assert.equal(headers['x-forwarded-proto'], scheme);
          assert.match(headers['user-agent'], /Chrome/);
        }
        for (const { headers } of upgrades) assert.equal(headers.origin, gate[scheme]);
        assert.deepEqual(page.complaints, [], name);
      }));

      if (!wsgate) return;
      const tunnels = await gate.log.several(2, ({ message }) => message === 'tunnel opened');
      for (const { request } of tunnels) assert.match(request, new RegExp(`EIO=${kinds[0].eio}\\S*transport=websocket`));
    });
  }

  check(`over ${scheme}, pages of another origin reach a server that names it, with credentials and headers of their own`, PROXIED, async (ring) => {
    const { pairs } = await certificates(ring);
    const pages = await pageServer(ring, 4);
    const home = await ring.gate(pages, { location: '/', tls: pairs });
    const cors = { origin: home[scheme], credentials: true };
    const server = await socketIo(ring, 4, { cors, cookie: { name: 'io', httpOnly: true } });
    const gate = await ring.gate(server, { tls: pairs });
    const { tab } = await browser(ring, { trust: [pairs[0].cert] });

    await Promise.all(V4.map(async ({ name, transports, settles }) => {
      const page = await tab();
      await page.goto(home[scheme]);
      // A header of one's own makes a browser ask first; it cannot send one with a WebSocket.
      const transportOptions = { polling: { extraHeaders: { 'X-Token': 'abc' } } };
      const query = { tab: settles + transports.length };
      const id = await connect(page, gate[scheme], { transports, query, transportOptions, withCredentials: true });
      await converse(page, server, { transport: settles, id });

      const { asked, upgrades } = seenOf(server, query.tab);
      const polls = asked.filter(({ method }) => method !== 'OPTIONS');
      const preflights = asked.filter(({ method }) => method === 'OPTIONS');
      assert.equal(preflights.length > 0, transports.includes('polling'), name);
      for (const { headers } of preflights) assert.equal(headers['access-control-request-headers'], 'x-token', name);
      for (const { headers } of polls) assert.equal(headers['x-token'], 'abc', name);
      for (const { headers } of [...asked, ...upgrades]) assert.equal(headers.origin, home[scheme], name);
      // A port makes another origin, but no other host: the cookie of the page is the server's too.
      for (const seen of [...polls, ...upgrades]) assert.equal(cookies(seen).visitor, '4', name);
      for (const seen of [...polls, ...upgrades].slice(1)) assert.match(cookies(seen).io, /^[\w-]{20}$/, name);
      assert.deepEqual(page.complaints, [], name);
    }));
  });
}

check('a page of an origin that the server does not name is kept out by the browser', PROXIED, async (ring) => {
  const pages = await pageServer(ring, 4);
  const home = await ring.gate(pages, { location: '/' });
  const server = await socketIo(ring, 4, { cors: { origin: 'https://page.test', credentials: true } });
  const gate = await ring.gate(server);
  const { tab } = await browser(ring);
  const page = await tab();
  await page.goto(home.http);
  await assert.rejects(connect(page, gate.http, { transports: ['polling'], withCredentials: true }), /connect_error: xhr poll error/);
  assert.match(page.complaints.join('\n'), /blocked by CORS policy/);
  assert.equal(server.connections.length, 0);
});
