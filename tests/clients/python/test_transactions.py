"""Pipelines and MULTI/EXEC/WATCH as redis-py drives them."""

import pytest
import redis


def test_a_pipeline_answers_in_order(r):
    with r.pipeline(transaction=False) as pipe:
        for number in range(10_000):
            pipe.set(f"k{number}", number)
            pipe.get(f"k{number}")
        answers = pipe.execute()
    assert answers[1::2] == [str(number) for number in range(10_000)]


def test_an_error_in_a_pipeline_spares_the_others(r):
    with r.pipeline(transaction=False) as pipe:
        answers = pipe.set("k", "text").incr("k").get("k").execute(raise_on_error=False)
    assert answers[0] is True and answers[2] == "text"
    assert isinstance(answers[1], redis.ResponseError)


def test_a_transaction_is_applied_as_a_whole(r):
    with r.pipeline() as pipe:
        assert pipe.set("a", 1).incrby("a", 9).get("a").execute() == [True, 10, "10"]


def test_an_empty_transaction(r):
    r.execute_command("MULTI")
    assert r.execute_command("EXEC") == []


def test_a_command_that_cannot_be_queued_aborts(r):
    with r.pipeline() as pipe:
        pipe.set("a", 1)
        pipe.execute_command("NOSUCHCOMMAND", "x")
        with pytest.raises(redis.ResponseError, match="unknown command"):
            pipe.execute()
    assert r.exists("a") == 0


def test_a_runtime_error_does_not_roll_back(r):
    r.set("s", "text")
    with r.pipeline() as pipe:
        answers = pipe.set("a", 1).incr("s").set("b", 2).execute(raise_on_error=False)
    assert isinstance(answers[1], redis.ResponseError)
    assert r.mget("a", "b") == ["1", "2"]


def test_watch_sees_a_change_by_another_client(r, other):
    r.set("k", 1)
    with r.pipeline() as pipe:
        pipe.watch("k")
        other.set("k", 2)
        pipe.multi()
        pipe.set("k", 3)
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert r.get("k") == "2"


def test_watch_of_an_untouched_key(r, other):
    r.set("k", 1)
    with r.pipeline() as pipe:
        pipe.watch("k")
        other.set("unrelated", 2)
        pipe.multi()
        pipe.incr("k")
        assert pipe.execute() == [2]


def test_transaction_retries_until_it_wins(r, other):
    attempts = []

    def increment(pipe):
        value = int(pipe.get("k") or 0)
        if not attempts:
            other.set("k", 10)
        attempts.append(value)
        pipe.multi()
        pipe.set("k", value + 1)

    r.transaction(increment, "k")
    assert attempts == [0, 10]
    assert r.get("k") == "11"


def test_discard(r):
    with r.pipeline() as pipe:
        pipe.set("k", 1)
        pipe.reset()
    assert r.exists("k") == 0
