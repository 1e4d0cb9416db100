//! How long servers take to load the same data set: an RDB file, an append-only file of single commands, and one whose base
//! is a snapshot. Redis makes the files, and the servers load copies of them in turns.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use tidegate_benches::client::{Client, value, write_command};
use tidegate_benches::cores::{self, Division};
use tidegate_benches::flags::{self, Flags};
use tidegate_benches::process::{Recipe, Server};
use tidegate_benches::{machine, now};

const HELP: &str = "\
Measures how long servers take to load a data set, in turns, and prints medians and ratios to Redis.

  --tidegate PATH         Tidegate's binary [target/release/tidegate]
  --redis PATH            the server that makes the files, and is measured beside [/usr/bin/redis-server]
  --io-threads N          threads of Tidegate [2]
  --keys N                in the files [5000000]
  --size N                bytes of a value [64]
  --rounds N              how often each loads each file [5]
  --only NAMES            some of: rdb,aof,base [rdb,aof,base]
  --dir PATH              where the files are made, and stay if it is given; what is there already is used
";

/// A data set that is not loaded after this is never.
const LIMIT: Duration = Duration::from_secs(600);
/// Commands written to the file together.
const TOGETHER: u64 = 10_000;

fn main() -> ExitCode {
    flags::program("load", HELP, Settings::read, run)
}

struct Settings {
    tidegate: PathBuf,
    redis: PathBuf,
    threads: usize,
    division: Division,
    keys: u64,
    size: usize,
    rounds: usize,
    only: Vec<String>,
    dir: Option<PathBuf>,
}

impl Settings {
    fn read(mut flags: Flags) -> Result<Self, String> {
        let allowed = cores::allowed().map_err(|error| error.to_string())?;
        let threads: usize = flags.value("--io-threads")?.unwrap_or(2).max(1);
        let path = |given: Option<PathBuf>, usual: &str| {
            machine::absolute(&given.unwrap_or_else(|| PathBuf::from(usual)))
        };
        let settings = Self {
            tidegate: path(flags.value("--tidegate")?, "target/release/tidegate"),
            redis: path(flags.value("--redis")?, "/usr/bin/redis-server"),
            threads,
            division: cores::divide(&allowed, threads),
            keys: flags.value("--keys")?.unwrap_or(5_000_000),
            size: flags.value("--size")?.unwrap_or(64),
            rounds: flags.value("--rounds")?.unwrap_or(5).max(1),
            only: flags
                .values("--only")?
                .unwrap_or_else(|| ["rdb", "aof", "base"].map(str::to_owned).to_vec()),
            dir: flags.value("--dir")?,
        };
        flags.finish()?;
        Ok(settings)
    }

    /// The two servers, to be started on the files in `dir`.
    fn recipes(&self, dir: &Path, has_aof: bool) -> [Recipe; 2] {
        let dir = dir.display().to_string();
        let append = if has_aof { "yes" } else { "no" };
        let threads = self.threads.to_string();
        let options = ["--dir", &dir, "--appendonly", append, "--auto-aof-rewrite-percentage", "0"];
        let ours = [&options[..], &["--io-threads", &threads]].concat();
        let cores = &self.division.servers;
        [
            Recipe::redis_like("redis", &self.redis, cores, &options),
            Recipe::redis_like("tidegate", &self.tidegate, cores, &ours),
        ]
    }
}

fn run(settings: &Settings) -> io::Result<bool> {
    let scratch = std::env::temp_dir().join(format!("tidegate-load-{}", std::process::id()));
    let root = settings.dir.clone().unwrap_or_else(|| scratch.clone());
    let result = measure_all(settings, &root);
    if settings.dir.is_none() {
        fs::remove_dir_all(&scratch)?;
    }
    result.map(|()| true)
}

fn measure_all(settings: &Settings, root: &Path) -> io::Result<()> {
    println!("{} keys with values of {} bytes, seconds to load them", settings.keys, settings.size);
    println!("servers on cores {}", cores::list(&settings.division.servers));
    println!(
        "| file | MB | redis | tidegate | ratio | spread redis | spread tidegate | peak MB redis | tidegate |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for kind in &settings.only {
        let dir = root.join(kind);
        make(settings, kind, &dir)?;
        let mut times = [Vec::new(), Vec::new()];
        let mut peaks = [0, 0];
        for round in 0..settings.rounds {
            for turn in 0..2 {
                // Neither is always the one that finds the file in the cache.
                let index = (round + turn) % 2;
                let recipe = &settings.recipes(&dir, kind != "rdb")[index];
                let (took, peak) = load(recipe, settings.keys)?;
                times[index].push(took);
                peaks[index] = peaks[index].max(peak);
            }
        }
        print(kind, &dir, &mut times, peaks)?;
    }
    Ok(())
}

fn print(kind: &str, dir: &Path, times: &mut [Vec<Duration>; 2], peaks: [u64; 2]) -> io::Result<()> {
    let [redis, ours] = times;
    let mut figures = Vec::new();
    for times in [redis, ours] {
        times.sort_unstable();
        let seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
        let spread = format!("{:.2}-{:.2}", seconds[0], seconds[seconds.len() - 1]);
        figures.push((seconds[seconds.len() / 2], spread));
    }
    let [(redis, redis_spread), (ours, ours_spread)] = &figures[..] else { unreachable!("there are two") };
    println!(
        "| {kind} | {} | {redis:.2} | {ours:.2} | {:.2} | {redis_spread} | {ours_spread} | {} | {} |",
        size_of(dir)? >> 20,
        redis / ours,
        peaks[0] >> 20,
        peaks[1] >> 20,
    );
    Ok(())
}

/// Starts a server and waits until it has everything; how long that took from the start of the process on, and the most
/// memory it had.
fn load(recipe: &Recipe, keys: u64) -> io::Result<(Duration, u64)> {
    let started = now();
    let server = Server::start_within(recipe, LIMIT)?;
    let took = started.elapsed();
    let mut client = Client::connect(server.address)?;
    let found = client.integer(&["DBSIZE"])?;
    if found != keys as i64 {
        return Err(io::Error::other(format!("{} loaded {found} keys of {keys}", recipe.name)));
    }
    Ok((took, server.peak_bytes()?))
}

/// Makes the files, unless they are there.
fn make(settings: &Settings, kind: &str, dir: &Path) -> io::Result<()> {
    if dir.exists() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    if kind == "aof" {
        let append = dir.join("appendonlydir");
        fs::create_dir(&append)?;
        return write_commands(settings, &append);
    }
    let is_base = kind == "base";
    let [redis, _] = settings.recipes(dir, is_base);
    let server = Server::start(&redis)?;
    let mut client = Client::connect(server.address)?;
    let (keys, size) = (settings.keys, settings.size);
    client.pipeline(keys, |key, request| {
        write_command(request, &["SET", &name(key), &value(key, size)]);
    })?;
    if !is_base {
        return client.call(&["SAVE"]);
    }
    client.call(&["BGREWRITEAOF"])?;
    let deadline = now() + LIMIT;
    while client.info("persistence", "aof_rewrite_in_progress")? != "0" {
        if now() > deadline {
            return Err(io::Error::other("the append-only file is not rewritten"));
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn name(key: u64) -> String {
    format!("key:{key:09}")
}

/// An append-only file of nothing but commands, which no server writes in a moment.
fn write_commands(settings: &Settings, dir: &Path) -> io::Result<()> {
    let file = "appendonly.aof.1.incr.aof";
    let mut out = BufWriter::new(fs::File::create(dir.join(file))?);
    let mut commands = Vec::new();
    write_command(&mut commands, &["SELECT", "0"]);
    for key in 0..settings.keys {
        write_command(&mut commands, &["SET", &name(key), &value(key, settings.size)]);
        if key.is_multiple_of(TOGETHER) || key + 1 == settings.keys {
            out.write_all(&commands)?;
            commands.clear();
        }
    }
    out.flush()?;
    fs::write(dir.join("appendonly.aof.manifest"), format!("file {file} seq 1 type i\n"))
}

/// Bytes of all files below a directory.
fn size_of(dir: &Path) -> io::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        size += if metadata.is_dir() { size_of(&entry.path())? } else { metadata.len() };
    }
    Ok(size)
}
