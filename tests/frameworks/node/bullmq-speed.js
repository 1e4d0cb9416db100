// How fast BullMQ adds and processes jobs with the server at REDIS_PORT: `node bullmq-speed.js` prints one line of JSON.
// Several producer processes, several worker processes, jobs that do nothing: what is measured is the queue.
"use strict";

const { Queue, Worker } = require("bullmq");
const { connection, jobs, main, until, worker, stop } = require("./driver.js");

const PROCESSES = Number(process.env.PROCESSES ?? 2);

async function produce(name, count) {
  const queue = new Queue(name, { connection });
  await queue.waitUntilReady();
  process.send("ready");
  process.once("message", async () => {
    const options = { removeOnComplete: true };
    for (let at = 0; at < count; at += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, i) => queue.add("j", { i }, options)));
    }
    process.send("done");
    process.disconnect();
    await queue.close();
    process.exit(0);
  });
}

async function consume(name, concurrency) {
  const served = new Worker(name, async () => 1, { connection, concurrency, autorun: false });
  await served.waitUntilReady();
  process.send("ready");
  process.once("message", () => served.run());
}

const all = (role, ...args) => Promise.all(Array.from({ length: PROCESSES }, () => worker(__filename, role, ...args)));

async function measure() {
  const queue = new Queue("speed", { connection });
  const count = Math.ceil(jobs / PROCESSES / 100) * 100;
  const producers = await all("produce", queue.name, count);
  let started = process.hrtime.bigint();
  const seconds = () => Number(process.hrtime.bigint() - started) / 1e9;
  await Promise.all(producers.map((child) => new Promise((done) => { child.once("message", done); child.send("go"); })));
  const add = (count * PROCESSES) / seconds();
  const consumers = await all("consume", queue.name, 100);
  started = process.hrtime.bigint();
  for (const child of consumers) child.send("go");
  await until("the queue to be empty", async () => {
    const counts = await queue.getJobCounts("wait", "active");
    return counts.wait + counts.active === 0 || counts;
  });
  const work = (count * PROCESSES) / seconds();
  await Promise.all(consumers.map((child) => stop(child, "SIGKILL")));
  return JSON.stringify({ add, work });
}

const [, , role, ...args] = process.argv;
if (role) ({ produce, consume })[role](...args.map((arg) => JSON.parse(arg)));
else main({ speed: measure });
