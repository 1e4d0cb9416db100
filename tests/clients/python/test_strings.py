"""Every string command through redis-py's own methods, whose reply parsing is part of what is checked."""

import datetime
import time

import pytest
import redis


def test_set_and_get(r):
    assert r.set("k", "v") is True
    assert r.get("k") == "v"
    assert r.get("missing") is None
    assert r.set("k", "w", nx=True) is None
    assert r.set("new", "w", xx=True) is None
    assert r.set("k", "w", get=True) == "v"
    assert r.set("other", "w", get=True) is None


def test_set_with_expiry(r):
    r.set("ex", 1, ex=100)
    assert 99 <= r.ttl("ex") <= 100
    r.set("px", 1, px=datetime.timedelta(seconds=100))
    assert 99_000 < r.pttl("px") <= 100_000
    at = int(time.time()) + 100
    r.set("exat", 1, exat=at)
    assert r.expiretime("exat") == at
    r.set("pxat", 1, pxat=at * 1000 + 7)
    assert r.pexpiretime("pxat") == at * 1000 + 7
    r.set("pxat", 2, keepttl=True)
    assert r.pexpiretime("pxat") == at * 1000 + 7
    r.set("pxat", 3)
    assert r.ttl("pxat") == -1
    with pytest.raises(redis.ResponseError, match="invalid expire time in 'set' command"):
        r.set("k", "v", ex=-1)


def test_setex_psetex_setnx_getset(r):
    # redis-py's own setex() warns that it is out of fashion; applications still send the command.
    assert r.execute_command("SETEX", "k", 100, "v") is True
    assert r.execute_command("PSETEX", "p", 100_000, "v") is True
    assert r.setnx("n", "1") is True
    assert r.setnx("n", "2") is False
    assert r.getset("n", "3") == "1"
    assert r.get("n") == "3"


def test_getdel_and_getex(r):
    r.set("k", "v")
    assert r.getex("k", ex=100) == "v"
    assert 99 <= r.ttl("k") <= 100
    assert r.getex("k", persist=True) == "v"
    assert r.ttl("k") == -1
    assert r.getdel("k") == "v"
    assert r.getdel("k") is None


def test_counters(r):
    assert r.incr("n") == 1
    assert r.incrby("n", 41) == 42
    assert r.decr("n") == 41
    assert r.decrby("n", 41) == 0
    assert r.incrbyfloat("f", 0.1) == pytest.approx(0.1)
    assert r.incrbyfloat("f", 0.2) == pytest.approx(0.3)
    assert r.get("f") == "0.3"
    r.set("s", "not a number")
    with pytest.raises(redis.ResponseError, match="value is not an integer or out of range"):
        r.incr("s")
    with pytest.raises(redis.ResponseError, match="value is not a valid float"):
        r.incrbyfloat("s", 1)
    r.set("n", 2**63 - 1)
    with pytest.raises(redis.ResponseError, match="increment or decrement would overflow"):
        r.incr("n")


def test_many_keys(r):
    assert r.mset({"a": 1, "b": 2}) is True
    assert r.mget("a", "missing", "b") == ["1", None, "2"]
    assert r.msetnx({"b": 3, "c": 3}) is False
    assert r.get("c") is None
    assert r.msetnx({"c": 3, "d": 4}) is True


def test_ranges(r):
    assert r.append("k", "Hello") == 5
    assert r.append("k", " World") == 11
    assert r.strlen("k") == 11
    assert r.getrange("k", -5, -1) == "World"
    assert r.substr("k", 0, 4) == "Hello"
    assert r.setrange("k", 6, "Redis") == 11
    assert r.get("k") == "Hello Redis"
    assert r.setrange("gap", 3, "x") == 4
    assert r.get("gap") == "\x00\x00\x00x"


def test_lcs(r):
    r.mset({"a": "ohmytext", "b": "mynewtext"})
    assert r.lcs("a", "b") == "mytext"
    assert r.lcs("a", "b", len=True) == 6
    found = r.lcs("a", "b", idx=True, minmatchlen=4, withmatchlen=True)
    flat = dict(zip(found[::2], found[1::2])) if isinstance(found, list) else found
    assert flat == {"matches": [[[4, 7], [5, 8], 4]], "len": 6}


def test_binary_safety(r, protocol):
    from conftest import connect

    blob = bytes(range(256)) * 400
    with connect(protocol=protocol, decode_responses=False) as raw:
        raw.set(b"\x00\r\n", blob)
        assert raw.get(b"\x00\r\n") == blob
        assert raw.strlen(b"\x00\r\n") == len(blob)


def test_a_large_value(r):
    value = "x" * 20_000_000
    r.set("large", value)
    assert r.get("large") == value
