//! What clients notice of a snapshot: the latencies of a load of reads and writes without one and with one snapshot after
//! the other, the longest time that anything was held up, and the memory that it takes.
//!
//! Nothing is asked of the server's own figures. Held up is what two kinds of probes see: `PING`, on several connections so
//! that every thread of the server has some, and `GET` of random keys, which wait where a shard is held. A probe that was
//! itself not scheduled counts as held up, so the longest times without a snapshot belong beside those with one.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use tidegate_benches::client::Client;
use tidegate_benches::cores::{self, Division};
use tidegate_benches::flags::{self, Flags};
use tidegate_benches::histogram::Histogram;
use tidegate_benches::load::{self, Content, Generator, Measured};
use tidegate_benches::process::{Recipe, Server};
use tidegate_benches::workload::{Batches, Cell, Keyspace};
use tidegate_benches::{machine, now};

const HELP: &str = "\
Measures what clients notice of snapshots under load: latencies, pauses, memory.

  --tidegate PATH         Tidegate's binary [target/release/tidegate]
  --io-threads N          threads of Tidegate [2]
  --redis PATH            measured beside, or none [/usr/bin/redis-server]
  --other NAME=PATH[:ARGS]  one more server, may be repeated
  --kind KINDS            of snapshots: save (BGSAVE), rewrite (BGREWRITEAOF) [save,rewrite]
  --keys N                [5000000]
  --size N                bytes of a value [64]
  --cell CELL             the load: mix is 80 % GET and 20 % SET, with its pipeline depth [mix:1]
  --connections N         of the load [16]
  --seconds N             measured without snapshots, and with them [10]
  --rounds N              [3]
";

/// Connections that only send PING, for each thread of the server.
const PINGS_PER_THREAD: usize = 2;
/// How often each probe asks.
const PROBE_EVERY: Duration = Duration::from_micros(500);
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A snapshot that is not done after this is never.
const LIMIT: Duration = Duration::from_secs(300);
const SEED: u64 = 7;

fn main() -> ExitCode {
    flags::program("snapshot", HELP, Settings::read, run)
}

struct Settings {
    recipes: Vec<Recipe>,
    division: Division,
    threads: usize,
    kinds: Vec<String>,
    keyspace: Keyspace,
    cell: Cell,
    generator: Generator,
    rounds: usize,
}

impl Settings {
    fn read(mut flags: Flags) -> Result<Self, String> {
        let allowed = cores::allowed().map_err(|error| error.to_string())?;
        let threads: usize = flags.value("--io-threads")?.unwrap_or(2).max(1);
        let division = cores::divide(&allowed, threads);
        let tidegate: PathBuf =
            flags.value("--tidegate")?.unwrap_or_else(|| PathBuf::from("target/release/tidegate"));
        let redis: PathBuf =
            flags.value("--redis")?.unwrap_or_else(|| PathBuf::from("/usr/bin/redis-server"));
        let io_threads = threads.to_string();
        let on = &division.servers;
        let mut recipes = vec![Recipe::redis_like(
            "tidegate",
            &machine::absolute(&tidegate),
            on,
            &["--io-threads", &io_threads],
        )];
        if redis.as_os_str() != "none" {
            recipes.push(Recipe::redis_like("redis", &machine::absolute(&redis), on, &[]));
        }
        for other in flags.all("--other")? {
            recipes.push(Recipe::parse(&other, on)?);
        }
        let settings = Self {
            recipes,
            threads,
            kinds: flags.values("--kind")?.unwrap_or_else(|| ["save", "rewrite"].map(str::to_owned).to_vec()),
            keyspace: Keyspace {
                count: flags.value("--keys")?.unwrap_or(5_000_000),
                value_len: flags.value("--size")?.unwrap_or(64),
            },
            cell: flags.value::<String>("--cell")?.unwrap_or_else(|| "mix:1".to_owned()).parse()?,
            generator: Generator {
                connections: flags.value("--connections")?.unwrap_or(16).max(1),
                cores: division.generator.clone(),
                warm_up: Duration::from_secs(1),
                duration: Duration::from_secs_f64(flags.value("--seconds")?.unwrap_or(10.0)),
            },
            division,
            rounds: flags.value("--rounds")?.unwrap_or(3).max(1),
        };
        flags.finish()?;
        if let Some(kind) = settings.kinds.iter().find(|kind| !["save", "rewrite"].contains(&kind.as_str())) {
            return Err(format!("--kind: `{kind}` is none"));
        }
        Ok(settings)
    }
}

fn run(settings: &Settings) -> io::Result<bool> {
    cores::pin(&settings.division.generator)?;
    let batches = Batches::build(settings.cell, settings.keyspace, SEED);
    println!(
        "{} keys of {} bytes, {} over {} connections; microseconds, without / with snapshots",
        settings.keyspace.count, settings.keyspace.value_len, settings.cell, settings.generator.connections
    );
    println!(
        "| server | kind | k/s | p50 | p99 | ratio | p99.9 | max | PING max | GET max | MB before | MB most | grown % | snapshots, s each |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for kind in &settings.kinds {
        for _ in 0..settings.rounds {
            for recipe in &settings.recipes {
                measure(settings, recipe, kind, &batches)?.print(&recipe.name, kind);
            }
        }
    }
    Ok(true)
}

/// One phase: under load alone, or with snapshots.
struct Phase {
    load: Measured,
    pings: Histogram,
    gets: Histogram,
}

struct Outcome {
    without: Phase,
    with: Phase,
    resident: u64,
    peak: u64,
    snapshots: Vec<Duration>,
}

impl Outcome {
    fn print(&self, server: &str, kind: &str) {
        let (without, with) = (&self.without, &self.with);
        let pair = |figure: &dyn Fn(&Phase) -> f64| format!("{:.0} / {:.0}", figure(without), figure(with));
        let p99 = |phase: &Phase| phase.load.latency.percentile_us(99.0);
        let mean = self.snapshots.iter().sum::<Duration>().as_secs_f64() / self.snapshots.len().max(1) as f64;
        println!(
            "| {server} | {kind} | {} | {} | {} | {:.2} | {} | {} | {} | {} | {} | {} | {:.1} | {} x {mean:.2} |",
            pair(&|phase| phase.load.per_second() / 1e3),
            pair(&|phase| phase.load.latency.percentile_us(50.0)),
            pair(&p99),
            p99(with) / p99(without).max(1.0),
            pair(&|phase| phase.load.latency.percentile_us(99.9)),
            pair(&|phase| phase.load.latency.max_us()),
            pair(&|phase| phase.pings.max_us()),
            pair(&|phase| phase.gets.max_us()),
            self.resident >> 20,
            self.peak >> 20,
            (self.peak as f64 / self.resident as f64 - 1.0) * 100.0,
            self.snapshots.len(),
        );
    }
}

fn measure(settings: &Settings, recipe: &Recipe, kind: &str, batches: &Batches) -> io::Result<Outcome> {
    let mut recipe = recipe.clone();
    if kind == "rewrite" {
        let words = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];
        recipe.arguments.extend(words.map(str::to_owned));
    }
    let server = Server::start(&recipe)?;
    load::preload(server.address, settings.keyspace, 0, Content::Values).map_err(failed)?;
    // What is not measured: memory that grows with the first requests.
    let warm = Generator { duration: Duration::from_secs(2), ..settings.generator.clone() };
    load::run(server.address, batches, &warm).map_err(failed)?;
    let without = phase(settings, &server, batches)?;
    let resident = memory(&server)?;
    let stop = AtomicBool::new(false);
    let (with, snapshots, peak) = thread::scope(|scope| {
        let snapshots = scope.spawn(|| take_snapshots(server.address, kind, &stop));
        let peak = scope.spawn(|| {
            let mut peak = 0;
            while !stop.load(Relaxed) {
                peak = peak.max(memory(&server)?);
                thread::sleep(LOOK_EVERY);
            }
            io::Result::Ok(peak)
        });
        let with = phase(settings, &server, batches);
        stop.store(true, Relaxed);
        (with, snapshots.join(), peak.join())
    });
    let died = |_| io::Error::other("a thread died");
    Ok(Outcome {
        without,
        with: with?,
        resident,
        peak: peak.map_err(died)??,
        snapshots: snapshots.map_err(died)??,
    })
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

fn phase(settings: &Settings, server: &Server, batches: &Batches) -> io::Result<Phase> {
    let stop = AtomicBool::new(false);
    let keys = u64::from(settings.keyspace.count);
    let (load, probes) = thread::scope(|scope| {
        let probe = |name: &'static str, number: u64| {
            let (stop, address) = (&stop, server.address);
            scope.spawn(move || probe(address, name, number, keys, stop))
        };
        let pings: Vec<_> =
            (0..settings.threads * PINGS_PER_THREAD).map(|number| probe("PING", number as u64)).collect();
        let gets: Vec<_> = (0..settings.threads).map(|number| probe("GET", number as u64)).collect();
        let load = load::run(server.address, batches, &settings.generator);
        stop.store(true, Relaxed);
        let gather = |probes: Vec<thread::ScopedJoinHandle<'_, io::Result<Histogram>>>| {
            let mut all = Histogram::default();
            for probe in probes {
                all.merge(&probe.join().map_err(|_| io::Error::other("a probe died"))??);
            }
            io::Result::Ok(all)
        };
        (load, gather(pings).and_then(|pings| Ok((pings, gather(gets)?))))
    });
    let (pings, gets) = probes?;
    Ok(Phase { load: load.map_err(failed)?, pings, gets })
}

/// Asks again and again; how long each reply took.
fn probe(server: SocketAddr, name: &str, number: u64, keys: u64, stop: &AtomicBool) -> io::Result<Histogram> {
    let mut client = Client::connect(server)?;
    let mut took = Histogram::default();
    let mut turn = number;
    while !stop.load(Relaxed) {
        turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = format!("key:{:012}", (turn >> 20) % keys);
        let sent = now();
        match name {
            "PING" => client.call(&["PING"])?,
            _ => client.call(&["GET", &key])?,
        }
        took.record(sent.elapsed());
        thread::sleep(PROBE_EVERY);
    }
    Ok(took)
}

/// Takes one snapshot after the other; how long each took.
fn take_snapshots(server: SocketAddr, kind: &str, stop: &AtomicBool) -> io::Result<Vec<Duration>> {
    let (command, running) = match kind {
        "rewrite" => ("BGREWRITEAOF", "aof_rewrite_in_progress"),
        _ => ("BGSAVE", "rdb_bgsave_in_progress"),
    };
    let mut client = Client::connect(server)?;
    let mut took = Vec::new();
    while !stop.load(Relaxed) {
        let started = now();
        client.call(&[command])?;
        while client.info("persistence", running)? != "0" {
            if started.elapsed() > LIMIT {
                return Err(io::Error::other("a snapshot does not end"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        took.push(started.elapsed());
    }
    Ok(took)
}

/// Resident memory of the server, and what its children have for themselves.
fn memory(server: &Server) -> io::Result<u64> {
    let id = server.process_id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let own = |child: &str| -> u64 {
        // It may be gone.
        let rollup = fs::read_to_string(format!("/proc/{child}/smaps_rollup")).unwrap_or_default();
        let kib = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
        kib.and_then(|kib| kib.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    Ok(server.resident_bytes()? + children.split_whitespace().map(own).sum::<u64>())
}
