"""A wide range of commands through redis-py, which parses each reply by its own idea of the command."""

import datetime

import redis
from _kit import connect, main, raises, test


def protocol_of(client):
    return int(client.connection_pool.connection_kwargs["protocol"])


def pairs(reply):
    """RESP2 answers scores as tuples of redis-py's making, RESP3 as lists: the same to us."""
    return [tuple(pair) for pair in reply]


@test
def connection(r):
    assert r.ping() is True
    assert r.echo("a\r\nb") == "a\r\nb"
    assert r.client_setname("me") is True
    assert r.client_getname() == "me"
    assert any(c["name"] == "me" for c in r.client_list())
    assert r.client_info()["name"] == "me"
    assert isinstance(r.client_id(), int)
    other = connect(2, db=3)
    other.set("only", "here")
    assert r.exists("only") == 0
    assert other.dbsize() == 1
    other.close()


@test
def binary(r):
    raw = connect(protocol_of(r), decode_responses=False)
    every_byte = bytes(range(256))
    raw.set(every_byte, every_byte * 100)
    assert raw.get(every_byte) == every_byte * 100
    assert raw.keys() == [every_byte]
    raw.hset(b"h", every_byte, b"")
    assert raw.hgetall(b"h") == {every_byte: b""}
    raw.close()


@test
def strings(r):
    assert r.set("k", "v") is True
    assert r.set("k", "w", nx=True) is None
    assert r.set("k", "w", get=True) == "v"
    assert r.set("k", "x", xx=True, ex=100) is True
    assert 98 <= r.ttl("k") <= 100
    assert r.set("k", "y", keepttl=True) and r.ttl("k") > 0
    assert r.getex("k", persist=True) == "y" and r.ttl("k") == -1
    assert r.getdel("k") == "y" and r.get("k") is None
    assert r.mset({"a": 1, "b": 2}) is True
    assert r.mget("a", "none", "b") == ["1", None, "2"]
    assert r.msetnx({"a": 3, "c": 4}) is False
    assert r.incr("a") == 2 and r.incrby("a", 40) == 42 and r.decr("a", 2) == 40
    assert r.incrbyfloat("f", "10.5") == 10.5 and r.incrbyfloat("f", "-0.25") == 10.25
    assert r.append("s", "Hello") == 5 and r.append("s", " World") == 11
    assert r.getrange("s", -5, -1) == "World" and r.substr("s", 0, 4) == "Hello"
    assert r.setrange("s", 6, "Redis") == 11 and r.strlen("s") == 11
    assert r.lcs("s", "s", len=True) == 11
    raises(redis.ResponseError, "not an integer", r.incr, "s")
    raises(redis.ResponseError, "wrong kind of value", r.lpush, "s", 1)


@test
def keys(r):
    r.mset({f"k{i}": i for i in range(200)})
    assert r.dbsize() == 200
    assert sorted(r.keys("k1?")) == [f"k1{i}" for i in range(10)]
    assert set(r.scan_iter(count=7)) == {f"k{i}" for i in range(200)}
    assert set(r.scan_iter(match="k9*", _type="string")) == {"k9"} | {f"k9{i}" for i in range(10)}
    assert r.exists("k1", "k2", "none", "k1") == 3 and r.touch("k1", "none") == 1
    assert r.delete("k1", "k2", "none") == 2 and r.unlink("k3") == 1
    assert r.rename("k4", "moved") is True and r.renamenx("k5", "moved") is False
    raises(redis.ResponseError, "no such key", r.rename, "none", "x")
    assert r.copy("moved", "copied") and r.copy("moved", "copied") is False
    assert r.copy("moved", "copied", replace=True) and r.move("copied", 5) is True
    assert r.type("moved") == "string" and r.type("none") == "none"
    assert r.randomkey() is not None
    assert r.expire("k6", 100) and r.expire("k6", 50, gt=True) is False and r.expire("k6", 500, gt=True) is True
    when = datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc)
    assert r.expireat("k6", when) and r.expiretime("k6") == int(when.timestamp())
    assert r.pexpiretime("k6") == int(when.timestamp()) * 1000 and r.persist("k6") and r.pttl("k6") == -1
    assert r.ttl("none") == -2 and r.expire("k6", -1) and r.exists("k6") == 0
    assert r.object("encoding", "k7") == "int" and r.object("refcount", "k7") >= 1
    assert r.object("idletime", "k7") >= 0
    r.rpush("l", 3, 1, 2)
    assert r.sort("l") == ["1", "2", "3"] and r.sort("l", desc=True, start=0, num=2) == ["3", "2"]
    r.mset({"w1": 3, "w2": 2, "w3": 1})
    assert r.sort("l", by="w*", get=["#", "w*"]) == ["3", "1", "2", "2", "1", "3"]
    assert r.sort("l", store="sorted") == 3 and r.lrange("sorted", 0, -1) == ["1", "2", "3"]


@test
def lists(r):
    assert r.rpush("l", "a", "b", "c") == 3 and r.lpush("l", "z") == 4 and r.rpushx("none", 1) == 0
    assert r.lrange("l", 0, -1) == ["z", "a", "b", "c"] and r.llen("l") == 4
    assert r.lindex("l", -1) == "c" and r.lset("l", 0, "y") is True and r.linsert("l", "before", "a", "x") == 5
    assert r.lpos("l", "b") == 3 and r.lpos("l", "b", count=0) == [3] and r.lrem("l", 1, "x") == 1
    assert r.ltrim("l", 0, 2) is True and r.lpop("l") == "y" and r.rpop("l", 5) == ["b", "a"] and r.lpop("l") is None
    r.rpush("s", 1, 2, 3)
    assert r.lmove("s", "d", "RIGHT", "LEFT") == "3" and r.rpoplpush("s", "d") == "2"
    assert r.lmpop(2, "none", "d", direction="LEFT", count=2) == ["d", ["2", "3"]]
    raises(redis.ResponseError, "no such key", r.lset, "none", 0, "x")


@test
def hashes(r):
    assert r.hset("h", "a", 1) == 1 and r.hset("h", mapping={"b": 2, "c": 3}) == 2 and r.hsetnx("h", "a", 9) == 0
    assert r.hgetall("h") == {"a": "1", "b": "2", "c": "3"} and r.hlen("h") == 3
    assert r.hmget("h", "a", "none") == ["1", None] and r.hget("h", "none") is None
    assert r.hexists("h", "a") and not r.hexists("h", "none") and r.hstrlen("h", "a") == 1
    assert r.hincrby("h", "a", 4) == 5 and r.hincrbyfloat("h", "a", 0.5) == 5.5
    assert sorted(r.hkeys("h")) == ["a", "b", "c"] and sorted(r.hvals("h")) == ["2", "3", "5.5"]
    assert dict(r.hscan_iter("h")) == r.hgetall("h") and r.hdel("h", "a", "none") == 1
    assert r.hrandfield("h", 5) and set(r.hrandfield("h", -10)) <= {"b", "c"}
    r.hset("big", mapping={f"f{i}": i for i in range(2000)})
    assert len(dict(r.hscan_iter("big", count=50))) == 2000


@test
def sets(r):
    assert r.sadd("a", 1, 2, 3) == 3 and r.sadd("b", 2, 3, 4) == 3 and r.sadd("a", 1) == 0
    assert r.smembers("a") == {"1", "2", "3"} and r.scard("a") == 3
    assert r.sinter("a", "b") == {"2", "3"} and r.sunion("a", "b") == set("1234") and r.sdiff("a", "b") == {"1"}
    assert r.sinterstore("i", "a", "b") == 2 and r.sunionstore("u", "a", "b") == 4 and r.sdiffstore("d", "a", "b") == 1
    assert r.sintercard(2, ["a", "b"]) == 2 and r.sintercard(2, ["a", "b"], limit=1) == 1
    assert r.sismember("a", 1) and r.smismember("a", [1, 9]) == [1, 0]
    assert r.smove("a", "b", 1) and r.srem("b", 1, 9) == 1
    assert r.srandmember("u") in set("1234") and len(r.srandmember("u", -10)) == 10
    assert r.spop("u") in set("1234") and len(r.spop("u", 9)) == 3 and r.exists("u") == 0
    r.sadd("big", *range(3000))
    assert set(r.sscan_iter("big")) == {str(i) for i in range(3000)}


@test
def sorted_sets(r):
    assert r.zadd("z", {"a": 1, "b": 2, "c": 3.5}) == 3 and r.zadd("z", {"a": 0}, gt=True) == 0
    assert r.zadd("z", {"a": 2}, incr=True) == 3 and r.zincrby("z", -2, "a") == 1
    assert r.zrange("z", 0, -1) == ["a", "b", "c"] and r.zrevrange("z", 0, 0) == ["c"]
    assert pairs(r.zrange("z", 0, -1, withscores=True)) == [("a", 1), ("b", 2), ("c", 3.5)]
    assert r.zrangebyscore("z", "(1", "+inf") == ["b", "c"] and r.zcount("z", 1, 2) == 2
    assert r.zrevrangebyscore("z", 3, 0, start=1, num=1) == ["a"]
    assert r.zrange("z", "-inf", "+inf", byscore=True, offset=1, num=1) == ["b"]
    assert r.zscore("z", "c") == 3.5 and r.zscore("z", "none") is None and r.zmscore("z", ["a", "none"]) == [1, None]
    assert r.zrank("z", "b") == 1 and r.zrevrank("z", "b") == 1 and r.zcard("z") == 3
    r.zadd("lex", {member: 0 for member in "abcdef"})
    assert r.zrangebylex("lex", "[b", "(e") == ["b", "c", "d"] and r.zlexcount("lex", "-", "+") == 6
    assert r.zremrangebylex("lex", "-", "[b") == 2 and r.zremrangebyrank("lex", 0, 0) == 1
    assert r.zrangestore("dest", "lex", 0, 1) == 2 and r.zremrangebyscore("lex", 0, 0) == 3
    r.zadd("y", {"b": 10, "d": 20})
    assert r.zunionstore("u", {"z": 1, "y": 2}) == 4 and r.zscore("u", "b") == 22
    assert r.zinterstore("i", ["z", "y"], aggregate="MAX") == 1 and r.zdiffstore("x", ["z", "y"]) == 2
    assert r.zinter(["z", "y"]) == ["b"] and r.zdiff(["z", "y"]) == ["a", "c"] and r.zintercard(2, ["z", "y"]) == 1
    assert pairs(r.zunion(["z", "y"], withscores=True))[-1] == ("d", 20)
    assert r.zmpop(2, ["none", "y"], min=True) and pairs(r.zpopmax("z", 1)) == [("c", 3.5)]
    assert pairs(r.zpopmin("z", 5)) == [("a", 1), ("b", 2)] and r.zrem("y", "d") == 1
    r.zadd("big", {f"m{i}": i / 7 for i in range(1000)})
    assert dict(r.zscan_iter("big"))["m700"] == 100.0
    assert r.zadd("inf", {"p": "inf", "n": "-inf"}) == 2 and r.zscore("inf", "p") == float("inf")
    assert r.zrandmember("z") is None and len(r.zrandmember("big", 3)) == 3


@test
def bits(r):
    assert r.setbit("b", 7, 1) == 0 and r.getbit("b", 7) == 1 and r.bitcount("b") == 1 and r.bitpos("b", 1) == 7
    r.set("x", b"\xff\x0f")
    r.set("y", b"\x0f")
    assert r.bitop("AND", "o", "x", "y") == 2 and r.bitcount("o") == 4 and r.bitop("NOT", "n", "x") == 2
    assert r.bitfield("f").set("u8", 0, 255).incrby("u8", 0, 10, "SAT").get("i4", "#1").execute() == [0, 255, -1]


@test
def hyperloglogs(r):
    assert r.pfadd("p", *range(1000)) == 1 and abs(r.pfcount("p") - 1000) < 30
    r.pfadd("q", *range(500, 1500))
    assert r.pfmerge("m", "p", "q") is True and abs(r.pfcount("m") - 1500) < 45
    raises(redis.ResponseError, "wrong kind of value", r.pfadd, r.lpush("l", 1) and "l", 1)


@test
def geo(r):
    r.geoadd("g", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"))
    assert abs(r.geodist("g", "Palermo", "Catania", unit="km") - 166.2742) < 0.001
    assert r.geohash("g", "Palermo") == ["sqc8b49rny0"]
    assert abs(r.geopos("g", "Palermo")[0][0] - 13.361389) < 1e-5 and r.geopos("g", "none") == [None]
    assert r.geosearch("g", longitude=15, latitude=37, radius=200, unit="km", sort="ASC") == ["Catania", "Palermo"]
    found = r.geosearch("g", member="Palermo", width=400, height=400, unit="km", withdist=True, sort="ASC", count=1)
    assert found == [["Palermo", 0.0]]
    assert r.geosearchstore("near", "g", member="Palermo", radius=1, unit="m") == 1


@test
def server(r):
    info = r.info()
    assert info["redis_version"].startswith("7.") and info["connected_clients"] >= 1
    assert r.info("keyspace") == {}
    r.set("a", 1)
    assert r.info("keyspace")["db0"]["keys"] == 1
    assert r.config_set("maxmemory-samples", 7) and r.config_get("maxmemory-samples") == {"maxmemory-samples": "7"}
    raises(redis.ResponseError, "Unknown option", r.config_set, "no-such-directive", 1)
    assert r.config_resetstat() is True and len(r.time()) == 2
    assert r.command_count() > 150 and "get" in r.command() and r.command_getkeys("MSET", "a", 1, "b", 2) == ["a", "b"]
    assert r.slowlog_reset() is True and r.slowlog_len() == 0
    assert r.swapdb(0, 1) is True and r.dbsize() == 0 and r.flushdb() is True and r.flushall(asynchronous=True) is True
    assert r.memory_usage("none") is None and r.lolwut()


@test
def errors(r):
    raises(redis.ResponseError, "unknown command 'NOSUCH'", r.execute_command, "NOSUCH", "x")
    raises(redis.ResponseError, "wrong number of arguments for 'get' command", r.execute_command, "GET")
    raises(redis.ResponseError, "syntax error", r.execute_command, "SET", "a", "b", "NO")
    raises(redis.ResponseError, "invalid expire time", r.set, "a", "b", ex=0)
    raises(redis.ResponseError, "DB index is out of range", r.execute_command, "SELECT", 99)


main()
