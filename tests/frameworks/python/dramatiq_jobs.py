"""dramatiq as published, with its own worker processes: its dispatch script touches keys that it does not declare."""

import os
import signal
import time

import dramatiq
import redis
from dramatiq_tasks import (
    PORT, bucketed, concurrent, double, flaky, high, later, low, plain, slow, windowed,
)  # fmt: skip
from driver import JOBS, main, python, running, until
from ledger import check_executions, lines

connection = redis.Redis(port=PORT)


def worker(*queues, processes=1, threads=8, **environment):
    return python(
        "-m", "dramatiq", "--processes", processes, "--threads", threads, "--queues", *queues, "--", "dramatiq_tasks",
        **environment,
    )  # fmt: skip


def reached(topic, count, seconds=150):
    until(topic, lambda: (seen := len(lines(topic))) >= count or seen, seconds)


def acknowledged(queue):
    """Nothing waits, and nothing is held by a worker."""
    def left():
        acks = connection.keys(f"dramatiq:__acks__.*.{queue}")
        return sum(map(connection.scard, acks)) + connection.hlen(f"dramatiq:{queue}.msgs") + connection.llen(f"dramatiq:{queue}")

    until(f"{queue} acknowledged", lambda: (count := left()) == 0 or count, 60)


def bulk():
    few = JOBS // 10
    due = {}
    with running(worker("bulk", processes=2), worker("bulk", processes=2)):
        for number in range(JOBS - 2 * few):
            plain.send(number)
        for number in range(few):
            flaky.send(number, 2 if number < 100 else 0)
            delay = (number * 13) % 2000
            due[str(number)] = time.time() + delay / 1000
            later.send_with_options(args=(number,), delay=delay)
        again = min(few, 100)
        reached("plain", JOBS - 2 * few)
        reached("flaky", few + 2 * again)
        reached("later", few)
        acknowledged("bulk")
        acknowledged("bulk.DQ")
    check_executions("plain", {str(number): 1 for number in range(JOBS - 2 * few)})
    check_executions("flaky", {str(number): 3 if number < again else 1 for number in range(few)})
    check_executions("later", {str(number): 1 for number in range(few)})
    early = [number for number, when in lines("later") if when < due[number] - 0.002]
    assert not early, f"too early: {early[:5]}"
    return f"{JOBS} jobs, {few} of them delayed, {again} retried twice"


def priorities():
    """Of the messages that a worker has fetched, the most urgent first; with one thread and all fetched, strictly."""
    for number in range(40):
        low.send(number)
        high.send(number)
    with running(worker("results", threads=1, dramatiq_queue_prefetch="200")):
        reached("priority", 80)
    order = [words[0] for words in lines("priority")]
    check_executions("priority", {f"{kind}-{number}": 1 for kind in ("low", "high") for number in range(40)})
    ranks = {kind: sum(i for i, job in enumerate(order) if job.startswith(kind)) / 40 for kind in ("high", "low")}
    assert ranks["high"] + 30 <= ranks["low"], f"mean places {ranks}"
    return f"80 jobs, mean places {ranks}"


def results():
    with running(worker("results"), worker("results")):
        messages = [double.send(number) for number in range(500)]
        assert [message.get_result(block=True, timeout=30_000) for message in messages] == [2 * n for n in range(500)]
        group = dramatiq.group(double.message(number) for number in range(500, 600)).run()
        assert sorted(group.get_results(block=True, timeout=30_000)) == [2 * n for n in range(500, 600)]
        pipes = [double.message(1000 + n) | double.message() | double.message() for n in range(20)]
        for n, pipe in enumerate(pipes):
            assert pipe.run().get_result(block=True, timeout=30_000) == 8 * (1000 + n)
    return "500 results, a group of 100, 20 pipelines"


def rate_limits():
    """Limiters are counters and scripts in the server; who is refused is retried."""
    with running(worker("limited", processes=2), worker("limited", processes=2)):
        for number in range(40):
            concurrent.send(number)
            windowed.send(number)
            bucketed.send(number)
        reached("concurrent", 80, 60)
        reached("windowed", 40, 60)
        reached("bucketed", 40, 60)
        acknowledged("limited")
    check_executions("concurrent", {str(number): 2 for number in range(40)})
    busy = most = 0
    for _, what, _ in lines("concurrent"):
        busy += 1 if what == "begins" else -1
        most = max(most, busy)
    assert most <= 2, f"{most} at once"
    for topic, limit, span in (("windowed", 20, 1.0), ("bucketed", 10, 0.5)):
        check_executions(topic, {str(number): 1 for number in range(40)})
        times = [when for *_, when in lines(topic)]
        # Buckets begin with whole spans of the clock (windows: parts of them), so two of them may touch one span.
        for first, last in zip(times, times[2 * limit :]):
            assert last - first >= span * 0.9, f"{topic}: {2 * limit + 1} within {last - first:.2f} s"
    return "2 at once; 20 in a second; 10 in half a second"


def killed_worker():
    """What a killed worker held goes back to the queue after its heartbeat is missed, and is done by others."""
    count = 60
    for number in range(count):
        slow.send(number)
    victim = worker("killed", threads=4)
    with running(victim):
        reached("slow", 6, 60)
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
    before = len(lines("slow"))
    # Whatever a worker sends for this queue drives the maintenance of the broker, by chance. An idle worker polls once a second: with one
    # poll in twenty nothing would have been looked for in sixty seconds about once in twenty runs, with every other one never.
    with running(worker("killed", MAINTENANCE_CHANCE="500_000")):
        until("taken over", lambda: len(seen := {n for n, _ in lines("slow")}) == count or len(seen), 60)
        acknowledged("killed")
    times = {str(number): 0 for number in range(count)}
    for number, _ in lines("slow"):
        times[number] += 1
    again = sum(1 for seen in times.values() if seen > 1)
    assert max(times.values()) <= 2 and 1 <= again <= 4, f"begun twice: {again}, {times}"
    return f"{count} jobs, {before} begun before, {again} begun twice"


main(bulk, priorities, results, rate_limits, killed_worker)
