"""The jobs of the driver `rq_jobs.py`."""

import time

from ledger import note


def plain(topic, number):
    note(topic, number)
    return number * 2


def flaky(number, failures):
    """Fails as often as asked for, counted by the ledger alone."""
    from ledger import lines

    before = sum(1 for words in lines("flaky") if words[0] == str(number))
    note("flaky", number)
    if before < failures:
        raise ValueError("planned")
    return number


def slow(number, seconds):
    note("slow", number, "begins")
    time.sleep(seconds)
    note("slow", number, "ends")


def after(number):
    note("after", number)
