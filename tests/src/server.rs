//! Starts real server processes for tests: on a free loopback port and a unix socket, with a directory of their own,
//! stopped by process id when dropped. It does not build anything: the binary must exist.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::clock;
use crate::resp::RespClient;

/// Where the reference implementation is installed.
pub const REDIS_SERVER: &str = "/usr/bin/redis-server";

/// How long a fresh process may take until it answers PING.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Ports that are tried when others take them.
const PORTS_MAX: u32 = 5;

/// A running server process with a scratch directory; killed and cleaned up on drop.
pub struct TestServer {
    child: Child,
    program: PathBuf,
    options: Vec<String>,
    port: u16,
    dir: PathBuf,
}

impl TestServer {
    /// Starts Tidegate with persistence off.
    pub fn tidegate() -> Self {
        Self::tidegate_with(&[])
    }

    /// Starts Tidegate with more `--name value` options, given as separate words. The first may be a configuration file.
    pub fn tidegate_with(options: &[&str]) -> Self {
        Self::start(&tidegate_binary(), options)
            .unwrap_or_else(|error| panic!("tidegate does not start: {error}"))
    }

    /// Starts Redis with persistence off.
    pub fn redis() -> Self {
        Self::redis_with(&[])
    }

    /// Starts Redis with more `--name value` options, given as separate words.
    pub fn redis_with(options: &[&str]) -> Self {
        Self::start(Path::new(REDIS_SERVER), options)
            .unwrap_or_else(|error| panic!("redis-server does not start: {error}"))
    }

    /// Starts any server that understands Redis' command line.
    ///
    /// Another process can take the free port between probing and binding, so a few ports are tried.
    pub fn start(program: &Path, options: &[&str]) -> io::Result<Self> {
        let dir = scratch_dir()?;
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let mut failure = io::Error::other("no port tried");
        for _ in 0..5 {
            match spawn(program, &options, &dir, is_loaded) {
                Ok((child, port)) => {
                    return Ok(Self { child, program: program.to_owned(), options, port, dir });
                }
                Err(error) => failure = error,
            }
        }
        let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
        let _ = fs::remove_dir_all(&dir);
        Err(io::Error::other(format!("{}: {failure}\n{log}", program.display())))
    }

    /// The loopback address it listens on.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// `redis://` address for client libraries.
    pub fn url(&self) -> String {
        format!("redis://{}/", self.addr())
    }

    /// The unix socket it listens on.
    pub fn unix_path(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// The working directory of the process (persistence files, log).
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Everything the process has written to its output so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Resident memory of the process in bytes.
    pub fn resident_size(&self) -> u64 {
        self.status_size("VmRSS:")
    }

    /// The most memory the process has had so far, in bytes.
    pub fn peak_size(&self) -> u64 {
        self.status_size("VmHWM:")
    }

    fn status_size(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or("0");
        line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// A raw client on TCP.
    pub fn client(&self) -> RespClient {
        RespClient::connect(self.addr())
            .unwrap_or_else(|error| panic!("cannot connect: {error}\n{}", self.log()))
    }

    /// A raw client on the unix socket.
    pub fn unix_client(&self) -> RespClient {
        RespClient::connect_unix(&self.unix_path())
            .unwrap_or_else(|error| panic!("cannot connect: {error}\n{}", self.log()))
    }

    /// Kills the process if it still runs and starts it again in the same directory with the same options.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        let (child, port) = spawn(&self.program, &self.options, &self.dir, is_loaded)?;
        self.child = child;
        self.port = port;
        Ok(())
    }

    /// The same with more options from now on, and it may still be loading its data set when this returns.
    pub fn restart_loading(&mut self, options: &[&str]) -> io::Result<()> {
        self.kill();
        self.options.extend(options.iter().map(ToString::to_string));
        let (child, port) = spawn(&self.program, &self.options, &self.dir, |_| true)?;
        self.child = child;
        self.port = port;
        Ok(())
    }

    /// Waits until the process has ended by itself; its exit code, if that is what it ended with in time.
    pub fn exit_code(&mut self, limit: Duration) -> Option<i32> {
        clock::wait_until(limit, || !self.is_alive());
        self.child.try_wait().ok().flatten()?.code()
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!(
                "--- log of {} (kept in {}) ---\n{}",
                self.program.display(),
                self.dir.display(),
                self.log()
            );
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Finds the server under test: `TIDEGATE_BIN`, else a `tidegate` beside the running test executable or in the
/// `release` or `debug` directory of the same target directory.
pub fn tidegate_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TIDEGATE_BIN") {
        return PathBuf::from(path);
    }
    let exe = std::env::current_exe().expect("a test executable has a path");
    exe.ancestors()
        .skip(1)
        .take(3)
        .flat_map(|dir| [dir.join("tidegate"), dir.join("release/tidegate"), dir.join("debug/tidegate")])
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("no tidegate binary near {}: build it or set TIDEGATE_BIN", exe.display()))
}

/// Starts a process and waits until `is_ready` says so of its first reply. Somebody else may take a free port before the
/// process does: then with another.
fn spawn(
    program: &Path,
    options: &[String],
    dir: &Path,
    is_ready: fn(&[u8]) -> bool,
) -> io::Result<(Child, u16)> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let started = spawn_at(port, program, options, dir, is_ready);
        let is_taken =
            || fs::read_to_string(dir.join("log")).is_ok_and(|log| log.contains("Address already in use"));
        if started.is_ok() || attempts == PORTS_MAX || !is_taken() {
            return started.map(|child| (child, port));
        }
    }
}

fn spawn_at(
    port: u16,
    program: &Path,
    options: &[String],
    dir: &Path,
    is_ready: fn(&[u8]) -> bool,
) -> io::Result<Child> {
    let log = fs::File::create(dir.join("log"))?;
    let socket = dir.join("socket");
    // That of a process which was killed.
    let _ = fs::remove_file(&socket);
    // A file comes first, or is none.
    let of_file = options.iter().take_while(|option| !option.starts_with("--")).count().min(1);
    let (file, options) = options.split_at(of_file);
    let mut child = Command::new(program)
        .args(file)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(dir)
        .arg("--unixsocket")
        .arg(&socket)
        .args(options)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .current_dir(dir)
        .spawn()?;
    // Whoever has taken the port meanwhile would answer there as well: only the socket is this process's own, and it opens
    // that behind the port.
    let ready = clock::wait_until(START_LIMIT, || {
        matches!(child.try_wait(), Ok(Some(_))) || (socket.exists() && answers(port, is_ready))
    });
    match child.try_wait()? {
        Some(status) => Err(io::Error::other(format!("exited at start: {status}"))),
        None if ready => Ok(child),
        None => {
            let _ = child.kill();
            let _ = child.wait();
            Err(io::Error::new(io::ErrorKind::TimedOut, "does not answer PING"))
        }
    }
}

/// Any reply to PING other than "loading" means that the server is up (a password makes it answer NOAUTH).
fn is_loaded(reply: &[u8]) -> bool {
    !reply.starts_with(b"-LOADING")
}

fn answers(port: u16, is_ready: fn(&[u8]) -> bool) -> bool {
    let Ok(mut client) = RespClient::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) else {
        return false;
    };
    client.send(&["PING"]).is_ok() && client.read_raw().is_ok_and(is_ready)
}

fn scratch_dir() -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("tidegate-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    Ok(dir)
}
