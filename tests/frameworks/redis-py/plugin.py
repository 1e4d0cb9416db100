"""Loaded into redis-py's test session: leaves out what only costs time or the whole report, and changes no case."""

import os
import sys
import tracemalloc

import pytest
import pytest_timeout

# The suite's conftest traces every allocation, which makes it three times as slow.
tracemalloc.start = lambda *_: None
tracemalloc.stop = lambda: None


@pytest.hookimpl
def pytest_timeout_set_timer(item, settings):
    """Some cases ask for a limit of five seconds that ends the whole session: here it ends the case, and later."""
    patient = settings._replace(timeout=max(settings.timeout, 60), method="signal")
    return pytest_timeout.pytest_timeout_set_timer(item, patient)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    """Some cases ask the list of modules whether there are sketches, which Tidegate has without one."""
    if os.environ.get("SERVER_HAS_SKETCHES"):
        sys.modules["tests.conftest"].REDIS_INFO["modules"] = [{"name": "bf", "ver": 80000}]
