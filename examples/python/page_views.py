#!/usr/bin/env python3
"""Counts page views per minute and keeps the counts for an hour.

    page_views.py [redis://127.0.0.1:6379/]
"""

import sys
import time

import redis

KEPT_SECONDS = 3600


def bucket(page, minute):
    return f"example:views:{page}:{minute}"


def view(r, page, minute):
    """One more view. The first one of a minute also decides when its counter goes away."""
    with r.pipeline(transaction=True) as pipe:
        pipe.incr(bucket(page, minute))
        pipe.expire(bucket(page, minute), KEPT_SECONDS, nx=True)
        count, _ = pipe.execute()
    return count


def views(r, page, minutes):
    """All views in these minutes; a minute without any has no counter."""
    counts = r.mget([bucket(page, minute) for minute in minutes])
    return sum(int(count) for count in counts if count is not None)


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/"
    with redis.Redis.from_url(url, decode_responses=True) as r:
        now = int(time.time()) // 60
        minutes = range(now - 2, now + 1)
        r.delete(*(bucket("home", minute) for minute in minutes))
        # Nobody looked at the page in the minute between.
        for minute, visitors in ((now - 2, 3), (now, 4)):
            for nth in range(1, visitors + 1):
                assert view(r, "home", minute) == nth
        total = views(r, "home", minutes)
        left = r.ttl(bucket("home", now))
        assert total == 7, total
        assert KEPT_SECONDS - 60 < left <= KEPT_SECONDS, left
        print(f"{total} views in {len(minutes)} minutes")
        r.delete(*(bucket("home", minute) for minute in minutes))


main()
