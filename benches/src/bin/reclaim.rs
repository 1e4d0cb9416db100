//! What others notice while something huge is removed: their latencies before it and during it.
//!
//! A few connections ask for small keys without a pause. When that has been measured for a while, another connection
//! removes a value of millions of members, overwrites it, lets it expire, or empties a keyspace of millions of keys; what
//! the others measure from then until the memory is free again is shown beside what they measured before.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use tidegate_benches::client::{Client, write_command};
use tidegate_benches::cores::{self, Division};
use tidegate_benches::flags::{self, Flags};
use tidegate_benches::histogram::Histogram;
use tidegate_benches::process::{Recipe, Server};
use tidegate_benches::{machine, now, probe};

const HELP: &str = "\
Measures the latencies of other clients while something huge is removed.

  --tidegate PATH         Tidegate's binary [target/release/tidegate]
  --io-threads N          threads of Tidegate [2]
  --other NAME=PATH[:ARGS]  one more server, may be repeated
  --kind KIND             of the huge value: zset, set, hash, list, string [zset]
  --members N             of the huge value [10000000]
  --keys N                of the keyspace that is emptied [5000000]
  --only NAMES            some of: del,unlink,set,expire,flushall,flushall-sync [del,unlink,flushall]
  --probes N              connections that measure [4]
  --seconds N             how long they do so before [3]
";

/// The memory of what was removed counts as free when at most this share of it is left.
const LEFT: f64 = 0.05;
/// No longer than this is waited for it.
const FREED_LIMIT: Duration = Duration::from_secs(60);
/// Measured at least, from the removal on.
const DURING_MIN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    flags::program("reclaim", HELP, Settings::read, run)
}

struct Settings {
    recipes: Vec<Recipe>,
    division: Division,
    kind: String,
    members: u64,
    keys: u64,
    only: Vec<String>,
    probes: usize,
    before: Duration,
}

impl Settings {
    fn read(mut flags: Flags) -> Result<Self, String> {
        let allowed = cores::allowed().map_err(|error| error.to_string())?;
        let threads: usize = flags.value("--io-threads")?.unwrap_or(2).max(1);
        let division = cores::divide(&allowed, threads);
        let tidegate: PathBuf =
            flags.value("--tidegate")?.unwrap_or_else(|| PathBuf::from("target/release/tidegate"));
        let io_threads = threads.to_string();
        let options = ["--io-threads", &io_threads, "--enable-debug-command", "yes"];
        let program = machine::absolute(&tidegate);
        let mut recipes = vec![Recipe::redis_like("tidegate", &program, &division.servers, &options)];
        for other in flags.all("--other")? {
            recipes.push(Recipe::parse(&other, &division.servers)?);
        }
        let settings = Self {
            recipes,
            division,
            kind: flags.value("--kind")?.unwrap_or_else(|| "zset".to_owned()),
            members: flags.value("--members")?.unwrap_or(10_000_000),
            keys: flags.value("--keys")?.unwrap_or(5_000_000),
            only: flags
                .values("--only")?
                .unwrap_or_else(|| ["del", "unlink", "flushall"].map(str::to_owned).to_vec()),
            probes: flags.value("--probes")?.unwrap_or(4).max(1),
            before: Duration::from_secs_f64(flags.value("--seconds")?.unwrap_or(3.0)),
        };
        flags.finish()?;
        Ok(settings)
    }
}

fn run(settings: &Settings) -> io::Result<bool> {
    cores::pin(&settings.division.generator)?;
    println!("latencies of {} connections in microseconds, before / during", settings.probes);
    println!("| server | removal | answered ms | freed ms | p50 | p99 | p99.9 | max | p99 ratio |");
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|");
    for name in &settings.only {
        for recipe in &settings.recipes {
            let measured = measure(settings, recipe, name)?;
            measured.print(&recipe.name, name);
        }
    }
    Ok(true)
}

struct Measured {
    before: Histogram,
    during: Histogram,
    answered: Duration,
    freed: Option<Duration>,
}

impl Measured {
    fn print(&self, server: &str, removal: &str) {
        let pair = |percent: f64| {
            let (before, during) = (self.before.percentile_us(percent), self.during.percentile_us(percent));
            format!("{before:.0} / {during:.0}")
        };
        let freed = self.freed.map_or_else(|| "not".to_owned(), |freed| freed.as_millis().to_string());
        println!(
            "| {server} | {removal} | {:.1} | {freed} | {} | {} | {} | {:.0} / {:.0} | {:.2} |",
            self.answered.as_secs_f64() * 1e3,
            pair(50.0),
            pair(99.0),
            pair(99.9),
            self.before.max_us(),
            self.during.max_us(),
            self.during.percentile_us(99.0) / self.before.percentile_us(99.0).max(1.0),
        );
    }
}

fn measure(settings: &Settings, recipe: &Recipe, removal: &str) -> io::Result<Measured> {
    let server = Server::start(recipe)?;
    let mut client = Client::connect(server.address)?;
    probe::fill(&mut client)?;
    let empty = used_memory(&mut client)?;
    if removal.starts_with("flushall") {
        fill_keyspace(&mut client, settings.keys)?;
    } else {
        fill_value(&mut client, &settings.kind, settings.members)?;
    }
    let full = used_memory(&mut client)?;
    let stop = AtomicBool::new(false);
    let (began, mut answered, mut freed) = (now(), Duration::ZERO, None);
    let mut removed_at = began;
    let samples: io::Result<Vec<_>> = thread::scope(|scope| {
        let probes: Vec<_> = (0..settings.probes)
            .map(|number| {
                scope.spawn({
                    let stop = &stop;
                    move || probe::run(server.address, number, stop)
                })
            })
            .collect();
        thread::sleep(settings.before);
        let result = (|| {
            if removal == "expire" {
                client.call(&["PEXPIRE", "huge", "100"])?;
                thread::sleep(Duration::from_millis(100));
            }
            removed_at = now();
            match removal {
                "unlink" => client.call(&["UNLINK", "huge"])?,
                "set" => client.call(&["SET", "huge", "x"])?,
                "expire" => client.call(&["PING"])?,
                "flushall" => client.call(&["FLUSHALL", "ASYNC"])?,
                "flushall-sync" => client.call(&["FLUSHALL", "SYNC"])?,
                _ => client.call(&["DEL", "huge"])?,
            }
            answered = removed_at.elapsed();
            let floor = empty + ((full - empty) as f64 * LEFT) as u64;
            while removed_at.elapsed() < FREED_LIMIT {
                if used_memory(&mut client)? <= floor {
                    freed = Some(removed_at.elapsed());
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
            // Pages go back to the kernel a little later.
            thread::sleep(DURING_MIN);
            io::Result::Ok(())
        })();
        stop.store(true, Relaxed);
        let samples =
            probes.into_iter().map(|probe| probe.join().map_err(|_| io::Error::other("a probe died"))?);
        let samples: io::Result<Vec<_>> = samples.collect();
        result.and(samples)
    });
    let (mut before, mut during) = (Histogram::default(), Histogram::default());
    for (sent, took) in samples?.into_iter().flatten() {
        if sent + took < removed_at { &mut before } else { &mut during }.record(took);
    }
    Ok(Measured { before, during, answered, freed })
}

fn fill_keyspace(client: &mut Client, keys: u64) -> io::Result<()> {
    client.pipeline(keys, |key, request| {
        write_command(request, &["SET", &format!("key:{key:012}"), "0123456789abcdef"]);
    })
}

/// Several members to a request.
fn fill_value(client: &mut Client, kind: &str, members: u64) -> io::Result<()> {
    const TOGETHER: u64 = 50;
    if kind == "string" {
        client.call(&["SETRANGE", "huge", &members.saturating_sub(1).to_string(), "x"])?;
        return Ok(());
    }
    let name = match kind {
        "zset" => "ZADD",
        "set" => "SADD",
        "hash" => "HSET",
        "list" => "RPUSH",
        other => return Err(io::Error::other(format!("--kind: `{other}` is no type"))),
    };
    client.pipeline(members.div_ceil(TOGETHER), |batch, request| {
        let mut words = vec![name.to_owned(), "huge".to_owned()];
        for member in batch * TOGETHER..((batch + 1) * TOGETHER).min(members) {
            let member_name = format!("member:{member:09}");
            match kind {
                "zset" => words.extend([member.to_string(), member_name]),
                "hash" => words.extend([member_name, "value".to_owned()]),
                _ => words.push(member_name),
            }
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        write_command(request, &words);
    })
}

fn used_memory(client: &mut Client) -> io::Result<u64> {
    let used = client.info("memory", "used_memory")?;
    used.parse().map_err(|_| io::Error::other(format!("used_memory:{used}")))
}
