// BullMQ as published, driven for real: one producer, several worker processes, and a ledger of what they executed that
// lies outside the queue. `node bullmq.js` is the driver, `node bullmq.js worker ...` one worker process.
"use strict";

const assert = require("node:assert/strict");
const { FlowProducer, Queue, QueueEvents, Worker } = require("bullmq");
const { Redis } = require("ioredis");
const { connection, jobs, main, sleep, until, withWorkers, worker, stop } = require("./driver.js");
const ledger = require("./ledger.js");

const WORKERS = 3;

// ---------------------------------------------------------------- the worker's side

/** Notes the attempt, fails as often as the job asks for, takes as long as it asks for. */
async function execute(job) {
  ledger.note(job.queueName, job.id, job.attemptsMade, Date.now());
  if (job.data.ms) await sleep(job.data.ms);
  if (job.attemptsMade < (job.data.failures ?? 0)) throw new Error("planned");
  if (job.data.children) {
    // A parent sees the results of its children, all of them.
    const values = Object.values(await job.getChildrenValues());
    return values.reduce((sum, value) => sum + value, 0);
  }
  return job.data.value ?? 1;
}

async function serve(queueName, options) {
  const served = new Worker(queueName, execute, { connection, ...options });
  served.on("error", (error) => console.error("worker:", error.message));
  await served.waitUntilReady();
  process.send("ready");
  process.on("SIGTERM", async () => {
    await served.close();
    process.exit(0);
  });
}

// ---------------------------------------------------------------- the driver's side

async function withQueue(name, body) {
  const queue = new Queue(name, { connection });
  try {
    return await body(queue);
  } finally {
    await queue.close();
  }
}

/** Every id with its attempts in order, from the ledger. */
function executions(queueName) {
  const attempts = new Map();
  for (const [id, attempt] of ledger.lines(queueName)) {
    if (!attempts.has(id)) attempts.set(id, []);
    attempts.get(id).push(Number(attempt));
  }
  return attempts;
}

function once(queueName, ids) {
  const seen = executions(queueName);
  for (const id of ids) assert.deepEqual(seen.get(id), [0], `job ${id} of ${queueName}`);
  assert.equal(seen.size, ids.length, `${queueName}: jobs nobody added`);
}

const completed = (queue, count) =>
  until(`completed jobs of ${queue.name}`, async () => {
    const counts = await queue.getJobCounts("completed", "failed", "wait", "active", "delayed", "prioritized");
    return (counts.completed === count && counts.failed === 0) || counts;
  });

/** Plain, delayed, prioritised and failing jobs together: none lost, none twice, no delay cut short. */
async function bulk() {
  return withQueue("bulk", async (queue) => {
    const events = new QueueEvents(queue.name, { connection });
    const finished = [];
    events.on("completed", ({ jobId }) => finished.push(jobId));
    await events.waitUntilReady();
    const plan = Array.from({ length: jobs }, (_, i) => {
      const kind = ["plain", "plain", "plain", "plain", "plain", "delayed", "priority", "retried", "lifo", "keyed"][i % 10];
      const opts = {
        plain: {},
        delayed: { delay: 1 + ((i * 7) % 2000) },
        priority: { priority: 1 + (i % 100) },
        retried: { attempts: 3, backoff: { type: i % 20 < 10 ? "fixed" : "exponential", delay: 50 } },
        lifo: { lifo: true },
        keyed: { jobId: `key-${i}` },
      }[kind];
      return { name: kind, data: { i, failures: kind === "retried" ? 2 : 0 }, opts };
    });
    return withWorkers(WORKERS, __filename, "worker", [queue.name, { concurrency: 25 }], async () => {
      const half = plan.length / 2;
      const added = [];
      // Half of them in bulk (scripts in one pipeline or transaction), half of them one by one, fifty at a time.
      for (let at = 0; at < half; at += 500) added.push(...(await queue.addBulk(plan.slice(at, Math.min(at + 500, half)))));
      for (let at = half; at < plan.length; at += 50) {
        const part = plan.slice(at, at + 50);
        added.push(...(await Promise.all(part.map(({ name, data, opts }) => queue.add(name, data, opts)))));
      }
      await completed(queue, plan.length);
      const seen = executions(queue.name);
      const due = new Map();
      added.forEach((job, i) => {
        const expected = plan[i].name === "retried" ? [0, 1, 2] : [0];
        assert.deepEqual(seen.get(job.id), expected, `attempts of job ${job.id}, ${plan[i].name}`);
        due.set(job.id, job.timestamp + (plan[i].opts.delay ?? 0));
      });
      assert.equal(seen.size, plan.length, "executed jobs");
      for (const [id, , time] of ledger.lines(queue.name)) {
        assert.ok(Number(time) >= due.get(id), `job ${id} began ${due.get(id) - time} ms too early`);
      }
      await until("events", () => finished.length >= plan.length || finished.length, 10);
      assert.equal(new Set(finished).size, plan.length, "different jobs in completed events");
      assert.equal(finished.length, plan.length, "completed events");
      await events.close();
      return `${plan.length} jobs, ${ledger.lines(queue.name).length} executions, ${finished.length} events`;
    });
  });
}

/** One worker, one job at a time: strictly by priority, and first in, first out within one. */
async function priorities() {
  return withQueue("priorities", async (queue) => {
    const plan = Array.from({ length: 300 }, (_, i) => ({ name: "p", data: {}, opts: { priority: 1 + ((i * 37) % 11) } }));
    const added = await queue.addBulk(plan);
    return withWorkers(1, __filename, "worker", [queue.name, { concurrency: 1 }], async () => {
      await completed(queue, plan.length);
      const expected = added
        .map((job, i) => ({ id: job.id, priority: plan[i].opts.priority, i }))
        .sort((a, b) => a.priority - b.priority || a.i - b.i)
        .map(({ id }) => id);
      // The order of the queue, not of the clock: one process wrote these lines.
      assert.deepEqual([...executions(queue.name).keys()], expected);
      return `${plan.length} jobs in order`;
    });
  });
}

/** The limit holds for all workers together. */
async function rateLimit() {
  return withQueue("limited", async (queue) => {
    const [count, max, duration] = [120, 20, 400];
    const options = { concurrency: 10, limiter: { max, duration } };
    return withWorkers(WORKERS, __filename, "worker", [queue.name, options], async () => {
      const added = await queue.addBulk(Array.from({ length: count }, () => ({ name: "l", data: {} })));
      await completed(queue, count);
      once(queue.name, added.map(({ id }) => id));
      const times = ledger.lines(queue.name).map((words) => Number(words.at(-1)));
      const took = times.at(-1) - times[0];
      // Windows begin with their first job: n full ones need n - 1 durations, less the time between taking a job and
      // noting it; and whatever the offset, no stretch of one duration touches more than two windows.
      assert.ok(took >= (count / max - 1) * duration - 100, `${count} jobs in ${took} ms`);
      for (let i = 2 * max; i < times.length; i++) {
        assert.ok(times[i] - times[i - 2 * max] >= duration - 100, `${2 * max + 1} jobs within one window`);
      }
      return `${count} jobs at ${max} per ${duration} ms took ${took} ms`;
    });
  });
}

/** Repeatable jobs: each due time once, with several workers competing. */
async function repeatable() {
  return withQueue("repeated", async (queue) => {
    return withWorkers(WORKERS, __filename, "worker", [queue.name, { concurrency: 5 }], async () => {
      await queue.upsertJobScheduler("often", { every: 100, limit: 15 }, { name: "often" });
      await queue.upsertJobScheduler("cron", { pattern: "* * * * * *", limit: 3 }, { name: "cron" });
      await queue.upsertJobScheduler("removed", { every: 60_000_000, startDate: Date.now() + 1e8 }, { name: "never" });
      assert.equal(await queue.getJobSchedulersCount(), 3);
      assert.equal(await queue.removeJobScheduler("removed"), true);
      await completed(queue, 18);
      await sleep(500);
      const seen = [...executions(queue.name).entries()];
      for (const [id, attempts] of seen) assert.deepEqual(attempts, [0], `run ${id}`);
      const runs = (name) => seen.filter(([id]) => id.startsWith(`repeat:${name}:`)).length;
      assert.deepEqual([runs("often"), runs("cron"), seen.length], [15, 3, 18]);
      return "15 runs every 100 ms, 3 by cron";
    });
  });
}

/** Of many simultaneous additions with one id, one is made. */
async function deduplicated() {
  return withQueue("unique", async (queue) => {
    await queue.pause();
    const same = Array.from({ length: 200 });
    await Promise.all(same.map(() => queue.add("same", {}, { deduplication: { id: "only" } })));
    await Promise.all(same.map(() => queue.add("keyed", {}, { jobId: "keyed" })));
    assert.equal(await queue.count(), 2);
    await queue.resume();
    return withWorkers(2, __filename, "worker", [queue.name, {}], async () => {
      await completed(queue, 2);
      const seen = [...executions(queue.name).values()];
      assert.deepEqual(seen, [[0], [0]]);
      return "400 additions, 2 jobs";
    });
  });
}

/** Parents run once, after all of their children, with their results. */
async function flows() {
  return withQueue("parents", async (parents) => {
    const [count, width] = [40, 10];
    const producer = new FlowProducer({ connection });
    const children = (i) => Array.from({ length: width }, (_, value) => ({ name: "c", queueName: "children", data: { value, i } }));
    return withWorkers(WORKERS, __filename, "worker", ["children", { concurrency: 10 }], () =>
      withWorkers(2, __filename, "worker", [parents.name, { concurrency: 5 }], async () => {
        const trees = Array.from({ length: count }, (_, i) => ({
          name: "p", queueName: parents.name, data: { children: width }, children: children(i),
        }));
        await producer.addBulk(trees);
        await completed(parents, count);
        await producer.close();
        for (const job of await parents.getCompleted(0, -1)) assert.equal(job.returnvalue, (width * (width - 1)) / 2);
        const ran = [executions("children"), executions(parents.name)];
        for (const [id, attempts] of ran.flatMap((map) => [...map])) assert.deepEqual(attempts, [0], `job ${id}`);
        assert.deepEqual(ran.map((map) => map.size), [count * width, count]);
        return `${count} parents of ${width}`;
      }),
    );
  });
}

/** A worker is killed in the middle: its jobs are found stalled and done by another, and nothing else is repeated. */
async function killedWorker() {
  return withQueue("killed", async (queue) => {
    const options = { concurrency: 10, lockDuration: 1000, stalledInterval: 500, maxStalledCount: 2 };
    const added = await queue.addBulk(Array.from({ length: 60 }, () => ({ name: "k", data: { ms: 150 } })));
    const victim = await worker(__filename, "worker", queue.name, options);
    await until("the victim to be at work", () => ledger.lines(queue.name).length >= 15);
    await stop(victim, "SIGKILL");
    const [active, done] = [await queue.getActiveCount(), await queue.getCompletedCount()];
    assert.ok(active > 0, "the victim held jobs when it was killed");
    return withWorkers(2, __filename, "worker", [queue.name, options], async () => {
      await completed(queue, added.length);
      const counts = [...executions(queue.name).values()].map((attempts) => attempts.length);
      assert.equal(counts.length, added.length, "executed jobs");
      // One that the victim had been given, but had not begun, is begun once.
      const again = counts.filter((count) => count > 1).length;
      assert.ok(again > 0 && again <= active, `${again} jobs begun again, and the victim held ${active}`);
      assert.ok(counts.every((count) => count <= 2));
      return `${done} done before, ${active} taken over`;
    });
  });
}

/** Pausing, promoting, retrying what failed, cleaning, and taking a queue apart down to its last key. */
async function upkeep() {
  return withQueue("upkeep", async (queue) => {
    await queue.addBulk(Array.from({ length: 100 }, () => ({ name: "d", data: {}, opts: { delay: 3_600_000 } })));
    await queue.addBulk(Array.from({ length: 50 }, () => ({ name: "f", data: { failures: 1 } })));
    return withWorkers(2, __filename, "worker", [queue.name, { concurrency: 10 }], async () => {
      await until("failures", async () => (await queue.getFailedCount()) === 50 || (await queue.getJobCounts()));
      await queue.promoteJobs();
      await until("promoted", async () => (await queue.getCompletedCount()) === 100 || (await queue.getJobCounts()));
      await queue.retryJobs({ state: "failed" });
      await completed(queue, 150);
      await queue.pause();
      await queue.add("waits", {});
      await sleep(100);
      assert.equal(await queue.count(), 1, "a paused queue keeps its jobs");
      assert.equal((await queue.clean(0, 1000, "completed")).length, 150);
      await queue.obliterate({ force: true });
      const redis = new Redis(connection);
      const left = (await redis.keys(`bull:${queue.name}:*`)).filter((key) => !key.endsWith(":stalled-check"));
      redis.disconnect();
      assert.deepEqual(left, []);
      return "150 jobs, no key left";
    });
  });
}

const [, , role, ...args] = process.argv;
if (role === "worker") serve(...args.map((arg) => JSON.parse(arg)));
else main({ bulk, priorities, rateLimit, repeatable, deduplicated, flows, killedWorker, upkeep });
