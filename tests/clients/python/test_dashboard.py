"""The dashboard, panel by panel: Prometheus itself scrapes the server and answers what the panels ask."""

import json
import pathlib
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest
import redis

from conftest import connect

DASHBOARD = pathlib.Path(__file__).resolve().parents[3] / "docs/dashboards/tidegate.json"
PANELS = json.loads(DASHBOARD.read_text())["panels"]

CONFIGURATION = """
global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}
scrape_configs:
  - job_name: tidegate
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def keep_busy(done):
    """What the panels show: hits and misses, errors, keys that expire, limits that admit and refuse."""
    with connect() as client:
        client.execute_command("RL.POLICY", "SET", "api", "FIXED", 2, 60000)
        client.execute_command("RL.POLICY", "SET", "trial", "FIXED", 1, 60000, "SHADOW")
        number = 0
        while not done.wait(0.01):
            number += 1
            client.set(f"key:{number % 100}", "v", px=50)
            client.get(f"key:{number % 100}")
            client.get("nosuch")
            client.execute_command("RL.CHECK", 1, "api", "alice", 1)
            client.execute_command("RL.CHECK", 1, "trial", "bob", 1)
            client.set("text", "v")
            with pytest.raises(redis.ResponseError):
                client.lpush("text", "v")


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Asks a Prometheus that scrapes the server while others use it; the series it answers."""
    directory = tmp_path_factory.mktemp("prometheus")
    metrics_port, port = free_port(), free_port()
    with connect() as client:
        if "tidegate_version" not in client.info("server"):
            pytest.skip("redis-server has no port for figures")
        client.flushall()
        client.config_set("metrics-port", metrics_port)
        client.config_set("maxmemory", "1gb")
        client.config_set("appendonly", "yes")
    (directory / "prometheus.yml").write_text(CONFIGURATION.format(port=metrics_port))
    with open(directory / "log", "w") as log:
        prometheus = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={directory}/prometheus.yml",
                f"--storage.tsdb.path={directory}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    done = threading.Event()
    busy = threading.Thread(target=keep_busy, args=(done,))
    busy.start()

    def ask(query):
        text = urllib.parse.urlencode({"query": query})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{text}", timeout=10) as answer:
                return json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # It starts.
                return []
            pytest.fail(f"{query}: {error.read().decode()}")
        except urllib.error.URLError:
            assert prometheus.poll() is None, (directory / "log").read_text()
            return []

    yield ask
    done.set()
    busy.join()
    prometheus.terminate()
    prometheus.wait()
    with connect() as client:
        client.config_set("metrics-port", 0)
        client.config_set("maxmemory", 0)
        client.config_set("appendonly", "no")


@pytest.mark.parametrize(
    "query",
    [target["expr"] for panel in PANELS for target in panel["targets"]],
)
def test_a_panel_has_something_to_show(ask, until, query):
    query = query.replace("$__rate_interval", "10s").replace("$instance", ".*")
    series = until(lambda: ask(query), seconds=60)
    assert all(len(one["value"]) == 2 for one in series)


def test_figures_move(ask, until):
    """A rate that is always nothing would be shown as well."""
    for metric in [
        "tidegate_total_commands_processed_total",
        'tidegate_command_calls_total{cmd="set"}',
        "tidegate_keyspace_hits_total",
        "tidegate_keyspace_misses_total",
        "tidegate_expired_keys_total",
        'tidegate_errors_total{code="WRONGTYPE"}',
        "tidegate_total_net_output_bytes_total",
        'native_rl_denied_total{policy="api"}',
        'native_rl_shadow_denied_total{policy="trial"}',
    ]:
        moves = lambda: [one for one in ask(f"rate({metric}[10s])") if float(one["value"][1]) > 0]
        until(moves, seconds=60)


def test_instances_can_be_chosen(ask, until):
    assert until(lambda: ask("group by (instance) (tidegate_connected_clients)"), seconds=60)
