"""The generic commands: what can be done to a key whatever it holds."""

import time

import pytest
import redis


def test_existence(r):
    r.mset({"a": 1, "b": 2})
    assert r.exists("a", "b", "a", "missing") == 3
    assert r.touch("a", "missing") == 1
    assert r.delete("a", "missing") == 1
    assert r.unlink("b") == 1
    assert r.dbsize() == 0


def test_type_and_object(r):
    r.mset({"int": 42, "short": "abc", "long": "x" * 100})
    assert r.type("int") == "string"
    assert r.type("missing") == "none"
    assert r.object("encoding", "int") == "int"
    assert r.object("encoding", "short") == "embstr"
    assert r.object("encoding", "long") == "raw"
    assert r.object("idletime", "short") == 0
    assert r.object("refcount", "short") == 1
    assert r.memory_usage("long") > 100


def test_expiry(r, until):
    r.set("k", "v")
    assert r.ttl("k") == -1
    assert r.ttl("missing") == -2
    assert r.expire("k", 100) is True
    assert r.expire("missing", 100) is False
    assert r.expire("k", 50, gt=True) is False
    assert r.expire("k", 200, gt=True) is True
    assert r.expire("k", 300, lt=True) is False
    assert r.expire("k", 300, nx=True) is False
    assert r.expire("k", 300, xx=True) is True
    assert r.persist("k") is True
    assert r.persist("k") is False
    at = int(time.time()) + 1000
    assert r.expireat("k", at) is True
    assert r.expiretime("k") == at
    assert r.pexpireat("k", at * 1000 + 1) is True
    assert r.pexpiretime("k") == at * 1000 + 1
    assert r.pexpire("k", 20) is True
    until(lambda: r.exists("k") == 0)
    assert r.pttl("k") == -2
    assert r.expire("k", -1) is False


def test_rename_and_copy(r):
    r.set("a", 1, ex=100)
    assert r.rename("a", "b") is True
    assert 99 <= r.ttl("b") <= 100
    r.set("c", 2)
    assert r.renamenx("b", "c") is False
    assert r.copy("b", "d") is True
    assert r.copy("b", "c") is False
    assert r.copy("b", "c", replace=True) is True
    assert r.get("c") == "1"
    with pytest.raises(redis.ResponseError, match="no such key"):
        r.rename("missing", "x")


def test_databases(r, protocol):
    from conftest import connect

    r.set("k", "v")
    assert r.move("k", 1) is True
    assert r.exists("k") == 0
    with connect(db=1, protocol=protocol) as one:
        assert one.get("k") == "v"
        assert r.swapdb(0, 1) is True
        assert r.get("k") == "v"
        one.set("gone", 1)
        assert one.flushdb() is True
        assert one.dbsize() == 0
    assert r.dbsize() == 1
    assert r.flushall(asynchronous=True) is True
    assert r.dbsize() == 0


def test_keys_and_scan(r):
    names = {f"key:{number}" for number in range(1000)}
    r.mset({name: 1 for name in names})
    assert set(r.keys("*")) == names
    assert set(r.keys("key:9?")) == {f"key:9{digit}" for digit in range(10)}
    assert set(r.scan_iter(count=37)) == names
    assert set(r.scan_iter(match="key:99*", _type="string")) == {"key:99", *(f"key:99{digit}" for digit in range(10))}
    assert list(r.scan_iter(_type="list")) == []
    assert r.randomkey() in names


def test_scan_returns_every_key_that_stays_while_others_come_and_go(r):
    stay = {f"stay:{number}" for number in range(2000)}
    r.mset({name: 1 for name in stay})
    seen, cursor, step = set(), 0, 0
    while step == 0 or cursor:
        cursor, names = r.scan(cursor, count=50)
        seen.update(names)
        r.mset({f"come:{step}:{number}": 1 for number in range(100)})
        if step:
            r.delete(*(f"come:{step - 1}:{number}" for number in range(100)))
        step += 1
    assert stay <= seen
