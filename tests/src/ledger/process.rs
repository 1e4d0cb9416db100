//! A server that is going to be killed: started in a directory that stays, without waiting for it if that is asked.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::disk::SlowDisk;
use crate::clock;
use crate::resp::RespClient;

/// How long it may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(60);
/// KiB of address space, so that a mistake does not take the machine down.
const MEMORY_KIB: u64 = 8_000_000;

/// Which server, and where its files are.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The program.
    pub program: PathBuf,
    /// Options as separate words.
    pub options: Vec<String>,
    /// Its working directory.
    pub dir: PathBuf,
}

/// A process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Installed {
    /// A server with its append-only file on, and these options.
    pub fn new(program: &Path, dir: &Path, options: &[&str]) -> Self {
        let mut all: Vec<String> =
            ["--appendonly", "yes", "--save", "", "--bind", "127.0.0.1"].map(String::from).into();
        all.extend(options.iter().map(ToString::to_string));
        Installed { program: program.to_owned(), options: all, dir: dir.to_owned() }
    }

    /// Starts it, on a port that was free, and does not wait for it.
    ///
    /// # Errors
    /// There is no such program, or no process can be made.
    pub fn spawn(&self, disk: Option<&SlowDisk>) -> io::Result<Process> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = self.dir.join("log");
        let out = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new("sh");
        // Replaced by the server, so it is the server that is killed.
        command.args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec \"$@\""), "sh"]).arg(&self.program);
        command.args(&self.options).args(["--port", &port.to_string(), "--dir"]).arg(&self.dir);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).current_dir(&self.dir);
        if let Some(disk) = disk {
            command.envs(disk.environment());
        }
        Ok(Process { child: command.spawn()?, port, log })
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// It ends instead: the error has the end of its log.
    pub fn start(&self, disk: Option<&SlowDisk>) -> io::Result<Process> {
        let mut taken = 0;
        loop {
            let mut process = self.spawn(disk)?;
            match process.wait_until_ready() {
                Ok(()) => return Ok(process),
                // Another process had the port in the meantime.
                Err(_) if taken < 5 && process.log_tail(500).contains("ddress already in use") => taken += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts with nothing.
    ///
    /// # Errors
    /// The directory cannot be emptied.
    pub fn wipe(&self) -> io::Result<()> {
        remove(&self.dir)?;
        fs::create_dir_all(&self.dir)
    }
}

impl Process {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// A connection.
    ///
    /// # Errors
    /// It does not listen.
    pub fn connect(&self) -> io::Result<RespClient> {
        RespClient::connect(self.addr())
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended by itself, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The last bytes of what it and the ones before it said.
    pub fn log_tail(&self, size: usize) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(size)..]).into_owned()
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        let addr = self.addr();
        let mut ended = None;
        let ready = clock::wait_until(START_LIMIT, || {
            ended = self.child.try_wait().ok().flatten();
            ended.is_some() || answers(addr)
        });
        match ended {
            Some(status) => Err(io::Error::other(format!("{status} at start\n{}", self.log_tail(2000)))),
            None if ready => Ok(()),
            None => Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer PING")),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Removes a directory that may be there. Tried again for a while: a child of redis-server goes on with its snapshot when
/// its parent is killed.
///
/// # Errors
/// It cannot be removed.
pub fn remove(dir: &Path) -> io::Result<()> {
    let mut result = Ok(());
    clock::wait_until(START_LIMIT, || {
        result = match fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        result.is_ok()
    });
    result
}

/// True unless it does not listen yet or loads.
fn answers(addr: SocketAddr) -> bool {
    let Ok(mut client) = RespClient::connect(addr) else { return false };
    client.send(&["PING"]).is_ok() && client.read_raw().is_ok_and(|reply| !reply.starts_with(b"-LOADING"))
}
