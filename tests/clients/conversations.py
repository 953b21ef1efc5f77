"""What takes more than one command: pipelines, transactions, pub/sub, blocking, many threads."""

import threading

import redis
from _kit import connect, main, raises, test, wait_until


def protocol_of(client):
    return int(client.connection_pool.connection_kwargs["protocol"])


@test
def a_long_pipeline(r):
    pipe = r.pipeline(transaction=False)
    for i in range(10_000):
        pipe.set(f"k{i}", i).get(f"k{i}")
    replies = pipe.execute()
    assert replies[0::2] == [True] * 10_000 and replies[1::2] == [str(i) for i in range(10_000)]


@test
def an_error_in_a_pipeline(r):
    replies = r.pipeline(transaction=False).set("a", "x").incr("a").get("a").execute(raise_on_error=False)
    assert replies[0] is True and isinstance(replies[1], redis.ResponseError) and replies[2] == "x"


@test
def a_transaction(r):
    replies = r.pipeline().set("a", 1).incr("a").lpush("l", 1, 2).lrange("l", 0, -1).execute()
    assert replies == [True, 2, 2, ["2", "1"]]
    pipe = r.pipeline().set("a", 1).execute_command("NOSUCH")
    raises(redis.ResponseError, "unknown command", pipe.execute)
    assert r.get("a") == "2"


@test
def a_watched_key(r):
    r.set("a", 1)
    with r.pipeline() as pipe:
        pipe.watch("a")
        r.set("a", 2)
        pipe.multi()
        pipe.set("a", 3)
        raises(redis.WatchError, "Watched variable changed", pipe.execute)
    assert r.get("a") == "2"

    def double(pipe):
        value = int(pipe.get("a"))
        pipe.multi()
        pipe.set("a", value * 2)

    assert r.transaction(double, "a") == [True] and r.get("a") == "4"


@test
def threads_that_watch_lose_no_increment(r):
    def increment():
        own = connect(protocol_of(r))
        for _ in range(50):
            own.transaction(lambda pipe: (value := int(pipe.get("n") or 0), pipe.multi(), pipe.set("n", value + 1)), "n")
        own.close()

    threads = [threading.Thread(target=increment) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert r.get("n") == "200"


@test
def publish_and_subscribe(r):
    subscriber = r.pubsub()
    subscriber.subscribe("news", "sport")
    subscriber.psubscribe("n*")
    confirmations = [subscriber.get_message(timeout=10) for _ in range(3)]
    assert [message["type"] for message in confirmations] == ["subscribe", "subscribe", "psubscribe"]
    assert r.publish("news", "hello") == 2 and r.publish("other", "x") == 0
    messages = sorted((m["type"], m["pattern"], m["channel"], m["data"]) for m in (
        subscriber.get_message(timeout=10), subscriber.get_message(timeout=10)) if m)
    assert messages == [("message", None, "news", "hello"), ("pmessage", "n*", "news", "hello")]
    assert sorted(r.pubsub_channels()) == ["news", "sport"] and r.pubsub_numpat() == 1
    assert [tuple(pair) for pair in r.pubsub_numsub("news", "none")] == [("news", 1), ("none", 0)]
    subscriber.unsubscribe()
    subscriber.punsubscribe()
    wait_until("nobody to listen", lambda: r.pubsub_channels() == [] and r.pubsub_numpat() == 0)
    subscriber.close()


@test
def shard_channels(r):
    subscriber = r.pubsub()
    subscriber.ssubscribe("shard")
    assert subscriber.get_message(timeout=10)["type"] == "ssubscribe"
    assert r.execute_command("SPUBLISH", "shard", "x") == 1
    assert subscriber.get_message(timeout=10)["data"] == "x"
    subscriber.close()


@test
def blocking(r):
    results = []

    def wait(command, *arguments, **options):
        own = connect(protocol_of(r))
        results.append(getattr(own, command)(*arguments, **options))
        own.close()

    def check(expected, act, command, *arguments, **options):
        results.clear()
        thread = threading.Thread(target=wait, args=(command, *arguments), kwargs=options)
        thread.start()
        wait_until("a blocked client", lambda: r.info("clients")["blocked_clients"] == 1)
        act()
        thread.join()
        got = [list(x) if isinstance(x, (list, tuple)) else x for x in results]
        assert got == [expected], got

    check(["l", "x"], lambda: r.rpush("l", "x"), "blpop", ["none", "l"], 10)
    check(["l", "y"], lambda: r.rpush("l", "y"), "brpop", ["l"], 10)
    check("z", lambda: r.rpush("l", "z"), "blmove", "l", "m", 10, "LEFT", "RIGHT")
    check(["l", ["1", "2"]], lambda: r.rpush("l", 1, 2), "blmpop", 10, 1, "l", direction="LEFT", count=5)
    check(["s", "a", 1.0], lambda: r.zadd("s", {"a": 1}), "bzpopmin", ["s"], 10)
    check(["s", "b", 2.0], lambda: r.zadd("s", {"b": 2}), "bzpopmax", ["s"], 10)
    assert r.blpop("none", 0.01) is None and r.bzpopmin("none", 0.01) is None
    assert r.lrange("m", 0, -1) == ["z"]


@test
def a_killed_client_connects_again(r):
    own = connect(protocol_of(r), client_name="victim")
    own.ping()
    victim = next(c for c in r.client_list() if c["name"] == "victim")
    assert r.client_kill_filter(_id=victim["id"]) == 1
    wait_until("the victim to be gone", lambda: all(c["id"] != victim["id"] for c in r.client_list()))
    try:
        own.ping()
    except redis.ConnectionError:
        pass
    assert own.ping() is True
    own.close()


@test
def monitoring(r):
    with r.monitor() as monitor:
        r.set("seen", 1)
        # A connection that redis-py opens for this greets first, with as many commands as its version likes.
        commands = [monitor.next_command()["command"]]
        while commands[-1] != "SET seen 1" and len(commands) < 10:
            commands.append(monitor.next_command()["command"])
        assert commands[-1] == "SET seen 1", commands


main()
