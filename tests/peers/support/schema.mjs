// The schema that `wsgate schema` prints, and the files of this repository that it is held against.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Ajv from 'ajv';
import { examples, read, yamlFiles } from './documents.mjs';
import { BINARY } from './wsgate.mjs';

const run = promisify(execFile);

/** The beginning of a file. */
export const LISTEN = 'listen:\n  - address: 8080\n';

/** Broken files that the schema takes for good ones, and what it would have to see. */
export const UNSEEN = {
  address_twice: 'two listeners with one address',
  certificates: 'what is in the files that are named',
  location_twice: 'two routes with one location',
  long_line: 'two routes with one location',
  loops: 'a route that leads back to a listener',
  same_location_of_hosts: 'two routes with one location and a host in common',
  tests_broken: 'what the routes make of a URL',
  tests_of_groups: 'what the routes make of a URL',
};

/** The schema that the binary prints. */
export async function printed() {
  const { stdout, stderr } = await run(BINARY, ['schema']);
  assert.equal(stderr, '');
  return stdout;
}

/** A validator of draft-07 for it that takes no unknown word for a keyword, beside the three of the language server. */
export async function validator() {
  const schema = JSON.parse(await printed());
  const ajv = new Ajv({ allErrors: true, strict: true, strictTypes: false, strictRequired: false, allowUnionTypes: true });
  for (const keyword of ['errorMessage', 'enumDescriptions', 'defaultSnippets']) ajv.addKeyword(keyword);
  ajv.addSchema(schema, 'routes');
  const at = (pointer) => {
    const validate = ajv.getSchema(`routes#${pointer}`);
    assert.ok(validate, pointer);
    return (value) => (validate(value) ? [] : validate.errors.map((error) => `${error.instancePath} ${error.message}`));
  };
  return { schema, at, problems: at('') };
}

/** A folder of a user's own, with what `wsgate schema > routes.schema.json` leaves there. */
export async function folderWithSchema(ring) {
  const folder = await mkdtemp(join(tmpdir(), 'wsgate-schema-'));
  ring.onEnd(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'routes.schema.json'), await printed());
  return folder;
}

/** Every file of the repository that wsgate serves, by where it stands. */
export async function goodFiles() {
  const good = new Map([['routes.yaml', await read('routes.yaml')]]);
  for (const document of ['README.md', 'docs/configuration.md', 'docs/from-nginx.md']) {
    (await examples(document)).forEach((text, number) => good.set(`${document}, example ${number + 1}`, text));
  }
  for (const [name, text] of await yamlFiles('tests/import')) good.set(`tests/import/${name}`, text);
  const fixtures = await fixturesOf((wanted) => !wanted.includes(': error: '));
  for (const [name, text] of fixtures) good.set(`tests/config/${name}`, text);
  return good;
}

/** The fixtures of `tests/config` whose exact output is as it `should` be. */
export async function fixturesOf(should) {
  const fixtures = new Map();
  for (const [name, text] of await yamlFiles('tests/config')) {
    if (should(await read(`tests/config/${name}.stderr`))) fixtures.set(name, text);
  }
  return fixtures;
}
