// Leader election with fencing tokens: one leader per term, and a leader of the past writes nothing.
//
//     node leader-election.js [redis://127.0.0.1:6379/]
//
// A candidate waits in line for a lock; the term is the lock's token, which grows with every holder. The leader renews at
// a third of its lease. One that stops for longer than its lease does not know that it leads no more: that is why it
// writes in a transaction with GUARD LOCK, which fails once the token is not the current one.

const assert = require("node:assert");
const Redis = require("ioredis");

const LEADER = "example:leader";
const CONFIG = "example:leader:config";
const LEASE_MS = 300;

const url = process.argv[2] ?? "redis://127.0.0.1:6379/";
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

class Candidate {
  constructor(name) {
    this.redis = new Redis(url, { maxRetriesPerRequest: 1 });
    this.redis.on("error", () => {}); // commands report it, too
    this.name = name;
    this.term = null;
  }

  async waitForLeadership() {
    // Whoever waits needs a connection of its own.
    const waiting = this.redis.duplicate();
    [this.term] = await waiting.call("LOCK.ACQUIRE", LEADER, this.name, LEASE_MS, "BLOCK", 10_000);
    waiting.disconnect();
  }

  renew() {
    return this.redis.call("LOCK.RENEW", LEADER, this.name, LEASE_MS);
  }

  // Writes as the leader of this term; false if another term has begun.
  async write(value) {
    const transaction = this.redis.multi();
    transaction.call("GUARD", "LOCK", LEADER, this.term);
    transaction.hset(CONFIG, { value, by: this.name, term: this.term });
    try {
      await transaction.exec();
      return true;
    } catch (error) {
      if (!error.message.startsWith("GUARDFAIL")) throw error;
      return false;
    }
  }
}

async function main() {
  const [ada, bob] = [new Candidate("ada"), new Candidate("bob")];
  await ada.redis.del(LEADER, CONFIG);
  await ada.waitForLeadership();
  assert.ok(await ada.write("one"));
  const succession = bob.waitForLeadership();

  // ada is at work for longer than her lease, and renews it.
  for (let turn = 0; turn < 6; turn += 1) {
    await sleep(LEASE_MS / 3);
    await ada.renew();
  }
  assert.strictEqual(bob.term, null);
  assert.ok(await ada.write("two"));

  // Then she is stopped: bob leads when her lease ends.
  await succession;
  assert.ok(bob.term > ada.term);
  assert.ok(await bob.write("three"));

  // She goes on where she was, and believes that she leads.
  assert.strictEqual(await ada.write("four"), false);
  const config = await bob.redis.hgetall(CONFIG);
  assert.deepStrictEqual(config, { value: "three", by: "bob", term: String(bob.term) });
  assert.strictEqual(await bob.redis.call("LOCK.RELEASE", LEADER, "bob"), 0);
  await bob.redis.del(CONFIG);
  console.log("2 terms, 3 writes, 1 refused that came from the term before");
  await Promise.all([ada.redis.quit(), bob.redis.quit()]);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
