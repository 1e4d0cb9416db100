// ioredis against the running server: tests/clients/with-server starts it and sets REDIS_PORT.
'use strict';

const assert = require('node:assert/strict');
const { after, before, beforeEach, describe, test } = require('node:test');
const Redis = require('ioredis');

const port = Number(process.env.REDIS_PORT);
const connect = (options = {}) => new Redis({ host: '127.0.0.1', port, maxRetriesPerRequest: 1, ...options });

describe('ioredis', { timeout: 60_000 }, () => {
  let redis;
  before(() => {
    redis = connect();
  });
  after(() => redis.quit());
  beforeEach(() => redis.flushall());

  test('the ready check reads INFO and lets commands through', async () => {
    const client = connect({ lazyConnect: true, enableReadyCheck: true });
    const ready = new Promise((resolve) => client.once('ready', resolve));
    await client.connect();
    await ready;
    const status = client.status;
    const info = await client.info();
    await client.quit();
    assert.equal(status, 'ready');
    assert.match(info, /^loading:0\r$/m);
    assert.match(info, /^redis_mode:standalone\r$/m);
  });

  test('a connection name and a database are set while connecting', async () => {
    const client = connect({ connectionName: 'node', db: 5 });
    assert.equal(await client.client('GETNAME'), 'node');
    assert.match(await client.client('INFO'), / db=5 /);
    await client.quit();
  });

  test('strings', async () => {
    assert.equal(await redis.set('k', 'v', 'EX', 100), 'OK');
    assert.equal(await redis.get('k'), 'v');
    assert.equal(await redis.get('missing'), null);
    assert.equal(await redis.set('k', 'w', 'NX'), null);
    assert.equal(await redis.set('k', 'w', 'GET'), 'v');
    assert.equal(await redis.incrby('n', 42), 42);
    assert.equal(await redis.incrbyfloat('f', 0.1), '0.1');
    assert.equal(await redis.append('k', 'x'), 2);
    assert.equal(await redis.getrange('k', 0, 0), 'w');
    assert.equal(await redis.mset({ a: 1, b: 2 }), 'OK');
    assert.deepEqual(await redis.mget('a', 'missing', 'b'), ['1', null, '2']);
    assert.equal(await redis.getdel('a'), '1');
    assert.equal(await redis.strlen('k'), 2);
  });

  test('bytes come back as they went', async () => {
    const blob = Buffer.from(Array.from({ length: 65536 }, (_, index) => index % 256));
    await redis.set(Buffer.from([0, 13, 10]), blob);
    assert.deepEqual(await redis.getBuffer(Buffer.from([0, 13, 10])), blob);
  });

  test('keys', async () => {
    await redis.mset('a', 1, 'b', 2);
    assert.equal(await redis.exists('a', 'b', 'c'), 2);
    assert.equal(await redis.type('a'), 'string');
    assert.equal(await redis.pexpire('a', 100000), 1);
    assert.ok((await redis.pttl('a')) > 90000);
    assert.equal(await redis.persist('a'), 1);
    assert.equal(await redis.rename('a', 'c'), 'OK');
    assert.equal(await redis.copy('c', 'd'), 1);
    assert.equal(await redis.unlink('b', 'c', 'd'), 3);
    assert.equal(await redis.dbsize(), 0);
  });

  test('a scan stream returns every key', async () => {
    const names = Array.from({ length: 500 }, (_, index) => `key:${index}`);
    await redis.mset(Object.fromEntries(names.map((name) => [name, 1])));
    const seen = new Set();
    for await (const batch of redis.scanStream({ match: 'key:*', count: 50 })) batch.forEach((name) => seen.add(name));
    assert.deepEqual([...seen].sort(), names.sort());
  });

  test('a pipeline answers in order and reports errors one by one', async () => {
    const answers = await redis.pipeline().set('k', 'text').incr('k').get('k').exec();
    assert.deepEqual(answers[0], [null, 'OK']);
    assert.match(answers[1][0].message, /^ERR value is not an integer or out of range/);
    assert.deepEqual(answers[2], [null, 'text']);
  });

  test('a pipeline of ten thousand commands', async () => {
    const pipeline = redis.pipeline();
    for (let number = 0; number < 10000; number++) pipeline.incr('n');
    const answers = await pipeline.exec();
    assert.deepEqual(answers.map(([, value]) => value), Array.from({ length: 10000 }, (_, index) => index + 1));
  });

  test('automatic pipelining', async () => {
    const client = connect({ enableAutoPipelining: true });
    const answers = await Promise.all(Array.from({ length: 200 }, (_, index) => client.set(`k${index}`, index)));
    assert.ok(answers.every((answer) => answer === 'OK'));
    assert.equal(await client.get('k199'), '199');
    await client.quit();
  });

  test('a transaction', async () => {
    assert.deepEqual(await redis.multi().set('a', 1).incrby('a', 9).get('a').exec(), [[null, 'OK'], [null, 10], [null, '10']]);
  });

  test('a transaction with a command that cannot be queued', async () => {
    const transaction = redis.multi().set('a', 1);
    transaction.call('get');
    await assert.rejects(transaction.exec(), /EXECABORT Transaction discarded because of previous errors/);
    assert.equal(await redis.exists('a'), 0);
  });

  test('a watched key that changes turns EXEC into null', async () => {
    const other = connect();
    await redis.watch('k');
    await other.set('k', 'changed');
    assert.equal(await redis.multi().set('k', 'mine').exec(), null);
    assert.equal(await redis.get('k'), 'changed');
    await other.quit();
  });

  test('errors carry the text of the server', async () => {
    await assert.rejects(redis.call('FROBNICATE', 'a'), /ERR unknown command 'FROBNICATE', with args beginning with: 'a'/);
    await assert.rejects(redis.call('GET'), /ERR wrong number of arguments for 'get' command/);
  });

  test('monitor', async () => {
    const monitor = await redis.monitor();
    const told = new Promise((resolve) => monitor.on('monitor', (_, args) => args[0] === 'set' && resolve(args)));
    await redis.set('watched', 'by monitor');
    assert.deepEqual(await told, ['set', 'watched', 'by monitor']);
    monitor.disconnect();
  });

  test('a client that is killed connects again and goes on', async () => {
    const client = connect({ retryStrategy: () => 1 });
    const id = await client.client('ID');
    const again = new Promise((resolve) => client.once('close', () => client.once('ready', resolve)));
    assert.equal(await redis.client('KILL', 'ID', id), 1);
    await again;
    assert.equal(await client.ping(), 'PONG');
    assert.notEqual(await client.client('ID'), id);
    await client.quit();
  });

  test('messages of channels, patterns and shard channels', async () => {
    const subscriber = connect();
    // Of its own: ioredis takes the end of the others for the end of all.
    const sharded = connect();
    // Ready before they subscribe: ioredis asks a fresh connection for INFO, and connects again when it may not any more.
    await Promise.all([subscriber.ping(), sharded.ping()]);
    const seen = [];
    subscriber.on('message', (channel, text) => seen.push([channel, text]));
    subscriber.on('pmessage', (pattern, channel, text) => seen.push([pattern, channel, text]));
    sharded.on('smessage', (channel, text) => seen.push(['shard', channel, text]));
    assert.equal(await subscriber.subscribe('news', 'more'), 2);
    assert.equal(await subscriber.psubscribe('n?ws'), 3);
    assert.equal(await sharded.ssubscribe('news'), 1);
    await assert.rejects(subscriber.get('k'), /subscriber mode/);
    assert.equal(await redis.publish('news', 'hi'), 2);
    assert.equal(await redis.publish('none', 'x'), 0);
    assert.equal(await redis.publish('more', 'end'), 1);
    while (seen.length < 3) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await redis.spublish('news', 'you'), 1);
    while (seen.length < 4) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(seen, [
      ['news', 'hi'],
      ['n?ws', 'news', 'hi'],
      ['more', 'end'],
      ['shard', 'news', 'you'],
    ]);
    assert.equal(await subscriber.unsubscribe('news', 'more'), 1);
    assert.equal(await subscriber.punsubscribe('n?ws'), 0);
    assert.equal(await subscriber.get('k'), null);
    await Promise.all([subscriber.quit(), sharded.quit()]);
  });

  test('a subscriber gets every message of many publishers, each in its order', async () => {
    const subscriber = connect();
    const publishers = Array.from({ length: 4 }, () => connect());
    const seen = publishers.map(() => []);
    let left = 4 * 500;
    const all = new Promise((resolve) => {
      subscriber.on('message', (_, text) => {
        const [from, n] = text.split(':').map(Number);
        seen[from].push(n);
        if (--left === 0) resolve();
      });
    });
    await subscriber.subscribe('orders');
    await Promise.all(
      publishers.map(async (publisher, from) => {
        const pipeline = publisher.pipeline();
        for (let n = 0; n < 500; n++) pipeline.publish('orders', `${from}:${n}`);
        await pipeline.exec();
      }),
    );
    await all;
    for (const numbers of seen) assert.deepEqual(numbers, Array.from({ length: 500 }, (_, n) => n));
    await Promise.all([subscriber, ...publishers].map((client) => client.quit()));
  });
});
