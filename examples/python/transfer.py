#!/usr/bin/env python3
"""Moves money between accounts from several threads at once, without a lock.

Whoever finds that an account changed between reading and writing starts over: that is what WATCH is for.

    transfer.py [redis://127.0.0.1:6379/]
"""

import random
import sys
import threading

import redis

ACCOUNTS = [f"example:account:{name}" for name in ("ann", "ben", "cleo")]
OPENING = 100
THREADS = 4
TRANSFERS = 50


def transfer(r, giver, taker, amount):
    """Moves `amount` unless the giver has less. Returns how often somebody else was faster."""
    retries = 0
    with r.pipeline() as pipe:
        while True:
            try:
                pipe.watch(giver, taker)
                if int(pipe.get(giver)) < amount:
                    return retries
                pipe.multi()
                pipe.decrby(giver, amount)
                pipe.incrby(taker, amount)
                pipe.execute()
                return retries
            except redis.WatchError:
                retries += 1


def trade(r, seed, retries):
    dice = random.Random(seed)
    for _ in range(TRANSFERS):
        giver, taker = dice.sample(ACCOUNTS, 2)
        retries.append(transfer(r, giver, taker, dice.randint(1, 40)))


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/"
    with redis.Redis.from_url(url, decode_responses=True) as r:
        r.mset(dict.fromkeys(ACCOUNTS, OPENING))
        retries = []
        threads = [threading.Thread(target=trade, args=(r, seed, retries)) for seed in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        balances = [int(balance) for balance in r.mget(ACCOUNTS)]
        r.delete(*ACCOUNTS)
        assert len(retries) == THREADS * TRANSFERS, "a thread did not finish"
        assert sum(balances) == OPENING * len(ACCOUNTS), balances
        assert min(balances) >= 0, balances
        print(f"{len(retries)} transfers, no money made or lost")


main()
