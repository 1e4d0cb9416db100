// A cache in front of something slow: whatever happens, one caller at a time computes, and nobody stores what is out of date.
//
//     node stampede-proof-cache.js [redis://127.0.0.1:6379/]
//
// CACHE.GET gives one caller a lease; the others wait for the value. If whoever has the lease dies, the next one gets it
// when it ends. CACHE.INVALIDATE makes all values with a tag useless at once. CACHE.PUT under a lease is refused if the
// key was deleted since: the value was computed from what is not true any more.

const assert = require("node:assert");
const Redis = require("ioredis");

const PAGE = "example:stampede:page";
const TAG = "example:user:7";
const CALLERS = 20;

const redis = new Redis(process.argv[2] ?? "redis://127.0.0.1:6379/", { maxRetriesPerRequest: 1 });
redis.on("error", () => {}); // commands report it, too

const source = { version: 1, computed: 0 };

async function compute() {
  source.computed += 1;
  const { version } = source;
  await new Promise((done) => setTimeout(done, 50));
  return `page ${version}`;
}

// A caller that waits needs a connection of its own.
async function cached(connection, key) {
  for (;;) {
    const [status, value, token] = await connection.call("CACHE.GET", key, "LEASE", 3000, "BLOCK", 5000);
    if (token !== null) {
      // Nobody has it ("miss"), or it is getting old ("stale"): it is on us.
      const fresh = await compute();
      const put = ["PX", 60_000, "SOFT", 30_000, "TOKEN", token, "TAGS", 1, TAG];
      await connection.call("CACHE.PUT", key, fresh, ...put);
      return fresh;
    }
    if (status !== "wait" && status !== "miss") return value;
    // Whoever computes takes longer than we wanted to wait.
  }
}

async function stampede() {
  const connections = Array.from({ length: CALLERS }, () => redis.duplicate());
  const pages = await Promise.all(connections.map((connection) => cached(connection, PAGE)));
  connections.forEach((connection) => connection.disconnect());
  assert.deepStrictEqual(pages, Array(CALLERS).fill(`page ${source.version}`));
  return pages.length;
}

async function main() {
  await redis.del(PAGE);
  let reads = await stampede();
  assert.strictEqual(source.computed, 1);

  source.version = 2;
  assert.strictEqual(await redis.call("CACHE.INVALIDATE", TAG), 1);
  reads += await stampede();
  assert.strictEqual(source.computed, 2);

  // Somebody gets the lease and dies: those who wait go on when it ends.
  await redis.del(PAGE);
  assert.strictEqual((await redis.call("CACHE.GET", PAGE, "LEASE", 300))[0], "miss");
  reads += await stampede();
  assert.strictEqual(source.computed, 3);

  // Somebody computes while the page changes.
  await redis.del(PAGE);
  const [, , token] = await redis.call("CACHE.GET", PAGE);
  const old = await compute();
  source.version = 3;
  await redis.del(PAGE);
  assert.strictEqual(await redis.call("CACHE.PUT", PAGE, old, "EX", 60, "TOKEN", token), 0);
  assert.strictEqual(await redis.exists(PAGE), 0);
  console.log(`${reads} reads, 3 computed, 1 value refused that was out of date`);
}

main()
  .then(() => redis.quit())
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
