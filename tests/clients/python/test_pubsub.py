"""Channels, patterns, shard channels and keyspace notifications."""

import threading

import pytest
import redis

from conftest import connect


@pytest.fixture
def listen(r):
    """What a subscriber receives, without the confirmations."""
    subscribers = []

    def listen(**subscriptions):
        pubsub = r.pubsub()
        subscribers.append(pubsub)
        expected = 0
        for how, names in subscriptions.items():
            getattr(pubsub, how)(*names)
            expected += len(names)
        for _ in range(expected):
            assert pubsub.get_message(timeout=10)["type"].endswith("subscribe")
        return pubsub

    yield listen
    for pubsub in subscribers:
        pubsub.close()


def test_messages(r, listen):
    pubsub = listen(subscribe=["news"], psubscribe=["n*"])
    assert r.publish("news", "hi") == 2
    assert r.publish("other", "hi") == 0
    messages = [pubsub.get_message(timeout=10) for _ in range(2)]
    assert [(m["type"], m["pattern"], m["channel"], m["data"]) for m in messages] == [
        ("message", None, "news", "hi"),
        ("pmessage", "n*", "news", "hi"),
    ]
    pubsub.unsubscribe()
    pubsub.punsubscribe()
    ended = [pubsub.get_message(timeout=10) for _ in range(2)]
    assert [(m["type"], m["channel"], m["data"]) for m in ended] == [
        ("unsubscribe", "news", 1),
        ("punsubscribe", "n*", 0),
    ]
    assert r.publish("news", "hi") == 0


def test_introspection(r, listen, until):
    until(lambda: r.pubsub_numpat() == 0)
    listen(subscribe=["a", "b"], psubscribe=["c*"])
    listen(subscribe=["a"])
    assert sorted(r.pubsub_channels()) == ["a", "b"]
    assert r.pubsub_channels("b*") == ["b"]
    assert r.pubsub_numsub("a", "b", "c") == [("a", 2), ("b", 1), ("c", 0)]
    assert r.pubsub_numpat() == 1
    assert r.info("stats")["pubsub_channels"] == 2


def test_ping_among_messages(r, listen, protocol):
    pubsub = listen(subscribe=["a"])
    pubsub.ping("hello")
    # In RESP3 that is an ordinary reply, which redis-py does not take for a message.
    if protocol == 2:
        assert pubsub.get_message(timeout=10)["data"] == "hello"


def test_a_thread_handles_messages_in_order(r):
    received, done = [], threading.Event()

    def handle(message):
        received.append(int(message["data"]))
        if len(received) == 1000:
            done.set()

    pubsub = r.pubsub()
    pubsub.subscribe(numbers=handle)
    assert pubsub.get_message(timeout=10)["type"] == "subscribe"
    thread = pubsub.run_in_thread(sleep_time=0.01)
    with r.pipeline(transaction=False) as pipe:
        for n in range(1000):
            pipe.publish("numbers", n)
        assert set(pipe.execute()) == {1}
    assert done.wait(10)
    thread.stop()
    thread.join()
    assert received == list(range(1000))


def test_a_transaction_publishes_at_its_end(r, listen):
    pubsub = listen(subscribe=["a"])
    with r.pipeline(transaction=True) as pipe:
        pipe.publish("a", 1).set("k", "v").publish("a", 2)
        assert pipe.execute() == [1, True, 1]
    assert [pubsub.get_message(timeout=10)["data"] for _ in range(2)] == ["1", "2"]


def test_keyspace_notifications(r, listen):
    before = r.config_get("notify-keyspace-events")["notify-keyspace-events"]
    r.config_set("notify-keyspace-events", "KEA")
    pubsub = listen(psubscribe=["__key*@0__:*"])
    r.set("k", "v", px=20)
    told = [pubsub.get_message(timeout=10) for _ in range(6)]
    assert [(m["channel"], m["data"]) for m in told] == [
        ("__keyspace@0__:k", "set"),
        ("__keyevent@0__:set", "k"),
        ("__keyspace@0__:k", "expire"),
        ("__keyevent@0__:expire", "k"),
        ("__keyspace@0__:k", "expired"),
        ("__keyevent@0__:expired", "k"),
    ]
    r.config_set("notify-keyspace-events", before)


def test_in_resp2_a_subscriber_may_not_read_keys(r):
    with connect(protocol=2) as client:
        connection = client.connection_pool.get_connection()
        connection.send_command("SUBSCRIBE", "a")
        connection.read_response()
        connection.send_command("GET", "k")
        with pytest.raises(redis.ResponseError, match="are allowed in this context"):
            connection.read_response()
        connection.disconnect()
