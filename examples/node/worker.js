// Workers on a queue: fetch, acknowledge, fail with backoff, shut down without losing anything, look at what died, try again.
//
//     node worker.js [redis://127.0.0.1:6379/]             a demonstration that checks itself
//     node worker.js redis://127.0.0.1:6379/ work NAME     one worker, until SIGTERM
//
// A message that was fetched is leased: a timer renews the leases of what is in hand while the worker lives, and when it dies
// they end and somebody else gets the messages. A failure is a NACK, after which the queue's BACKOFF says when the next try
// is, and after MAXDELIVER tries the message is dead: it stays in the queue with the reasons, until somebody redrives it.

const assert = require("node:assert");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const Redis = require("ioredis");

const QUEUE = "example:jobs";
const DONE = "example:jobs:done";
const REPAIRED = "example:jobs:repaired";
const LEASE_MS = 3000;
const BATCH = 5;

const url = process.argv[2] ?? "redis://127.0.0.1:6379/";
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function connect() {
  const redis = new Redis(url, { maxRetriesPerRequest: 1 });
  redis.on("error", () => {}); // commands report it, too
  return redis;
}

// An answer of the server; anything else that is thrown is a connection that has ended. A server that was started again says
// LOADING as long as it reads its files.
const isAnswer = (error) => error.name === "ReplyError" && !error.message.startsWith("LOADING");

class Failed extends Error {}

class Worker {
  constructor(name, handle) {
    this.name = name;
    this.handle = handle;
    this.stopping = false;
    this.receipts = new Set(); // of what is in hand
    this.redis = connect();
    this.waiting = connect(); // a fetch that blocks keeps the commands behind it waiting
  }

  async run() {
    process.once("SIGTERM", () => (this.stopping = true));
    const keeping = setInterval(() => this.keepLeases(), LEASE_MS / 3);
    while (!this.stopping) {
      try {
        await this.serve(await this.fetch());
      } catch (error) {
        if (isAnswer(error)) throw error;
        // What is not acknowledged comes again when its lease ends.
        this.receipts.clear();
        await sleep(100);
      }
    }
    clearInterval(keeping);
    this.redis.disconnect();
    this.waiting.disconnect();
  }

  async fetch() {
    const options = ["COUNT", BATCH, "LEASE", LEASE_MS, "BLOCK", 500, "CONSUMER", this.name];
    return (await this.waiting.call("XQUEUE.POP", 1, QUEUE, ...options)) ?? [];
  }

  async serve(messages) {
    for (const [, , receipt] of messages) this.receipts.add(receipt);
    for (const [, id, receipt, deliveries, body] of messages) {
      if (this.stopping) {
        // Not begun: somebody else may have it now, and it does not count as a try.
        await this.nack(receipt, "RELEASE");
      } else {
        await this.attempt(id, receipt, deliveries, JSON.parse(body));
      }
      this.receipts.delete(receipt);
    }
  }

  async attempt(id, receipt, deliveries, job) {
    try {
      await this.handle(this.redis, id, deliveries, job);
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      return this.nack(receipt, "REASON", error.message.slice(0, 256));
    }
    await this.redis.call("XQUEUE.ACK", QUEUE, receipt);
  }

  async nack(receipt, ...how) {
    try {
      await this.redis.call("XQUEUE.NACK", QUEUE, receipt, ...how);
    } catch (error) {
      if (!error.message.startsWith("STALE")) throw error; // the lease has ended, and somebody else has it
    }
  }

  keepLeases() {
    if (this.receipts.size === 0) return;
    this.redis.call("XQUEUE.EXTEND", QUEUE, LEASE_MS, ...this.receipts).catch(() => {}); // again at the next turn
  }
}

// What the jobs of the demonstration do.
async function handle(redis, id, deliveries, job) {
  await sleep(10);
  if (job.kind === "flaky" && deliveries === 1) throw new Failed("no answer");
  if (job.kind === "broken" && !(await redis.exists(REPAIRED))) throw new Failed("no such template");
  await redis.rpush(DONE, id);
}

const started = (name) => spawn(process.execPath, [__filename, url, "work", name], { stdio: "inherit" });

async function stop(...workers) {
  for (const worker of workers) {
    const exit = once(worker, "exit");
    worker.kill("SIGTERM");
    assert.deepStrictEqual(await exit, [0, null]);
  }
}

async function until(condition) {
  const deadline = performance.now() + 30_000;
  while (!(await condition())) {
    assert(performance.now() < deadline);
    await sleep(10);
  }
}

async function demonstrate(redis) {
  const states = ["ready", "delayed", "leased", "dead"];
  const counts = () => Promise.all(states.map((state) => redis.call("XQUEUE.LEN", QUEUE, "STATE", state)));
  const left = async (...wanted) => String(await counts()) === String(wanted);
  await redis.del(QUEUE, DONE, REPAIRED);
  // A try, 20 ms, another one, 40 ms, the last one.
  await redis.call("XQUEUE.CREATE", QUEUE, "MAXDELIVER", 3, "BACKOFF", "EXP", 20, 1000);
  const mails = Array.from({ length: 40 }, (_, number) => ({ kind: "mail", number }));
  const jobs = [...mails, { kind: "flaky" }, { kind: "broken" }].map((job) => JSON.stringify(job));
  await redis.call("XQUEUE.PUSH", QUEUE, "BODIES", jobs.length, ...jobs);

  // A worker is told to stop: it ends what it has begun and gives back the rest.
  const first = started("first");
  await until(async () => (await redis.llen(DONE)) > 0);
  await stop(first);
  const [ready, delayed, leased, dead] = await counts();
  assert.strictEqual(leased, 0);
  assert.strictEqual(ready + delayed + dead + (await redis.llen(DONE)), jobs.length);

  // Others do the rest. One message cannot be done: after three tries it is dead.
  const workers = [started("second"), started("third")];
  await until(() => left(0, 0, 0, 1));
  const [[, , deliveries, body, meta]] = await redis.call("XQUEUE.PEEK", QUEUE, "STATE", "dead");
  assert.deepStrictEqual([JSON.parse(body), deliveries], [{ kind: "broken" }, 3]);
  const field = (name) => meta[meta.indexOf(name) + 1];
  assert.strictEqual(field("reason"), "no such template");
  assert.strictEqual(field("history").length, 3);

  // What it lacked is there now.
  await redis.set(REPAIRED, 1);
  const redriven = await redis.call("XQUEUE.REDRIVE", QUEUE);
  await until(() => left(0, 0, 0, 0));
  await stop(...workers);
  const done = await redis.lrange(DONE, 0, -1);
  assert.deepStrictEqual([done.length, new Set(done).size], [jobs.length, jobs.length]);
  await redis.del(QUEUE, DONE, REPAIRED);
  console.log(`${done.length} jobs done, ${redriven} of them after it was dead`);
}

async function main() {
  if (process.argv.length > 4) return new Worker(process.argv[4], handle).run();
  const redis = connect();
  await demonstrate(redis);
  await redis.quit();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
