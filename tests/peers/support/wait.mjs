// Waiting for events under a deadline; nothing here sleeps.

export const DEADLINE = 10_000;

/** `promise`, or an error that says what did not happen within `ms`. */
export function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The arguments of the emitter's next `event`; ask before you cause it. */
export function next(emitter, event, ms = DEADLINE) {
  const off = emitter.off ? 'off' : 'removeListener';
  let heard;
  const promise = new Promise((resolve) => {
    heard = (...args) => resolve(args);
    emitter.on(event, heard);
  });
  const guarded = within(ms, promise, `the event "${event}"`).finally(() => emitter[off](event, heard));
  guarded.catch(() => {});
  return guarded;
}

/** What happened so far, and a way to wait for what has not happened yet. */
export class Journal {
  #waiting = new Set();

  constructor(what) {
    this.what = what;
    this.entries = [];
  }

  get length() {
    return this.entries.length;
  }

  add(entry) {
    this.entries.push(entry);
    for (const look of [...this.#waiting]) look();
  }

  some(matches) {
    return this.entries.some(matches);
  }

  filter(matches) {
    return this.entries.filter(matches);
  }

  /** The first `count` entries that match, as soon as there are so many. */
  async several(count, matches = () => true, ms = DEADLINE) {
    let look;
    const promise = new Promise((resolve) => {
      look = () => {
        const found = this.entries.filter(matches);
        if (found.length >= count) resolve(found.slice(0, count));
      };
      this.#waiting.add(look);
      look();
    });
    try {
      return await within(ms, promise, `${count} of ${this.what} matching ${matches}`);
    } finally {
      this.#waiting.delete(look);
    }
  }

  /** The first entry that matches, as soon as there is one. */
  async find(matches = () => true, ms = DEADLINE) {
    return (await this.several(1, matches, ms))[0];
  }
}
