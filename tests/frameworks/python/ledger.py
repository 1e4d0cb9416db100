"""What was executed, kept outside the server: every process appends lines to a file of its own, and the driver reads all
of them at the end. A job lost or run twice by a queue shows here whatever the queue itself believes."""

import os
import time
from collections import Counter

_files = {}


def note(*words):
    """Notes one execution and when. Written at once, so that a killed process leaves what it did."""
    pid = os.getpid()
    # By process, because frameworks fork after they have loaded the tasks.
    if pid not in _files:
        _files[pid] = os.open(os.path.join(os.environ["LEDGER"], str(pid)), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(_files[pid], f"{' '.join(map(str, words))} {time.time():.6f}\n".encode())


def lines(topic):
    """The words after the topic of every line of all processes, the last one being a time, in order of time."""
    found = []
    directory = os.environ["LEDGER"]
    for name in os.listdir(directory):
        with open(os.path.join(directory, name)) as file:
            for line in file:
                words = line.split()
                if words[:1] == [topic] and line.endswith("\n"):
                    found.append((*words[1:-1], float(words[-1])))
    return sorted(found, key=lambda words: words[-1])


def check_executions(topic, expected):
    """Asserts that each id of `expected` (id -> times) was executed that often, and nothing else was."""
    seen = Counter(words[0] for words in lines(topic))
    wrong = {key: (seen[key], times) for key, times in expected.items() if seen[key] != times}
    assert not wrong, f"{topic}: {len(wrong)} jobs lost or repeated, (seen, expected): {dict(list(wrong.items())[:5])}"
    unknown = seen.keys() - expected.keys()
    assert not unknown, f"{topic}: nobody added {sorted(unknown)[:5]}"
    return len(expected)
