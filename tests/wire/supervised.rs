//! What a supervisor and log rotation have to do with a server: systemd's socket, and SIGHUP.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tidegate_tests::clock::wait_until;
use tidegate_tests::resp::simple;
use tidegate_tests::server::{TestServer, tidegate_binary};

const PATIENCE: Duration = Duration::from_secs(20);

/// A process that is killed when nobody wants it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(status.expect("kill is there").success(), "{name}");
}

/// All that is told until somebody says this.
fn told_until(socket: &UnixDatagram, end: &str) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    let mut buffer = [0; 4096];
    while !told.iter().any(|line| line == end) {
        let read = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {end}: {error}, {told:?}"));
        told.extend(String::from_utf8_lossy(&buffer[..read]).lines().map(str::to_owned));
    }
    told
}

fn start_supervised(dir: &Path, supervised: &str) -> (UnixDatagram, Running) {
    let path = dir.join(format!("notify-{supervised}"));
    let socket = UnixDatagram::bind(&path).expect("the directory is writable");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit for waiting");
    let child = Command::new(tidegate_binary())
        .args(["--port", "0", "--save", "", "--supervised", supervised, "--unixsocket"])
        .arg(dir.join("socket"))
        .arg("--dir")
        .arg(dir)
        .env("NOTIFY_SOCKET", &path)
        .env_remove("UPSTART_JOB")
        .env("WATCHDOG_USEC", "200000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    (socket, Running(child))
}

#[test]
fn systemd_is_told_of_a_life() {
    let dir = std::env::temp_dir().join(format!("tidegate-supervised-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    for supervised in ["systemd", "auto"] {
        let (socket, mut server) = start_supervised(&dir, supervised);
        let told = told_until(&socket, "READY=1");
        assert!(told[0].starts_with("STATUS=") && told[0].ends_with(" is loading..."), "{told:?}");
        assert!(told.contains(&"STATUS=Ready to accept connections".to_owned()), "{told:?}");
        // Clients can connect by then.
        assert!(std::os::unix::net::UnixStream::connect(dir.join("socket")).is_ok());
        told_until(&socket, "WATCHDOG=1");
        signal("-TERM", server.0.id());
        told_until(&socket, "STOPPING=1");
        assert_eq!(server.0.wait().unwrap().code(), Some(0));
    }
    fs::remove_dir_all(&dir).unwrap();
}

/// A log that was moved away goes on in a new file, and a server that is told so says it there.
#[test]
fn a_hangup_is_no_end_and_the_log_goes_on() {
    let mut server = TestServer::tidegate_with(&["--logfile", "own.log"]);
    let (log, moved) = (server.dir().join("own.log"), server.dir().join("own.log.1"));
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    assert!(wait_until(PATIENCE, || read(&log).contains("Ready to accept connections")));
    fs::rename(&log, &moved).unwrap();
    signal("-HUP", server.pid());
    let goes_on = || read(&log).contains("Received SIGHUP: the log goes on in its file");
    assert!(wait_until(PATIENCE, goes_on), "{}", read(&moved));
    assert!(!read(&moved).contains("SIGHUP") && !read(&log).contains("Ready to accept connections"));
    signal("-USR1", server.pid());
    assert_eq!(server.client().line("PING"), simple("PONG"));
    assert!(server.is_alive());
}
