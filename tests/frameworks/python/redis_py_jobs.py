"""redis-py as published, by both protocols and both of its interfaces: queues on streams and lists, locks, pipelines with
WATCH. `python redis_py_jobs.py` is the driver, with arguments it is one worker."""

import asyncio
import os
import signal
import sys
import time

import redis
import redis.asyncio
from driver import JOBS, PORT, main, python, running, until
from ledger import check_executions, lines, note


def connect(protocol=3, **options):
    return redis.Redis(port=PORT, protocol=int(protocol), decode_responses=True, **options)


def worker(role, *arguments):
    return python(__file__, role, *arguments)


# ---------------------------------------------------------------- workers


def stream(protocol, holds="", name="stream"):
    """A consumer of a group; one that holds never acknowledges, and waits to be killed."""
    r, me = connect(protocol), str(os.getpid())
    while True:
        read = r.xreadgroup("workers", me, {name: ">"}, count=20, block=200)
        batches = [entry for _, entries in (read.items() if isinstance(read, dict) else read or []) for entry in entries]
        # By RESP3 the entries of a stream may come in one list more.
        if batches and isinstance(batches[0], list):
            batches = batches[0]
        claimed = [] if holds else r.xautoclaim(name, "workers", me, min_idle_time=1500, count=20)[1]
        for entry, fields in [*batches, *claimed]:
            note(name, fields["job"], "held" if holds else "done")
            if not holds:
                with r.pipeline() as pipe:
                    pipe.xack(name, "workers", entry).incr(f"{name}:done").execute()
        if holds and batches:
            time.sleep(600)


def delayed(protocol):
    """Takes what is due under WATCH, so that of several that see a job one executes it."""
    r = connect(protocol)
    while True:
        with r.pipeline() as pipe:
            try:
                pipe.watch("delayed")
                due = pipe.zrange("delayed", "-inf", time.time(), byscore=True, offset=0, num=10)
                pipe.multi()
                for job in due:
                    pipe.zrem("delayed", job)
                removed = pipe.execute()
            except redis.WatchError:
                continue
        assert all(removed), removed
        for job in due:
            note("delayed", job)
        if not due:
            time.sleep(0.01)


def locked(protocol, count):
    """Read, think, write: only the lock keeps that right."""
    r = connect(protocol)
    for _ in range(int(count)):
        with r.lock("lock", timeout=10, sleep=0.001):
            value = int(r.get("guarded") or 0)
            r.set("guarded", value + 1)
            note("locked", value)


def limited(protocol):
    """A token bucket in a registered script, with the bucket's key built in the script."""
    r = connect(protocol)
    take = r.register_script(
        """local now = redis.call('TIME')
        local second = now[1] * 4 + math.floor(now[2] / 250000)
        local key = 'bucket:' .. string.format('%d', second)
        local taken = redis.call('INCR', key)
        redis.call('PEXPIRE', key, 5000)
        if taken > tonumber(ARGV[1]) then return 0 end
        local job = redis.call('LPOP', 'limited')
        if job then redis.call('HINCRBY', 'limited:taken', key, 1) end
        return job or 0"""
    )
    while True:
        job = take(keys=[], args=[20])
        if job:
            note("limited", job)
        else:
            time.sleep(0.02)


async def priorities():
    """Asynchronous: one connection that blocks, another one that works."""
    r, blocked = (redis.asyncio.Redis(port=PORT, protocol=3, decode_responses=True) for _ in range(2))
    while True:
        popped = await blocked.bzpopmin("urgent", timeout=0.2)
        if popped:
            _, job, score = popped
            note("urgent", job, int(score))
            await r.incr("urgent:done")


# ---------------------------------------------------------------- the driver


def streams(name, protocol, count):
    r = connect(protocol)
    r.xgroup_create(name, "workers", mkstream=True)
    holder = worker("stream", protocol, "holds", name)
    with running(holder):
        for number in range(10):
            r.xadd(name, {"job": number})
        until("the holder", lambda: len(lines(name)) > 0 or "idle", 30)
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()
    held = len(lines(name))
    with running(*(worker("stream", protocol, "", name) for _ in range(3))):
        for at in range(10, count, 500):
            with r.pipeline(transaction=at % 1000 == 10) as pipe:
                for number in range(at, min(at + 500, count)):
                    pipe.xadd(name, {"job": number})
                pipe.execute()
        until(name, lambda: (seen := int(r.get(f"{name}:done") or 0)) == count or seen)
        assert r.xpending(name, "workers")["pending"] == 0
    done = [job for job, what, _ in lines(name) if what == "done"]
    assert sorted(map(int, done)) == list(range(count)), f"{len(done)} executions, {len(set(done))} jobs of {count}"
    return f"{count} jobs, {held} claimed from a killed consumer"


def streams_resp2():
    return streams("stream2", 2, JOBS // 2)


def streams_resp3():
    return streams("stream3", 3, JOBS // 2)


def delays():
    r, count = connect(), JOBS // 5
    due = {str(number): time.time() + (number * 13 % 2000) / 1000 for number in range(count)}
    with running(*(worker("delayed", protocol) for protocol in (2, 3, 3))):
        for at in range(0, count, 100):
            r.zadd("delayed", {str(number): due[str(number)] for number in range(at, min(at + 100, count))})
        until("delayed", lambda: (seen := len(lines("delayed"))) >= count or seen)
    check_executions("delayed", {str(number): 1 for number in range(count)})
    # The score is a double, and so is the ledger's time, but with six digits.
    early = [number for number, when in lines("delayed") if when < due[number] - 0.001]
    assert not early, f"too early: {early[:5]}"
    return f"{count} jobs taken under WATCH"


def priority():
    r, count = connect(), JOBS // 5
    r.zadd("urgent", {str(number): (number * 7) % 50 for number in range(count)})
    with running(worker("priorities")):
        until("urgent", lambda: (seen := int(r.get("urgent:done") or 0)) == count or seen)
    check_executions("urgent", {str(number): 1 for number in range(count)})
    scores = [int(score) for _, score, _ in lines("urgent")]
    assert scores == sorted(scores), "out of order"
    return f"{count} jobs in order"


def locks():
    r, each = connect(), max(JOBS // 50, 20)
    with running(*(worker("locked", protocol, each) for protocol in (2, 3, 2, 3))):
        until("guarded", lambda: (seen := int(r.get("guarded") or 0)) == 4 * each or seen)
    assert [int(value) for value, _ in lines("locked")] == list(range(4 * each)), "two held the lock at once"
    return f"{4 * each} times in turn"


def rate_limit():
    r, count = connect(), 100
    r.rpush("limited", *range(count))
    with running(*(worker("limited", protocol) for protocol in (2, 3, 3))):
        until("limited", lambda: (seen := len(lines("limited"))) >= count or seen)
        time.sleep(0.1)
    check_executions("limited", {str(number): 1 for number in range(count)})
    windows = {key: int(taken) for key, taken in r.hgetall("limited:taken").items()}
    assert max(windows.values()) <= 20 and len(windows) >= 5, windows
    return f"{count} jobs in {len(windows)} windows of at most 20"


roles = {"stream": stream, "delayed": delayed, "locked": locked, "limited": limited}
if sys.argv[1:2] == ["priorities"]:
    asyncio.run(priorities())
elif sys.argv[1:]:
    roles[sys.argv[1]](*sys.argv[2:])
else:
    main(streams_resp2, streams_resp3, delays, priority, locks, rate_limit)
