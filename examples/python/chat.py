#!/usr/bin/env python3
"""A chat room: what is said reaches everybody in the same order, and who leaves is missed.

    chat.py [redis://127.0.0.1:6379/]

People announce themselves with a key that expires. A keyspace notification tells the room when somebody went away
without a word.
"""

import sys

import redis

ROOM = "example:chat:room"
PEOPLE = ("ada", "grace", "linus")


def present(name):
    return f"example:chat:present:{name}"


def heard(pubsub, count):
    """The next texts that `pubsub` receives."""
    texts = []
    while len(texts) < count:
        message = pubsub.get_message(ignore_subscribe_messages=True, timeout=10)
        assert message is not None, texts
        texts.append(message["data"])
    return texts


def joined(r, *channels):
    """A subscriber that is known to hear what is published from now on."""
    pubsub = r.pubsub()
    pubsub.subscribe(*channels)
    for _ in channels:
        assert pubsub.get_message(timeout=10)["type"] == "subscribe"
    return pubsub


def main():
    url = sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/"
    with redis.Redis.from_url(url, decode_responses=True) as r:
        before = r.config_get("notify-keyspace-events")["notify-keyspace-events"]
        r.config_set("notify-keyspace-events", "Ex")
        db = r.connection_pool.connection_kwargs.get("db") or 0
        gone = joined(r, f"__keyevent@{db}__:expired")
        room = {name: joined(r, ROOM) for name in PEOPLE}
        for name in PEOPLE:
            r.set(present(name), "1", px=60_000)
        said = 0
        for turn in range(10):
            for name in PEOPLE:
                assert r.publish(ROOM, f"{name}: {turn}") == len(PEOPLE)
                said += 1
        stories = [heard(pubsub, said) for pubsub in room.values()]
        assert all(story == stories[0] for story in stories), stories
        # Linus stops saying that he is here.
        r.pexpire(present("linus"), 30)
        assert heard(gone, 1) == [present("linus")]
        r.delete(*(present(name) for name in PEOPLE))
        r.config_set("notify-keyspace-events", before)
        for pubsub in (gone, *room.values()):
            pubsub.close()
        print(f"{len(PEOPLE)} people heard {said} messages, 1 left")


main()
