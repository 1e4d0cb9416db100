"""Celery as published, with its own worker, beat and result backend: none lost, none run twice."""

import os
import signal
import time

import redis
from celery import chain, chord, group
from celery_tasks import PORT, app, failing, flaky, later, limited, plain, slow, urgent
from driver import JOBS, end, main, python, running, until
from ledger import check_executions, lines

broker = redis.Redis(port=int(PORT), db=0)


def worker(queues, concurrency=2, **environment):
    return python(
        "-m", "celery", "-A", "celery_tasks", "worker", "--queues", queues, "--concurrency", concurrency,
        "--hostname", f"{queues}{time.monotonic_ns()}@here", "--loglevel", "ERROR", "--without-mingle",
        **environment,
    )  # fmt: skip


def started(count):
    """Workers answer over a fanout exchange: publish and subscribe."""
    until("workers", lambda: len(app.control.ping(timeout=1.0)) == count or "too few", 60)


def drained(topic, count, seconds=150):
    until(topic, lambda: (seen := len(lines(topic))) >= count or seen, seconds)


def bulk():
    """Plain, delayed and retried jobs, and every result from the backend."""
    with running(worker("celery"), worker("celery"), worker("celery")):
        started(3)
        few = max(JOBS // 10, 1)
        due = {}
        with app.producer_pool.acquire() as producer:
            results = [plain.apply_async((number,), producer=producer) for number in range(JOBS - 2 * few)]
            results_flaky = [flaky.apply_async((number, 2), producer=producer) for number in range(few)]
            for number in range(few):
                countdown = (number % 20) / 10
                due[str(number)] = time.time() + countdown
                later.apply_async((number,), countdown=countdown, producer=producer)
        assert [result.get(timeout=120) for result in results] == [2 * number for number in range(len(results))]
        assert [result.get(timeout=60) for result in results_flaky] == list(range(few))
        drained("later", few)
        until("acknowledged", lambda: (left := broker.hlen("unacked") + broker.llen("celery")) == 0 or left, 30)
    check_executions("plain", {str(number): 1 for number in range(len(results))})
    check_executions("flaky", {str(number): 3 for number in range(few)})
    check_executions("later", {str(number): 1 for number in range(few)})
    for number, when in lines("later"):
        assert when >= due[number] - 0.01, f"job {number} ran {due[number] - when} s too early"
    return f"{JOBS} jobs, {few} of them delayed, {few} retried twice, {len(results) + few} results"


def priorities():
    """One worker that takes one job at a time takes the most urgent first, and the oldest within one priority."""
    plan = [(number, (number * 7) % 10) for number in range(300)]
    for number, priority in plan:
        urgent.apply_async((number, priority), queue="urgent", priority=priority)
    with running(worker("urgent", concurrency=1, PREFETCH="1")):
        drained("urgent", len(plan))
        check_executions("urgent", {str(number): 1 for number, _ in plan})
    order = [int(number) for number, _, _ in lines("urgent")]
    wanted = [number for number, priority in sorted(plan, key=lambda job: (job[1], job[0]))]
    # Up to two are in the worker's hands before it has seen them all.
    displaced = sum(seen != want for seen, want in zip(order, wanted))
    assert displaced <= 4, f"{displaced} of {len(plan)} out of order: {order[:20]}"
    return f"{len(plan)} jobs in order"


def rate_limit():
    """Celery counts in the worker, not in the server; what waits is held there unacknowledged."""
    # Few jobs: with a pool of processes Celery's event loop looks at those that wait about once a second only.
    count = 12
    with running(worker("limited", PREFETCH="50")):
        for number in range(count):
            limited.apply_async((number,), queue="limited")
        drained("limited", count)
    check_executions("limited", {str(number): 1 for number in range(count)})
    times = [when for *_, when in lines("limited")]
    assert times[-1] - times[0] >= (count - 1) / 10 * 0.9, f"{count} jobs in {times[-1] - times[0]:.2f} s"
    return f"{count} jobs at 10/s took {times[-1] - times[0]:.1f} s"


def workflows():
    """Groups, chains and chords count in the backend who is done: a chord's body runs once."""
    with running(worker("celery"), worker("celery")):
        started(2)
        sums = [chord(group(slow_or_plain(i, k) for k in range(20)), app.tasks["total"].s())() for i in range(20)]
        chains = [chain(plain.s(number), plain.s(), plain.s())() for number in range(100)]
        group_result = group(plain.s(number) for number in range(200))()
        assert [result.get(timeout=60) for result in chains] == [8 * number for number in range(100)]
        assert group_result.get(timeout=60) == [2 * number for number in range(200)]
        assert [result.get(timeout=60) for result in sums] == [2 * sum(range(20))] * 20
        assert len(lines("total")) == 20, "bodies of chords"
        errors = [failing.delay(number) for number in range(20)]
        for number, error in enumerate(errors):
            assert str(error.get(timeout=30, propagate=False)) == f"planned {number}"
        revoked = plain.apply_async((1,), countdown=2)
        time.sleep(0.3)
        revoked.revoke()
        until("revoked", lambda: revoked.status == "REVOKED" or revoked.status, 30)
    return "20 chords, 100 chains, a group of 200, 20 failures, 1 revoked"


def slow_or_plain(_, number):
    return plain.s(number)


def repeatable():
    """Beat sends every 200 ms, two workers compete for each."""
    with running(worker("ticks"), worker("ticks")):
        started(2)
        schedule = os.path.join(os.environ["LEDGER"], "..", "schedule")
        with running(python("-m", "celery", "-A", "celery_tasks", "beat", "--loglevel", "ERROR", "-s", schedule)):
            drained("tick", 12, 60)
        times = [when for *_, when in lines("tick")]
        rate = (len(times) - 1) / (times[-1] - times[0])
        assert 2.5 <= rate <= 5.5, f"{rate:.1f} runs a second"
    return f"{len(times)} runs, {rate:.1f} a second"


def killed_worker():
    """What a killed worker held is given to another one after the visibility timeout, and done."""
    short = {"VISIBILITY": "2"}
    count = 12
    for number in range(count):
        slow.apply_async((number,), queue="slow")
    victim = worker("slow", concurrency=2, PREFETCH="2", **short)
    with running(victim):
        # Killed when it holds all that it may, hence has no BRPOP under way: a message that the server has given away and
        # the worker has not written down yet is lost with any server.
        until("the victim", lambda: (held := broker.hlen("unacked")) == 4 or held, 60)
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
    held = broker.hlen("unacked")
    assert held > 0, "the victim held jobs when it was killed"
    other = worker("slow", concurrency=2, PREFETCH="2", **short)
    with running(other):
        until("all", lambda: len(seen := {number for number, _ in lines("slow")}) == count or seen, 60)
        until("acknowledged", lambda: (left := broker.hlen("unacked")) == 0 or left, 60)
    end(victim)
    times = {number: 0 for number in map(str, range(count))}
    for number, _ in lines("slow"):
        times[number] += 1
    again = sum(1 for seen in times.values() if seen == 2)
    assert max(times.values()) <= 2 and again <= held, times
    return f"{count} jobs, {held} taken over, {again} begun twice"


main(bulk, priorities, rate_limit, workflows, repeatable, killed_worker)
