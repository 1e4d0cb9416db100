//! Five ways in which redis-server 7.0.15 loses, hides or refuses what it should not, and what Tidegate makes of the same:
//! each is done to both. They need no luck but [`slow_sync`], which is there to be read; the ledger has its figures.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Server;
use super::disk::{SlowDisk, Speed};
use super::process::{Installed, Process, remove};
use crate::clock;
use crate::random::Random;
use crate::resp::{RespClient, encode_command};

const MANIFEST: &str = "appendonly.aof.manifest";
const FIRST: &str = "appendonly.aof.1.incr.aof";
const SECOND: &str = "appendonly.aof.2.incr.aof";

/// What a server made of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// It is as it should be.
    pub is_fine: bool,
    /// In words.
    pub text: String,
}

/// One of them.
pub struct Anchor {
    /// What it is called.
    pub name: &'static str,
    /// What is done.
    pub about: &'static str,
    /// Does it.
    pub run: fn(&Bench) -> io::Result<Outcome>,
    /// Redis' outcome is the same every time.
    pub is_certain: bool,
}

/// All of them.
pub const ALL: [Anchor; 6] = [
    Anchor {
        name: "F1 torn transaction",
        about: "a file torn off within MULTI, five acknowledged writes with always, kill -9",
        run: torn_transaction,
        is_certain: true,
    },
    Anchor { name: "F2 failed sync", about: "one sync fails, everysec", run: failed_sync, is_certain: true },
    Anchor {
        name: "F3 slow sync",
        about: "syncs of up to 3.6 s, everysec, 4 s of acknowledged writes, kill -9",
        run: slow_sync,
        is_certain: false,
    },
    Anchor {
        name: "F4 torn before an empty file",
        about: "the last file but one is torn off and the last is empty: power failed as a rewrite began",
        run: torn_before_an_empty_file,
        is_certain: true,
    },
    Anchor {
        name: "F5 flipped bit",
        about: "one digit of a value has changed in the file",
        run: flipped_bit,
        is_certain: true,
    },
    Anchor {
        name: "bit flips",
        about: "64 bits of a file drawn by lot, one at a time",
        run: flipped_bits,
        is_certain: true,
    },
];

/// A server and a directory to try it in.
pub struct Bench {
    server: Server,
    dir: PathBuf,
}

impl Bench {
    /// In a directory of its own below `dir`.
    pub fn new(server: &Server, dir: &Path) -> Self {
        Bench { server: server.clone(), dir: dir.join(format!("anchors-{}", server.name)) }
    }

    /// An empty directory, and a server to be started in it.
    fn installed(&self, options: &[&str]) -> io::Result<Installed> {
        let installed = Installed::new(&self.server.program, &self.dir.join("data"), options);
        installed.wipe()?;
        Ok(installed)
    }

    /// Does one of them.
    ///
    /// # Errors
    /// It could not be done.
    pub fn run(&self, anchor: &Anchor) -> io::Result<Outcome> {
        fs::create_dir_all(&self.dir)?;
        let outcome = (anchor.run)(self);
        remove(&self.dir)?;
        outcome
    }
}

/// Does it to both servers; the second one is the control.
///
/// # Errors
/// It could not be done.
pub fn compare(anchor: &Anchor, servers: &[Server; 2], dir: &Path) -> io::Result<[Outcome; 2]> {
    std::thread::scope(|scope| {
        let both = servers.each_ref().map(|server| scope.spawn(|| Bench::new(server, dir).run(anchor)));
        let [target, control] = both.map(|one| one.join().expect("it does not panic"));
        Ok([target?, control?])
    })
}

fn commands(lines: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        encode_command(&line.split(' ').collect::<Vec<_>>(), &mut bytes);
    }
    bytes
}

/// Puts an append-only file there.
fn craft(installed: &Installed, files: &[(&str, Vec<u8>)]) -> io::Result<()> {
    let dir = installed.dir.join("appendonlydir");
    fs::create_dir_all(&dir)?;
    let mut manifest = String::new();
    for (at, (name, bytes)) in files.iter().enumerate() {
        fs::write(dir.join(name), bytes)?;
        let _ = writeln!(manifest, "file {name} seq {} type i", at + 1);
    }
    fs::write(dir.join(MANIFEST), manifest)
}

fn ask(client: &mut RespClient, line: &str) -> io::Result<String> {
    client.send(&line.split(' ').collect::<Vec<_>>())?;
    let reply = client.read()?;
    let text = reply.error().or_else(|| reply.int().map(|int| int.to_string()));
    Ok(text.unwrap_or_else(|| reply.text()))
}

fn ask_number(client: &mut RespClient, line: &str) -> io::Result<u64> {
    ask(client, line)?.parse().map_err(io::Error::other)
}

/// The last line of a server's log that says why it did not start.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let says = |line: &&str| {
        line.contains("Bad file format") || line.contains("atal") || line.contains("Unknown command")
    };
    let line = text.lines().rev().find(says).or_else(|| text.lines().last()).unwrap_or_default();
    line.split_once(" # ").map_or(line, |(_, message)| message).to_owned()
}

/// A restart cuts the file off; it must not do that within the transaction, or what comes next belongs to it.
fn torn_transaction(bench: &Bench) -> io::Result<Outcome> {
    let installed = bench.installed(&["--appendfsync", "always"])?;
    let mut torn = commands(&["SELECT 0", "SET foo hello", "MULTI", "SET bar world"]);
    torn.extend_from_slice(b"*1\r\n$4\r\nEX");
    craft(&installed, &[(FIRST, torn)])?;
    let mut process = installed.start(None)?;
    let mut client = process.connect()?;
    for number in 1..=5 {
        if ask(&mut client, &format!("SET acked:{number} v"))? != "OK" {
            return Err(io::Error::other("a write is refused"));
        }
    }
    process.kill();
    let process = installed.start(None)?;
    let keys = ask_number(&mut process.connect()?, "DBSIZE")?;
    Ok(Outcome { is_fine: keys == 6, text: format!("{} of 5 acknowledged writes lost", 6 - keys.min(6)) })
}

/// The kernel drops the pages of a sync that failed: the next one that works says nothing of them.
fn failed_sync(bench: &Bench) -> io::Result<Outcome> {
    const VALUE: &str = "written-when-the-sync-failed";
    let disk = SlowDisk::new(&bench.dir)?;
    let installed = bench.installed(&["--appendfsync", "everysec"])?;
    let process = installed.start(Some(&disk))?;
    let mut client = process.connect()?;
    let status = |client: &mut RespClient| -> io::Result<String> {
        let info = ask(client, "INFO persistence")?;
        let status = info.lines().find_map(|line| line.strip_prefix("aof_last_write_status:"));
        Ok(status.unwrap_or_default().to_owned())
    };
    // Its expiry is a write that no client makes.
    ask(&mut client, "SET soon 1 PX 3000")?;
    let before = holder(&installed, "soon")?;
    disk.fail_once()?;
    ask(&mut client, &format!("SET key {VALUE}"))?;
    let mut had_error = false;
    let mut failure = None;
    let is_over = clock::wait_until(Duration::from_secs(20), || {
        let is_ok = match status(&mut client) {
            Ok(status) => status == "ok",
            Err(error) => {
                failure = Some(error);
                return true;
            }
        };
        had_error |= !is_ok;
        disk.seen()[2] > 0 && is_ok && holder(&installed, VALUE).is_ok_and(|holder| holder.is_some()) && {
            // It may be that the error is not known to the server yet.
            std::thread::sleep(Duration::from_millis(50));
            had_error || holder(&installed, VALUE).is_ok_and(|holder| holder != before)
        }
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    let is_elsewhere = holder(&installed, VALUE)? != before;
    let text = match (is_over, is_elsewhere) {
        (false, _) => "the error is not forgotten".to_owned(),
        (true, true) => "written again to another file, and then all is well".to_owned(),
        (true, false) => "status ok again, nothing was written again: the error is hidden".to_owned(),
    };
    Ok(Outcome { is_fine: !is_over || is_elsewhere, text })
}

/// The file of the append-only file that has this text.
fn holder(installed: &Installed, text: &str) -> io::Result<Option<PathBuf>> {
    let mut files: Vec<_> = fs::read_dir(installed.dir.join("appendonlydir"))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.to_string_lossy().contains(".incr."))
        .collect();
    files.sort();
    for path in files.into_iter().rev() {
        let bytes = fs::read(&path).unwrap_or_default();
        if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Writes are postponed while a sync takes long, but their replies are not.
fn slow_sync(bench: &Bench) -> io::Result<Outcome> {
    let disk = SlowDisk::new(&bench.dir)?;
    let installed = bench.installed(&["--appendfsync", "everysec"])?;
    let mut process = installed.start(Some(&disk))?;
    disk.set(Speed { sync: Duration::from_millis(3600), ..Speed::FAST })?;
    let mut client = process.connect()?;
    let began = clock::now();
    let mut acked = 0u64;
    while began.elapsed() < Duration::from_secs(4) {
        if ask(&mut client, &format!("SET key:{acked} v"))? == "OK" {
            acked += 1;
        }
    }
    process.kill();
    disk.set(Speed::FAST)?;
    let process = installed.start(Some(&disk))?;
    let keys = ask_number(&mut process.connect()?, "DBSIZE")?;
    let lost = acked.saturating_sub(keys);
    Ok(Outcome { is_fine: lost == 0, text: format!("{lost} of {acked} acknowledged writes lost") })
}

/// What a power failure leaves of a server that names a new file before the one before it is synced.
fn torn_before_an_empty_file(bench: &Bench) -> io::Result<Outcome> {
    let installed = bench.installed(&[])?;
    let mut torn = commands(&["SELECT 0", "SET a 1", "SET b 2"]);
    torn.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$1\r\nc\r\n$1");
    craft(&installed, &[(FIRST, torn), (SECOND, Vec::new())])?;
    match installed.start(None) {
        Ok(process) => {
            let keys = ask_number(&mut process.connect()?, "DBSIZE")?;
            Ok(Outcome { is_fine: keys == 2, text: format!("{keys} of 2 whole writes are there") })
        }
        Err(error) => Ok(Outcome { is_fine: false, text: format!("does not start: {}", reason(&error)) }),
    }
}

/// What a disk gives back is not always what it got.
fn flipped_bit(bench: &Bench) -> io::Result<Outcome> {
    let installed = bench.installed(&[])?;
    let mut process = installed.start(None)?;
    let mut client = process.connect()?;
    for line in ["SET balance 1000", "SET other 1", "SET other 2", "SET other 3"] {
        ask(&mut client, line)?;
    }
    process.kill();
    let path = installed.dir.join("appendonlydir").join(FIRST);
    let mut bytes = fs::read(&path)?;
    let at = bytes.windows(4).position(|window| window == b"1000").ok_or(io::ErrorKind::NotFound)?;
    bytes[at] = b'9';
    fs::write(&path, bytes)?;
    match installed.start(None) {
        Ok(process) => {
            let balance = ask(&mut process.connect()?, "GET balance")?;
            Ok(Outcome { is_fine: false, text: format!("starts, and 1000 is {balance}") })
        }
        Err(error) => Ok(Outcome { is_fine: true, text: format!("does not start: {}", reason(&error)) }),
    }
}

/// How many flips change what is loaded without a word.
fn flipped_bits(bench: &Bench) -> io::Result<Outcome> {
    const FLIPS: usize = 64;
    const KEYS: usize = 60;
    let installed = bench.installed(&[])?;
    let mut process = installed.start(None)?;
    let mut client = process.connect()?;
    for key in 0..KEYS {
        ask(&mut client, &format!("SET key:{key} {:040}", key * key))?;
    }
    let state = |process: &Process| -> io::Result<(u64, Vec<u8>)> {
        let mut client = process.connect()?;
        let size = ask_number(&mut client, "DBSIZE")?;
        let words: Vec<_> =
            std::iter::once("MGET".to_owned()).chain((0..KEYS).map(|key| format!("key:{key}"))).collect();
        client.send(&words)?;
        Ok((size, client.read_raw()?.to_vec()))
    };
    let whole = state(&process)?;
    process.kill();
    let path = installed.dir.join("appendonlydir").join(FIRST);
    let bytes = fs::read(&path)?;
    let mut random = Random::new(5);
    let (mut refused, mut cut, mut harmless, mut silent) = (0, 0, 0, 0);
    for _ in 0..FLIPS {
        let (at, bit) = (random.below(bytes.len()), random.below(8));
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        fs::write(&path, flipped)?;
        fs::write(installed.dir.join("log"), "")?;
        match installed.start(None) {
            Err(_) => refused += 1,
            Ok(process) if state(&process)? == whole => harmless += 1,
            Ok(process) if process.log_tail(100_000).contains("Truncating the AOF") => cut += 1,
            Ok(_) => silent += 1,
        }
    }
    let text = format!(
        "{refused} refused, {cut} cut off with a message, {harmless} change nothing, {silent} not noticed"
    );
    Ok(Outcome { is_fine: silent == 0, text })
}
