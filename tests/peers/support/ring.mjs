// One test of the ring: what it starts is stopped in reverse order, and a failure prints the proxy's log.

import { test } from 'node:test';
import { within } from './wait.mjs';
import { startWsgate } from './wsgate.mjs';
import { startNginx } from './nginx.mjs';

/** What stands between clients and backends: `wsgate` (what counts), `nginx`, or `direct` for nothing. */
export const VIA = process.env.PEERS_VIA ?? 'wsgate';
const MODES = ['wsgate', 'nginx', 'direct'];
if (!MODES.includes(VIA)) throw new Error(`PEERS_VIA is ${VIA}: it can be ${MODES.join(', ')}`);

/** Whether wsgate's own log and answers can be asked about. */
export const wsgate = VIA === 'wsgate';

class Ring {
  #endings = [];
  #witnesses = [];
  gates = [];

  constructor(sentence) {
    this.sentence = sentence;
  }

  /** Runs `ending` when the test is over, the latest first. */
  onEnd(ending) {
    this.#endings.push(ending);
  }

  /** Asks `witness` for a line of the message when the test fails, while everything still runs. */
  onFailure(witness) {
    this.#witnesses.push(witness);
  }

  /** What every witness says; one that cannot say anything is left out. */
  async testimony() {
    const lines = await Promise.allSettled(this.#witnesses.map((witness) => within(10_000, witness(), 'a witness')));
    return lines.filter(({ value }) => value).map(({ value }) => value);
  }

  async end() {
    const errors = [];
    for (const ending of this.#endings.reverse()) {
      try {
        await within(10_000, Promise.resolve(ending()), `the end of ${ending}`);
      } catch (error) {
        errors.push(error);
      }
    }
    return errors;
  }

  /**
   * A proxy before `backend` (a thing with a port), or before `routes`, a list of `[location, backend]`.
   * With `tls`, a list of `{ cert, key, names }`, it also has a TLS listener; `top` is a list of lines for wsgate's file, and
   * `document` an object that is the whole of it.
   */
  async gate(backend, { location = '/socket.io', routes = [[location, backend]], tls, format, top, document } = {}) {
    if (VIA === 'direct') {
      if (routes.length !== 1 || tls) throw new Error('this test needs a proxy: leave `direct` out of its `via`');
      const at = `127.0.0.1:${routes[0][1].port}`;
      return { http: `http://${at}`, ws: `ws://${at}`, port: routes[0][1].port };
    }
    const gate = await (VIA === 'nginx' ? startNginx : startWsgate)({ routes, tls, format, top, document });
    this.gates.push(gate);
    this.onEnd(() => gate.stop());
    return gate;
  }
}

/** What wsgate found wrong about its clients, by kind, from either form of its log. */
function found(gate) {
  const lines = gate.text().split('\n');
  return lines.flatMap((line) => /"message":"diagnosis","kind":"(\w+)"| diagnosis kind="(\w+)"/.exec(line)?.slice(1).filter(Boolean) ?? []);
}

/**
 * A test named by a sentence. `via` lists the modes it has a meaning in; in others it is not listed at all. `diagnosed`
 * lists the kinds of what may be wrong with its clients: wsgate must find nothing else, and nothing at all where all is well.
 */
export function check(sentence, ...rest) {
  const body = rest.pop();
  const { via = MODES, deadline = 30_000, diagnosed = [] } = rest.pop() ?? {};
  if (!via.includes(VIA)) return;
  test(sentence, async () => {
    const ring = new Ring(sentence);
    let failure;
    try {
      await within(deadline, body(ring), `the whole test "${sentence}"`);
    } catch (error) {
      failure = error;
      failure.message = [failure.message, ...(await ring.testimony())].join('\n');
    }
    const errors = await ring.end();
    failure ??= errors[0];
    if (wsgate && !failure) {
      const more = ring.gates.flatMap(found).filter((kind) => !diagnosed.includes(kind));
      if (more.length) failure = new Error(`wsgate found what was not expected: ${[...new Set(more)].join(', ')}`);
    }
    if (failure) {
      for (const gate of ring.gates) console.error(`--- ${VIA} in "${sentence}"\n${gate.text()}\n---`);
      throw failure;
    }
  });
}
