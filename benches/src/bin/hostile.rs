//! What other clients and the server's memory notice of clients that behave badly.
//!
//! A few connections ask for small keys without a pause, the keyspace is as large as `maxmemory` allows. When that has been
//! measured for a while, clients come that never read, thousands that are idle, one that sends a gigabyte at once, or
//! monitors that do not keep up; what the probes measure then is shown beside what they measured before, and the most
//! resident memory beside what the settings allow.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use tidegate_benches::client::{Client, value, write_command};
use tidegate_benches::cores::{self, Division};
use tidegate_benches::flags::{self, Flags};
use tidegate_benches::histogram::Histogram;
use tidegate_benches::process::{Recipe, Server};
use tidegate_benches::{machine, now, probe};

const HELP: &str = "\
Measures the latencies of other clients, and memory, while some behave badly.

  --tidegate PATH         Tidegate's binary [target/release/tidegate]
  --io-threads N          threads of Tidegate [2]
  --other NAME=PATH[:ARGS]  one more server, may be repeated
  --only NAMES            some of: readers,idle,pipeline,monitor [all]
  --maxmemory MB          of the keyspace, which is filled [256]
  --clients MB            maxmemory-clients [128]
  --output MB             hard limit of one client's output [32]
  --offenders N           clients that never read, or monitors [200]
  --idle N                idle connections [10000]
  --bytes N               of the long pipeline [1073741824]
  --probes N              connections that measure [4]
  --seconds N             how long they do so before, and at least during [5]
";

const MIB: u64 = 1 << 20;
/// What is added to the limits before memory counts as too much, in percent.
const TOLERANCE: u64 = 10;

fn main() -> ExitCode {
    flags::program("hostile", HELP, Settings::read, run)
}

struct Settings {
    recipes: Vec<Recipe>,
    division: Division,
    only: Vec<String>,
    maxmemory: u64,
    clients: u64,
    offenders: usize,
    idle: usize,
    bytes: usize,
    probes: usize,
    span: Duration,
}

impl Settings {
    fn read(mut flags: Flags) -> Result<Self, String> {
        let allowed = cores::allowed().map_err(|error| error.to_string())?;
        let threads: usize = flags.value("--io-threads")?.unwrap_or(2).max(1);
        let division = cores::divide(&allowed, threads);
        let tidegate: PathBuf =
            flags.value("--tidegate")?.unwrap_or_else(|| PathBuf::from("target/release/tidegate"));
        let maxmemory = flags.value("--maxmemory")?.unwrap_or(256) * MIB;
        let clients = flags.value("--clients")?.unwrap_or(128) * MIB;
        let output = flags.value("--output")?.unwrap_or(32) * MIB;
        let limits = format!("normal {output} 0 0");
        let (memory, of_clients) = (maxmemory.to_string(), clients.to_string());
        let common = [
            "--maxmemory",
            &memory,
            "--maxmemory-policy",
            "allkeys-lru",
            "--maxmemory-clients",
            &of_clients,
            "--client-output-buffer-limit",
            &limits,
            "--maxclients",
            "15000",
            "--logfile",
            "{dir}/hostile.log",
        ];
        let io_threads = threads.to_string();
        let options = [&common[..], &["--io-threads", &io_threads]].concat();
        let program = machine::absolute(&tidegate);
        let mut recipes = vec![Recipe::redis_like("tidegate", &program, &division.servers, &options)];
        for other in flags.all("--other")? {
            let mut recipe = Recipe::parse(&other, &division.servers)?;
            recipe.arguments.extend(common.map(str::to_owned));
            recipes.push(recipe);
        }
        let settings = Self {
            recipes,
            division,
            only: flags
                .values("--only")?
                .unwrap_or_else(|| ["readers", "idle", "pipeline", "monitor"].map(str::to_owned).to_vec()),
            maxmemory,
            clients,
            offenders: flags.value("--offenders")?.unwrap_or(200),
            idle: flags.value("--idle")?.unwrap_or(10_000),
            bytes: flags.value("--bytes")?.unwrap_or(1 << 30),
            probes: flags.value("--probes")?.unwrap_or(4).max(1),
            span: Duration::from_secs_f64(flags.value("--seconds")?.unwrap_or(5.0)),
        };
        flags.finish()?;
        Ok(settings)
    }
}

fn run(settings: &Settings) -> io::Result<bool> {
    cores::pin(&settings.division.generator)?;
    println!("latencies of {} connections in microseconds, before / during", settings.probes);
    println!("| server | clients | peak MB | allowed MB | closed | p50 | p99 | p99.9 | max | p99 ratio |");
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for name in &settings.only {
        for recipe in &settings.recipes {
            measure(settings, recipe, name)?.print(settings, &recipe.name, name);
        }
    }
    Ok(true)
}

struct Measured {
    before: Histogram,
    during: Histogram,
    peak: u64,
    /// Connections that the log says were closed for what they took.
    closed: usize,
}

impl Measured {
    fn print(&self, settings: &Settings, server: &str, name: &str) {
        let pair = |percent: f64| {
            let (before, during) = (self.before.percentile_us(percent), self.during.percentile_us(percent));
            format!("{before:.0} / {during:.0}")
        };
        let allowed = (settings.maxmemory + settings.clients) * (100 + TOLERANCE) / 100;
        println!(
            "| {server} | {name} | {} | {} | {} | {} | {} | {} | {:.0} / {:.0} | {:.2} |",
            self.peak / MIB,
            allowed / MIB,
            self.closed,
            pair(50.0),
            pair(99.0),
            pair(99.9),
            self.before.max_us(),
            self.during.max_us(),
            self.during.percentile_us(99.0) / self.before.percentile_us(99.0).max(1.0),
        );
    }
}

fn measure(settings: &Settings, recipe: &Recipe, name: &str) -> io::Result<Measured> {
    let server = Server::start(recipe)?;
    let mut client = Client::connect(server.address)?;
    probe::fill(&mut client)?;
    client.call(&["SET", "large", &value(1, 100_000)])?;
    let keys = settings.maxmemory / 1_000;
    client.pipeline(keys, |key, request| {
        write_command(request, &["SET", &format!("key:{key:012}"), &value(key, 1_000)]);
    })?;
    let stop = AtomicBool::new(false);
    let mut began = now();
    let samples: io::Result<Vec<_>> = thread::scope(|scope| {
        let probes: Vec<_> = (0..settings.probes)
            .map(|number| {
                let stop = &stop;
                scope.spawn(move || probe::run(server.address, number, stop))
            })
            .collect();
        thread::sleep(settings.span);
        began = now();
        let offence = offend(settings, server.address, name);
        thread::sleep(settings.span.saturating_sub(began.elapsed()));
        stop.store(true, Relaxed);
        let samples =
            probes.into_iter().map(|probe| probe.join().map_err(|_| io::Error::other("a probe died"))?);
        let samples: io::Result<Vec<_>> = samples.collect();
        offence.and(samples)
    });
    let (mut before, mut during) = (Histogram::default(), Histogram::default());
    for (sent, took) in samples?.into_iter().flatten() {
        if sent + took < began { &mut before } else { &mut during }.record(took);
    }
    let log = fs::read_to_string(server.directory.join("hostile.log"))?;
    let closed =
        log.lines().filter(|line| line.contains("overcoming of output") || line.contains("Evicting client"));
    Ok(Measured { before, during, peak: server.peak_bytes()?, closed: closed.count() })
}

/// Does what `name` says for as long as it takes.
fn offend(settings: &Settings, server: SocketAddr, name: &str) -> io::Result<()> {
    match name {
        "readers" => {
            let get = ["GET", "large"];
            let streams = ask_without_reading(server, settings.offenders, &get, 1_000)?;
            thread::sleep(settings.span);
            drop(streams);
        }
        "monitor" => {
            // What monitors hear of is what the probes do.
            let streams = ask_without_reading(server, settings.offenders, &["MONITOR"], 1)?;
            thread::sleep(settings.span * 2);
            drop(streams);
        }
        "idle" => {
            let idle =
                (0..settings.idle).map(|_| TcpStream::connect(server)).collect::<io::Result<Vec<_>>>()?;
            thread::sleep(settings.span);
            drop(idle);
        }
        "pipeline" => send_at_once(server, settings.bytes)?,
        other => return Err(io::Error::other(format!("--only: `{other}` is nothing that clients do here"))),
    }
    Ok(())
}

/// Connections that send a command so many times, as far as the server takes it, and read nothing.
fn ask_without_reading(
    server: SocketAddr,
    connections: usize,
    words: &[&str],
    times: usize,
) -> io::Result<Vec<TcpStream>> {
    let mut request = Vec::new();
    for _ in 0..times {
        write_command(&mut request, words);
    }
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut stream = TcpStream::connect(server)?;
        stream.set_nonblocking(true)?;
        // What does not fit, or comes after the server has closed, is not sent.
        let _ = stream.write(&request);
        streams.push(stream);
    }
    Ok(streams)
}

/// One pipeline of so many bytes, whose replies are read as they come.
fn send_at_once(server: SocketAddr, bytes: usize) -> io::Result<()> {
    let mut request = Vec::new();
    let set = |request: &mut Vec<u8>, number: u64| {
        write_command(request, &["SET", &format!("key:{number:012}"), &value(number, 1_000)]);
    };
    set(&mut request, 0);
    let count = bytes.div_ceil(request.len()) as u64;
    request.clear();
    (0..1_000).for_each(|number| set(&mut request, number));
    let mut stream = TcpStream::connect(server)?;
    let mut replies = stream.try_clone()?;
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut left = count as usize * b"+OK\r\n".len();
            let mut buffer = vec![0; 64 * 1024];
            while left > 0 {
                match replies.read(&mut buffer)? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                    read => left -= read.min(left),
                }
            }
            Ok(())
        });
        let each = request.len() / 1_000;
        let mut left = count as usize;
        while left > 0 {
            let batch = left.min(1_000);
            stream.write_all(&request[..batch * each])?;
            left -= batch;
        }
        reader.join().map_err(|_| io::Error::other("the reader died"))?
    })
}
