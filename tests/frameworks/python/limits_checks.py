"""limits as published (Flask-Limiter's core): many processes hit the same limits, and the ledger counts who was let in.

`python limits_checks.py` is the driver, with arguments it is one process that hits."""

import asyncio
import sys
import time

import limits
from driver import JOBS, PORT, main, python, until
from ledger import lines, note

PROCESSES = 4
URI = f"redis://127.0.0.1:{PORT}"
STRATEGIES = {
    "fixed": limits.strategies.FixedWindowRateLimiter,
    "moving": limits.strategies.MovingWindowRateLimiter,
    "sliding": limits.strategies.SlidingWindowCounterRateLimiter,
}
ASYNC_STRATEGIES = {
    "fixed": limits.aio.strategies.FixedWindowRateLimiter,
    "moving": limits.aio.strategies.MovingWindowRateLimiter,
    "sliding": limits.aio.strategies.SlidingWindowCounterRateLimiter,
}


def hit(topic, strategy, limit, seconds, times, pause):
    """Hits so often, or for so long; notes each success."""
    item = limits.RateLimitItemPerSecond(int(limit), int(seconds))
    limiter = STRATEGIES[strategy](limits.storage.storage_from_string(URI))
    for _ in range(int(times)):
        if limiter.hit(item, topic):
            note(topic, "in")
        time.sleep(float(pause))
    note(topic, "end")


async def hit_async(topic, strategy, limit, seconds, times):
    item = limits.RateLimitItemPerSecond(int(limit), int(seconds))
    limiter = ASYNC_STRATEGIES[strategy](limits.storage.storage_from_string(f"async+{URI}", implementation="redispy"))
    for _ in range(int(times) // 10):
        for entered in await asyncio.gather(*(limiter.hit(item, topic) for _ in range(10))):
            if entered:
                note(topic, "in")
    note(topic, "end")


def crowd(topic, *arguments, kind="hit"):
    processes = [python(__file__, kind, topic, *arguments) for _ in range(PROCESSES)]
    codes = [process.wait(150) for process in processes]
    assert codes == [0] * PROCESSES, codes
    assert sum(words[0] == "end" for words in lines(topic)) == PROCESSES
    return [when for what, when in lines(topic) if what == "in"]


def exact(strategy, kind="hit"):
    """All hits within one long window: exactly as many get in as the limit says."""
    limit = JOBS // 2
    topic = f"{strategy}-{kind}"
    entered = len(crowd(topic, strategy, limit, 3600, JOBS // PROCESSES, *([0] if kind == "hit" else []), kind=kind))
    # A window that ends just now, at the full hour, would let in more: nothing else may.
    assert entered == limit, f"{entered} let in, limit {limit}"
    item = limits.RateLimitItemPerSecond(limit, 3600)
    limiter = STRATEGIES[strategy](limits.storage.storage_from_string(URI))
    assert limiter.get_window_stats(item, topic).remaining == 0
    assert not limiter.test(item, topic)
    limiter.clear(item, topic)
    assert limiter.test(item, topic)
    return f"{JOBS} hits, {entered} let in"


def fixed_window():
    return exact("fixed")


def moving_window():
    return exact("moving")


def sliding_window():
    return exact("sliding")


def asynchronous():
    return "; ".join(exact(strategy, "async") for strategy in ASYNC_STRATEGIES)


def over_time():
    """Windows of one second for three seconds: a moving window never holds more than its limit, wherever it is laid."""
    limit, figures = 20, []
    for strategy, most in (("moving", limit), ("fixed", 2 * limit), ("sliding", 2 * limit)):
        times = crowd(f"{strategy}-time", strategy, limit, 1, 150, 0.02)
        # The ledger notes a little after the server decided, hence the 50 ms.
        for first, last in zip(times, times[most:]):
            assert last - first >= 0.95, f"{strategy}: {most + 1} within {last - first:.3f} s"
        assert len(times) >= 2 * limit, f"{strategy}: only {len(times)} in three seconds"
        figures.append(f"{strategy} {len(times)}")
    return ", ".join(figures) + f" let in at {limit}/s"


def fresh_window():
    """Limits end by themselves: expiry in the server."""
    item = limits.RateLimitItemPerSecond(2, 1)
    for name, strategy in STRATEGIES.items():
        limiter = strategy(limits.storage.storage_from_string(URI))
        while limiter.hit(item, "fresh", name):
            pass
        until(f"{name} again", lambda limiter=limiter, name=name: limiter.test(item, "fresh", name) or "full", 5)
    return "3 strategies"


if sys.argv[1:2] == ["hit"]:
    hit(*sys.argv[2:])
elif sys.argv[1:2] == ["async"]:
    asyncio.run(hit_async(*sys.argv[2:]))
else:
    main(fixed_window, moving_window, sliding_window, asynchronous, over_time, fresh_window)
