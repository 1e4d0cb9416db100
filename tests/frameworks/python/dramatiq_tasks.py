"""The actors of the driver `dramatiq_jobs.py`; the program `dramatiq` loads this module."""

import os
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.rate_limits import BucketRateLimiter, ConcurrentRateLimiter, WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as LimiterBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend as ResultBackend
from ledger import lines, note

PORT = int(os.environ["REDIS_PORT"])
# A worker is taken for dead after this time without a sign, and what it held goes back: short, because a check kills one.
# That is looked for by chance: in this many of a million messages and polls of the same queue.
MAINTENANCE = int(os.environ.get("MAINTENANCE_CHANCE", 50_000))
broker = RedisBroker(host="127.0.0.1", port=PORT, heartbeat_timeout=3000, maintenance_chance=MAINTENANCE)
broker.add_middleware(Results(backend=ResultBackend(host="127.0.0.1", port=PORT, db=1)))
dramatiq.set_broker(broker)
limiters = LimiterBackend(host="127.0.0.1", port=PORT, db=2)
two_at_once = ConcurrentRateLimiter(limiters, "two", limit=2)
twenty_a_second = WindowRateLimiter(limiters, "window", limit=20, window=1)
bucket = BucketRateLimiter(limiters, "bucket", limit=10, bucket=500)


@dramatiq.actor(queue_name="bulk")
def plain(number):
    note("plain", number)


@dramatiq.actor(queue_name="bulk")
def later(number):
    note("later", number)


@dramatiq.actor(queue_name="bulk", max_retries=5, min_backoff=50, max_backoff=100)
def flaky(number, failures):
    before = sum(1 for words in lines("flaky") if words[0] == str(number)) if failures else 0
    note("flaky", number)
    if before < failures:
        raise ValueError("planned")


@dramatiq.actor(queue_name="results", store_results=True)
def double(number):
    note("double", number)
    return number * 2


@dramatiq.actor(queue_name="results", priority=10)
def low(number):
    note("priority", f"low-{number}")
    time.sleep(0.01)


@dramatiq.actor(queue_name="results", priority=0)
def high(number):
    note("priority", f"high-{number}")
    time.sleep(0.01)


@dramatiq.actor(queue_name="limited", max_retries=None, min_backoff=20, max_backoff=60)
def concurrent(number):
    with two_at_once.acquire():
        note("concurrent", number, "begins")
        time.sleep(0.05)
        note("concurrent", number, "ends")


@dramatiq.actor(queue_name="limited", max_retries=None, min_backoff=20, max_backoff=60)
def windowed(number):
    with twenty_a_second.acquire():
        note("windowed", number)


@dramatiq.actor(queue_name="limited", max_retries=None, min_backoff=20, max_backoff=60)
def bucketed(number):
    with bucket.acquire():
        note("bucketed", number)


@dramatiq.actor(queue_name="killed", time_limit=60_000)
def slow(number):
    note("slow", number)
    time.sleep(0.3)
