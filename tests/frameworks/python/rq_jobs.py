"""RQ as published: pools of workers, forking workers, its scheduler, cron, retries and dependencies."""

import os
import signal
import sys
import time
from datetime import timedelta

import redis
import rq_tasks
from driver import HERE, JOBS, PORT, end, main, python, running, until
from ledger import check_executions, lines
from rq import Queue, Repeat, Retry, Worker
from rq.cron import CronScheduler
from rq.rate_limit import RateLimit
from rq.registry import FailedJobRegistry, FinishedJobRegistry
from rq.worker import SimpleWorker

connection = redis.Redis(port=PORT)


def worker(*queues, kind="simple", scheduler=False):
    """`simple` executes in its own process; `fork` in a new one per job, as `rq worker` does by default."""
    return python(__file__, kind, int(scheduler), *queues)


def work(kind, scheduler, *queues):
    cls = {"simple": SimpleWorker, "fork": Worker}[kind]
    sys.path.insert(0, HERE)
    # Ready jobs that two workers tried to enqueue at once are left to the next maintenance, every ten minutes by default,
    # and to workers that do not wait for a job just then: they wait for 15 seconds less than the last argument.
    often = {"maintenance_interval": 1, "worker_ttl": 17}
    cls(queues, connection=connection, **often).work(with_scheduler=scheduler == "1", logging_level="ERROR")


def finished(queue, count, seconds=150):
    until(queue.name, lambda: (seen := FinishedJobRegistry(queue=queue).count) == count or seen, seconds)


def bulk():
    """Several producers' worth of jobs, enqueued in pipelines and one by one."""
    queue = Queue("bulk", connection=connection)
    many = JOBS * 9 // 10
    with running(*(worker("bulk") for _ in range(4))):
        for at in range(0, many, 500):
            numbers = range(at, min(at + 500, many))
            queue.enqueue_many(
                [Queue.prepare_data(rq_tasks.plain, ("bulk", n), job_id=f"bulk-{n}", result_ttl=600) for n in numbers]
            )
        for number in range(many, JOBS):
            queue.enqueue(rq_tasks.plain, "bulk", number, result_ttl=600)
        finished(queue, JOBS)
        check_executions("bulk", {str(number): 1 for number in range(JOBS)})
        for number in range(0, many, max(many // 100, 1)):
            assert queue.fetch_job(f"bulk-{number}").return_value() == number * 2
        assert (queue.count, FailedJobRegistry(queue=queue).count) == (0, 0)
    return f"{JOBS} jobs by 4 workers"


def forking():
    """RQ's ordinary worker, which makes a process per job."""
    queue = Queue("forking", connection=connection)
    count = max(JOBS // 50, 20)
    with running(*(worker("forking", kind="fork") for _ in range(2))):
        for number in range(count):
            queue.enqueue(rq_tasks.plain, "forking", number)
        finished(queue, count)
    check_executions("forking", {str(number): 1 for number in range(count)})
    return f"{count} jobs"


def priorities():
    """Queues are priorities: the first that has a job."""
    names = ["high", "middle", "low"]
    for number in range(300):
        name = names[(number * 7) % 3]
        # Every tenth goes in front of its queue.
        Queue(name, connection=connection).enqueue(rq_tasks.plain, "priorities", f"{name}-{number}", at_front=number % 10 == 0)
    with running(worker(*names)):
        until("priorities", lambda: (seen := len(lines("priorities"))) >= 300 or seen)
    order = [words[0] for words in lines("priorities")]
    plan = {name: [] for name in names}
    for number in range(300):
        name = names[(number * 7) % 3]
        plan[name].insert(0 if number % 10 == 0 else len(plan[name]), f"{name}-{number}")
    assert order == [job for name in names for job in plan[name]]
    return "300 jobs in order, some put in front"


def delays_and_retries():
    """RQ's scheduler moves what is due; failed jobs come back after their interval."""
    queue = Queue("later", connection=connection)
    few = 60
    due = {}
    with running(worker("later", scheduler=True), worker("later", scheduler=True)):
        for number in range(few):
            delay = 0.5 + (number % 4)
            due[str(number)] = time.time() + delay
            queue.enqueue_in(timedelta(seconds=delay), rq_tasks.plain, "later", number)
            queue.enqueue(rq_tasks.flaky, number, number % 3, retry=Retry(max=3, interval=[1, 1, 1] if number % 2 else 0))
        queue.enqueue(rq_tasks.plain, "repeated", "r", repeat=Repeat(times=3, interval=1))
        failing = queue.enqueue(rq_tasks.flaky, "never", 1000, retry=Retry(max=2))
        finished(queue, 2 * few + 1, 60)
        until("repeated", lambda: (seen := len(lines("repeated"))) >= 4 or seen, 30)
        assert FailedJobRegistry(queue=queue).get_job_ids() == [failing.id]
        # Half a second: whole seconds are what RQ's scheduler compares.
        early = [number for number, when in lines("later") if when < due[number] - 1]
        assert not early, f"too early: {early}"
    check_executions("later", {str(number): 1 for number in range(few)})
    check_executions("flaky", {**{str(number): number % 3 + 1 for number in range(few)}, "never": 3})
    check_executions("repeated", {"r": 4})
    return f"{few} delayed, {few} retried, 1 repeated 3 times, 1 failed for good"


def dependencies():
    """Chains of jobs, added while workers run: who ends a job enqueues what waits for it, under WATCH."""
    queue = Queue("dependent", connection=connection)
    groups = 60
    with running(*(worker("dependent") for _ in range(3))):
        for group in range(groups):
            first = queue.enqueue(rq_tasks.plain, "first", group)
            second = queue.enqueue(rq_tasks.plain, "second", group, depends_on=first)
            queue.enqueue(rq_tasks.after, group, depends_on=second)
        finished(queue, 3 * groups, 60)
    for topic in ("first", "second", "after"):
        check_executions(topic, {str(group): 1 for group in range(groups)})
    times = [dict(lines(topic)) for topic in ("first", "second", "after")]
    for group in times[0]:
        assert times[0][group] < times[1][group] < times[2][group], f"chain {group} out of order"
    return f"{groups} chains of 3"


def rate_limit():
    """No more than two of these at once, whatever the number of workers: slots are given by a script."""
    queue = Queue("slow", connection=connection)
    limit = RateLimit("slots", concurrency=2)
    with running(*(worker("slow") for _ in range(4))):
        for number in range(30):
            queue.enqueue(rq_tasks.slow, number, 0.1, rate_limit=limit)
        finished(queue, 30)
    events = [(when, 1 if what == "begins" else -1) for _, what, when in lines("slow")]
    busy = most = 0
    for _, change in sorted(events):
        busy += change
        most = max(most, busy)
    check_executions("slow", {str(number): 2 for number in range(30)})
    assert most == 2, f"{most} at once"
    return "30 jobs, 2 at once, 4 workers"


def cron():
    """RQ's cron, with a job every second."""
    scheduler = python(__file__, "cron", 0)
    queue = Queue("cron", connection=connection)
    with running(worker("cron"), worker("cron"), scheduler):
        until("cron", lambda: (seen := len(lines("cron"))) >= 4 or seen, 30)
        end(scheduler)
        made = len(lines("cron"))
        until("cron jobs", lambda: queue.count == 0 or queue.count, 10)
    times = [when for *_, when in lines("cron")]
    assert all(b - a > 0.4 for a, b in zip(times, times[1:])), f"not a second apart: {times}"
    return f"{made} runs"


def killed_worker():
    """A worker killed with a job in hand: the others go on, and the job is found abandoned, not done twice."""
    queue = Queue("killed", connection=connection)
    victim = worker("killed")
    with running(victim):
        held = queue.enqueue(rq_tasks.slow, "held", 30)
        until("the victim", lambda: any(words[0] == "held" for words in lines("slow")) or "idle", 30)
        for number in range(20):
            queue.enqueue(rq_tasks.plain, "killed", number)
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
    with running(worker("killed"), worker("killed")):
        finished(queue, 20, 30)
    check_executions("killed", {str(number): 1 for number in range(20)})
    assert held.get_status(refresh=True).value == "started", held.get_status()
    return "20 jobs done by others"


if sys.argv[1:2] == ["cron"]:
    schedule = CronScheduler(connection=connection, logging_level="ERROR")
    schedule.register(rq_tasks.plain, "cron", args=("cron", "c"), interval=1)
    schedule.start()
elif sys.argv[1:]:
    work(*sys.argv[1:])
else:
    main(bulk, forking, priorities, delays_and_retries, dependencies, rate_limit, cron, killed_worker)
