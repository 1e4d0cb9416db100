// Payments from a queue, each booked once, whoever dies at whatever moment.
//
//     node queued-payments.js [redis://127.0.0.1:6379/]          a demonstration that checks itself
//     node queued-payments.js redis://127.0.0.1:6379/ work       one worker, until SIGTERM
//
// The queue delivers at least once. What makes that once in effect: the worker books and acknowledges in one transaction, and
// GUARD RECEIPT in it lets nothing of that happen unless the message is still leased under this very receipt. A worker that
// lost its connection just then does not know whether it was booked, and needs not know: it sends the same again.

const assert = require("node:assert");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const Redis = require("ioredis");

const QUEUE = "example:payments:queue";
const ACCOUNTS = "example:payments:accounts";
const BOOK = "example:payments:book";
const LEASE_MS = 500;
const PAYMENTS = 60;

const url = process.argv[2] ?? "redis://127.0.0.1:6379/";
// A transaction must not be sent again by the client behind our back, without the guard before it.
const redis = new Redis(url, { maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false });
redis.on("error", () => {}); // commands report it, too
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Books a payment, and says whether it was us who did it.
async function book(id, receipt, { from, to, euros }) {
  const transaction = redis.multi();
  transaction.call("GUARD", "RECEIPT", QUEUE, receipt);
  transaction.hincrby(ACCOUNTS, from, -euros);
  transaction.hincrby(ACCOUNTS, to, euros);
  transaction.rpush(BOOK, id);
  transaction.call("XQUEUE.ACK", QUEUE, receipt);
  try {
    await transaction.exec();
    return true;
  } catch (error) {
    if (!error.message.startsWith("GUARDFAIL")) throw error;
    return false; // booked already, or somebody else's by now
  }
}

// Does something until the server has answered.
async function answered(action, stopped = () => false) {
  while (!stopped()) {
    try {
      return await action();
    } catch (error) {
      // A server that was started again says LOADING as long as it reads its files.
      if (error.name === "ReplyError" && !error.message.startsWith("LOADING")) throw error;
      await sleep(50);
    }
  }
}

async function work() {
  let stopping = false;
  process.once("SIGTERM", () => (stopping = true));
  const pop = () => redis.call("XQUEUE.POP", 1, QUEUE, "COUNT", 4, "LEASE", LEASE_MS, "BLOCK", 200);
  while (!stopping) {
    for (const [, id, receipt, , body] of (await answered(pop, () => stopping)) ?? []) {
      await sleep(5); // the bank
      await answered(() => book(id, receipt, JSON.parse(body)));
    }
  }
}

async function push() {
  // Many deliveries, because it is the workers that fail here and not the payments.
  await redis.call("XQUEUE.CREATE", QUEUE, "MAXDELIVER", 0);
  const payments = Array.from({ length: PAYMENTS }, (_, n) => ({ from: `a${n % 3}`, to: `b${n % 5}`, euros: n }));
  await redis.call("XQUEUE.PUSH", QUEUE, "BODIES", PAYMENTS, ...payments.map((payment) => JSON.stringify(payment)));
}

// All payments are booked, and none twice.
async function check() {
  const booked = await redis.lrange(BOOK, 0, -1);
  assert.deepStrictEqual([booked.length, new Set(booked).size], [PAYMENTS, PAYMENTS]);
  const wanted = {};
  for (let n = 0; n < PAYMENTS; n++) {
    wanted[`a${n % 3}`] = (wanted[`a${n % 3}`] ?? 0) - n;
    wanted[`b${n % 5}`] = (wanted[`b${n % 5}`] ?? 0) + n;
  }
  const accounts = Object.entries(await redis.hgetall(ACCOUNTS)).map(([name, euros]) => [name, Number(euros)]);
  assert.deepStrictEqual(Object.fromEntries(accounts), wanted);
}

async function demonstrate() {
  await redis.del(QUEUE, ACCOUNTS, BOOK);
  await push();
  // Somebody takes a payment, and is so slow that another one books it.
  const [[, id, receipt, , body]] = await redis.call("XQUEUE.POP", 1, QUEUE, "LEASE", 50);
  const isDone = async () => {
    const states = ["ready", "delayed", "leased"];
    const counts = states.map((state) => redis.call("XQUEUE.LEN", QUEUE, "STATE", state));
    return (await Promise.all(counts)).every((count) => count === 0);
  };
  let deaths = 0;
  for (;;) {
    const worker = spawn(process.execPath, [__filename, url, "work"], { stdio: "inherit" });
    const exit = once(worker, "exit");
    const enough = Math.min((await redis.llen(BOOK)) + 10, PAYMENTS);
    const deadline = performance.now() + 30_000;
    // A worker dies in the middle of what it does, after a few payments. The third one lives.
    while ((await redis.llen(BOOK)) < enough || (deaths === 2 && !(await isDone()))) {
      assert(performance.now() < deadline);
      await sleep(5);
    }
    worker.kill(deaths === 2 ? "SIGTERM" : "SIGKILL");
    const [status] = await exit;
    if (deaths === 2) {
      assert.strictEqual(status, 0);
      break;
    }
    deaths++;
  }
  assert(!(await book(id, receipt, JSON.parse(body))), "it was late, and has booked");
  await check();
  await redis.del(QUEUE, ACCOUNTS, BOOK);
  console.log(`${PAYMENTS} payments booked once, ${deaths} workers died, 1 came too late`);
}

(process.argv.length > 3 ? work() : demonstrate())
  .then(() => redis.disconnect())
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
