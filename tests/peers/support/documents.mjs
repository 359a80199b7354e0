// The documents and fixtures of this repository, as texts.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

export function read(file) {
  return readFile(join(ROOT, file), 'utf8');
}

/** The texts of the files in `folder` that end in `.yaml`, by name without it. */
export async function yamlFiles(folder) {
  const names = (await readdir(join(ROOT, folder))).filter((name) => name.endsWith('.yaml')).sort();
  const texts = names.map(async (name) => [name.slice(0, -'.yaml'.length), await read(join(folder, name))]);
  return new Map(await Promise.all(texts));
}

/** The fenced YAML blocks of a document that are whole files. */
export async function examples(document) {
  const blocks = (await read(document)).split('```yaml\n').slice(1);
  return blocks
    .map((rest) => rest.split('```')[0])
    .filter((block) => block.includes('listen:') && block.includes('routes:'));
}
