// What the scripts in JavaScript share: a fresh client per story, an empty database, a count at the end.
//
// A script is called with the server's port in the directory where its libraries are installed, marks its stories with
// story() and calls main(). A story is given a client and `again`, which makes one more; all are closed behind it.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

/** A library from the directory in which the script was started. */
export const library = createRequire(`${process.cwd()}/`);
export const port = Number(process.argv[2]);

const LIMIT_MS = 20_000;
const stories = [];

/** Marks a story. */
export function story(name, tell) {
  stories.push({ name, tell });
}

/** Asserts that a promise is refused with an error whose text contains this one. */
export async function refuses(promise, text) {
  await assert.rejects(promise, (error) => {
    assert.ok(String(error).includes(text), `${error} instead of ${text}`);
    return true;
  });
}

/** Waits for a condition, which may be a promise's; gives back what it was in the end. */
export async function until(what, condition) {
  for (const end = Date.now() + LIMIT_MS; ; ) {
    const met = await condition();
    if (met) return met;
    assert.ok(Date.now() < end, `waited for ${what}`);
    await sleep(2);
  }
}

/** The numbers from 0 to below `count`. */
export function range(count) {
  return [...Array(count).keys()];
}

/** A cache of what `read` gives, and how often it had the answer. What is told while a read is under way may be newer
 * than its answer, which is not kept then. */
export class LocalCache {
  #values = new Map();
  hits = 0;

  constructor(read) {
    this.read = read;
  }

  async get(name) {
    if (this.#values.has(name) && !(this.#values.get(name) instanceof Promise)) {
      this.hits += 1;
      return this.#values.get(name);
    }
    const reading = this.read(name);
    this.#values.set(name, reading);
    const value = await reading;
    if (this.#values.get(name) === reading) this.#values.set(name, value);
    return value;
  }

  has(name) {
    return this.#values.has(name);
  }

  /** Forgets these names, or all. */
  forget(names) {
    if (names === null) this.#values.clear();
    else names.forEach((name) => this.#values.delete(name));
  }
}

/** How often the server has run a command, by the text of INFO commandstats. */
export function callsOf(commandstats, command) {
  return Number(commandstats.match(`cmdstat_${command}:calls=([0-9]+)`)?.[1] ?? 0);
}

/** Tells each story with each of the flavours, `{name, connect, flush, close}`, and prints the counts. */
export async function main(flavours) {
  let [passed, failed] = [0, 0];
  for (const flavour of flavours) {
    for (const { name, tell } of stories) {
      const clients = [];
      const again = async (options) => {
        const client = await flavour.connect(options);
        clients.push(client);
        return client;
      };
      try {
        const r = await again();
        await flavour.flush(r);
        await tell(r, again, flavour);
        passed += 1;
      } catch (error) {
        failed += 1;
        console.log(`${name} (${flavour.name}):\n${error.stack}`);
      } finally {
        clients.forEach(flavour.close);
      }
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}
