"""Connections for the redis-py checks. tests/clients/with-server starts the server and sets REDIS_PORT."""

import os
import time

import pytest
import redis

PORT = int(os.environ["REDIS_PORT"])


def connect(**options):
    return redis.Redis(host="127.0.0.1", port=PORT, **{"decode_responses": True, **options})


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def protocol(request):
    return request.param


@pytest.fixture
def r(protocol):
    """A client of an empty server, once per protocol version."""
    with connect(protocol=protocol) as client:
        client.flushall()
        yield client


@pytest.fixture
def other(r, protocol):
    """A second connection to the same server."""
    with connect(protocol=protocol) as client:
        yield client


@pytest.fixture
def until():
    """Waits for a condition; what it last saw is in the failure."""

    def wait(condition, seconds=10):
        deadline = time.monotonic() + seconds
        while not (seen := condition()):
            assert time.monotonic() < deadline, f"still {seen!r} after {seconds} s"
            time.sleep(0.005)
        return seen

    return wait
