#!/usr/bin/env python3
"""A copy of keys that misses no change, though those who keep it crash.

    mirror.py [redis://127.0.0.1:6379/]

The server appends what happens to keys to a stream (notify-stream). Workers read it as a consumer group, look the key up
and write its value to the copy. One of them dies with events it never acknowledged; another one claims them.
"""

import sys

import redis

EVENTS = "example:mirror:events"
GROUP = "mirrors"
PREFIX = "example:mirror:key:"
SETTINGS = ("notify-stream", "notify-stream-db", "notify-stream-maxlen", "notify-keyspace-events")


def copy(r, mirror, entries):
    """What these events tell of is as in the server now; only then are they done with."""
    for entry, event in entries:
        if event["key"].startswith(PREFIX):
            value = r.get(event["key"])
            if value is None:
                mirror.pop(event["key"], None)
            else:
                mirror[event["key"]] = value
        r.xack(EVENTS, GROUP, entry)


def read(r, worker):
    """The next events that nobody else got."""
    streams = r.xreadgroup(GROUP, worker, {EVENTS: ">"}, count=10)
    return streams[0][1] if streams else []


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/"
    with redis.Redis.from_url(url, decode_responses=True) as r:
        before = {name: r.config_get(name)[name] for name in SETTINGS}
        db = r.connection_pool.connection_kwargs.get("db") or 0
        values = (EVENTS, str(db), "0", "$g")
        r.config_set(*(word for pair in zip(SETTINGS, values) for word in pair))
        r.xgroup_create(EVENTS, GROUP, id="$", mkstream=True)
        for turn in range(300):
            key = f"{PREFIX}{turn % 40}"
            if turn % 7 == 6:
                r.set(key, "short-lived")
                r.delete(key)
            else:
                r.incr(key)
        truth = {key: r.get(key) for key in r.scan_iter(match=PREFIX + "*")}
        mirror = {}
        # The first worker takes some events and is never heard of again.
        assert read(r, "unlucky")
        while entries := read(r, "steady"):
            copy(r, mirror, entries)
        assert mirror != truth or r.xpending(EVENTS, GROUP)["pending"] > 0
        # The third one takes over what was not acknowledged.
        claimed = r.xautoclaim(EVENTS, GROUP, "rescuer", min_idle_time=0)
        copy(r, mirror, claimed[1])
        assert r.xpending(EVENTS, GROUP)["pending"] == 0
        assert mirror == truth, (mirror, truth)
        r.config_set(*(word for pair in before.items() for word in pair))
        r.delete(EVENTS, *truth)
        print("300 changes by 3 workers, the copy is right")


main()
