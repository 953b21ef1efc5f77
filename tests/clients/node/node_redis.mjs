// An application's days with node-redis, in RESP2 and in RESP3: the stories of stories.py, told in its own way.

import assert from "node:assert/strict";

import { LocalCache, callsOf, library, main, port, range, refuses, story, until } from "./_kit.mjs";

const { BasicClientSideCache, createClient, defineScript } = library("redis");

// Who has come in this window is counted; the window begins with the first.
const WINDOW = defineScript({
  SCRIPT: `
    local count = redis.call('INCR', KEYS[1])
    if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
    if count > tonumber(ARGV[1]) then return {0, redis.call('PTTL', KEYS[1])} end
    return {1, tonumber(ARGV[1]) - count}`,
  NUMBER_OF_KEYS: 1,
  parseCommand(parser, name, limit, windowMs) {
    parser.pushKey(name);
    parser.push(String(limit), String(windowMs));
  },
});

// Writes what a lock guards, unless a later holder was here already.
const WRITE = defineScript({
  SCRIPT: `
    if tonumber(ARGV[1]) < tonumber(redis.call('HGET', KEYS[1], 'token') or 0) then
      return redis.error_reply('STALE token ' .. ARGV[1])
    end
    return redis.call('HSET', KEYS[1], 'token', ARGV[1], 'value', ARGV[2])`,
  NUMBER_OF_KEYS: 1,
  parseCommand(parser, name, token, value) {
    parser.pushKey(name);
    parser.push(String(token), value);
  },
});

const RELEASE = defineScript({
  SCRIPT: "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end",
  NUMBER_OF_KEYS: 1,
  parseCommand(parser, name, owner) {
    parser.pushKey(name);
    parser.push(owner);
  },
});

const scripts = { hit: WINDOW, write: WRITE, release: RELEASE };

function flavour(RESP) {
  return {
    name: `RESP${RESP}`,
    RESP,
    connect(options = {}) {
      const client = createClient({ RESP, scripts, socket: { port, reconnectStrategy: false }, ...options });
      client.on("error", () => {});
      return client.connect();
    },
    flush: (client) => client.flushAll(),
    close: (client) => client.isOpen && client.destroy(),
  };
}

/** What the library gives without a prototype or with null's, as plain objects. */
function plain(reply) {
  return JSON.parse(JSON.stringify(reply));
}

/** Waits until one client blocks. */
function blocked(r) {
  return until("a client to wait", async () => (await r.info("clients")).includes("blocked_clients:1"));
}

story("sessions", async (r, again, { connect }) => {
  await r.aclSetUser("nodeshop", ["reset", "on", ">secret", "~session:*", "+@hash", "+@transaction", "+@connection",
    "+expire", "+pexpire", "+pttl"]);
  try {
    const shop = await again({ username: "nodeshop", password: "secret" });
    const created = await shop.multi().hSet("session:1", { user: 7, cart: "[]" }).expire("session:1", 100).exec();
    assert.deepEqual(created, [2, 1]);
    assert.ok((await shop.pTTL("session:1")) > 50_000);
    assert.equal(await shop.hIncrBy("session:1", "visits", 1), 1);
    assert.deepEqual(plain(await shop.hGetAll("session:1")), { user: "7", cart: "[]", visits: "1" });
    await refuses(shop.hGet("admin:1", "user"), "NOPERM");
    await refuses(shop.set("session:1", "x"), "NOPERM");
    const denied = (await r.aclLog(2)).map((entry) => [entry.reason, entry.object]);
    assert.deepEqual(denied, [["command", "set"], ["key", "admin:1"]]);
    const user = plain(await r.aclGetUser("nodeshop"));
    assert.ok(user.flags.includes("on"));
    assert.deepEqual([user.keys, user.passwords.length], ["~session:*", 1]);
    await refuses(connect({ username: "nodeshop", password: "wrong" }), "WRONGPASS");
    await shop.pExpire("session:1", 20);
    await until("the session's end", async () => Object.keys(await shop.hGetAll("session:1")).length === 0);
    assert.equal(await r.dbSize(), 0);
    assert.equal(await r.aclDelUser("nodeshop"), 1);
    await until("the door to be shut", () => !shop.isReady);
  } finally {
    await r.aclDelUser("nodeshop");
    await r.aclLogReset();
  }
});

story("a job queue", async (r, again) => {
  // A worker takes a job, and its connection is cut before it is done.
  const victim = await again();
  const taken = victim.blMove("jobs", "jobs:victim", "LEFT", "RIGHT", 10);
  await blocked(r);
  assert.equal(await r.rPush("jobs", range(40).map(String)), 40);
  assert.equal(await taken, "0");
  victim.destroy();
  assert.deepEqual(await r.lRange("jobs:victim", 0, -1), ["0"]);
  const work = async (name) => {
    const client = await again();
    for (let job; (job = await client.blMove("jobs", name, "LEFT", "RIGHT", 10)) !== "stop"; ) {
      assert.notEqual(job, null, "no job in ten seconds");
      assert.deepEqual(await client.multi().hIncrBy("done", job, 1).lRem(name, 1, job).exec(), [1, 1]);
    }
    assert.equal(await client.lPop(name), "stop");
  };
  const workers = Promise.all(range(3).map((i) => work(`jobs:${i}`)));
  assert.equal(await r.lMove("jobs:victim", "jobs", "RIGHT", "LEFT"), "0");
  await until("all jobs to be done", async () => (await r.hLen("done")) === 40);
  await r.rPush("jobs", ["stop", "stop", "stop"]);
  await workers;
  assert.deepEqual(plain(await r.hGetAll("done")), Object.fromEntries(range(40).map((job) => [job, "1"])));
  assert.deepEqual(await r.keys("*"), ["done"]);
});

story("a stream with a consumer that dies", async (r, again) => {
  assert.equal(await r.xGroupCreate("orders", "billing", "$", { MKSTREAM: true }), "OK");
  await refuses(r.xGroupCreate("orders", "billing", "$"), "BUSYGROUP");
  const read = async (client, name, options) => {
    const reply = await client.xReadGroup("billing", name, [{ key: "orders", id: ">" }], options);
    if (!reply || Array.isArray(reply)) return reply?.[0].messages;
    // RESP3's map of streams is given as it came.
    return reply.orders.map(([id, fields]) => ({ id, message: { order: fields[1] } }));
  };
  const victim = await again();
  const given = read(victim, "victim", { COUNT: 10, BLOCK: 10_000 });
  await blocked(r);
  const adding = r.multi();
  range(30).forEach((number) => adding.xAdd("orders", "*", { order: String(number) }));
  const ids = await adding.execAsPipeline();
  const taken = (await given).length;
  victim.destroy();
  const settle = async (client, { id, message }) => {
    const settling = client.multi().hSet("settled", id, message.order).xAck("orders", "billing", id);
    assert.deepEqual(await settling.exec(), [1, 1]);
  };
  await Promise.all(range(3).map(async (index) => {
    const client = await again();
    for (let given; (given = await read(client, `w${index}`, { COUNT: 4 })); ) {
      for (const entry of given) await settle(client, entry);
    }
  }));
  const pending = plain(await r.xPending("orders", "billing"));
  const consumers = [{ name: "victim", deliveriesCounter: taken }];
  assert.deepEqual(pending, { pending: taken, firstId: ids[0], lastId: ids[taken - 1], consumers });
  const claimed = await r.xAutoClaim("orders", "billing", "w0", 0, "0-0", { COUNT: 100 });
  assert.deepEqual(claimed.messages.map(({ id }) => id), ids.slice(0, taken));
  assert.deepEqual([claimed.nextId, claimed.deletedMessages], ["0-0", []]);
  const held = await r.xPendingRange("orders", "billing", "-", "+", 100, { consumer: "w0" });
  assert.deepEqual(held.map((entry) => [entry.id, entry.deliveriesCounter]), ids.slice(0, taken).map((id) => [id, 2]));
  for (const entry of claimed.messages) await settle(r, entry);
  const settled = Object.fromEntries(ids.map((id, number) => [id, String(number)]));
  assert.deepEqual(plain(await r.hGetAll("settled")), settled);
  const group = (await r.xInfoGroups("orders"))[0];
  assert.deepEqual([group.pending, group.lag, group["entries-read"], group["last-delivered-id"]], [0, 0, 30, ids[29]]);
});

story("a cache that the server keeps true", async (r, again, { RESP }) => {
  await r.mSet({ "price:tea": "3", "price:rum": "9" });
  let get, hits;
  if (RESP === 3) {
    const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 100, evictPolicy: "LRU" });
    const reader = await again({ clientSideCache: cache });
    get = (name) => reader.get(name);
    hits = () => cache.stats().hitCount;
  } else {
    // RESP2 has no pushes: a second connection is told, as a subscriber.
    const [reader, ear] = [await again(), await again()];
    const local = new LocalCache((name) => reader.get(name));
    const id = await ear.clientId();
    await ear.subscribe("__redis__:invalidate", (names) => local.forget(names));
    await reader.clientTracking(true, { REDIRECT: id });
    assert.equal(await reader.clientGetRedir(), id);
    get = (name) => local.get(name);
    hits = () => local.hits;
  }
  assert.deepEqual([await get("price:tea"), await get("price:rum")], ["3", "9"]);
  const before = callsOf(await r.info("commandstats"), "get");
  for (const _ of range(50)) assert.equal(await get("price:tea"), "3");
  assert.equal(callsOf(await r.info("commandstats"), "get"), before);
  assert.equal(hits(), 50);
  await r.incr("price:tea");
  await until("the new price", async () => (await get("price:tea")) === "4");
  await r.pExpire("price:rum", 10);
  await until("no price", async () => (await get("price:rum")) === null);
  // A reader never sees a count fall, and sees the last one in the end.
  const seen = [];
  const selling = Promise.all(range(2).map(async () => {
    const client = await again();
    for (const _ of range(100)) await client.incr("sold");
  }));
  await until("the last sale", async () => seen.push(Number(await get("sold"))) && seen.at(-1) === 200);
  await selling;
  assert.deepEqual(seen, seen.toSorted((a, b) => a - b));
  await r.flushAll();
  await until("nothing", async () => (await get("price:tea")) === null);
});

story("a rate limiter", async (r, again) => {
  await r.scriptFlush();
  const clients = await Promise.all(range(3).map(() => again()));
  const hits = await Promise.all(range(15).map((i) => clients[i % 3].hit("limit:1", 5, 60_000)));
  assert.equal(hits.filter(([is]) => is === 1).length, 5);
  assert.deepEqual(hits.filter(([is]) => is === 1).map(([, left]) => left).sort(), [0, 1, 2, 3, 4]);
  assert.ok(hits.filter(([is]) => is === 0).every(([, ms]) => ms > 50_000 && ms <= 60_000));
  // The server forgets the script: the library sends it again.
  assert.deepEqual(await r.scriptExists(WINDOW.SHA1), [1]);
  await r.scriptFlush();
  assert.deepEqual(await r.scriptExists(WINDOW.SHA1), [0]);
  await refuses(r.evalSha(WINDOW.SHA1, { keys: ["x"], arguments: ["1", "1"] }), "NOSCRIPT");
  assert.deepEqual(await clients[0].hit("limit:2", 5, 60_000), [1, 4]);
  await r.scriptFlush();
  assert.deepEqual(await (await again()).multi().hit("limit:3", 1, 60_000).hit("limit:3", 1, 60_000).exec()
    .then((replies) => replies.map(([is]) => is)), [1, 0]);
  // A window ends.
  assert.deepEqual(await r.hit("limit:4", 1, 30), [1, 0]);
  await until("the next window", async () => (await r.hit("limit:4", 1, 30))[0] === 1);
});

story("a chat", async (r, again) => {
  const [ear, shard] = [await again(), await again()];
  const [named, matched, sharded] = [[], [], []];
  await ear.subscribe(["room:tea", "room:rum"], (text, channel) => named.push(`${channel} ${text}`));
  await ear.pSubscribe("room:t*", (text, channel) => matched.push(`${channel} ${text}`));
  await shard.sSubscribe("room:tea", (text, channel) => sharded.push(`${channel} ${text}`));
  assert.deepEqual(plain(await r.pubSubNumSub(["room:tea", "none"])), { "room:tea": 1, none: 0 });
  assert.deepEqual([await r.pubSubNumPat(), await r.pubSubShardChannels()], [1, ["room:tea"]]);
  await Promise.all(range(3).map(async (index) => {
    const client = await again();
    for (const number of range(20)) {
      assert.equal(await client.publish("room:tea", `${index}:${number}`), 2);
      assert.equal(await client.sPublish("room:tea", `s${index}:${number}`), 1);
      assert.equal(await client.publish("room:rum", `${index}:${number}`), 1);
    }
  }));
  await until("all words", () => named.length === 120 && matched.length === 60 && sharded.length === 60);
  assert.deepEqual(named.filter((word) => word.startsWith("room:tea")), matched);
  for (const index of range(3)) {
    const own = (words, mark) => words.filter((word) => word.startsWith(mark));
    assert.deepEqual(own(matched, `room:tea ${index}:`), range(20).map((n) => `room:tea ${index}:${n}`));
    assert.deepEqual(own(sharded, `room:tea s${index}:`), range(20).map((n) => `room:tea s${index}:${n}`));
  }
  await ear.unsubscribe("room:rum");
  await ear.pUnsubscribe("room:t*");
  assert.deepEqual([await r.publish("room:rum", "x"), await r.publish("room:tea", "x")], [0, 1]);
});

story("locks", async (r, again) => {
  const tokens = [];
  await Promise.all(range(3).map(async (index) => {
    const client = await again();
    for (const turn of range(8)) {
      const mine = `${index}:${turn}`;
      const lock = { condition: "NX", expiration: { type: "PX", value: 20_000 } };
      await until("the lock", async () => (await client.set("lock", mine, lock)) === "OK");
      const token = await client.incr("fence");
      tokens.push(token);
      await client.write("file", token, mine);
      assert.equal(await client.release("lock", "another's"), 0);
      assert.equal(await client.release("lock", mine), 1);
    }
  }));
  assert.deepEqual(tokens, range(24).map((token) => token + 1));
  const value = await r.hGet("file", "value");
  // Who comes with an old token, for his lock had run out, writes nothing.
  await refuses(r.write("file", 3, "old"), "STALE token 3");
  assert.equal(await r.hGet("file", "value"), value);
  assert.equal(await r.set("lock", "first", { condition: "NX", expiration: { type: "PX", value: 20 } }), "OK");
  await until("the lock", async () => (await r.set("lock", "second", { condition: "NX" })) === "OK");
  assert.equal(await r.release("lock", "first"), 0);
  assert.equal(await r.get("lock"), "second");
});

story("money", async (r, again) => {
  const names = range(3).map((i) => `account:${i}`);
  await r.mSet(Object.fromEntries(names.map((name) => [name, "100"])));
  await Promise.all(range(3).map(async (index) => {
    const client = await again();
    for (let done = 0; done < 15; ) {
      const [source, target] = [names[(index + done) % 3], names[(index + done + 1) % 3]];
      await client.watch([source, target]);
      const amount = Math.min(5, Number(await client.get(source)));
      const moving = client.multi().decrBy(source, amount).incrBy(target, amount).rPush("ledger", String(amount));
      try {
        assert.equal((await moving.exec()).length, 3);
        done += 1;
      } catch (error) {
        assert.equal(error.constructor.name, "WatchError");
      }
      const balances = await client.mGet(names);
      assert.equal(balances.reduce((sum, balance) => sum + Number(balance), 0), 300);
    }
  }));
  assert.equal(await r.lLen("ledger"), 45);
  await r.watch("account:0");
  await (await again()).incr("account:0");
  await assert.rejects(r.multi().set("never", "1").exec());
  assert.equal(await r.exists("never"), 0);
});

story("a leaderboard in pipelines", async (r, again) => {
  // The library sends in one write what is asked in one turn of the event loop.
  await Promise.all(range(3).map(async () => {
    const client = await again();
    for (const _ of range(5)) {
      await Promise.all(range(60).map((point) => client.zIncrBy("board", 1, `player:${point % 20}`)));
    }
    const pipeline = client.multi();
    range(20).forEach((player) => pipeline.hIncrBy(`player:${player}`, "games", 1));
    assert.equal((await pipeline.execAsPipeline()).length, 20);
  }));
  const board = await r.zRangeWithScores("board", 0, -1);
  assert.deepEqual(board.map(({ score }) => score), range(20).map(() => 45));
  assert.equal(await r.zScore("board", "player:1"), 45);
  const mixed = [r.hGet("player:1", "games"), r.incr("board"), r.zScore("board", "player:1")];
  const [games, wrong, score] = await Promise.allSettled(mixed);
  assert.deepEqual([games.value, score.value], ["3", 45]);
  assert.ok(wrong.reason.message.startsWith("WRONGTYPE"));
  const keys = [];
  for await (const page of r.scanIterator({ MATCH: "player:*", COUNT: 7 })) keys.push(...page);
  assert.deepEqual([...new Set(keys)].sort(), range(20).map((i) => `player:${i}`).sort());
});

await main([flavour(2), flavour(3)]);
