#!/usr/bin/env python3
"""Keeps profiles in the memory of the program, and lets the server say when they are stale.

    cached_profiles.py [redis://127.0.0.1:6379/]

One connection reads, another hears of what was changed. Which of the two is faster nobody knows, so a profile that is
being read is marked, and kept only if the mark is still there when it comes.
"""

import sys
import threading
import time

import redis

PROFILE = "example:profile:{}"
READS = 1000
CHANNEL = "__redis__:invalidate"


class Profiles:
    def __init__(self, url):
        self.lock = threading.Lock()
        self.kept = {}
        self.asked = 0
        options = {"decode_responses": True, "protocol": 2}
        self.reader = redis.Redis.from_url(url, single_connection_client=True, **options)
        self.ear = redis.Redis.from_url(url, **options).connection_pool.get_connection()
        self.ear.send_command("CLIENT", "ID")
        ear_id = self.ear.read_response()
        self.ear.send_command("SUBSCRIBE", CHANNEL)
        self.ear.read_response()
        self.reader.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", ear_id)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            _, _, keys = self.ear.read_response()
            with self.lock:
                if keys is None:
                    self.kept.clear()
                for key in keys or []:
                    self.kept.pop(key, None)

    def get(self, key):
        mark = object()
        with self.lock:
            if isinstance(self.kept.get(key), dict):
                return self.kept[key]
            self.kept[key] = mark
        profile = self.reader.hgetall(key)
        self.asked += 1
        with self.lock:
            if self.kept.get(key) is mark:
                self.kept[key] = profile
        return profile


def wait_for(condition):
    deadline = time.monotonic() + 5
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("the cache is stale")
        time.sleep(0.001)


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/"
    ada = PROFILE.format("ada")
    with redis.Redis.from_url(url) as writer:
        writer.hset(ada, mapping={"name": "Ada", "city": "London"})
        profiles = Profiles(url)
        for _ in range(READS):
            if profiles.get(ada)["city"] != "London":
                sys.exit("a wrong profile")
        asked = profiles.asked
        writer.hset(ada, "city", "Turin")
        wait_for(lambda: profiles.get(ada)["city"] == "Turin")
        writer.delete(ada)
        wait_for(lambda: profiles.get(ada) == {})
    print(f"{READS} reads, {asked} of them by the server")


if __name__ == "__main__":
    main()
