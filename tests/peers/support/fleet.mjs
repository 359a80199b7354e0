// Many Socket.IO clients that talk to servers in numbered turns, and what became of each.

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { io as io4 } from 'socket.io-client-4';
import { run } from './child.mjs';
import { PYTHON } from './python.mjs';

const require = createRequire(import.meta.url);
const PYTHON_FLEET = fileURLToPath(new URL('python_fleet.py', import.meta.url));

/** The Socket.IO clients in Node, by generation. */
const GENERATIONS = { 2: require('socket.io-client-2'), 3: require('socket.io-client-3'), 4: io4 };

/** How many clients a fleet has, as the acceptance of groups says. */
export const FLEET = 30;

export const POLLING = ['polling'];
export const UPGRADED = ['polling', 'websocket'];

/**
 * A client that sends `up` with the numbers from 0, the next one `pace` ms after a `down` of the same number came. A fault is
 * whatever a user could notice: an error, an end that the client did not ask for, a number out of its turn, an answer of
 * another server, an upgrade that failed.
 */
export class Talker {
  faults = [];
  rounds = 0;
  server = null;
  #heard = () => {};
  #over = false;
  #connections = 0;

  constructor(generation, url, { transports = POLLING, pace = 0, ...options } = {}) {
    this.client = GENERATIONS[generation](url, { transports, forceNew: true, reconnection: false, timeout: 10_000, ...options });
    const { client } = this;
    this.transports = transports;
    client.on('connect', () => {
      // One that comes back begins anew.
      [this.rounds, this.server] = [0, null];
      this.#connections += 1;
      this.#up();
    });
    client.on('disorder', (number) => this.#fault(`the server heard ${number} out of its turn`));
    client.on('disconnect', (reason) => this.#fault(`disconnect: ${reason}`));
    for (const event of ['connect_error', 'error']) client.on(event, (error) => this.#fault(`${event}: ${saying(error)}`));
    client.io.engine.on('upgradeError', (error) => this.#fault(`upgradeError: ${saying(error)}`));
    client.on('down', (number, server) => {
      if (number !== this.rounds) this.#fault(`heard ${number} instead of ${this.rounds}`);
      if (this.server !== null && server !== this.server) this.#fault(`went from ${this.server} to ${server}`);
      this.server = server;
      this.rounds += 1;
      this.#heard();
      const connection = this.#connections;
      if (pace > 0) setTimeout(() => connection === this.#connections && this.#up(), pace);
      else this.#up();
    });
  }

  #up() {
    if (!this.#over && this.client.connected) this.client.emit('up', this.rounds);
  }

  #fault(what) {
    if (this.#over) return;
    this.faults.push(what);
    this.#heard();
  }

  /** Until it has heard so many more answers, or had a fault; a late one is a fault too. */
  async talks(rounds, ms) {
    const wanted = this.rounds + rounds;
    let timer;
    await new Promise((resolve) => {
      timer = setTimeout(() => {
        this.#fault(`after ${ms} ms in round ${this.rounds}`);
        resolve();
      }, ms);
      this.#heard = () => (this.rounds >= wanted || this.faults.length > 0) && resolve();
      this.#heard();
    });
    clearTimeout(timer);
  }

  /** Until it has settled on the last of its transports, while it talks. */
  async settles(ms) {
    const began = Date.now();
    while (this.faults.length === 0 && this.client.io.engine.transport.name !== this.transports.at(-1)) {
      if (Date.now() - began > ms) this.#fault(`still on ${this.client.io.engine.transport.name} after ${ms} ms`);
      await this.talks(1, ms);
    }
  }

  close() {
    this.#over = true;
    this.client.close();
  }
}

/** What a client says of an error; a refused poll has the answer's text in its context. */
function saying({ message, description, context }) {
  const answer = context?.responseText ?? description?.context?.responseText ?? '';
  return `${message} (${description?.message ?? description})${answer && `: ${answer}`}`;
}

/** Talkers that leave with the test. */
export function talkers(ring, generation, url, { count = FLEET, ...options } = {}) {
  const members = Array.from({ length: count }, () => new Talker(generation, url, options));
  ring.onEnd(() => members.forEach((member) => member.close()));
  return members;
}

/** Whether all was well with each of a fleet, and where they were: `{ well: 30, faults: [], servers: { a: 10, … } }`. */
export function summary(members) {
  const servers = {};
  for (const { server } of members) if (server !== null) servers[server] = (servers[server] ?? 0) + 1;
  return {
    well: members.filter(({ faults }) => faults.length === 0).length,
    faults: members.flatMap(({ faults }) => faults),
    servers,
  };
}

/**
 * A fleet of clients of a generation (4, 3, 2 or `python`) that connect at once, talk, change to the last of their transports
 * and talk on; then all leave. The clients in Node ask for each poll over a new connection, unless they have an agent that
 * keeps some; `kept` says it for the others.
 */
export async function fleet(ring, generation, url, { count = FLEET, transports = POLLING, rounds = 4, kept = false, seconds = 15, ...options } = {}) {
  if (generation === 'python') {
    const settings = JSON.stringify({ url, count, transports, rounds: 2 * rounds, kept, seconds });
    const said = await run(PYTHON, [PYTHON_FLEET, settings]);
    // Before it there may be what the clients' library says on stderr.
    return summary(JSON.parse(said.trim().split('\n').at(-1)));
  }
  const members = talkers(ring, generation, url, { count, transports, ...options });
  const each = async (member) => {
    await member.talks(rounds, seconds * 1_000);
    await member.settles(seconds * 1_000);
    await member.talks(rounds, seconds * 1_000);
    member.close();
  };
  await Promise.all(members.map(each));
  return summary(members);
}
