// A certificate authority and its leaves, made by the openssl command in a folder of their own.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './child.mjs';

async function leaf(folder, file, names) {
  const [cert, key, request, extensions] = ['pem', 'key', 'csr', 'ext'].map((end) => join(folder, `${file}.${end}`));
  const alternatives = names.map((name) => `${isIP(name) ? 'IP' : 'DNS'}:${name}`);
  await writeFile(extensions, `subjectAltName=${alternatives.join(',')}\nextendedKeyUsage=serverAuth\n`);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await run('openssl', ['req', '-new', ...newKey, '-keyout', key, '-out', request, '-subj', `/CN=${file}`]);
  const authority = ['-CA', join(folder, 'ca.pem'), '-CAkey', join(folder, 'ca.key'), '-CAcreateserial'];
  await run('openssl', ['x509', '-req', '-in', request, ...authority, '-days', '2', '-extfile', extensions, '-out', cert]);
  return { cert, key, names };
}

/** The first for a.test and the loopback (for clients that send no name), the second for *.b.test. */
const LEAVES = { a: ['a.test', 'localhost', '127.0.0.1', '::1'], b: ['*.b.test'] };

/** `{ ca, caFile, pairs, folder }`: a pair signed by `ca` for each of `leaves`, which says the names of each file. */
export async function certificates(ring, leaves = LEAVES) {
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-peers-tls-'));
  ring.onEnd(() => rm(folder, { recursive: true, force: true }));
  const [cert, key] = [join(folder, 'ca.pem'), join(folder, 'ca.key')];
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await run('openssl', ['req', '-x509', ...newKey, '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=peers']);
  const pairs = [];
  for (const [file, names] of Object.entries(leaves)) pairs.push(await leaf(folder, file, names));
  return { ca: await readFile(cert), caFile: cert, pairs, folder };
}

/**
 * `{ ca, key, whole, alone }`: a certificate for a.test of an authority that is below the one in `ca`, with the certificate of
 * its authority behind it in the file `whole`, and without it in `alone`.
 */
export async function threeInAChain(ring) {
  const { ca, folder } = await certificates(ring, {});
  const at = (file) => join(folder, file);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await writeFile(at('middle.ext'), 'basicConstraints=critical,CA:true\n');
  await writeFile(at('leaf.ext'), 'subjectAltName=DNS:a.test\nextendedKeyUsage=serverAuth\n');
  for (const [name, issuer] of [['middle', 'ca'], ['leaf', 'middle']]) {
    await run('openssl', ['req', '-new', ...newKey, '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`), '-subj', `/CN=${name}`]);
    const authority = ['-CA', at(`${issuer}.pem`), '-CAkey', at(`${issuer}.key`), '-CAcreateserial'];
    const about = ['-days', '90', '-extfile', at(`${name}.ext`)];
    await run('openssl', ['x509', '-req', '-in', at(`${name}.csr`), ...authority, ...about, '-out', at(`${name}.pem`)]);
  }
  await writeFile(at('whole.pem'), (await readFile(at('leaf.pem'), 'utf8')) + (await readFile(at('middle.pem'), 'utf8')));
  return { ca, key: at('leaf.key'), whole: at('whole.pem'), alone: at('leaf.pem') };
}

/** Finds every name on the loopback, for `lookup` options. */
export function loopback(_, options, done) {
  if (options.all) done(null, [{ address: '127.0.0.1', family: 4 }]);
  else done(null, '127.0.0.1', 4);
}
