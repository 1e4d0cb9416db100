"""The Celery application of the driver `celery_jobs.py`: broker in database 0, results in database 1."""

import os
import time

from celery import Celery
from ledger import note

PORT = os.environ["REDIS_PORT"]
app = Celery("checks", broker=f"redis://127.0.0.1:{PORT}/0", backend=f"redis://127.0.0.1:{PORT}/1")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "priority_steps": list(range(10)),
        "queue_order_strategy": "priority",
        "sep": ":",
        # The long time after which an unacknowledged job is given to another worker, short here: a check kills one.
        "visibility_timeout": int(os.environ.get("VISIBILITY", "3600")),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
    task_acks_late=True,
    worker_prefetch_multiplier=int(os.environ.get("PREFETCH", "4")),
    worker_hijack_root_logger=False,
    result_expires=600,
    beat_schedule={"tick": {"task": "tick", "schedule": 0.2, "options": {"queue": "ticks", "expires": 60}}},
    beat_max_loop_interval=0.1,
)


@app.task(name="plain")
def plain(number):
    note("plain", number)
    return number * 2


@app.task(name="flaky", bind=True, max_retries=3)
def flaky(self, number, failures):
    note("flaky", number, self.request.retries)
    if self.request.retries < failures:
        raise self.retry(countdown=0.05)
    return number


@app.task(name="later")
def later(number):
    note("later", number)


@app.task(name="urgent")
def urgent(number, priority):
    note("urgent", number, priority)


@app.task(name="limited", rate_limit="10/s")
def limited(number):
    note("limited", number)


@app.task(name="tick")
def tick():
    note("tick", "tick")


@app.task(name="slow")
def slow(number):
    note("slow", number)
    time.sleep(0.5)
    return number


@app.task(name="total")
def total(numbers):
    note("total", len(numbers))
    return sum(numbers)


@app.task(name="failing")
def failing(number):
    raise ValueError(f"planned {number}")
