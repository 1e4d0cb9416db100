// ioredis as published: queues as applications build them by hand, on lists, streams, sorted sets and scripts, with several
// worker processes and a ledger outside the server. `node ioredis.js` is the driver, with a role it is one worker.
"use strict";

const assert = require("node:assert/strict");
const { Redis } = require("ioredis");
const { connection, jobs, main, sleep, until, withWorkers, worker, stop } = require("./driver.js");
const ledger = require("./ledger.js");

const WORKERS = 4;

/** Moves what is due into the queue. The destination is named by the job, so it is no declared key. */
const PROMOTE = `
  local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 100)
  for _, id in ipairs(due) do
    redis.call('ZREM', KEYS[1], id)
    redis.call('LPUSH', redis.call('HGET', ARGV[2] .. id, 'queue'), id)
  end
  return #due`;

/** Takes a token, or says how many milliseconds to wait. */
const TAKE = `
  local taken = redis.call('INCR', KEYS[1])
  if taken == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
  if taken > tonumber(ARGV[1]) then return redis.call('PTTL', KEYS[1]) end
  return -1`;

function connect(options) {
  const redis = new Redis({ ...connection, ...options });
  redis.defineCommand("promote", { numberOfKeys: 1, lua: PROMOTE });
  redis.defineCommand("take", { numberOfKeys: 1, lua: TAKE });
  redis.on("error", (error) => console.error("redis:", error.message));
  return redis;
}

// ---------------------------------------------------------------- workers

const roles = {
  /** The reliable queue: move to a list of one's own, execute, remove. */
  async list(redis, id) {
    const own = `list:active:${id}`;
    for (;;) {
      const job = await redis.blmove("list:wait", own, "RIGHT", "LEFT", 0.2);
      if (job === null) continue;
      ledger.note("list", job, Date.now());
      await redis.multi().lrem(own, 1, job).incr("list:done").exec();
    }
  },

  /** A consumer of a group. The one that is to be killed never acknowledges what it took last. */
  async stream(redis, id, holds) {
    for (;;) {
      const read = await redis.xreadgroup("GROUP", "g", `c${id}`, "COUNT", 50, "BLOCK", 200, "STREAMS", "stream", ">");
      if (read) await done(redis, "stream", read[0][1], holds);
      if (holds) await sleep(1e6);
      const [, claimed] = await redis.xautoclaim("stream", "g", `c${id}`, 1000, "0", "COUNT", 50);
      if (claimed.length) await done(redis, "stream", claimed);
    }
  },

  /** Promotes due jobs together with its competitors, and executes some. */
  async delayed(redis) {
    for (;;) {
      const promoted = await redis.promote("delayed", Date.now(), "delayed:job:");
      const popped = await redis.brpop("delayed:wait:a", "delayed:wait:b", 0.05);
      if (popped) ledger.note("delayed", popped[1], popped[0], Date.now());
      else if (!promoted) await sleep(5);
    }
  },

  /** The most urgent first. */
  async priority(redis) {
    for (;;) {
      const popped = await redis.bzpopmin("priority", 0.2);
      if (popped) ledger.note("priority", popped[1], popped[2], Date.now());
    }
  },

  async limited(redis) {
    for (;;) {
      const job = await redis.lpop("limited");
      if (job === null) { await sleep(20); continue; }
      for (let wait; (wait = await redis.take("limited:tokens", 25, 250)) >= 0; ) await sleep(Math.max(wait, 1));
      ledger.note("limited", job, Date.now());
    }
  },

  /** Money from one account to another by WATCH, as often as it is told; optimistic, so it has to try again. */
  async transfers(redis, id, count) {
    for (let i = 0; i < count; ) {
      const [from, to] = [`account:${(i * 7 + id) % 10}`, `account:${(i * 3 + id + 1) % 10}`];
      await redis.watch(from, to);
      const [a, b] = (await redis.mget(from, to)).map(Number);
      if (from === to) { await redis.unwatch(); i++; continue; }
      if (await redis.multi().set(from, a - 1).set(to, b + 1).exec()) { ledger.note("transfers", id, i, Date.now()); i++; }
    }
    await redis.publish("transfers", id);
  },
};

async function done(redis, topic, entries, holds) {
  const pipeline = redis.pipeline();
  for (const [entry, [, job]] of entries) {
    ledger.note(topic, job, holds ? "held" : "done", Date.now());
    if (!holds) pipeline.xack("stream", "g", entry).incr("stream:done");
  }
  for (const [error] of await pipeline.exec()) assert.equal(error, null);
}

async function serve(role, ...args) {
  const redis = connect();
  await redis.ping();
  process.on("SIGTERM", () => process.exit(0));
  process.send("ready");
  await roles[role](redis, process.pid % 1000, ...args);
  process.exit(0);
}

// ---------------------------------------------------------------- the driver

const redis = connect({ lazyConnect: true });
const numbers = (count) => Array.from({ length: count }, (_, i) => String(i));

/** The jobs of a topic with how often each was executed; all of them, and nothing else. */
function executed(topic, ids, accept = () => true) {
  const seen = new Map(ids.map((id) => [id, 0]));
  for (const words of ledger.lines(topic)) {
    assert.ok(seen.has(words[0]), `${topic}: ${words[0]} was never added`);
    if (accept(words)) seen.set(words[0], seen.get(words[0]) + 1);
  }
  const wrong = [...seen].filter(([, times]) => times !== 1);
  assert.deepEqual(wrong.slice(0, 5), [], `${topic}: jobs lost or repeated`);
  return ids.length;
}

const recorded = (topic, count, seconds) =>
  until(topic, () => { const seen = ledger.lines(topic).length; return seen >= count || seen; }, seconds);

async function list() {
  return withWorkers(WORKERS, __filename, "list", [], async () => {
    const ids = numbers(jobs);
    for (let at = 0; at < ids.length; at += 100) await redis.lpush("list:wait", ...ids.slice(at, at + 100));
    await until("list:done", async () => { const seen = Number(await redis.get("list:done")); return seen === jobs || seen; });
    const left = await redis.keys("list:*");
    assert.deepEqual(left, ["list:done"]);
    return `${executed("list", ids)} jobs by BLMOVE`;
  });
}

async function stream() {
  await redis.xgroup("CREATE", "stream", "g", "$", "MKSTREAM");
  const holder = await worker(__filename, "stream", true);
  const ids = numbers(jobs);
  // The holder's share comes first; it takes at most 50 and is killed with them in hand.
  for (const id of ids.slice(0, 50)) await redis.xadd("stream", "*", "job", id);
  await until("the holder", () => ledger.lines("stream").length > 0);
  await stop(holder, "SIGKILL");
  const held = new Set(ledger.lines("stream").map(([id]) => id));
  return withWorkers(WORKERS, __filename, "stream", [], async () => {
    // Two connections: what gathers in one turn of the event loop goes out as one pipeline.
    const automatic = connect({ enableAutoPipelining: true });
    for (let at = 50; at < ids.length; at += 500) {
      await Promise.all(ids.slice(at, at + 500).map((id) => automatic.xadd("stream", "*", "job", id)));
    }
    await until("stream:done", async () => { const seen = Number(await redis.get("stream:done")); return seen === jobs || seen; });
    automatic.disconnect();
    const [pending] = await redis.xpending("stream", "g");
    assert.equal(pending, 0);
    const info = await redis.xinfo("GROUPS", "stream");
    assert.equal(info[0][info[0].indexOf("lag") + 1], 0);
    executed("stream", ids, (words) => words[1] === "done");
    return `${jobs} jobs by XREADGROUP, ${held.size} claimed from a killed consumer`;
  });
}

async function delayed() {
  const ids = numbers(jobs);
  const due = new Map();
  return withWorkers(WORKERS, __filename, "delayed", [], async () => {
    for (let at = 0; at < ids.length; at += 500) {
      const multi = redis.multi();
      for (const id of ids.slice(at, at + 500)) {
        due.set(id, Date.now() + ((Number(id) * 13) % 1500));
        multi.hset(`delayed:job:${id}`, "queue", `delayed:wait:${id % 2 ? "a" : "b"}`).zadd("delayed", due.get(id), id);
      }
      await multi.exec();
    }
    await recorded("delayed", jobs);
    for (const [id, queue, time] of ledger.lines("delayed")) {
      assert.ok(Number(time) >= due.get(id), `job ${id} came early`);
      assert.equal(queue, `delayed:wait:${id % 2 ? "a" : "b"}`);
    }
    return `${executed("delayed", ids)} jobs, promoted by competing scripts`;
  });
}

async function priorities() {
  const ids = numbers(jobs);
  for (let at = 0; at < ids.length; at += 500) {
    await redis.zadd("priority", ...ids.slice(at, at + 500).flatMap((id) => [(Number(id) * 31) % 97, id]));
  }
  return withWorkers(1, __filename, "priority", [], async () => {
    await recorded("priority", jobs);
    const scores = ledger.lines("priority").map(([, score]) => Number(score));
    assert.ok(scores.every((score, i) => i === 0 || scores[i - 1] <= score), "out of order");
    return `${executed("priority", ids)} jobs by BZPOPMIN in order`;
  });
}

async function rateLimit() {
  const ids = numbers(200);
  await redis.rpush("limited", ...ids);
  return withWorkers(WORKERS, __filename, "limited", [], async () => {
    await recorded("limited", ids.length);
    executed("limited", ids);
    const times = ledger.lines("limited").map((words) => Number(words.at(-1)));
    assert.ok(times.at(-1) - times[0] >= 7 * 250 - 100, "faster than the limit");
    return `200 jobs at 25 per 250 ms took ${times.at(-1) - times[0]} ms`;
  });
}

async function transfers() {
  const [workers, each] = [4, 250];
  for (let i = 0; i < 10; i++) await redis.set(`account:${i}`, 1000);
  const subscriber = connect();
  const ended = [];
  subscriber.on("message", (_, id) => ended.push(id));
  await subscriber.subscribe("transfers");
  return withWorkers(workers, __filename, "transfers", [each], async () => {
    await until("transfers", () => ended.length === workers || ended.length);
    const balances = (await redis.mget(numbers(10).map((i) => `account:${i}`))).map(Number);
    assert.equal(balances.reduce((sum, balance) => sum + balance), 10_000, "money came from or went nowhere");
    subscriber.disconnect();
    return `${workers * each} tries, nothing lost`;
  });
}

/** A message for every subscriber, in order, from several publishers, by name and by pattern. */
async function pubsub() {
  const [publishers, subscribers, each] = [4, 5, 500];
  const got = Array.from({ length: subscribers }, () => []);
  const listening = await Promise.all(got.map(async (messages, i) => {
    const subscriber = connect();
    subscriber.on("message", (_, text) => messages.push(text));
    subscriber.on("pmessage", (_pattern, _channel, text) => messages.push(text));
    await (i % 2 ? subscriber.subscribe("news") : subscriber.psubscribe("n?ws"));
    return subscriber;
  }));
  await Promise.all(Array.from({ length: publishers }, async (_, p) => {
    const publisher = connect();
    for (let i = 0; i < each; i++) assert.equal(await publisher.publish("news", `${p} ${i}`), subscribers);
    publisher.disconnect();
  }));
  await until("messages", () => got.every((messages) => messages.length === publishers * each) || got.map((m) => m.length));
  for (const messages of got) {
    for (let p = 0; p < publishers; p++) {
      const order = messages.filter((text) => text.startsWith(`${p} `)).map((text) => Number(text.split(" ")[1]));
      assert.deepEqual(order, numbers(each).map(Number), `order of publisher ${p}`);
    }
  }
  for (const subscriber of listening) subscriber.disconnect();
  return `${publishers * each} messages to ${subscribers} subscribers`;
}

/** Every key once or more by SCAN while others come and go. */
async function scan() {
  const pipeline = redis.pipeline();
  for (const id of numbers(5000)) pipeline.set(`scan:stays:${id}`, id);
  await pipeline.exec();
  const seen = new Set();
  let churn = 0;
  for await (const keys of redis.scanStream({ match: "scan:stays:*", count: 100 })) {
    for (const key of keys) seen.add(key);
    await redis.set(`scan:goes:${churn}`, 1);
    await redis.del(`scan:goes:${churn++ - 5}`);
  }
  assert.equal(seen.size, 5000);
  const buffers = await redis.getBuffer("scan:stays:17");
  assert.ok(Buffer.isBuffer(buffers) && buffers.equals(Buffer.from("17")));
  return `5000 keys in ${churn} pages`;
}

const [, , role, ...args] = process.argv;
if (role) serve(role, ...args.map((arg) => JSON.parse(arg)));
else main({ list, stream, delayed, priorities, rateLimit, transfers, pubsub, scan });
