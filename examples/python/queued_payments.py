#!/usr/bin/env python3
"""Payments from a queue, each booked once, whoever dies at whatever moment.

    queued_payments.py [redis://127.0.0.1:6379/]          a demonstration that checks itself
    queued_payments.py redis://127.0.0.1:6379/ work       one worker, until SIGTERM

The queue delivers at least once. What makes that once in effect: the worker books and acknowledges in one transaction, and
GUARD RECEIPT in it lets nothing of that happen unless the message is still leased under this very receipt. A worker that
lost its connection just then does not know whether it was booked, and needs not know: it sends the same again.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import redis

QUEUE = "example:payments:queue"
ACCOUNTS = "example:payments:accounts"
BOOK = "example:payments:book"
LEASE_MS = 500
PAYMENTS = 60


def book(r, id, receipt, payment):
    """Books a payment, and whether it was us who did it."""
    pipe = r.pipeline(transaction=True)
    pipe.execute_command("GUARD", "RECEIPT", QUEUE, receipt)
    pipe.hincrby(ACCOUNTS, payment["from"], -payment["euros"])
    pipe.hincrby(ACCOUNTS, payment["to"], payment["euros"])
    pipe.rpush(BOOK, id)
    pipe.execute_command("XQUEUE.ACK", QUEUE, receipt)
    try:
        pipe.execute()
        return True
    except redis.exceptions.ResponseError as error:
        if not str(error).startswith("GUARDFAIL"):
            raise
        # Booked already, or somebody else's by now.
        return False


def work(url):
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    r = redis.Redis.from_url(url, decode_responses=True)
    while not stopping.is_set():
        try:
            messages = r.execute_command("XQUEUE.POP", 1, QUEUE, "COUNT", 4, "LEASE", LEASE_MS, "BLOCK", 200) or []
        except redis.exceptions.ConnectionError:
            time.sleep(0.05)
            continue
        for _, id, receipt, _, body, _ in messages:
            time.sleep(0.005)  # the bank
            while True:
                try:
                    book(r, id, receipt, json.loads(body))
                    break
                except redis.exceptions.ConnectionError:
                    time.sleep(0.05)


def push(r, payments):
    # Many deliveries, because it is the workers that fail here and not the payments.
    r.execute_command("XQUEUE.CREATE", QUEUE, "MAXDELIVER", 0)
    bodies = [json.dumps({"from": f"a{n % 3}", "to": f"b{n % 5}", "euros": n}) for n in range(payments)]
    r.execute_command("XQUEUE.PUSH", QUEUE, "BODIES", payments, *bodies)


def is_done(r):
    return all(r.execute_command("XQUEUE.LEN", QUEUE, "STATE", state) == 0 for state in ("ready", "delayed", "leased"))


def check(r, payments):
    """All payments are booked, and none twice."""
    booked = r.lrange(BOOK, 0, -1)
    assert len(booked) == len(set(booked)) == payments, (len(booked), len(set(booked)))
    wanted = dict.fromkeys([f"a{n}" for n in range(3)] + [f"b{n}" for n in range(5)], 0)
    for n in range(payments):
        wanted[f"a{n % 3}"] -= n
        wanted[f"b{n % 5}"] += n
    accounts = {name: int(euros) for name, euros in r.hgetall(ACCOUNTS).items()}
    assert accounts == wanted, accounts
    r.delete(QUEUE, ACCOUNTS, BOOK)


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/"
    if len(sys.argv) > 2:
        return work(url)
    with redis.Redis.from_url(url, decode_responses=True) as r:
        r.delete(QUEUE, ACCOUNTS, BOOK)
        push(r, PAYMENTS)
        # Somebody takes a payment, and is so slow that another one books it.
        _, id, receipt, _, body, _ = r.execute_command("XQUEUE.POP", 1, QUEUE, "LEASE", 50)[0]
        deaths = 0
        while True:
            worker = subprocess.Popen([sys.executable, os.path.abspath(__file__), url, "work"])
            booked, deadline = r.llen(BOOK), time.monotonic() + 30
            # A worker dies in the middle of what it does, after a few payments. The third one lives.
            while r.llen(BOOK) < min(booked + 10, PAYMENTS) or deaths == 2 and not is_done(r):
                assert time.monotonic() < deadline
                time.sleep(0.005)
            if deaths == 2:
                break
            worker.kill()
            worker.wait()
            deaths += 1
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        assert not book(r, id, receipt, json.loads(body)), "it was late, and has booked"
        check(r, PAYMENTS)
        print(f"{PAYMENTS} payments booked once, {deaths} workers died, 1 came too late")


if __name__ == "__main__":
    main()
