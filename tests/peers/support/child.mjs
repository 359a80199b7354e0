// Child processes that never outlive this one.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  running.add(child);
  child.exited = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
  child.exited.catch(() => {}).finally(() => running.delete(child));
  return child;
}

/** Runs to its end; its output, or an error that shows it. */
export async function run(command, args, options = {}) {
  const child = start(command, args, options);
  let said = '';
  child.stdout.on('data', (data) => (said += data));
  child.stderr.on('data', (data) => (said += data));
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${said}`);
  return said;
}
