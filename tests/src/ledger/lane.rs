//! One lane: a server with one setting that is killed again and again, and the checks after every kill.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use super::check::{self, Marks, Verdict};
use super::disk::{SlowDisk, Speed};
use super::process::{Installed, Process, remove};
use super::work::Kind;
use super::writers::{Board, Writer, read};
use crate::clock;
use crate::random::Random;
use crate::resp::{RespClient, encode_command};

/// Kills before it starts again with nothing.
const KILLS_PER_LIFE: usize = 20;
/// Units each writer sends before it waits.
const DEPTHS: [u64; 8] = [1, 1, 1, 1, 4, 8, 16, 32];
const READERS: usize = 2;
/// Keys that are there so that a rewrite takes its time.
const FILLING: usize = 30_000;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Order {
    /// The server.
    pub program: PathBuf,
    /// `appendfsync`.
    pub mode: &'static str,
    /// More options, as separate words.
    pub options: Vec<&'static str>,
    /// On a slow disk.
    pub is_slow: bool,
    /// What it loses is expected, and not kept.
    pub is_control: bool,
    /// How often it is killed.
    pub kills: usize,
    /// Decides what is drawn, though not what the threads make of it.
    pub seed: u64,
    /// Everything goes in here.
    pub dir: PathBuf,
}

/// What happens before a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// Nothing but writing.
    Plain,
    /// The append-only file is rewritten.
    Rewrite,
    /// It is turned off and on again.
    Toggle,
    /// A snapshot, and a rewrite that has to wait for it.
    Save,
}

/// Figures of a lane.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// How often it was killed while writers wrote.
    pub kills: usize,
    /// Of those, within or shortly after `BGREWRITEAOF`.
    pub rewrites: usize,
    /// And within or shortly after `CONFIG SET appendonly`.
    pub toggles: usize,
    /// How often it was killed while it loaded.
    pub loads: usize,
    /// Acknowledged units.
    pub acked: u64,
    /// What was wrong, all kills together.
    pub sum: Verdict,
    /// Kills after which something acknowledged was missing.
    pub lossy: usize,
    /// Replies that are errors or say something else than they have to.
    pub wrong: usize,
    /// Starts that were refused.
    pub refused: usize,
    /// How long starts took, ascending.
    pub restart_ms: Vec<u64>,
    /// Syncs and writes that were slowed down.
    pub slowed: [usize; 2],
    /// In words, the first of what was wrong.
    pub complaints: Vec<String>,
}

impl Figures {
    /// Nothing is wrong. What readers saw counts with `always` only: nothing else promises that.
    pub fn is_clean(&self, mode: &str) -> bool {
        self.sum.is_clean() && self.wrong + self.refused == 0 && (mode != "always" || self.sum.seen_lost == 0)
    }

    /// Adds those of another lane with the same setting.
    pub fn add(&mut self, other: Figures) {
        self.kills += other.kills;
        self.rewrites += other.rewrites;
        self.toggles += other.toggles;
        self.loads += other.loads;
        self.acked += other.acked;
        self.sum += other.sum;
        self.lossy += other.lossy;
        self.wrong += other.wrong;
        self.refused += other.refused;
        self.restart_ms.extend(other.restart_ms);
        self.restart_ms.sort_unstable();
        self.slowed = [self.slowed[0] + other.slowed[0], self.slowed[1] + other.slowed[1]];
        self.complaints.extend(other.complaints);
    }

    /// `part` of 100 starts took no longer than this.
    pub fn restart_ms(&self, part: usize) -> u64 {
        let at = (self.restart_ms.len() * part / 100).min(self.restart_ms.len().saturating_sub(1));
        self.restart_ms.get(at).copied().unwrap_or(0)
    }

    fn complain(&mut self, text: String) {
        if self.complaints.len() < 20 {
            self.complaints.push(text);
        }
    }
}

/// What is promised when the server is killed.
#[derive(Debug)]
enum Promise {
    /// All that was acknowledged.
    Everything,
    /// What was acknowledged when the append-only file was turned off: it is not whole again yet.
    UpTo(Vec<u64>),
}

struct Lane<'a> {
    order: &'a Order,
    server: Installed,
    disk: Option<SlowDisk>,
    random: Random,
    writers: Vec<Writer>,
    epoch: Instant,
    figures: Figures,
}

/// Kills a server as often as ordered.
///
/// # Errors
/// The test itself could not be done: no directory, no program, a server that cannot even start with nothing.
pub fn run(order: &Order) -> io::Result<Figures> {
    fs::create_dir_all(&order.dir)?;
    let disk = if order.is_slow { Some(SlowDisk::new(&order.dir)?) } else { None };
    let mut options = vec![
        "--appendfsync",
        order.mode,
        "--auto-aof-rewrite-min-size",
        "6mb",
        "--auto-aof-rewrite-percentage",
        "100",
    ];
    options.extend(&order.options);
    let mut lane = Lane {
        server: Installed::new(&order.program, &order.dir.join("data"), &options),
        order,
        disk,
        random: Random::new(order.seed),
        writers: Vec::new(),
        epoch: clock::now(),
        figures: Figures::default(),
    };
    while lane.figures.kills < order.kills {
        lane.live()?;
    }
    if let Some(disk) = &lane.disk {
        let [syncs, writes, _] = disk.seen();
        lane.figures.slowed = [syncs, writes];
    }
    lane.figures.restart_ms.sort_unstable();
    remove(&order.dir)?;
    Ok(lane.figures)
}

impl Lane<'_> {
    fn set_speed(&self, speed: Speed) -> io::Result<()> {
        self.disk.as_ref().map_or(Ok(()), |disk| disk.set(speed))
    }

    /// A time below this many milliseconds.
    fn up_to(&mut self, ms: usize) -> Duration {
        Duration::from_micros(self.random.below(ms * 1000) as u64)
    }

    /// Begins with nothing, and goes on until something is wrong or it is time for the next life.
    fn live(&mut self) -> io::Result<()> {
        self.server.wipe()?;
        let seed = self.random.bits();
        self.writers = DEPTHS.iter().enumerate().map(|(at, depth)| Writer::new(seed, at, *depth)).collect();
        self.set_speed(Speed::FAST)?;
        let mut process = self.server.start(self.disk.as_ref())?;
        fill(&mut process.connect()?)?;
        for _ in 0..KILLS_PER_LIFE {
            if self.figures.kills == self.order.kills {
                break;
            }
            let (board, promise) = self.write_and_kill(&mut process)?;
            drop(process);
            if !self.order.is_control {
                // As they are after the kill, to look at if something is wrong.
                copy(&self.server.dir, &self.order.dir.join("before"))?;
            }
            match self.restart()? {
                Some(started) => process = started,
                None => return Ok(()),
            }
            if !self.check(&process, &board, &promise)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn write_and_kill(&mut self, process: &mut Process) -> io::Result<(Board, Promise)> {
        let scene = [Scene::Plain, Scene::Rewrite, Scene::Toggle, Scene::Save]
            [self.random.weighted([45, 25, 18, 12].into_iter())];
        // On a slow disk everything takes longer; without a snapshot under way it need not.
        let (before, after) = match (self.order.is_slow, scene) {
            (false, Scene::Plain) => (400, 300),
            (false, _) => (150, 350),
            (true, Scene::Plain) => (500, 2300),
            (true, _) => (500, 5000),
        };
        let (before, after) = (self.up_to(before), self.up_to(after));
        let pause = self.up_to(30);
        let mut speed = Speed::SLOW;
        if self.random.one_in(4) {
            speed.sync /= 8;
        }
        self.set_speed(speed)?;
        let board = Board::new(self.epoch, &self.writers);
        let promise = Mutex::new(Promise::Everything);
        let addr = process.addr();
        let mut readers: Vec<Random> = (0..READERS).map(|_| Random::new(self.random.bits())).collect();
        let mut ended = None;
        std::thread::scope(|scope| {
            for writer in &mut self.writers {
                scope.spawn(|| writer.run(addr, &board));
            }
            for random in &mut readers {
                scope.spawn(|| read(addr, &board, random));
            }
            std::thread::sleep(before);
            let stir = scope.spawn(|| stir(scene, addr, &board, &promise, pause));
            std::thread::sleep(after);
            ended = process.ended();
            process.kill();
            board.over.store(true, SeqCst);
            drop(stir);
        });
        if let Some(status) = ended {
            self.figures.wrong += 1;
            self.figures.complain(format!("it ended by itself: {status}\n{}", process.log_tail(1000)));
        }
        self.figures.kills += 1;
        self.figures.rewrites += usize::from(matches!(scene, Scene::Rewrite | Scene::Save));
        self.figures.toggles += usize::from(scene == Scene::Toggle);
        Ok((board, promise.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)))
    }

    /// Starts it again; sometimes it is killed while it loads. `None` when it refuses.
    fn restart(&mut self) -> io::Result<Option<Process>> {
        if !self.random.one_in(8) {
            self.set_speed(Speed::FAST)?;
        }
        let usual_ms = self.figures.restart_ms.last().copied().unwrap_or(50).clamp(10, 2000) as usize;
        while self.random.one_in(4) {
            let mut process = self.server.spawn(self.disk.as_ref())?;
            std::thread::sleep(self.up_to(usual_ms * 5 / 4));
            process.kill();
            self.figures.loads += 1;
        }
        let began = clock::now();
        match self.server.start(self.disk.as_ref()) {
            Ok(process) => {
                self.figures.restart_ms.push(began.elapsed().as_millis() as u64);
                Ok(Some(process))
            }
            Err(error) => {
                self.figures.refused += 1;
                self.figures.complain(format!("it does not start again: {error}"));
                self.evidence()?;
                Ok(None)
            }
        }
    }

    /// Whether everything is as it has to be.
    fn check(&mut self, process: &Process, board: &Board, promise: &Promise) -> io::Result<bool> {
        let mut client = process.connect()?;
        let acked = board.acked();
        let (promised, is_whole) = match promise {
            Promise::Everything => (&acked, true),
            Promise::UpTo(units) => (units, false),
        };
        let mut sum = Verdict::default();
        let mut wrong = Vec::new();
        let mut global = 0;
        let mut recovered = Vec::new();
        for writer in &self.writers {
            let number = writer.plan.writer;
            let seen = if is_whole { board.seen[number].load(SeqCst) } else { 0 };
            // Only with `always` does anything promise that.
            let may_vanish = self.order.mode != "always";
            let marks = Marks { sent: writer.sent, promised: promised[number], seen, may_vanish };
            let found = check::ask(&mut client, &writer.plan)?;
            let (verdict, last, mut texts) = check::judge(&writer.plan, marks, &found);
            sum += Verdict { recovered: last.saturating_sub(writer.base), ..verdict };
            wrong.append(&mut texts);
            global += writer.plan.units(Kind::Global, last).len() as u64;
            recovered.push(last);
            self.figures.wrong += writer.wrong.len();
            wrong.extend(writer.wrong.iter().map(|text| format!("writer {number}, {text}")));
            let acks = writer.events.iter().filter(|event| event.what == check::What::Acked).count();
            self.figures.acked += acks as u64;
        }
        let counter = check::ask_counter(&mut client)?;
        if counter != global {
            sum.torn += 1;
            wrong.push(format!("the counter of all is {counter}, {global} units have changed it"));
        }
        self.figures.lossy += usize::from(sum.lost > 0);
        self.figures.sum += sum;
        let is_clean = wrong.is_empty();
        if !is_clean {
            wrong.truncate(8);
            self.figures.complain(format!("{sum:?}\n    {}", wrong.join("\n    ")));
            self.evidence()?;
        }
        for (writer, last) in self.writers.iter_mut().zip(recovered) {
            writer.resume(last);
        }
        Ok(is_clean)
    }

    /// Keeps what there is of a recovery that went wrong, with the ledger, where it stays.
    fn evidence(&mut self) -> io::Result<()> {
        if self.order.is_control {
            return Ok(());
        }
        let number = self.figures.complaints.len();
        let name = self.order.dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let dir = self.order.dir.with_file_name(format!("kept-{name}-{number}"));
        if dir.exists() || number > 3 {
            return Ok(());
        }
        copy(&self.order.dir.join("before"), &dir.join("before"))?;
        copy(&self.server.dir, &dir.join("after"))?;
        let ledger: String =
            self.writers.iter().map(|writer| check::format(&writer.plan, &writer.events)).collect();
        fs::write(dir.join("ledger"), ledger)?;
        fs::write(dir.join("complaints"), self.figures.complaints.join("\n"))?;
        self.figures.complain(format!("files and ledger are kept in {}", dir.display()));
        Ok(())
    }
}

/// Replaces a directory by a copy of another.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    remove(to)?;
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, kind) = (to.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            copy(&entry.path(), &path)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), path)?;
        }
    }
    Ok(())
}

fn fill(client: &mut RespClient) -> io::Result<()> {
    const AT_ONCE: usize = 100;
    let mut request = Vec::new();
    for batch in 0..FILLING / AT_ONCE {
        let mut words = vec!["MSET".to_owned()];
        for key in batch * AT_ONCE..(batch + 1) * AT_ONCE {
            words.extend([format!("filling:{key}"), format!("{key:064}")]);
        }
        encode_command(&words, &mut request);
    }
    client.send_raw(&request)?;
    for _ in 0..FILLING / AT_ONCE {
        client.read_raw()?;
    }
    Ok(())
}

/// Has something happen beside the writing. The connection may end at any time.
fn stir(
    scene: Scene,
    addr: std::net::SocketAddr,
    board: &Board,
    promise: &Mutex<Promise>,
    pause: Duration,
) -> io::Result<()> {
    let mut client = RespClient::connect(addr)?;
    client.set_reply_limit(Duration::from_secs(60))?;
    let mut say = |words: &str| {
        client.send(&words.split(' ').collect::<Vec<_>>())?;
        client.read()
    };
    match scene {
        Scene::Plain => {}
        Scene::Rewrite => drop(say("BGREWRITEAOF")?),
        Scene::Save => {
            say("BGSAVE")?;
            std::thread::sleep(pause);
            say("BGREWRITEAOF")?;
        }
        Scene::Toggle => {
            let set = |to: Promise| *promise.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = to;
            set(Promise::UpTo(board.acked()));
            say("CONFIG SET appendonly no")?;
            std::thread::sleep(pause);
            say("CONFIG SET appendonly yes")?;
            let done = [
                "aof_enabled:1",
                "aof_rewrite_in_progress:0",
                "aof_rewrite_scheduled:0",
                "bgrewrite_status:ok",
            ];
            while !board.over.load(SeqCst) {
                let info = say("INFO persistence")?.text();
                if done.iter().all(|field| info.contains(field)) {
                    set(Promise::Everything);
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
    Ok(())
}
