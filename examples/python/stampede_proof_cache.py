#!/usr/bin/env python3
"""A cache in front of something slow: whatever happens, one caller at a time computes, and nobody stores what is out of date.

    stampede_proof_cache.py [redis://127.0.0.1:6379/]

CACHE.GET gives one caller a lease; the others wait for the value. If whoever has the lease dies, the next one gets it
when it ends. CACHE.INVALIDATE makes all values with a tag useless at once. CACHE.PUT under a lease is refused if the key
was deleted since: the value was computed from what is not true any more.
"""

import concurrent.futures
import sys
import threading
import time

import redis

PAGE = "example:stampede:page"
TAG = "example:user:7"
CALLERS = 20


class Source:
    """What is slow."""

    def __init__(self):
        self.version = 1
        self.computed = 0
        self.lock = threading.Lock()

    def compute(self):
        with self.lock:
            self.computed += 1
            version = self.version
        time.sleep(0.05)
        return f"page {version}"


def cached(r, key, compute, lease_ms=3000):
    while True:
        status, value, token = r.execute_command("CACHE.GET", key, "LEASE", lease_ms, "BLOCK", 5000)
        if token is not None:
            # Nobody has it ("miss"), or it is getting old ("stale"): it is on us.
            value = compute()
            put = ("PX", 60_000, "SOFT", 30_000, "TOKEN", token, "TAGS", 1, TAG)
            r.execute_command("CACHE.PUT", key, value, *put)
            return value
        if status in ("hit", "stale", "none"):
            return value
        # "wait": whoever computes takes longer than we wanted to wait.


def stampede(r, source, lease_ms=3000):
    at_once = threading.Barrier(CALLERS)

    def call(_):
        at_once.wait()
        return cached(r, PAGE, source.compute, lease_ms)

    with concurrent.futures.ThreadPoolExecutor(CALLERS) as callers:
        pages = list(callers.map(call, range(CALLERS)))
    assert pages == [f"page {source.version}"] * CALLERS, pages
    return len(pages)


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/"
    source = Source()
    with redis.Redis.from_url(url, decode_responses=True) as r:
        r.delete(PAGE)
        reads = stampede(r, source)
        assert source.computed == 1, source.computed

        source.version = 2
        assert r.execute_command("CACHE.INVALIDATE", TAG) == 1
        reads += stampede(r, source)
        assert source.computed == 2, source.computed

        # Somebody gets the lease and dies: those who wait go on when it ends.
        r.delete(PAGE)
        assert r.execute_command("CACHE.GET", PAGE, "LEASE", 300)[0] == "miss"
        reads += stampede(r, source)
        assert source.computed == 3, source.computed

        # Somebody computes while the page changes.
        r.delete(PAGE)
        token = r.execute_command("CACHE.GET", PAGE)[2]
        old = source.compute()
        source.version = 3
        r.delete(PAGE)
        refused = r.execute_command("CACHE.PUT", PAGE, old, "EX", 60, "TOKEN", token) == 0
        assert refused and not r.exists(PAGE)
        print(f"{reads} reads, 3 computed, 1 value refused that was out of date")


if __name__ == "__main__":
    main()
