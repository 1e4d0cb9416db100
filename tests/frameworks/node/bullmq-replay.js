// What the server alone makes of BullMQ's load: `node bullmq-replay.js` prints one line of JSON, as bullmq-speed.js does.
// BullMQ adds and processes a few jobs while what it sends is recorded. Then processes that do nothing else send the same
// requests for other jobs: per process one connection, as BullMQ has, and 100 jobs in flight on it.
"use strict";

const { createHash } = require("node:crypto");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { connection, jobs, main, until, worker, stop } = require("./driver.js");

const PROCESSES = Number(process.env.PROCESSES ?? 2);
const IN_FLIGHT = 100;
const NAME = "replay";

/** Reads one value of RESP2 at `at`; undefined while it is incomplete. */
function parse(buffer, at) {
  const end = buffer.indexOf("\r\n", at + 1, "latin1");
  if (end < 0) return undefined;
  const line = buffer.latin1Slice(at + 1, end);
  switch (buffer[at]) {
    case 0x24: {
      if (line === "-1") return { value: null, next: end + 2 };
      const next = end + 2 + Number(line) + 2;
      return next > buffer.length ? undefined : { value: buffer.subarray(end + 2, next - 2), next };
    }
    case 0x2a: {
      const value = [];
      let next = end + 2;
      for (let left = Number(line); left > 0; left--) {
        const item = parse(buffer, next);
        if (item === undefined) return undefined;
        value.push(item.value);
        next = item.next;
      }
      return { value, next };
    }
    case 0x2d:
      throw new Error(line);
    default:
      return { value: line, next: end + 2 };
  }
}

const encode = (words) => Buffer.concat([
  Buffer.from(`*${words.length}\r\n`),
  ...words.flatMap((word) => [Buffer.from(`$${word.length}\r\n`), word, Buffer.from("\r\n")]),
]);

const sha1 = (text) => createHash("sha1").update(text).digest("hex");

/** The requests of BullMQ for one job: what adds it, what fetches the first one, what finishes one and fetches the next. */
async function record() {
  const { Queue, Worker } = require("bullmq");
  const sent = [];
  const write = net.Socket.prototype.write;
  net.Socket.prototype.write = function (data, ...rest) {
    const bytes = Buffer.from(data);
    for (let at = 0; at < bytes.length; ) {
      const request = parse(bytes, at);
      sent.push(request.value);
      at = request.next;
    }
    return write.call(this, data, ...rest);
  };
  const queue = new Queue(NAME, { connection: { ...connection, protocol: 2 } });
  let done = 0;
  for (let i = 0; i < 6; i++) await queue.add("j", { i }, { removeOnComplete: true });
  const served = new Worker(NAME, async () => ++done, { connection: { ...connection, protocol: 2 } });
  await until("the recorded jobs", async () => done === 6 || done);
  await served.close();
  const counts = await queue.getJobCounts("wait", "active");
  if (counts.wait + counts.active !== 0) throw new Error("recorded jobs are left");
  await queue.obliterate({ force: true });
  await queue.close();
  net.Socket.prototype.write = write;
  // The first call of a script has its text, the later ones have its SHA1.
  const scripted = sent.flatMap((words) => {
    if (/^evalsha$/i.test(String(words[0]))) return [words];
    if (!/^eval$/i.test(String(words[0]))) return [];
    return [[Buffer.from("evalsha"), Buffer.from(sha1(words[1])), ...words.slice(2)]];
  });
  const scripts = path.join(path.dirname(require.resolve("bullmq")), "scripts");
  const named = (name) => {
    const file = fs.readdirSync(scripts).find((file) => new RegExp(`^${name}-\\d+\\.js$`).test(file));
    const sha = sha1(Object.values(require(path.join(scripts, file)))[0].content);
    const found = scripted.filter((words) => String(words[1]) === sha);
    if (found.length === 0) throw new Error(`BullMQ did not call ${name}`);
    return found;
  };
  const fetches = (words) => words[3 + Number(words[2]) + 5]?.toString() === "1";
  const texts = (words) => words.map((word) => word.toString("base64"));
  return {
    add: texts(named("addStandardJob").at(-1)),
    fetch: texts(named("moveToActive")[0]),
    finish: texts(named("moveToFinished").find(fetches)),
  };
}

/** Sends requests by one connection; `answered` gets each reply and may send more. */
function talk(answered) {
  const socket = net.connect({ ...connection, noDelay: true });
  let rest = Buffer.alloc(0);
  let out = [];
  const send = (request) => out.push(request);
  const flush = () => {
    if (out.length > 0) socket.write(Buffer.concat(out));
    out = [];
  };
  socket.on("data", (data) => {
    rest = rest.length > 0 ? Buffer.concat([rest, data]) : data;
    let at = 0;
    for (let reply; at < rest.length && (reply = parse(rest, at)) !== undefined; at = reply.next) {
      answered(reply.value, send);
    }
    rest = rest.subarray(at);
    flush();
  });
  return { send, flush };
}

function begin(work) {
  process.send("ready");
  process.once("message", work);
}

function produce(words, count) {
  const request = encode(words.map((word) => Buffer.from(word, "base64")));
  begin(() => {
    let [sent, done] = [0, 0];
    const { send, flush } = talk((_, send) => {
      if (++done === count) process.send("done");
      if (sent < count && ++sent) send(request);
    });
    for (; sent < IN_FLIGHT; sent++) send(request);
    flush();
  });
}

function consume(fetch, finish) {
  const first = encode(fetch.map((word) => Buffer.from(word, "base64")));
  const words = finish.map((word) => Buffer.from(word, "base64"));
  // The job's key and its id are all that differs between two jobs.
  const keys = Number(words[2]);
  const id = String(words[3 + keys]);
  const key = String(words[3 + 11]);
  if (!key.endsWith(`:${id}`)) throw new Error(`${key} is not the key of job ${id}`);
  const prefix = key.slice(0, -id.length);
  const [head, middle, tail] = [words.slice(3, 14), words.slice(15, 3 + keys), words.slice(4 + keys)];
  const fixed = [head, middle, tail].map((part) => encode(part).subarray(`*${part.length}\r\n`.length));
  const start = encode(words.slice(0, 3)).subarray("*3\r\n".length);
  const bulk = (text) => Buffer.from(`$${text.length}\r\n${text}\r\n`);
  const count = Buffer.from(`*${words.length}\r\n`);
  begin(() => {
    const { send, flush } = talk((reply, send) => {
      const job = reply?.[1];
      if (!Array.isArray(reply?.[0])) return;
      const next = String(job);
      send(Buffer.concat([count, start, fixed[0], bulk(prefix + next), fixed[1], bulk(next), fixed[2]]));
    });
    for (let i = 0; i < IN_FLIGHT; i++) send(first);
    flush();
  });
}

const all = (role, ...args) => Promise.all(Array.from({ length: PROCESSES }, () => worker(__filename, role, ...args)));

async function measure() {
  const { Queue } = require("bullmq");
  const { add, fetch, finish } = await record();
  const queue = new Queue(NAME, { connection });
  await queue.waitUntilReady();
  const count = Math.ceil(jobs / PROCESSES / IN_FLIGHT) * IN_FLIGHT;
  const producers = await all("produce", add, count);
  let started = process.hrtime.bigint();
  const seconds = () => Number(process.hrtime.bigint() - started) / 1e9;
  await Promise.all(producers.map((child) => new Promise((done) => { child.once("message", done); child.send("go"); })));
  const added = (count * PROCESSES) / seconds();
  await Promise.all(producers.map((child) => stop(child, "SIGKILL")));
  const consumers = await all("consume", fetch, finish);
  started = process.hrtime.bigint();
  for (const child of consumers) child.send("go");
  await until("the queue to be empty", async () => {
    const counts = await queue.getJobCounts("wait", "active");
    return counts.wait + counts.active === 0 || counts;
  });
  const done = (count * PROCESSES) / seconds();
  await Promise.all(consumers.map((child) => stop(child, "SIGKILL")));
  const left = await queue.getJobCounts();
  if (Object.values(left).some((count) => count > 0)) throw new Error(`left behind: ${JSON.stringify(left)}`);
  return JSON.stringify({ add: added, work: done });
}

const [, , role, ...args] = process.argv;
if (role) ({ produce, consume })[role](...args.map((arg) => JSON.parse(arg)));
else main({ speed: measure });
