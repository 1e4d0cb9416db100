//! `metrics-port`: figures for Prometheus over HTTP.

use crate::transcript::show;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use tidegate_tests::clock::wait_until;
use tidegate_tests::server::TestServer;

pub(crate) struct Scraped {
    pub(crate) server: TestServer,
    port: u16,
}

fn free_port() -> u16 {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    probe.local_addr().expect("it is bound").port()
}

fn scraped() -> Scraped {
    scraped_with(&[])
}

/// A server that serves its figures.
pub(crate) fn scraped_with(options: &[&str]) -> Scraped {
    let port = free_port();
    let metrics_port = port.to_string();
    let own = ["--bind", "127.0.0.1", "--metrics-port", &metrics_port];
    Scraped { server: TestServer::tidegate_with(&[&own, options].concat()), port }
}

impl Scraped {
    /// Sends these bytes and returns all that comes until the server closes.
    fn send(&self, request: &str) -> String {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut socket =
            TcpStream::connect_timeout(&address, Duration::from_secs(5)).expect("somebody listens");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit for reading");
        socket.write_all(request.as_bytes()).expect("the request is taken");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).expect("an answer and an end");
        String::from_utf8(answer).expect("text")
    }

    pub(crate) fn get(&self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
    }

    fn figure(&self, name: &str) -> Option<f64> {
        let page = self.get("/metrics");
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(|value| value.parse().expect("a number"))
    }
}

#[test]
fn figures_follow_what_happens() {
    let scraped = scraped();
    let mut client = scraped.server.client();
    let page = scraped.get("/metrics");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("content-type: application/openmetrics-text; version=1.0.0"), "{page}");
    assert!(page.ends_with("# EOF\n"), "{page}");
    assert_eq!(scraped.figure("tidegate_db_keys{db=\"0\"}"), None);
    client.line("SET a 1");
    client.line("SET b 1 EX 100");
    client.line("GET a");
    client.line("GET nosuch");
    client.line("LPUSH a 1");
    client.line("RL.POLICY SET api FIXED 1 60000");
    client.line("RL.CHECK 1 api k 1");
    client.line("RL.CHECK 1 api k 1");
    for (name, value) in [
        ("tidegate_db_keys{db=\"0\"}", 3.0),
        ("tidegate_db_expiring_keys{db=\"0\"}", 2.0),
        ("tidegate_keyspace_hits_total", 1.0),
        ("tidegate_keyspace_misses_total", 1.0),
        ("tidegate_command_calls_total{cmd=\"set\"}", 2.0),
        ("tidegate_command_failed_calls_total{cmd=\"lpush\"}", 1.0),
        ("tidegate_errors_total{code=\"WRONGTYPE\"}", 1.0),
        ("native_rl_allowed_total{policy=\"api\"}", 1.0),
        ("native_rl_denied_total{policy=\"api\"}", 1.0),
        ("tidegate_connected_clients", 1.0),
    ] {
        assert_eq!(scraped.figure(name), Some(value), "{name}");
    }
}

/// Every number that `INFO everything` tells is a sample, too.
#[test]
fn no_figure_of_info_is_missing() {
    let scraped = scraped();
    let mut client = scraped.server.client();
    client.line("SET a 1");
    let info = client.line("INFO everything").text();
    let page = scraped.get("/metrics");
    let mut seen = 0;
    for (name, value) in info.lines().filter_map(|line| line.split_once(':')) {
        if value.trim().parse::<f64>().is_ok_and(f64::is_finite) && !name.starts_with("redis_git") {
            let samples = [format!("\ntidegate_{name} "), format!("\ntidegate_{name}_total ")];
            let samples_total = format!("\ntidegate_{} ", name.replace("_total", ""));
            let is_there =
                samples.iter().any(|sample| page.contains(sample)) || page.contains(&samples_total);
            assert!(is_there, "{name} is not in\n{page}");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} figures in\n{info}");
}

#[test]
fn who_asks_for_something_else_is_told() {
    let scraped = scraped();
    assert!(scraped.get("/livez").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(scraped.get("/readyz").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(scraped.get("/").starts_with("HTTP/1.1 404 Not Found\r\n"));
    let posted =
        scraped.send("POST /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    assert!(posted.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{posted}");
    assert!(scraped.send("\u{1}\r\n\r\n").starts_with("HTTP/1.1 400 Bad Request\r\n"));
    // Whoever sends half a request and waits is cut off, and others are served meanwhile.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, scraped.port));
    let mut slow = TcpStream::connect(address).unwrap();
    slow.write_all(b"GET /metrics HT").unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(scraped.get("/livez").starts_with("HTTP/1.1 200 OK\r\n"));
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
}

#[test]
fn the_port_changes_while_the_server_runs() {
    let mut scraped = scraped();
    let mut client = scraped.server.client();
    assert!(scraped.get("/livez").starts_with("HTTP/1.1 200 OK\r\n"));
    let (old, new) = (scraped.port, free_port());
    assert_eq!(client.line(&format!("CONFIG SET metrics-port {new}")).text(), "OK");
    scraped.port = new;
    assert!(scraped.get("/livez").starts_with("HTTP/1.1 200 OK\r\n"));
    let is_closed = || TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, old))).is_err();
    assert!(wait_until(Duration::from_secs(10), is_closed), "the old port is open");
    // A port that somebody else has is refused, and the one before is served on.
    let taken = scraped.server.addr().port();
    let refused = show(&client.line(&format!("CONFIG SET metrics-port {taken}")));
    assert!(refused.contains("Unable to listen on this port"), "{refused}");
    assert!(scraped.get("/livez").starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(client.line("CONFIG SET metrics-port 0").text(), "OK");
    let is_closed = || TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, new))).is_err();
    assert!(wait_until(Duration::from_secs(10), is_closed), "the port is open");
}

#[test]
fn a_port_that_is_taken_is_an_error_at_the_start() {
    let scraped = scraped();
    let options = ["--bind", "127.0.0.1", "--metrics-port", &scraped.port.to_string()];
    let refused = TestServer::start(&tidegate_tests::server::tidegate_binary(), &options);
    assert!(refused.is_err());
}

/// Whatever the dashboard asks for is there.
#[test]
fn the_dashboard_asks_for_what_there_is() {
    let scraped = scraped_with(&["--appendonly", "yes"]);
    let mut client = scraped.server.client();
    client.line("SET a 1");
    client.line("LPUSH a 1");
    let page = scraped.get("/metrics");
    let dashboard = include_str!("../../docs/dashboards/tidegate.json");
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = dashboard
        .split(|c| !is_name(c))
        .filter(|word| word.starts_with("tidegate_") || word.starts_with("native_"));
    let mut seen = 0;
    for name in names {
        let is_there =
            page.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| !rest.starts_with(is_name)));
        assert!(is_there, "{name} is not in\n{page}");
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}
