// An HTTP API with rate limits: one question to the server per request, whatever the number of limits.
//
//     node rate-limited-api.js [redis://127.0.0.1:6379/]
//
// RL.CHECK asks for all limits of a request at once and takes from all of them or from none. With HEADERS its answer has
// the lines that an HTTP reply needs: RateLimit-Policy and RateLimit of the IETF's draft, and Retry-After.

const assert = require("node:assert");
const http = require("node:http");
const Redis = require("ioredis");

const keyOfUser = (user) => `example:api:user:${user}`;
const keyOfOrg = (org) => `example:api:org:${org}`;
const POLICIES = {
  // 3 at once, and one more every 20 minutes; for all users of an organisation 5 in an hour.
  "example-user": ["TOKENBUCKET", 3, 3, 3_600_000],
  "example-org": ["FIXED", 5, 3_600_000],
};

const redis = new Redis(process.argv[2] ?? "redis://127.0.0.1:6379/", { maxRetriesPerRequest: 1 });
redis.on("error", () => {}); // commands report it, too

async function answer(request, response) {
  const { "x-user": user, "x-org": org } = request.headers;
  const limits = ["example-user", keyOfUser(user), 1, "example-org", keyOfOrg(org), 1];
  const [allowed, , , lines] = await redis.call("RL.CHECK", 2, ...limits, "HEADERS");
  for (const line of lines) {
    const [, name, value] = /^([^:]+): (.*)$/.exec(line);
    response.setHeader(name, value);
  }
  response.writeHead(allowed ? 200 : 429).end(allowed ? "hello\n" : "slow down\n");
}

async function main() {
  for (const [name, spec] of Object.entries(POLICIES)) await redis.call("RL.POLICY", "SET", name, ...spec);
  const api = http.createServer((request, response) => {
    answer(request, response).catch(() => response.writeHead(503).end());
  });
  await new Promise((listening) => api.listen(0, "127.0.0.1", listening));
  const url = `http://127.0.0.1:${api.address().port}/`;

  const replies = [];
  for (const user of ["ada", "ada", "ada", "ada", "bob", "bob", "bob"]) {
    const reply = await fetch(url, { headers: { "X-User": user, "X-Org": "acme" } });
    await reply.text();
    replies.push(reply);
  }
  // ada's own limit refuses her fourth, the organisation's bob's third.
  const statuses = replies.map((reply) => reply.status);
  assert.deepStrictEqual(statuses, [200, 200, 200, 429, 200, 200, 429]);
  const [first, , , fourth, , , last] = replies.map((reply) => reply.headers);
  assert.strictEqual(first.get("RateLimit-Policy"), '"example-user";q=3;w=3600, "example-org";q=5;w=3600');
  assert.match(first.get("RateLimit"), /^"example-user";r=2;t=\d+, "example-org";r=4;t=\d+$/);
  assert.strictEqual(first.get("Retry-After"), null);
  const seconds = (headers) => Number(headers.get("Retry-After"));
  assert.ok(seconds(fourth) > 1190 && seconds(fourth) <= 1200, `${seconds(fourth)} s`);
  assert.ok(seconds(last) > 3590 && seconds(last) <= 3600, `${seconds(last)} s`);

  api.closeAllConnections();
  api.close();
  await redis.del(keyOfUser("ada"), keyOfUser("bob"), keyOfOrg("acme"));
  await redis.call("RL.POLICY", "DEL", ...Object.keys(POLICIES));
  const of = (status) => statuses.filter((other) => other === status).length;
  console.log(`${of(200)} requests served, ${of(429)} refused`);
}

main()
  .then(() => redis.quit())
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
