// An application's days with ioredis, which speaks RESP2: the stories of stories.py, told in its own way.

import assert from "node:assert/strict";

import { LocalCache, callsOf, library, main, port, range, refuses, story, until } from "./_kit.mjs";

const { Redis } = library("ioredis");

// Tokens fill a bucket as time goes by; a request takes one.
const BUCKET = `
  local now = redis.call('TIME')
  now = now[1] * 1000 + math.floor(now[2] / 1000)
  local size, per_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
  local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
  local tokens = math.min(size, (tonumber(bucket[1]) or size) + (now - (tonumber(bucket[2]) or now)) * per_ms)
  local is_allowed = tokens >= 1
  if is_allowed then tokens = tokens - 1 end
  redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now)
  redis.call('PEXPIRE', KEYS[1], 60000)
  return {is_allowed, math.floor(tokens)}`;

const RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";

function connect(options = {}) {
  const client = new Redis({ port, maxRetriesPerRequest: 0, retryStrategy: null, ...options });
  // Without a listener the library prints errors that a story expects.
  client.on("error", () => {});
  return client;
}

/** The results of exec(), which are pairs of an error and a result. */
function results(replies) {
  return replies.map(([error, result]) => {
    if (error) throw error;
    return result;
  });
}

/** Entries of a stream as [id, {field: value}]. */
function entries(reply) {
  const map = (fields) => Object.fromEntries(range(fields.length / 2).map((i) => fields.slice(2 * i, 2 * i + 2)));
  return reply.map(([id, fields]) => [id, map(fields)]);
}

story("sessions", async (r, again) => {
  await r.acl("SETUSER", "ioshop", "reset", "on", ">secret", "~session:*", "+@hash", "+@transaction", "+@connection",
    "+info", "+expire", "+pexpire", "+pttl");
  try {
    const shop = await again({ username: "ioshop", password: "secret" });
    const created = await shop.multi().hset("session:1", { user: 7, cart: "[]" }).expire("session:1", 100).exec();
    assert.deepEqual(results(created), [2, 1]);
    assert.ok((await shop.pttl("session:1")) > 50_000);
    assert.equal(await shop.hincrby("session:1", "visits", 1), 1);
    assert.deepEqual(await shop.hgetall("session:1"), { user: "7", cart: "[]", visits: "1" });
    await refuses(shop.hget("admin:1", "user"), "NOPERM");
    await refuses(shop.set("session:1", "x"), "NOPERM");
    // A transaction with one command that is denied does nothing.
    await refuses(shop.multi().hset("session:1", "user", 8).hset("admin:1", "user", 8).exec(), "EXECABORT");
    assert.equal(await r.hget("session:1", "user"), "7");
    await refuses((await again({ username: "ioshop", password: "wrong", lazyConnect: true })).connect(), "");
    await shop.pexpire("session:1", 20);
    await until("the session's end", async () => Object.keys(await shop.hgetall("session:1")).length === 0);
    assert.equal(await r.exists("session:1"), 0);
    const closed = new Promise((resolve) => shop.once("close", resolve));
    assert.equal(await r.acl("DELUSER", "ioshop"), 1);
    await closed;
  } finally {
    await r.acl("DELUSER", "ioshop");
  }
});

story("a job queue", async (r, again) => {
  // A worker takes a job, and its connection is cut before it is done.
  const victim = await again();
  const taken = victim.blmove("jobs", "jobs:victim", "LEFT", "RIGHT", 10);
  await until("the victim to wait", async () => (await r.info("clients")).includes("blocked_clients:1"));
  assert.equal(await r.rpush("jobs", ...range(40)), 40);
  assert.equal(await taken, "0");
  victim.disconnect();
  assert.deepEqual(await r.lrange("jobs:victim", 0, -1), ["0"]);
  const work = async (name) => {
    const client = await again();
    for (let job; (job = await client.blmove("jobs", name, "LEFT", "RIGHT", 10)) !== "stop"; ) {
      assert.notEqual(job, null, "no job in ten seconds");
      assert.deepEqual(results(await client.multi().hincrby("done", job, 1).lrem(name, 1, job).exec()), [1, 1]);
    }
    assert.equal(await client.lpop(name), "stop");
  };
  const workers = Promise.all(range(3).map((i) => work(`jobs:${i}`)));
  assert.equal(await r.lmove("jobs:victim", "jobs", "RIGHT", "LEFT"), "0");
  await until("all jobs to be done", async () => (await r.hlen("done")) === 40);
  await r.rpush("jobs", "stop", "stop", "stop");
  await workers;
  assert.deepEqual(await r.hgetall("done"), Object.fromEntries(range(40).map((job) => [job, "1"])));
  assert.deepEqual(await r.keys("*"), ["done"]);
});

story("a stream with a consumer that dies", async (r, again) => {
  assert.equal(await r.xgroup("CREATE", "orders", "billing", "$", "MKSTREAM"), "OK");
  await refuses(r.xgroup("CREATE", "orders", "billing", "$"), "BUSYGROUP");
  const victim = await again();
  const given = victim.xreadgroup("GROUP", "billing", "victim", "COUNT", 10, "BLOCK", 10_000, "STREAMS", "orders", ">");
  await until("the victim to wait", async () => (await r.info("clients")).includes("blocked_clients:1"));
  const adding = r.pipeline();
  range(30).forEach((number) => adding.xadd("orders", "*", "order", number));
  const ids = results(await adding.exec());
  const taken = (await given)[0][1].length;
  victim.disconnect();
  const settle = async (client, [id, fields]) => {
    const settling = client.multi().hset("settled", id, fields.order).xack("orders", "billing", id);
    assert.deepEqual(results(await settling.exec()), [1, 1]);
  };
  await Promise.all(range(3).map(async (index) => {
    const client = await again();
    const read = () => client.xreadgroup("GROUP", "billing", `w${index}`, "COUNT", 4, "STREAMS", "orders", ">");
    for (let reply; (reply = await read()); ) {
      for (const entry of entries(reply[0][1])) await settle(client, entry);
    }
  }));
  assert.deepEqual(await r.xpending("orders", "billing"), [taken, ids[0], ids[taken - 1], [["victim", String(taken)]]]);
  const [cursor, claimed, deleted] = await r.xautoclaim("orders", "billing", "w0", 0, "0-0", "COUNT", 100);
  assert.deepEqual([cursor, claimed.map(([id]) => id), deleted], ["0-0", ids.slice(0, taken), []]);
  const held = await r.xpending("orders", "billing", "-", "+", 100, "w0");
  const expected = ids.slice(0, taken).map((id) => [id, "w0", 2]);
  assert.deepEqual(held.map(([id, name, , deliveries]) => [id, name, deliveries]), expected);
  for (const entry of entries(claimed)) await settle(r, entry);
  assert.deepEqual(await r.hgetall("settled"), Object.fromEntries(ids.map((id, number) => [id, String(number)])));
  assert.deepEqual(await r.xpending("orders", "billing"), [0, null, null, null]);
});

story("a cache that is told by a second connection", async (r, again) => {
  const [reader, ear] = [await again(), await again()];
  const [local, heard] = [new LocalCache((name) => reader.get(name)), []];
  ear.on("message", (channel, names) => {
    assert.equal(channel, "__redis__:invalidate");
    heard.push(names);
    // The library makes text of the list of names, an empty one of a flush.
    local.forget(names === "" ? null : names.split(","));
  });
  const id = await ear.client("ID");
  await ear.subscribe("__redis__:invalidate");
  assert.equal(await reader.client("TRACKING", "ON", "REDIRECT", id), "OK");
  const get = (name) => local.get(name);
  await r.mset({ "price:tea": 3, "price:rum": 9 });
  assert.deepEqual([await get("price:tea"), await get("price:rum")], ["3", "9"]);
  const before = callsOf(await r.info("commandstats"), "get");
  for (const _ of range(50)) assert.equal(await get("price:tea"), "3");
  assert.equal(callsOf(await r.info("commandstats"), "get"), before);
  assert.equal(local.hits, 50);
  await r.incr("price:tea");
  await until("the new price", async () => (await get("price:tea")) === "4");
  assert.equal(heard.length, 1);
  assert.ok(local.has("price:rum"));
  await r.pexpire("price:rum", 10);
  await until("no price", async () => (await get("price:rum")) === null);
  await r.flushall();
  await until("nothing", async () => (await get("price:tea")) === null);
  // One who tracks by prefix hears of what he has never read.
  assert.equal(await reader.client("TRACKING", "OFF"), "OK");
  assert.equal(await reader.client("TRACKING", "ON", "REDIRECT", id, "BCAST", "PREFIX", "price:"), "OK");
  heard.length = 0;
  await r.set("other", 1);
  await r.set("price:gin", 1);
  await until("the prefix", () => heard.length > 0);
  assert.deepEqual(heard, ["price:gin"]);
});

story("a rate limiter", async (r, again) => {
  await r.script("FLUSH");
  const ask = (client, name) => client.take(name, 5, 0);
  const clients = await Promise.all(range(3).map(() => again({ scripts: { take: { lua: BUCKET, numberOfKeys: 1 } } })));
  // Each has its own idea of what the server knows: only the first need send the text, and all get an answer.
  const allowed = (await Promise.all(range(15).map((i) => ask(clients[i % 3], "bucket:1")))).map(([is]) => is);
  assert.equal(allowed.filter((is) => is === 1).length, 5);
  assert.ok(allowed.every((is) => is === 1 || is === null));
  // The server forgets the script: the library sends it again.
  await r.script("FLUSH");
  assert.deepEqual(await ask(clients[0], "bucket:2"), [1, 4]);
  const pipeline = clients[1].pipeline();
  await r.script("FLUSH");
  range(6).forEach(() => pipeline.take("bucket:3", 5, 0));
  assert.deepEqual(results(await pipeline.exec()).map(([is]) => is), [1, 1, 1, 1, 1, null]);
  // A bucket fills again.
  assert.deepEqual(await clients[0].take("bucket:4", 1, 0.05), [1, 0]);
  await until("a token", async () => (await clients[0].take("bucket:4", 1, 0.05))[0] === 1);
});

story("a chat", async (r, again) => {
  const [ear, shard] = [await again(), await again()];
  const heard = { message: [], pmessage: [], smessage: [] };
  ear.on("message", (channel, text) => heard.message.push(`${channel} ${text}`));
  ear.on("pmessage", (pattern, channel, text) => heard.pmessage.push(`${channel} ${text}`));
  shard.on("smessage", (channel, text) => heard.smessage.push(`${channel} ${text}`));
  assert.equal(await ear.subscribe("room:tea", "room:rum"), 2);
  assert.equal(await ear.psubscribe("room:t*"), 3);
  assert.equal(await shard.ssubscribe("room:tea"), 1);
  assert.deepEqual(await r.pubsub("NUMSUB", "room:tea", "room:rum", "none"), ["room:tea", 1, "room:rum", 1, "none", 0]);
  assert.deepEqual(await r.pubsub("SHARDNUMSUB", "room:tea"), ["room:tea", 1]);
  await Promise.all(range(3).map(async (index) => {
    const client = await again();
    for (const number of range(20)) {
      assert.equal(await client.publish("room:tea", `${index}:${number}`), 2);
      assert.equal(await client.spublish("room:tea", `s${index}:${number}`), 1);
      assert.equal(await client.publish("room:rum", `${index}:${number}`), 1);
    }
  }));
  const lengths = () => [heard.message, heard.pmessage, heard.smessage].map((words) => words.length);
  await until("all words", () => String(lengths()) === "120,60,60");
  assert.deepEqual(heard.message.filter((word) => word.startsWith("room:tea")), heard.pmessage);
  for (const index of range(3)) {
    const own = (words, mark) => words.filter((word) => word.startsWith(mark));
    assert.deepEqual(own(heard.pmessage, `room:tea ${index}:`), range(20).map((n) => `room:tea ${index}:${n}`));
    assert.deepEqual(own(heard.smessage, `room:tea s${index}:`), range(20).map((n) => `room:tea s${index}:${n}`));
  }
  await refuses(ear.get("a"), "subscriber mode");
  assert.equal(await ear.unsubscribe("room:rum"), 2);
  assert.equal(await r.publish("room:rum", "x"), 0);
});

story("locks", async (r, again) => {
  const tokens = [];
  await Promise.all(range(3).map(async (index) => {
    const client = await again({ scripts: { release: { lua: RELEASE, numberOfKeys: 1 } } });
    for (const turn of range(8)) {
      const mine = `${index}:${turn}`;
      await until("the lock", async () => (await client.set("lock", mine, "PX", 20_000, "NX")) === "OK");
      const token = await client.incr("fence");
      const stock = Number(await client.get("stock"));
      await client.set("stock", stock + 1);
      tokens.push(token);
      assert.equal(await client.release("lock", "another's"), 0);
      assert.equal(await client.release("lock", mine), 1);
    }
  }));
  assert.equal(await r.get("stock"), "24");
  assert.deepEqual(tokens, range(24).map((token) => token + 1));
  // It runs out by itself, and is the next one's.
  assert.equal(await r.set("lock", "first", "PX", 20, "NX"), "OK");
  await until("the lock", async () => (await r.set("lock", "second", "PX", 20_000, "NX")) === "OK");
  assert.equal(await r.eval(RELEASE, 1, "lock", "first"), 0);
  assert.equal(await r.get("lock"), "second");
});

story("money", async (r, again) => {
  const names = range(3).map((i) => `account:${i}`);
  await r.mset(Object.fromEntries(names.map((name) => [name, 100])));
  await Promise.all(range(3).map(async (index) => {
    const client = await again();
    for (let done = 0; done < 15; ) {
      const [source, target] = [names[(index + done) % 3], names[(index + done + 1) % 3]];
      await client.watch(source, target);
      const amount = Math.min(5, Number(await client.get(source)));
      // Null: somebody changed one of them, so it is done again.
      const replies = await client.multi().decrby(source, amount).incrby(target, amount).rpush("ledger", amount).exec();
      if (replies) done += results(replies).length === 3;
      const balances = await client.mget(names);
      assert.equal(balances.reduce((sum, balance) => sum + Number(balance), 0), 300);
    }
  }));
  assert.equal(await r.llen("ledger"), 45);
  await r.watch("account:0");
  await (await again()).incr("account:0");
  assert.equal(await r.multi().set("never", 1).exec(), null);
  assert.equal(await r.exists("never"), 0);
});

story("a leaderboard in pipelines", async (r, again) => {
  await Promise.all(range(3).map(async () => {
    // What is asked in one turn of the event loop goes out together.
    const client = await again({ enableAutoPipelining: true });
    for (const _ of range(5)) {
      await Promise.all(range(60).map((point) => client.zincrby("board", 1, `player:${point % 20}`)));
    }
    const pipeline = client.pipeline();
    range(20).forEach((player) => pipeline.hincrby(`player:${player}`, "games", 1));
    assert.equal(results(await pipeline.exec()).length, 20);
  }));
  const board = await r.zrange("board", 0, -1, "WITHSCORES");
  assert.deepEqual(board.filter((_, index) => index % 2), range(20).map(() => "45"));
  const mixed = await r.pipeline().hget("player:1", "games").incr("board").zscore("board", "player:1").exec();
  assert.ok(mixed[1][0].message.startsWith("WRONGTYPE"));
  assert.deepEqual([mixed[0], mixed[2]], [[null, "3"], [null, "45"]]);
  const keys = [];
  for await (const page of r.scanStream({ match: "player:*", count: 7 })) keys.push(...page);
  assert.deepEqual([...new Set(keys)].sort(), range(20).map((i) => `player:${i}`).sort());
  // Bytes come back as they were.
  const bytes = Buffer.from(range(256));
  await r.set(bytes, bytes);
  assert.deepEqual(await r.getBuffer(bytes), bytes);
});

const flush = (client) => client.flushall();
await main([{ name: "ioredis", connect, flush, close: (client) => client.disconnect() }]);
