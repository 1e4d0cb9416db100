// How fast XQUEUE takes and gives messages by ioredis, in the shape of bullmq-speed.js: `node xqueue-speed.js` prints one line
// of JSON. WAY is what a worker sends: `single`, a command per message with 100 messages in flight, or `batch`, 100
// messages per push, pop and acknowledgement.
"use strict";

const Redis = require("ioredis");
const { connection, jobs, main, worker, stop } = require("./driver.js");

const PROCESSES = Number(process.env.PROCESSES ?? 2);
const IN_FLIGHT = 100;
const QUEUE = "speed";
const BODY = '{"i":1}';

const slots = (action) => Promise.all(Array.from({ length: IN_FLIGHT }, action));
const receiptOf = ([, , receipt]) => receipt;

const single = {
  push: (redis) => slots(() => redis.call("XQUEUE.PUSH", QUEUE, "BODY", BODY)),
  async work(redis) {
    let done = 0;
    await slots(async () => {
      for (;;) {
        const messages = await redis.call("XQUEUE.POP", 1, QUEUE);
        if (messages === null) return;
        const acknowledged = await redis.call("XQUEUE.ACK", QUEUE, receiptOf(messages[0]));
        done += acknowledged; // not with `await` in it: others count meanwhile
      }
    });
    return done;
  },
};

const batch = {
  push: (redis) => redis.call("XQUEUE.PUSH", QUEUE, "BODIES", IN_FLIGHT, ...Array(IN_FLIGHT).fill(BODY)),
  async work(redis) {
    let done = 0;
    for (;;) {
      const messages = await redis.call("XQUEUE.POP", 1, QUEUE, "COUNT", IN_FLIGHT);
      if (messages === null) return done;
      done += await redis.call("XQUEUE.ACK", QUEUE, ...messages.map(receiptOf));
    }
  },
};

const way = { single, batch }[process.env.WAY ?? "single"];

// Does something when told to, and says how many messages it was.
function begin(action) {
  const redis = new Redis(connection);
  redis.once("ready", () => process.send("ready"));
  process.once("message", async () => {
    process.send(await action(redis));
    process.disconnect();
    redis.disconnect();
  });
}

const produce = (count) =>
  begin(async (redis) => {
    for (let at = 0; at < count; at += IN_FLIGHT) await way.push(redis);
    return count;
  });

const consume = () => begin((redis) => way.work(redis));

// Messages per second of all processes in a role together.
async function timed(count, role, ...args) {
  const children = await Promise.all(Array.from({ length: PROCESSES }, () => worker(__filename, role, ...args)));
  const started = process.hrtime.bigint();
  const ends = children.map((child) => new Promise((done) => { child.once("message", done); child.send("go"); }));
  const done = (await Promise.all(ends)).reduce((sum, part) => sum + part, 0);
  if (done !== count) throw new Error(`${role}: ${done} of ${count} messages`);
  const rate = count / (Number(process.hrtime.bigint() - started) / 1e9);
  await Promise.all(children.map((child) => stop(child)));
  return rate;
}

async function measure() {
  const share = Math.ceil(jobs / PROCESSES / IN_FLIGHT) * IN_FLIGHT;
  const add = await timed(share * PROCESSES, "produce", share);
  const work = await timed(share * PROCESSES, "consume");
  return JSON.stringify({ add, work });
}

const [, , role, ...args] = process.argv;
if (role) ({ produce, consume })[role](...args.map((arg) => JSON.parse(arg)));
else main({ speed: measure });
