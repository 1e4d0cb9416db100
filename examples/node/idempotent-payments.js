// An HTTP endpoint that takes money once, however often and from how many places the same request comes.
//
//     node idempotent-payments.js [redis://127.0.0.1:6379/]
//
// IDEM.BEGIN tells whether a request is new, under way (409), done (its answer is sent again) or another one under the
// same key (422). What it does is done in one transaction with GUARD IDEM and IDEM.COMPLETE: a handler that was so slow
// that somebody else has taken over does nothing any more, and one that dies has done everything or nothing.

const assert = require("node:assert");
const crypto = require("node:crypto");
const http = require("node:http");
const Redis = require("ioredis");

const keyOf = (name) => `example:idem:${name}`;
const TAKEN = "example:payments";
const LEASE_MS = 500;

const redis = new Redis(process.argv[2] ?? "redis://127.0.0.1:6379/", { maxRetriesPerRequest: 1 });
redis.on("error", () => {}); // commands report it, too
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const fingerprintOf = (body) => crypto.createHash("sha256").update(body).digest("hex");

async function take(name, body) {
  const key = keyOf(name);
  let begin;
  try {
    begin = await redis.call("IDEM.BEGIN", key, LEASE_MS, "FINGERPRINT", fingerprintOf(body));
  } catch (error) {
    if (!error.message.startsWith("MISMATCH")) throw error;
    return { status: 422, text: "this key was used for another request\n" };
  }
  const [status, token, response, ms] = begin;
  if (status === "done") return { status: 200, text: response };
  if (status === "pending") return { status: 409, text: "it is under way\n", retryAfter: Math.ceil(ms / 1000) };
  await sleep(20); // the bank
  const { euros } = JSON.parse(body);
  const text = JSON.stringify({ taken: euros });
  const transaction = redis.multi();
  transaction.call("GUARD", "IDEM", key, token);
  transaction.incrby(TAKEN, euros);
  transaction.call("IDEM.COMPLETE", key, token, text, "EX", 3600);
  await transaction.exec();
  return { status: 200, text };
}

async function answer(request, response) {
  let body = "";
  for await (const part of request) body += part;
  const { status, text, retryAfter } = await take(request.headers["idempotency-key"], body);
  if (retryAfter !== undefined) response.setHeader("Retry-After", retryAfter);
  response.writeHead(status).end(text);
}

async function main() {
  await redis.del(TAKEN, keyOf("a"), keyOf("b"));
  const api = http.createServer((request, response) => {
    answer(request, response).catch(() => response.writeHead(503).end());
  });
  await new Promise((listening) => api.listen(0, "127.0.0.1", listening));
  const url = `http://127.0.0.1:${api.address().port}/`;
  const post = async (name, euros) => {
    const body = JSON.stringify({ euros });
    const reply = await fetch(url, { method: "POST", body, headers: { "Idempotency-Key": name } });
    return [reply.status, await reply.text()];
  };
  // What a client does: it asks until it has an answer.
  const pay = async (name, euros) => {
    for (;;) {
      const reply = await post(name, euros);
      if (reply[0] !== 409) return reply;
      await sleep(10);
    }
  };

  // The same request from eight places at once.
  const answers = await Promise.all(Array.from({ length: 8 }, () => pay("a", 5)));
  assert.deepStrictEqual(answers, Array(8).fill([200, '{"taken":5}']));
  assert.strictEqual(await redis.get(TAKEN), "5");
  // Another one under the same key.
  assert.strictEqual((await post("a", 500))[0], 422);

  // A handler begins and dies: who asks again is served when its lease ends, and it comes too late if it lives.
  const fingerprint = fingerprintOf(JSON.stringify({ euros: 7 }));
  const begin = await redis.call("IDEM.BEGIN", keyOf("b"), LEASE_MS, "FINGERPRINT", fingerprint);
  assert.strictEqual(begin[0], "new");
  assert.deepStrictEqual(await pay("b", 7), [200, '{"taken":7}']);
  const late = redis.multi();
  late.call("GUARD", "IDEM", keyOf("b"), begin[1]);
  late.incrby(TAKEN, 7);
  await assert.rejects(late.exec(), /GUARDFAIL/);
  assert.strictEqual(await redis.get(TAKEN), "12");

  api.closeAllConnections();
  api.close();
  await redis.del(TAKEN, keyOf("a"), keyOf("b"));
  console.log("2 payments asked for 9 times, 12 euros taken");
}

main()
  .then(() => redis.quit())
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
