//! Servers under measurement: started on a free loopback port in a scratch directory, pinned, paused while another one
//! is measured, and stopped by process id on every way out: end of scope, error, panic, Ctrl-C and termination.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{cores, machine, now};

/// A server that does not answer PING for this long after its start has failed.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Another program may take the port between our look and the server's bind.
const START_ATTEMPTS: usize = 5;

/// How to start one server.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// As the report names it.
    pub name: String,
    pub program: PathBuf,
    /// `{port}` and `{dir}` are replaced.
    pub arguments: Vec<String>,
    pub cores: Vec<usize>,
}

impl Recipe {
    /// A server which takes Redis' options: `extra` goes behind port, address and persistence off.
    pub fn redis_like(name: &str, program: &Path, cores: &[usize], extra: &[&str]) -> Self {
        let usual =
            ["--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "{dir}"];
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            arguments: usual.iter().chain(extra).map(|&argument| argument.to_owned()).collect(),
            cores: cores.to_vec(),
        }
    }

    /// Reads `name=/path[:arguments]`. Arguments that name `{port}` replace the Redis-like ones, others are added.
    pub fn parse(text: &str, cores: &[usize]) -> Result<Self, String> {
        let wrong = || format!("`{text}`: write name=/path/to/server[:arguments]");
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let (program, arguments) = rest.split_once(':').unwrap_or((rest, ""));
        if name.is_empty() || program.is_empty() {
            return Err(wrong());
        }
        let words: Vec<&str> =
            arguments.split_whitespace().map(|word| if word == "\"\"" { "" } else { word }).collect();
        let mut recipe = Self::redis_like(name, &machine::absolute(Path::new(program)), cores, &words);
        if arguments.contains("{port}") {
            recipe.arguments = words.into_iter().map(str::to_owned).collect();
        }
        Ok(recipe)
    }
}

/// A running server; dropping it kills it and removes its directory.
pub struct Server {
    pub name: String,
    pub address: SocketAddr,
    /// Where its log and its files are, for as long as it runs.
    pub directory: PathBuf,
    child: Tracked,
}

impl Server {
    /// Starts the server and waits until it answers PING.
    pub fn start(recipe: &Recipe) -> io::Result<Self> {
        Self::start_within(recipe, START_LIMIT)
    }

    /// The same for a server that may have much to load.
    pub fn start_within(recipe: &Recipe, limit: Duration) -> io::Result<Self> {
        let mut failure = io::Error::other("not started");
        for _ in 0..START_ATTEMPTS {
            match Self::attempt(recipe, limit) {
                Ok(server) => return Ok(server),
                Err(error) => failure = error,
            }
        }
        Err(io::Error::new(failure.kind(), format!("{}: {failure}", recipe.name)))
    }

    fn attempt(recipe: &Recipe, limit: Duration) -> io::Result<Self> {
        let port = free_port()?;
        let directory = std::env::temp_dir().join(format!("tidegate-bench-{}-{port}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let log_path = directory.join("log");
        let log = File::create(&log_path)?;
        let mut command = command_dying_with_us(&recipe.program);
        let shown = directory.display().to_string();
        let fill = |argument: &String| argument.replace("{port}", &port.to_string()).replace("{dir}", &shown);
        command.args(recipe.arguments.iter().map(fill)).current_dir(&directory);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A child inherits the affinity of the thread that starts it.
        let ours = cores::allowed()?;
        cores::pin(&recipe.cores)?;
        let started = Tracked::start(&mut command, Some(directory.clone()));
        cores::pin(&ours)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Self { name: recipe.name.clone(), address, directory, child: started? };
        server.wait_ready(&log_path, limit)?;
        Ok(server)
    }

    fn wait_ready(&mut self, log: &Path, limit: Duration) -> io::Result<()> {
        let deadline = now() + limit;
        while now() < deadline {
            if let Some(status) = self.child.exited()? {
                let said = fs::read_to_string(log).unwrap_or_default();
                let last: Vec<&str> = said.lines().rev().take(5).collect();
                let last = last.into_iter().rev().collect::<Vec<_>>().join(" | ");
                return Err(io::Error::other(format!("ended at its start ({status}): {last}")));
            }
            if self.ping().is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "does not answer PING"))
    }

    /// Sends one PING on a connection of its own and wants +PONG.
    pub fn ping(&self) -> io::Result<()> {
        ping_on(&mut TcpStream::connect_timeout(&self.address, Duration::from_secs(1))?)
    }

    pub fn process_id(&self) -> u32 {
        self.child.id
    }

    /// Stops the server's threads from running (SIGSTOP) so that it cannot disturb the one being measured.
    pub fn pause(&self) -> io::Result<()> {
        Ok(kill_process(self.child.pid(), Signal::STOP)?)
    }

    /// Lets a paused server run again and waits until it answers.
    pub fn resume(&self) -> io::Result<()> {
        kill_process(self.child.pid(), Signal::CONT)?;
        let deadline = now() + START_LIMIT;
        loop {
            match self.ping() {
                Err(error) if now() >= deadline => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(1)),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Resident memory in bytes, from /proc.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        self.status_bytes("VmRSS:")
    }

    /// The most resident memory it has had, in bytes.
    pub fn peak_bytes(&self) -> io::Result<u64> {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, field: &str) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib =
            line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other(format!("no {field} in /proc")))
    }

    /// Processor time the server has used so far, user and kernel, all threads.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id))?;
        // The second field is the program's name in parentheses and may hold spaces; utime and stime are 14 and 15.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }
}

/// Sends one PING and wants +PONG within a second.
pub fn ping_on(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"*1\r\n$4\r\nPING\r\n")?;
    let mut reply = [0; 7];
    stream.read_exact(&mut reply)?;
    if reply == *b"+PONG\r\n" { Ok(()) } else { Err(io::Error::other("the answer to PING is not PONG")) }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// `program`, under setpriv(1) where there is one, so that it dies even if this process is killed outright.
fn command_dying_with_us(program: &Path) -> Command {
    let setpriv = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|dir| dir.join("setpriv")).find(|file| file.is_file())
    });
    let Some(setpriv) = setpriv else {
        return Command::new(program);
    };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// A child process that is killed with this one; its scratch directory goes with it.
pub struct Tracked {
    child: Child,
    id: u32,
}

struct Entry {
    id: u32,
    directory: Option<PathBuf>,
}

static LIVE: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

impl Tracked {
    /// Starts `command`; `directory` is removed when the child is gone.
    pub fn start(command: &mut Command, directory: Option<PathBuf>) -> io::Result<Self> {
        kill_children_on_every_exit();
        // Under the lock, so that no way out can miss a child between its start and its entry.
        let mut live = live();
        let child = command.spawn()?;
        let id = child.id();
        live.push(Entry { id, directory });
        Ok(Self { child, id })
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Everything the child writes to its piped standard output, and how it ended.
    pub fn output(mut self) -> io::Result<(String, ExitStatus)> {
        let mut text = String::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_string(&mut text)?;
        }
        let status = self.child.wait()?;
        Ok((text, status))
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        // Fails only for a child that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut live = live();
        if let Some(position) = live.iter().position(|entry| entry.id == self.id) {
            live.swap_remove(position).remove_directory();
        }
    }
}

impl Entry {
    fn remove_directory(self) {
        if let Some(directory) = self.directory
            && let Err(error) = fs::remove_dir_all(&directory)
        {
            eprintln!("{} is left behind: {error}", directory.display());
        }
    }
}

fn live() -> MutexGuard<'static, Vec<Entry>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills what still runs, through the lock held by the caller.
fn kill_all(mut live: MutexGuard<'_, Vec<Entry>>) {
    for entry in live.drain(..) {
        if let Some(pid) = i32::try_from(entry.id).ok().and_then(Pid::from_raw) {
            // Fails only for a child that has ended already.
            let _ = kill_process(pid, Signal::KILL);
        }
        entry.remove_directory();
    }
}

/// Installs, once, what stops the children where destructors do not run: on signals, and on a panic, which aborts.
fn kill_children_on_every_exit() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            usual(panic);
            // Not a blocking lock: the panicking thread itself may hold it.
            match LIVE.try_lock() {
                Ok(live) => kill_all(live),
                Err(std::sync::TryLockError::Poisoned(poisoned)) => kill_all(poisoned.into_inner()),
                Err(std::sync::TryLockError::WouldBlock) => {}
            }
        }));
        match Signals::new([SIGINT, SIGTERM, SIGHUP]) {
            Ok(mut signals) => {
                thread::spawn(move || {
                    if let Some(signal) = signals.forever().next() {
                        kill_all(live());
                        std::process::exit(128 + signal);
                    }
                });
            }
            Err(error) => eprintln!("servers will not be stopped on Ctrl-C: {error}"),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_servers_read_as_name_path_and_arguments() {
        let added = Recipe::parse("valkey=/opt/valkey-server:--io-threads 2", &[0]).expect("valid");
        assert_eq!(
            (added.name.as_str(), added.program.as_path()),
            ("valkey", Path::new("/opt/valkey-server"))
        );
        assert!(added.arguments.ends_with(&["--io-threads".to_owned(), "2".to_owned()]));
        assert_eq!(added.arguments[..2], ["--port", "{port}"]);
        let replaced = Recipe::parse("x=/opt/x:--listen {port} --file \"\"", &[0]).expect("valid");
        assert_eq!(replaced.arguments, ["--listen", "{port}", "--file", ""]);
        for wrong in ["valkey", "=/opt/x", "x=", "x=:--port 1"] {
            assert!(Recipe::parse(wrong, &[0]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported_with_what_it_said() {
        let recipe = Recipe {
            name: "broken".to_owned(),
            program: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".to_owned(), "echo no such option; exit 3".to_owned()],
            cores: cores::allowed().expect("an affinity"),
        };
        let error = Server::start(&recipe).err().expect("it has ended").to_string();
        assert!(error.contains("broken") && error.contains("no such option"), "{error}");
    }

    #[test]
    fn a_dropped_child_is_gone_and_its_directory_too() {
        let directory = std::env::temp_dir().join(format!("tidegate-bench-{}-drop", std::process::id()));
        fs::create_dir_all(&directory).expect("a scratch directory");
        let child =
            Tracked::start(Command::new("sleep").arg("1000"), Some(directory.clone())).expect("sleep starts");
        let pid = child.pid();
        drop(child);
        assert!(kill_process(pid, Signal::CONT).is_err(), "the process is gone");
        assert!(!directory.exists());
    }
}
