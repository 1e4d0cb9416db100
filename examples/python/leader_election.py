#!/usr/bin/env python3
"""Leader election with fencing tokens: one leader per term, and a leader of the past writes nothing.

    leader_election.py [redis://127.0.0.1:6379/]

A candidate waits in line for a lock; the term is the lock's token, which grows with every holder. The leader renews at a
third of its lease. One that is cut off, or stops for longer than its lease, does not know that it leads no more: that is
why it writes in a transaction with GUARD LOCK, which fails once the token is not the current one.
"""

import sys
import threading
import time

import redis

LEADER = "example:leader"
CONFIG = "example:leader:config"
LEASE_MS = 300


class Candidate:
    def __init__(self, url, name):
        self.redis = redis.Redis.from_url(url, decode_responses=True)
        self.name = name
        self.term = None

    def wait_for_leadership(self):
        self.term, _, _ = self.redis.execute_command("LOCK.ACQUIRE", LEADER, self.name, LEASE_MS, "BLOCK", 10_000)

    def renew(self):
        self.redis.execute_command("LOCK.RENEW", LEADER, self.name, LEASE_MS)

    def write(self, value):
        """Writes as the leader of this term; False if another term has begun."""
        pipe = self.redis.pipeline(transaction=True)
        pipe.execute_command("GUARD", "LOCK", LEADER, self.term)
        pipe.hset(CONFIG, mapping={"value": value, "by": self.name, "term": self.term})
        try:
            pipe.execute()
            return True
        except redis.exceptions.ResponseError as error:
            if not str(error).startswith("GUARDFAIL"):
                raise
            return False


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/"
    ada, bob = Candidate(url, "ada"), Candidate(url, "bob")
    ada.redis.delete(LEADER, CONFIG)
    ada.wait_for_leadership()
    assert ada.write("one")
    successor = threading.Thread(target=bob.wait_for_leadership)
    successor.start()

    # ada is at work for longer than her lease, and renews it.
    for _ in range(6):
        time.sleep(LEASE_MS / 3000)
        ada.renew()
    assert bob.term is None and ada.write("two")

    # Then she is stopped: bob leads when her lease ends.
    began = time.monotonic()
    successor.join()
    waited_ms = (time.monotonic() - began) * 1000
    assert bob.term > ada.term, (ada.term, bob.term)
    assert waited_ms < LEASE_MS + 1000, waited_ms
    assert bob.write("three")

    # She goes on where she was, and believes that she leads.
    refused = not ada.write("four")
    config = bob.redis.hgetall(CONFIG)
    assert refused and config == {"value": "three", "by": "bob", "term": str(bob.term)}, config
    assert bob.redis.execute_command("LOCK.RELEASE", LEADER, "bob") == 0
    bob.redis.delete(CONFIG)
    print("2 terms, 3 writes, 1 refused that came from the term before")


if __name__ == "__main__":
    main()
