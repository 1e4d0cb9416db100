// A cache in front of something slow, shared by many callers.
//
//     node cache.js [redis://127.0.0.1:6379/]
//
// The first caller that misses takes a short lock and computes; the others wait for the result instead of computing
// the same thing again. The lock expires by itself, so a caller that dies holds nobody up for long.

const assert = require("node:assert");
const { setTimeout: delay } = require("node:timers/promises");
const Redis = require("ioredis");

const KEPT_SECONDS = 60;
const LOCK_MS = 2000;

const redis = new Redis(process.argv[2] ?? "redis://127.0.0.1:6379/", { maxRetriesPerRequest: 1 });
redis.on("error", () => {}); // commands report it, too

async function cached(name, compute) {
  const [key, lock] = [`example:cache:${name}`, `example:cache:${name}:lock`];
  for (;;) {
    const found = await redis.get(key);
    if (found !== null) return JSON.parse(found);
    if ((await redis.set(lock, "1", "PX", LOCK_MS, "NX")) === "OK") {
      // Between the two another caller may have finished: its value is there, and its lock gone.
      const meanwhile = await redis.get(key);
      if (meanwhile !== null) {
        await redis.del(lock);
        return JSON.parse(meanwhile);
      }
      const value = await compute();
      // The value and the end of the lock in one step.
      await redis.multi().set(key, JSON.stringify(value), "EX", KEPT_SECONDS).del(lock).exec();
      return value;
    }
    await delay(5);
  }
}

async function main() {
  const names = ["report", "front-page"];
  await redis.del(names.flatMap((name) => [`example:cache:${name}`, `example:cache:${name}:lock`]));
  let computed = 0;
  const slow = (name) => async () => {
    computed += 1;
    await delay(20);
    return { name, lines: [1, 2, 3] };
  };

  const calls = names.flatMap((name) => Array.from({ length: 20 }, () => cached(name, slow(name))));
  const values = await Promise.all(calls);
  assert.strictEqual(values.length, 40);
  for (const value of values) assert.deepStrictEqual(value, { name: value.name, lines: [1, 2, 3] });
  assert.strictEqual(computed, names.length);

  const pipeline = redis.pipeline();
  for (const name of names) pipeline.ttl(`example:cache:${name}`);
  for (const [error, seconds] of await pipeline.exec()) {
    assert.strictEqual(error, null);
    assert.ok(seconds > KEPT_SECONDS - 10 && seconds <= KEPT_SECONDS, `${seconds} s left`);
  }
  await redis.del(names.map((name) => `example:cache:${name}`));
  console.log(`${values.length} answers, ${computed} computed`);
}

main()
  .then(() => redis.quit())
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
