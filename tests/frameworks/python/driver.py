"""What the Python drivers share: where the server is, worker processes, waiting, and the report that
tests/frameworks/run counts."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import traceback

PORT = int(os.environ["REDIS_PORT"])
JOBS = int(os.environ.get("JOBS", "1000"))
HERE = os.path.dirname(os.path.abspath(__file__))


def until(what, condition, seconds=150):
    """Waits until the condition is True; what it last saw is in the failure."""
    deadline = time.monotonic() + seconds
    while (seen := condition()) is not True:
        assert time.monotonic() < deadline, f"{what}: still {seen!r} after {seconds} s"
        time.sleep(0.02)


def python(*arguments, **environment):
    """Starts a Python process of this environment in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": HERE, "PYTHONUNBUFFERED": "1", **environment},
        start_new_session=True,
        stdout=sys.stderr,
    )


def end(process, seconds=20):
    """Asks for an end, insists after a while, and leaves no child of it behind."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def running(*processes):
    """Ends them when the block ends. One that has ended by itself by then has failed."""
    try:
        yield processes
        dead = [process.args for process in processes if process.poll() not in (None, 0, -signal.SIGKILL)]
        assert not dead, f"ended before their time: {dead}"
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in processes:
            end(process)


def main(*checks):
    """Runs checks one after the other, prints `ok <name>: <figures>` for each; the first failure ends it with 1."""
    only = os.environ.get("ONLY")
    for check in checks:
        if only and only != check.__name__:
            continue
        started = time.monotonic()
        try:
            figures = check()
        except BaseException:
            traceback.print_exc()
            sys.exit(1)
        print(f"ok {check.__name__}: {figures} ({time.monotonic() - started:.1f} s)", flush=True)
