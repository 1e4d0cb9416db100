#!/usr/bin/env python3
"""Workers on a queue: fetch, acknowledge, fail with backoff, shut down without losing anything, look at what died, try again.

    worker.py [redis://127.0.0.1:6379/]             a demonstration that checks itself
    worker.py redis://127.0.0.1:6379/ work NAME     one worker, until SIGTERM

A message that was fetched is leased: a thread renews the leases of what is in hand while the worker lives, and when it dies
they end and somebody else gets the messages. A failure is a NACK, after which the queue's BACKOFF says when the next try is,
and after MAXDELIVER tries the message is dead: it stays in the queue with the reasons, until somebody redrives it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import redis

QUEUE = "example:jobs"
DONE = "example:jobs:done"
REPAIRED = "example:jobs:repaired"
LEASE_MS = 3000
BATCH = 5


class Worker:
    def __init__(self, url, name, handle):
        self.redis = redis.Redis.from_url(url, decode_responses=True)
        self.name = name
        self.handle = handle
        self.stopping = threading.Event()
        self.receipts = []  # of what is in hand

    def run(self):
        signal.signal(signal.SIGTERM, lambda *_: self.stopping.set())
        threading.Thread(target=self.keep_leases, daemon=True).start()
        while not self.stopping.is_set():
            try:
                self.serve(self.fetch())
            except redis.exceptions.ConnectionError:
                # What is not acknowledged comes again when its lease ends.
                self.receipts = []
                time.sleep(0.1)

    def fetch(self):
        # Nobody is told of SIGTERM while it waits, hence no long BLOCK.
        options = ("COUNT", BATCH, "LEASE", LEASE_MS, "BLOCK", 500, "CONSUMER", self.name)
        return self.redis.execute_command("XQUEUE.POP", 1, QUEUE, *options) or []

    def serve(self, messages):
        self.receipts = [receipt for _, _, receipt, *_ in messages]
        for _, id, receipt, deliveries, body, _ in messages:
            if self.stopping.is_set():
                # Not begun: somebody else may have it now, and it does not count as a try.
                self.nack(receipt, "RELEASE")
            else:
                try:
                    self.handle(self.redis, id, deliveries, json.loads(body))
                except redis.exceptions.ConnectionError:
                    raise
                except Exception as error:
                    self.nack(receipt, "REASON", str(error)[:256])
                else:
                    self.redis.execute_command("XQUEUE.ACK", QUEUE, receipt)
            self.receipts = [other for other in self.receipts if other != receipt]

    def nack(self, receipt, *how):
        try:
            self.redis.execute_command("XQUEUE.NACK", QUEUE, receipt, *how)
        except redis.exceptions.ResponseError as error:
            if not str(error).startswith("STALE"):  # the lease has ended, and somebody else has it
                raise

    def keep_leases(self):
        while not self.stopping.wait(LEASE_MS / 3000):
            receipts = self.receipts
            if receipts:
                try:
                    self.redis.execute_command("XQUEUE.EXTEND", QUEUE, LEASE_MS, *receipts)
                except redis.exceptions.ConnectionError:
                    pass  # again at the next turn


def handle(r, id, deliveries, job):
    """What the jobs of the demonstration do."""
    time.sleep(0.01)
    if job["kind"] == "flaky" and deliveries == 1:
        raise TimeoutError("no answer")
    if job["kind"] == "broken" and not r.exists(REPAIRED):
        raise ValueError("no such template")
    r.rpush(DONE, id)


def started(url, name):
    return subprocess.Popen([sys.executable, os.path.abspath(__file__), url, "work", name])


def stop(workers):
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    for worker in workers:
        assert worker.wait(30) == 0, worker.returncode


def counts(r):
    return [r.execute_command("XQUEUE.LEN", QUEUE, "STATE", state) for state in ("ready", "delayed", "leased", "dead")]


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def demonstrate(url):
    with redis.Redis.from_url(url, decode_responses=True) as r:
        r.delete(QUEUE, DONE, REPAIRED)
        # A try, 20 ms, another one, 40 ms, the last one.
        r.execute_command("XQUEUE.CREATE", QUEUE, "MAXDELIVER", 3, "BACKOFF", "EXP", 20, 1000)
        jobs = [{"kind": "mail", "number": n} for n in range(40)] + [{"kind": "flaky"}, {"kind": "broken"}]
        r.execute_command("XQUEUE.PUSH", QUEUE, "BODIES", len(jobs), *map(json.dumps, jobs))

        # A worker is told to stop: it ends what it has begun and gives back the rest.
        first = started(url, "first")
        until(lambda: r.llen(DONE) > 0)
        stop([first])
        ready, delayed, leased, dead = counts(r)
        assert leased == 0 and ready + delayed + dead + r.llen(DONE) == len(jobs), counts(r)

        # Others do the rest. One message cannot be done: after three tries it is dead.
        workers = [started(url, name) for name in ("second", "third")]
        until(lambda: counts(r) == [0, 0, 0, 1])
        ((_, _, deliveries, body, meta),) = r.execute_command("XQUEUE.PEEK", QUEUE, "STATE", "dead")
        if isinstance(meta, list):  # RESP2
            meta = dict(zip(meta[::2], meta[1::2]))
        assert json.loads(body) == {"kind": "broken"} and deliveries == 3, (body, deliveries)
        assert meta["reason"] == "no such template" and len(meta["history"]) == 3, meta

        # What it lacked is there now.
        r.set(REPAIRED, 1)
        redriven = r.execute_command("XQUEUE.REDRIVE", QUEUE)
        until(lambda: counts(r) == [0, 0, 0, 0])
        stop(workers)
        done = r.lrange(DONE, 0, -1)
        assert len(done) == len(set(done)) == len(jobs), done
        r.delete(QUEUE, DONE, REPAIRED)
        print(f"{len(done)} jobs done, {redriven} of them after it was dead")


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/"
    if len(sys.argv) > 3:
        Worker(url, sys.argv[3], handle).run()
    else:
        demonstrate(url)


if __name__ == "__main__":
    main()
