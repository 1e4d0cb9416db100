"""Connecting, and the commands about the connection, the server and its configuration."""

import datetime

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from conftest import PORT, connect


def test_hello(protocol):
    with connect(protocol=protocol) as client:
        told = client.execute_command("HELLO", protocol)
    told = dict(zip(told[::2], told[1::2])) if isinstance(told, list) else told
    assert told["proto"] == protocol
    assert told["mode"] == "standalone"
    assert told["role"] == "master"
    assert told["id"] > 0


def test_hello_refuses_an_unknown_version(r):
    with pytest.raises(redis.ResponseError, match="NOPROTO"):
        r.execute_command("HELLO", 4)


def test_ping_and_echo(r):
    assert r.ping() is True
    assert r.echo("hi") == "hi"


def test_a_url_with_database_and_name(protocol):
    with redis.from_url(f"redis://127.0.0.1:{PORT}/3?protocol={protocol}", client_name="by-url") as client:
        assert client.client_getname() in ("by-url", b"by-url")
        assert client.client_info()["db"] == "3" or client.client_info()["db"] == 3


def test_client_commands(r, other):
    assert r.client_setname("first") is True
    assert r.client_getname() == "first"
    assert r.client_id() != other.client_id()
    other.client_setname("second")
    names = {client["name"] for client in r.client_list()}
    assert {"first", "second"} <= names
    assert r.client_info()["name"] == "first"
    assert r.client_kill_filter(_id=other.client_id()) == 1
    assert r.client_no_evict("ON") in ("OK", True)
    assert r.client_pause(1) is True
    assert r.client_unpause() in (b"OK", "OK", True)
    with pytest.raises(redis.ResponseError):
        r.client_setname("no spaces please")


def test_client_reply(protocol):
    with connect(protocol=protocol) as client:
        connection = client.connection_pool.get_connection()
        try:
            connection.send_command("CLIENT", "REPLY", "OFF")
            connection.send_command("PING")
            connection.send_command("CLIENT", "REPLY", "ON")
            assert connection.read_response() == "OK"
        finally:
            client.connection_pool.release(connection)


def test_info(r):
    everything = r.info()
    assert everything["redis_version"].startswith("7.")
    assert everything["tcp_port"] == PORT
    assert everything["role"] == "master"
    assert everything["connected_clients"] >= 1
    assert r.info("memory")["used_memory"] > 0
    r.set("k", "v", ex=100)
    keyspace = r.info("keyspace")["db0"]
    assert keyspace["keys"] == 1 and keyspace["expires"] == 1 and keyspace["avg_ttl"] >= 0
    assert "cmdstat_set" in r.info("commandstats")
    assert set(r.info("clients", "stats")) >= {"connected_clients", "total_commands_processed"}


def test_config(r):
    assert r.config_get("maxmemory")["maxmemory"] == "0"
    assert {"maxmemory", "maxmemory-policy"} <= set(r.config_get("maxmemory*"))
    assert r.config_set("maxmemory-policy", "allkeys-lru") is True
    assert r.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
    assert r.config_set("maxmemory-policy", "noeviction", "slowlog-max-len", "77") is True
    assert r.config_get("slowlog-max-len", "maxmemory-policy") == {"slowlog-max-len": "77", "maxmemory-policy": "noeviction"}
    r.config_set("slowlog-max-len", 128)
    with pytest.raises(redis.ResponseError, match="Unknown option or number of arguments for CONFIG SET - 'nonsense'"):
        r.config_set("nonsense", 1)
    assert r.config_resetstat() is True


def test_command_introspection(r):
    assert r.command_count() > 60
    assert "get" in r.command()
    assert r.command_getkeys("SET", "k", "v") == ["k"]
    assert "config|get" in r.command_list()


def test_slowlog(r):
    r.config_set("slowlog-log-slower-than", 0)
    r.slowlog_reset()
    r.set("slow", "enough")
    entry = next(entry for entry in r.slowlog_get(10) if "slow" in str(entry["command"]))
    r.config_set("slowlog-log-slower-than", 10_000)
    assert entry["duration"] >= 0
    assert r.slowlog_len() > 0


def test_time_and_lastsave(r):
    seconds, microseconds = r.time()
    assert abs(seconds - datetime.datetime.now().timestamp()) < 5
    assert 0 <= microseconds < 1_000_000


def test_latency(r):
    assert r.latency_latest() == []
    assert r.latency_reset() == 0
    assert r.latency_history("command") == []


def test_monitor(r, other):
    with r.monitor() as monitor:
        other.set("watched", "by monitor")
        for _ in range(20):
            told = monitor.next_command()
            if told["command"] == "SET watched by monitor":
                break
        else:
            pytest.fail("MONITOR did not show the SET")
    assert told["db"] == 0
    assert told["client_address"] == "127.0.0.1"


def test_reset_clears_the_connection(protocol):
    with connect(protocol=protocol, single_connection_client=True) as client:
        client.execute_command("CLIENT", "SETNAME", "x")
        client.execute_command("MULTI")
        assert client.execute_command("RESET") in ("RESET", b"RESET")


def test_unknown_commands_are_named(r):
    with pytest.raises(redis.ResponseError, match="unknown command 'FROBNICATE', with args beginning with: 'a' 'b'"):
        r.execute_command("FROBNICATE", "a", "b")
    with pytest.raises(redis.ResponseError, match="wrong number of arguments for 'get' command"):
        r.execute_command("GET")
    with pytest.raises(redis.ResponseError, match="unknown subcommand 'nope'. Try CLIENT HELP."):
        r.execute_command("CLIENT", "nope")


def test_five_hundred_connections_at_once(protocol):
    clients = [connect(protocol=protocol) for _ in range(500)]
    try:
        assert all(client.ping() for client in clients)
    finally:
        for client in clients:
            client.close()


def test_a_password_asked_for_while_running(r, protocol):
    r.config_set("requirepass", "secret")
    try:
        with connect(protocol=protocol, password="secret") as welcome:
            assert welcome.ping() is True
        # By default redis-py tries again for seconds before it reports the refusal.
        once = {"protocol": protocol, "retry": Retry(NoBackoff(), 0)}
        with connect(**once, password="wrong") as refused, pytest.raises(redis.AuthenticationError):
            refused.ping()
        with connect(**once) as silent, pytest.raises((redis.AuthenticationError, redis.ResponseError)):
            silent.ping()
    finally:
        r.config_set("requirepass", "")
