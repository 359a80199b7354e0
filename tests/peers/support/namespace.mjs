// A network of its own, with nothing but a loopback: where any port can be had, and no other process is met.

import { spawnSync } from 'node:child_process';
import { run, start } from './child.mjs';

const made = new Set();
let count = 0;

process.on('exit', () => {
  for (const name of made) spawnSync('ip', ['netns', 'delete', name]);
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

/**
 * A network namespace that is removed with the test. `command` is what a program of it is started behind; `start` and
 * `run` do so. Needs root, or rather CAP_SYS_ADMIN and CAP_NET_ADMIN, and iproute2.
 */
export async function namespace(ring) {
  count += 1;
  const name = `wsgate-peers-${process.pid}-${count}`;
  const command = ['ip', 'netns', 'exec', name];
  try {
    await run('ip', ['netns', 'add', name]);
    made.add(name);
    ring.onEnd(async () => {
      await run('ip', ['netns', 'delete', name]);
      made.delete(name);
    });
    await run('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
    await run('ip', ['netns', 'exec', name, 'true']);
  } catch (error) {
    throw new Error(`this test needs a network namespace: run it as root where they are allowed, with iproute2\n${error.message}`, { cause: error });
  }
  return {
    command,
    start: (...line) => start(command[0], [...command.slice(1), ...line]),
    run: (...line) => run(command[0], [...command.slice(1), ...line]),
  };
}
