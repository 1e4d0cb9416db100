"""redis-py's own client-side cache: it is kept in sync by invalidation pushes."""

import threading

import pytest
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection

from conftest import connect


@pytest.fixture
def cached(monkeypatch):
    # redis-py asks for Redis 7.4, though nothing about client-side caching has changed since 6.0.
    monkeypatch.setattr(CacheProxyConnection, "MIN_ALLOWED_VERSION", "7.0.0")
    with connect(protocol=3, cache_config=CacheConfig()) as client:
        client.flushall()
        yield client


@pytest.fixture
def writer():
    with connect(protocol=3) as client:
        yield client


def test_what_was_read_is_kept_until_it_changes(cached, writer, until):
    writer.set("k", "1")
    assert cached.get("k") == "1"
    reads = writer.info("commandstats")["cmdstat_get"]["calls"]
    assert [cached.get("k") for _ in range(10)] == ["1"] * 10
    assert writer.info("commandstats")["cmdstat_get"]["calls"] == reads, "the cache answered"
    writer.set("k", "2")
    until(lambda: cached.get("k") == "2")


def test_a_flush_empties_the_cache(cached, writer, until):
    writer.mset({"a": "1", "b": "2"})
    assert cached.mget("a", "b") == ["1", "2"]
    writer.flushall()
    until(lambda: cached.mget("a", "b") == [None, None])


def test_many_writers(cached, until):
    keys = [f"k{index}" for index in range(8)]

    def write(key):
        with connect(protocol=3) as client:
            for value in range(200):
                client.set(key, value)

    threads = [threading.Thread(target=write, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for key in keys:
            cached.get(key)
    for thread in threads:
        thread.join()
    until(lambda: [cached.get(key) for key in keys] == ["199"] * len(keys))
