"""An application's days with redis-py: sessions, a job queue, a stream, a cache, a rate limiter, a chat, locks, money.

Each story uses a library's own tools for it where it has them (Lock, Script, the cache of RESP3, transaction), several
connections at once, and something that goes wrong: a worker that is killed, a lock that is lost, a script that the
server has forgotten.
"""

import multiprocessing
import threading
import time
import uuid

import redis
from _kit import connect, main, raises, test, wait_until
from redis.backoff import NoBackoff
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection
from redis.retry import Retry

# redis-py tracks with servers of 7.4 and later alone, though nothing that it needs is newer than 6.0.
CacheProxyConnection.MIN_ALLOWED_VERSION = "6.0.0"

FORK = multiprocessing.get_context("fork")


def protocol_of(client):
    return int(client.connection_pool.connection_kwargs["protocol"])


def again(client, **options):
    """One more client with the same protocol."""
    return connect(protocol_of(client), **options)


def in_threads(count, body):
    """Runs body(0), body(1) and so on at the same time, and raises what one of them raised."""
    errors = []

    def guarded(index):
        try:
            body(index)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    if errors:
        raise errors[0]


def reply_map(reply):
    """A map that redis-py leaves flat in RESP2."""
    return reply if isinstance(reply, dict) else dict(zip(reply[0::2], reply[1::2]))


def calls_of(client, command):
    """How often the server has run a command."""
    return client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"]


@test
def sessions(r):
    r.acl_setuser("shop", enabled=True, reset=True, passwords=["+secret"], keys=["session:*"],
                  commands=["+@hash", "+@transaction", "+@connection", "+expire", "+ttl", "+pexpire", "+del"])
    try:
        shop = again(r, username="shop", password="secret")
        assert shop.ping() is True
        token = f"session:{uuid.uuid4()}"
        created = shop.pipeline().hset(token, mapping={"user": "7", "cart": "[]"}).expire(token, 100).execute()
        assert created == [2, True] and 50 < shop.ttl(token) <= 100
        # Each visit counts and prolongs.
        assert shop.hincrby(token, "visits", 1) == 1 and shop.expire(token, 200) and shop.ttl(token) > 100
        assert not shop.expire(token, 50, gt=True) and shop.ttl(token) > 100
        shop.hset(token, "cart", '["tea"]')
        assert shop.hgetall(token) == {"user": "7", "cart": '["tea"]', "visits": "1"}
        # What is not the shop's is out of its reach, and that is written down.
        denied = redis.exceptions.NoPermissionError
        raises(denied, "key", shop.hget, "admin:1", "user")
        raises(denied, "'set'", shop.set, token, "x")
        raises(denied, "'flushall'", shop.flushall)
        reasons = [(entry["reason"], entry["object"], entry["username"]) for entry in r.acl_log()]
        assert reasons[:3] == [("command", "flushall", "shop"), ("command", "set", "shop"),
                               ("key", "admin:1", "shop")], reasons
        raises(redis.AuthenticationError, "", again(r, username="shop", password="wrong").ping)
        # A session ends by itself.
        assert shop.pexpire(token, 20)
        wait_until("the session's end", lambda: shop.hgetall(token) == {})
        assert shop.ttl(token) == -2 and r.dbsize() == 0
        # A user who is removed is out at once, and does not come in again.
        r.acl_deluser("shop")
        raises((redis.ConnectionError, redis.AuthenticationError), "", shop.ping)
        raises(redis.AuthenticationError, "", again(r, username="shop", password="secret").ping)
        shop.close()
    finally:
        r.acl_deluser("shop")
        r.acl_log_reset()


def take_a_job_and_hang(protocol, queue, own):
    """A worker that takes a job, says so, and never ends it."""
    client = connect(protocol)
    job = client.blmove(queue, own, 10, "LEFT", "RIGHT")
    client.set(f"{own}:took", job)
    time.sleep(100)


@test
def a_job_queue(r):
    queue, count = "jobs", 60
    victim = FORK.Process(target=take_a_job_and_hang, args=(protocol_of(r), queue, "jobs:victim"))
    victim.start()
    wait_until("the victim to wait", lambda: r.info("clients")["blocked_clients"] == 1)
    assert r.rpush(queue, *range(count)) == count
    wait_until("the victim's job", lambda: r.get("jobs:victim:took"))
    victim.kill()
    victim.join()
    # Its job is neither done nor lost.
    assert r.get("jobs:victim:took") == "0" and r.lrange("jobs:victim", 0, -1) == ["0"]
    assert r.llen(queue) == count - 1

    def work(index):
        client, own = again(r), f"jobs:{index}"
        while (job := client.blmove(queue, own, 10, "LEFT", "RIGHT")) != "stop":
            # What is done and what is in hand change together.
            done = client.pipeline().hincrby("done", job, 1).lrem(own, 1, job).execute()
            assert done == [1, 1], done
        assert client.lrem(own, 1, "stop") == 1
        client.close()

    def retry_and_stop(index):
        if index < 3:
            return work(index)
        client = again(r)
        assert client.lmove("jobs:victim", queue, "RIGHT", "LEFT") == "0"
        assert client.lmove("jobs:victim", queue, "RIGHT", "LEFT") is None
        wait_until("all jobs to be done", lambda: client.hlen("done") == count)
        assert client.rpush(queue, *["stop"] * 3) > 0
        client.close()

    in_threads(4, retry_and_stop)
    assert r.hgetall("done") == {str(job): "1" for job in range(count)}
    assert sorted(r.keys()) == ["done", "jobs:victim:took"]


def read_and_hang(protocol, stream):
    """A consumer that is given entries, says so, and never acknowledges one."""
    client = connect(protocol)
    client.xreadgroup("billing", "victim", {stream: ">"}, count=10, block=10_000)
    client.set("victim:took", 1)
    time.sleep(100)


@test
def a_stream_with_a_consumer_that_dies(r):
    stream = "orders"
    assert r.xgroup_create(stream, "billing", id="0", mkstream=True) is True
    raises(redis.ResponseError, "BUSYGROUP", r.xgroup_create, stream, "billing")
    victim = FORK.Process(target=read_and_hang, args=(protocol_of(r), stream))
    victim.start()
    wait_until("the victim to wait", lambda: r.info("clients")["blocked_clients"] == 1)
    pipe = r.pipeline()
    for number in range(50):
        pipe.xadd(stream, {"order": number, "amount": number * 10})
    ids = pipe.execute()
    wait_until("the victim's entries", lambda: r.get("victim:took"))
    victim.kill()
    victim.join()
    taken = r.xpending(stream, "billing")["pending"]
    assert taken >= 1 and r.xpending(stream, "billing")["consumers"] == [{"name": "victim", "pending": taken}]

    def consume(index):
        client, name = again(r), f"worker{index}"
        while True:
            reply = client.xreadgroup("billing", name, {stream: ">"}, count=7)
            # RESP3 answers a map of streams, RESP2 a list of pairs.
            streams = list(reply.items()) if isinstance(reply, dict) else reply
            if not streams:
                break
            entries = streams[0][1][0] if isinstance(reply, dict) else streams[0][1]
            for entry_id, fields in entries:
                settle(client, entry_id, fields)
        client.close()

    def settle(client, entry_id, fields):
        pipe = client.pipeline().hincrby("settled", entry_id, fields["amount"])
        done = pipe.xack(stream, "billing", entry_id).execute()
        assert done[1] == 1, done

    in_threads(3, consume)
    # All but what the dead one holds.
    assert r.hlen("settled") == 50 - taken
    held = r.xpending_range(stream, "billing", "-", "+", 100)
    assert [(entry["consumer"], entry["times_delivered"]) for entry in held] == [("victim", 1)] * taken
    assert [entry["message_id"] for entry in held] == ids[:taken]
    # Nothing is idle for long enough, then everything is.
    assert r.xautoclaim(stream, "billing", "worker0", min_idle_time=1_000_000)[1] == []
    cursor, claimed = "0-0", []
    while True:
        cursor, entries, deleted = r.xautoclaim(stream, "billing", "worker0", min_idle_time=0, start_id=cursor, count=3)
        assert deleted == []
        claimed += entries
        if cursor == "0-0":
            break
    assert [entry_id for entry_id, _ in claimed] == ids[:taken]
    # A redelivery is counted.
    again_held = r.xpending_range(stream, "billing", "-", "+", 100, consumername="worker0")
    assert [entry["times_delivered"] for entry in again_held] == [2] * taken
    for entry_id, fields in claimed:
        settle(r, entry_id, fields)
    assert r.hgetall("settled") == {entry_id: str(number * 10) for number, entry_id in enumerate(ids)}
    group = r.xinfo_groups(stream)[0]
    assert (group["pending"], group["lag"], group["entries-read"]) == (0, 0, 50), group
    assert group["last-delivered-id"] == ids[-1]
    assert r.xgroup_delconsumer(stream, "billing", "victim") == 0
    assert r.xtrim(stream, maxlen=10, approximate=False) == 40 and r.xlen(stream) == 10


@test
def a_cache_that_the_server_keeps_true(r):
    r.mset({"price:tea": 3, "price:rum": 9})
    if protocol_of(r) == 2:
        return a_cache_in_resp2(r)
    cached = redis.Redis(port=r.connection_pool.connection_kwargs["port"], protocol=3, decode_responses=True,
                         socket_timeout=20, cache_config=CacheConfig())
    assert cached.get("price:tea") == "3" and cached.mget("price:tea", "price:rum") == ["3", "9"]
    before = calls_of(r, "get") + calls_of(r, "mget")
    for _ in range(100):
        assert cached.get("price:tea") == "3" and cached.mget("price:tea", "price:rum") == ["3", "9"]
    assert calls_of(r, "get") + calls_of(r, "mget") == before
    # A change by anybody arrives, of one key and of all that is made of it.
    r.incrby("price:tea", 1)
    wait_until("the new price", lambda: cached.get("price:tea") == "4")
    assert cached.mget("price:tea", "price:rum") == ["4", "9"]
    r.pexpire("price:rum", 10)
    wait_until("no price", lambda: cached.get("price:rum") is None)
    r.flushall()
    wait_until("nothing", lambda: cached.get("price:tea") is None)

    def buy(index):
        own = again(r)
        for _ in range(200):
            own.incr("sold")
        own.close()

    # A reader never sees a count fall, and sees the last one in the end.
    seen = []

    def look():
        wait_until("the last sale", lambda: seen.append(int(cached.get("sold") or 0)) or seen[-1] == 600)
    
    in_threads(4, lambda index: look() if index == 3 else buy(index))
    assert seen == sorted(seen) and seen[-1] == 600
    cached.close()


def a_cache_in_resp2(r):
    """RESP2 has no pushes: a second connection is told, as a subscriber."""
    ear = r.pubsub()
    ear.subscribe("__redis__:invalidate")
    assert ear.get_message(timeout=10)["type"] == "subscribe"
    ear_id = next(client["id"] for client in r.client_list(_type="pubsub"))
    with again(r).client() as reader:
        assert reader.client_tracking_on(clientid=int(ear_id), noloop=True)
        assert reader.client_getredir() == int(ear_id)
        assert "on" in reply_map(reader.client_trackinginfo())["flags"]
        local = {name: reader.get(name) for name in ("price:tea", "price:rum")}
        assert local == {"price:tea": "3", "price:rum": "9"}
        r.set("price:tea", 4)
        assert ear.get_message(timeout=10)["data"] == ["price:tea"]
        assert reader.get("price:tea") == "4"
        # NOLOOP: who changes a key himself knows it.
        reader.set("price:tea", 5)
        assert reader.get("price:tea") == "5"
        r.delete("price:rum", "price:tea")
        assert [ear.get_message(timeout=10)["data"] for _ in range(2)] == [["price:rum"], ["price:tea"]]
        r.set("price:rum", 8)
        reader.get("price:rum")
        r.flushall()
        assert ear.get_message(timeout=10)["data"] is None
        assert reader.client_tracking_off()
        reader.get("price:rum")
        r.set("price:rum", 1)
        assert ear.get_message(timeout=0.05) is None
    ear.close()


# A sliding window: who came in the last so many microseconds stands in a sorted set.
LIMITER = """
local now = redis.call('TIME')
local micros = now[1] * 1000000 + now[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', micros - ARGV[2] * 1000)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return {0, redis.call('ZCARD', KEYS[1])} end
redis.call('ZADD', KEYS[1], micros, ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {1, redis.call('ZCARD', KEYS[1])}
"""


@test
def a_rate_limiter(r):
    limiter = r.register_script(LIMITER)
    r.script_flush()
    raises(redis.exceptions.NoScriptError, "No matching script", r.evalsha, limiter.sha, 1, "k", 1, 1, 1)
    # The library loads what the server has not, and runs it again.
    assert limiter(keys=["limit:7"], args=[2, 60_000, "a"]) == [1, 1]
    assert r.script_exists(limiter.sha) == [True]
    assert limiter(keys=["limit:7"], args=[2, 60_000, "b"]) == [1, 2]
    assert limiter(keys=["limit:7"], args=[2, 60_000, "c"]) == [0, 2]
    assert 0 < r.pttl("limit:7") <= 60_000 and r.zrange("limit:7", 0, -1) == ["a", "b"]
    # Others have limits of their own, and a pipeline loads the script before it is sent.
    r.script_flush()
    pipe = r.pipeline()
    limiter(keys=["limit:8"], args=[1, 60_000, "a"], client=pipe)
    limiter(keys=["limit:8"], args=[1, 60_000, "b"], client=pipe)
    assert pipe.execute() == [[1, 1], [0, 1]]
    allowed = []

    def ask(index):
        own = again(r)
        for number in range(25):
            allowed.append(limiter(keys=["limit:9"], args=[40, 60_000, f"{index}:{number}"], client=own)[0])
        own.close()

    in_threads(4, ask)
    assert len(allowed) == 100 and sum(allowed) == 40 == r.zcard("limit:9")
    # A window passes.
    assert limiter(keys=["limit:1"], args=[1, 30, "a"]) == [1, 1]
    wait_until("the next window", lambda: limiter(keys=["limit:1"], args=[1, 30, "b"])[0] == 1)
    # A script that fails says where, and what it wrote before stands.
    broken = r.register_script("redis.call('SET', KEYS[1], 'x') return redis.call('LPUSH', KEYS[1], 1)")
    raises(redis.ResponseError, "WRONGTYPE", broken, keys=["broken"])
    assert r.get("broken") == "x"


def listen(subscriber, count):
    """The next messages."""
    messages, end = [], time.monotonic() + 20
    while len(messages) < count:
        assert time.monotonic() < end, f"waited for {count} messages, heard {messages}"
        if (message := subscriber.get_message(timeout=1)) is not None:
            messages.append(message)
    return messages


@test
def a_chat(r):
    rooms = r.pubsub(ignore_subscribe_messages=True)
    rooms.subscribe("room:tea", "room:rum")
    rooms.psubscribe("room:*")
    shard = r.pubsub(ignore_subscribe_messages=True)
    shard.ssubscribe("room:tea")
    wait_until("all to listen", lambda: (dict(r.pubsub_numsub("room:tea")), r.pubsub_numpat(),
                                         dict(r.pubsub_shardnumsub("room:tea")))
               == ({"room:tea": 1}, 1, {"room:tea": 1}))

    # All speak at the same time; the listener has each one's words in order, and a room's in one order, whether by name
    # or by pattern.
    def say(index):
        own = again(r)
        for number in range(50):
            assert own.publish(f"room:{'tea' if index % 2 else 'rum'}", f"{index}:{number}") == 2
        own.close()

    in_threads(4, say)
    heard = {}
    for message in listen(rooms, 400):
        heard.setdefault((message["channel"], message["type"]), []).append(message["data"])
    for room, speakers in (("room:rum", (0, 2)), ("room:tea", (1, 3))):
        words = heard[room, "message"]
        assert words == heard[room, "pmessage"] and len(words) == 100
        for speaker in speakers:
            assert [word for word in words if word.startswith(f"{speaker}:")] == [f"{speaker}:{n}" for n in range(50)]
    # Shard channels are others, though they have the same names.
    assert r.execute_command("SPUBLISH", "room:tea", "quiet") == 1
    assert r.execute_command("SPUBLISH", "room:rum", "x") == 0
    quiet = listen(shard, 1)[0]
    assert (quiet["type"], quiet["channel"], quiet["data"]) == ("smessage", "room:tea", "quiet")
    assert rooms.get_message(timeout=0.02) is None
    # A transaction speaks when it is done; one that is thrown away never does.
    r.pipeline().set("topic", "cake").publish("room:tea", "topic").execute()
    assert [message["data"] for message in listen(rooms, 2)] == ["topic", "topic"] and r.get("topic") == "cake"
    pipe = r.pipeline().publish("room:tea", "never").execute_command("NOSUCH")
    raises(redis.ResponseError, "unknown command", pipe.execute)
    assert rooms.get_message(timeout=0.02) is None
    rooms.unsubscribe("room:tea")
    rooms.punsubscribe()
    wait_until("one to have left", lambda: r.publish("room:tea", "x") == 0)
    assert r.publish("room:rum", "x") == 1
    rooms.close()
    shard.close()
    wait_until("nobody to listen", lambda: r.pubsub_channels() == [] and r.pubsub_shardchannels() == [])


@test
def locks(r):
    # The library's lock keeps what it guards from all but one; each holder has a higher token.
    tokens = []

    def guarded(index):
        own = again(r)
        for _ in range(10):
            with own.lock("lock:stock", timeout=20, sleep=0.001):
                token = own.incr("lock:stock:token")
                value = int(own.get("stock") or 0)
                own.set("stock", value + 1)
                tokens.append(token)
        own.close()

    in_threads(4, guarded)
    assert r.get("stock") == "40" and tokens == list(range(1, 41)) and r.exists("lock:stock") == 0
    # A lock that has run out is lost, and whoever had it cannot take it from the next.
    first, second = r.lock("lock:a", timeout=0.02), r.lock("lock:a", timeout=200)
    assert first.acquire(blocking=False)
    wait_until("the lock to run out", lambda: second.acquire(blocking=False))
    raises(redis.exceptions.LockNotOwnedError, "", first.release)
    assert second.owned() and not first.owned()
    assert second.extend(100, replace_ttl=False) and 200_000 < r.pttl("lock:a") <= 300_000
    assert second.reacquire() and r.pttl("lock:a") <= 200_000
    assert not r.lock("lock:a", timeout=1).acquire(blocking_timeout=0.02)
    second.release()
    raises(redis.exceptions.LockError, "", second.release)
    # The storage refuses an old token, by a script, whoever believes to hold the lock.
    write = r.register_script("""
        if tonumber(ARGV[1]) < tonumber(redis.call('HGET', KEYS[1], 'token') or 0) then
            return redis.error_reply('STALE token ' .. ARGV[1])
        end
        redis.call('HSET', KEYS[1], 'token', ARGV[1], 'value', ARGV[2])
        return redis.status_reply('WRITTEN')""")
    old, new = r.incr("fence"), r.incr("fence")
    assert write(keys=["file"], args=[new, "new"]) == "WRITTEN"
    raises(redis.ResponseError, f"STALE token {old}", write, keys=["file"], args=[old, "old"])
    assert r.hget("file", "value") == "new"
    # The same by hand: SET NX PX, released by a script that compares.
    release = r.register_script(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end")
    assert r.set("lock:b", "mine", nx=True, px=10_000) and r.set("lock:b", "yours", nx=True, px=10_000) is None
    assert release(keys=["lock:b"], args=["yours"]) == 0 and release(keys=["lock:b"], args=["mine"]) == 1
    assert r.set("lock:b", "yours", nx=True, px=10_000)


@test
def accounts(r):
    """Money moves between accounts under WATCH; none is made or lost, and who looks in between sees the whole sum."""
    names = [f"account:{i}" for i in range(4)]
    r.mset({name: 100 for name in names})
    lost = []

    def move(index):
        own = again(r, retry=Retry(NoBackoff(), 0))
        done = 0
        while done < 40:
            source, target = names[(index + done) % 4], names[(index * 3 + done + 1) % 4]
            with own.pipeline() as pipe:
                try:
                    pipe.watch(source, target)
                    balance = int(pipe.get(source))
                    amount = min(balance, 7)
                    pipe.multi()
                    pipe.decrby(source, amount).incrby(target, amount).rpush("ledger", amount)
                    assert pipe.execute()[2] > 0
                    done += 1
                except redis.WatchError:
                    lost.append(index)
        own.close()

    def look(index):
        own = again(r)
        while own.llen("ledger") < 120:
            balances = [int(balance) for balance in own.mget(names)]
            assert sum(balances) == 400 and min(balances) >= 0, balances
        own.close()

    in_threads(4, lambda index: look(index) if index == 3 else move(index))
    assert sum(map(int, r.mget(names))) == 400 and r.llen("ledger") == 120
    # An attempt whose key changed is thrown away whole; UNWATCH forgets.
    with r.pipeline() as pipe:
        pipe.watch(names[0])
        r.incr(names[0])
        pipe.multi()
        pipe.set("never", 1)
        raises(redis.WatchError, "", pipe.execute)
        pipe.watch(names[0])
        r.incr(names[0])
        pipe.unwatch()
        pipe.multi()
        assert pipe.set("once", 1).execute() == [True]
    assert r.mget("never", "once") == [None, "1"]


@test
def a_leaderboard_in_pipelines(r):
    """Pages of what happened, sent without waiting, from several connections at once."""
    def play(index):
        own = again(r)
        for page in range(10):
            pipe = own.pipeline(transaction=False)
            for point in range(50):
                player = f"player:{(index * 500 + page * 50 + point) % 20}"
                pipe.zincrby("board", 1, player).hincrby(player, "games", 1).pfadd("seen", player)
            replies = pipe.execute()
            assert len(replies) == 150 and all(isinstance(score, float) for score in replies[0::3])
        own.close()

    in_threads(3, play)
    board = r.zrange("board", 0, -1, desc=True, withscores=True)
    assert sorted(tuple(row) for row in board) == sorted((f"player:{i}", 75.0) for i in range(20))
    assert r.zrevrank("board", "player:9") == 0 and r.pfcount("seen") == 20
    assert r.zadd("board", {"player:3": 100}, gt=True, ch=True) == 1
    assert [tuple(row) for row in r.zrange("board", 0, 0, desc=True, withscores=True)] == [("player:3", 100.0)]
    assert sorted(r.zrandmember("board", 30)) == sorted(player for player, _ in board)
    # An error amid a pipeline is its command's alone.
    replies = r.pipeline(transaction=False).hget("player:1", "games").incr("board").zscore("board", "player:1").execute(
        raise_on_error=False)
    assert replies[0] == "75" and "WRONGTYPE" in str(replies[1]) and replies[2] == 75.0
    keys = sorted(r.scan_iter(match="player:*", count=7))
    assert keys == sorted(f"player:{i}" for i in range(20))


main()
