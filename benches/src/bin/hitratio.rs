//! Hit ratios of eviction policies at equal `maxmemory`, through the protocol: `GET`, and on a miss `SET`.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::ExitCode;

use tidegate_benches::chart::{self, Group, Panel};
use tidegate_benches::client::{Client, value, write_command};
use tidegate_benches::cores::{self, Division};
use tidegate_benches::flags::{self, Flags};
use tidegate_benches::hitratio::models::Model;
use tidegate_benches::hitratio::traces::{self, Trace};
use tidegate_benches::process::{Recipe, Server};
use tidegate_benches::{machine, now};

const HELP: &str = "\
Runs traces through servers that are bounded by maxmemory, and counts hits.

  --tidegate PATH         Tidegate's binary [target/release/tidegate]
  --redis PATH            redis-server [redis-server]
  --io-threads N          threads of Tidegate [2]
  --policies A,B          policies [all]
  --traces A,B            some of: zipf-0.9,zipf-1.1,scan,loop,shifting [all]
  --maxmemory BYTES       of each server [33554432]
  --requests N            of each trace [1000000]
  --value-size N          bytes of a value [200]
  --room N                keys the traces are made for [100000]
  --together N            requests sent at once, fewer where a key comes again [64]
  --models                what exact caches with that room hit; no server is started
  --output DIR            where table and plot go [benches/results]
";

/// Those of Redis 7, then those it does not have.
const POLICIES: [&str; 10] = [
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lrm",
    "volatile-lrm",
    "allkeys-s3fifo",
];
/// The first part of a trace, during which the cache fills, is not counted: one in so many requests.
const WARM: usize = 5;

fn main() -> ExitCode {
    flags::program("hitratio", HELP, Settings::read, run)
}

struct Settings {
    recipes: Vec<Recipe>,
    division: Division,
    policies: Vec<String>,
    traces: Vec<Trace>,
    maxmemory: u64,
    requests: usize,
    value_size: usize,
    room: usize,
    together: usize,
    models: bool,
    output: PathBuf,
}

impl Settings {
    fn read(mut flags: Flags) -> Result<Self, String> {
        let allowed = cores::allowed().map_err(|error| error.to_string())?;
        let threads: usize = flags.value("--io-threads")?.unwrap_or(2).max(1);
        let division = cores::divide(&allowed, threads);
        let path = |flags: &mut Flags, name: &str, usual: &str| -> Result<PathBuf, String> {
            Ok(machine::absolute(&flags.value(name)?.unwrap_or_else(|| PathBuf::from(usual))))
        };
        let tidegate = path(&mut flags, "--tidegate", "target/release/tidegate")?;
        let redis = flags.value("--redis")?.unwrap_or_else(|| PathBuf::from("redis-server"));
        let io_threads = threads.to_string();
        let recipes = vec![
            Recipe::redis_like("redis", &redis, &division.servers, &[]),
            Recipe::redis_like("tidegate", &tidegate, &division.servers, &["--io-threads", &io_threads]),
        ];
        let names: Option<Vec<String>> = flags.values("--traces")?;
        let traces = match names {
            None => Trace::ALL.to_vec(),
            Some(names) => {
                let named = |name: &String| Trace::ALL.into_iter().find(|trace| trace.name() == name);
                names
                    .iter()
                    .map(|name| named(name).ok_or(format!("there is no trace {name}")))
                    .collect::<Result<_, _>>()?
            }
        };
        let settings = Self {
            recipes,
            division,
            policies: flags.values("--policies")?.unwrap_or_else(|| POLICIES.map(str::to_owned).to_vec()),
            traces,
            maxmemory: flags.value("--maxmemory")?.unwrap_or(32 << 20),
            requests: flags.value("--requests")?.unwrap_or(1_000_000),
            value_size: flags.value("--value-size")?.unwrap_or(200),
            room: flags.value("--room")?.unwrap_or(100_000).max(100),
            together: flags.value("--together")?.unwrap_or(64).max(1),
            models: flags.switch("--models"),
            output: flags.value("--output")?.unwrap_or_else(|| PathBuf::from("benches/results")),
        };
        flags.finish()?;
        Ok(settings)
    }

    fn keys(&self, trace: Trace) -> Vec<u32> {
        trace.keys(self.requests, self.room, 1)
    }
}

fn run(settings: &Settings) -> io::Result<bool> {
    if settings.models {
        println!("{}", models(settings));
        return Ok(true);
    }
    cores::pin(&settings.division.generator)?;
    let mut table = format!(
        "{} requests, `maxmemory` {}, values of {} bytes, {} at once. {}\n\n",
        settings.requests,
        settings.maxmemory,
        settings.value_size,
        settings.together,
        machine::describe()
    );
    table += "Hits in percent / keys held at the end.\n\n| trace | policy | Redis 7.0.15 | Tidegate |\n|---|---|---:|---:|\n";
    print!("{table}");
    let mut panels = Vec::new();
    for &trace in &settings.traces {
        let keys = settings.keys(trace);
        let title = format!("{}: {} keys", trace.name(), traces::distinct(&keys));
        let mut panel = Panel { title, groups: Vec::new() };
        for policy in &settings.policies {
            let mut group = Group { label: policy.clone(), values: Vec::new() };
            let mut row = format!("| {} | `{policy}` |", trace.name());
            for recipe in &settings.recipes {
                if recipe.name == "redis" && (policy.ends_with("lrm") || policy.ends_with("s3fifo")) {
                    row += " |";
                    group.values.push(None);
                    continue;
                }
                let measured = measure(settings, recipe, policy, &keys)?;
                let _ = write!(row, " {:.1} / {} |", measured.hits * 100.0, measured.held);
                group.values.push(Some(measured.hits * 100.0));
                eprintln!(
                    "{} {policy} {}: {:.2} % with {} keys, {:.0} requests/s, {} evicted, {} bytes at most",
                    trace.name(),
                    recipe.name,
                    measured.hits * 100.0,
                    measured.held,
                    measured.per_second,
                    measured.evicted,
                    measured.peak
                );
            }
            println!("{row}");
            table += &row;
            table.push('\n');
            panel.groups.push(group);
        }
        panels.push(panel);
    }
    fs::create_dir_all(&settings.output)?;
    let names: Vec<String> = settings.recipes.iter().map(|recipe| recipe.name.clone()).collect();
    let plot =
        chart::svg("Hit ratio at equal maxmemory, percent", &names, &panels, |value| format!("{value:.1}"));
    fs::write(settings.output.join("hitratio.svg"), plot)?;
    fs::write(settings.output.join("hitratio.md"), table)?;
    Ok(true)
}

/// What exact caches would hit.
fn models(settings: &Settings) -> String {
    let mut table =
        format!("Exact policies with room for {} keys, hits in percent.\n\n| trace |", settings.room);
    for model in Model::ALL {
        let _ = write!(table, " {} |", model.name());
    }
    table += "\n|---|";
    table += &"---:|".repeat(Model::ALL.len());
    for &trace in &settings.traces {
        let keys = settings.keys(trace);
        let _ = write!(table, "\n| {} |", trace.name());
        for model in Model::ALL {
            let _ =
                write!(table, " {:.1} |", model.hits(&keys, settings.room, settings.requests / WARM) * 100.0);
        }
    }
    table
}

struct Measured {
    hits: f64,
    held: i64,
    evicted: String,
    peak: String,
    per_second: f64,
}

fn measure(settings: &Settings, recipe: &Recipe, policy: &str, keys: &[u32]) -> io::Result<Measured> {
    let server = Server::start(recipe)?;
    let mut client = Client::connect(server.address)?;
    client.call(&["CONFIG", "SET", "maxmemory-policy", policy])?;
    client.call(&["CONFIG", "SET", "maxmemory", &settings.maxmemory.to_string()])?;
    let started = now();
    let mut cache = Cache::connect(&server, settings, policy.starts_with("volatile"))?;
    let (mut counted, mut hits) = (0, 0);
    let warm = keys.len() / WARM;
    let mut at = 0;
    while at < keys.len() {
        let batch = Cache::batch(&keys[at..], settings.together);
        let found = cache.ask(&keys[at..at + batch])?;
        if at >= warm {
            (counted, hits) = (counted + batch, hits + found);
        }
        at += batch;
    }
    let elapsed = started.elapsed();
    Ok(Measured {
        hits: hits as f64 / counted.max(1) as f64,
        held: client.integer(&["DBSIZE"])?,
        evicted: client.info("stats", "evicted_keys")?,
        peak: client.info("memory", "used_memory_peak")?,
        per_second: keys.len() as f64 / elapsed.as_secs_f64(),
    })
}

/// A connection that uses the server as a cache.
struct Cache {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
    /// What is to be stored before anything else is asked for.
    missed: Vec<u32>,
    value_size: usize,
    volatile: bool,
    bytes: Vec<u8>,
}

impl Cache {
    fn connect(server: &Server, settings: &Settings, volatile: bool) -> io::Result<Self> {
        let stream = TcpStream::connect(server.address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::with_capacity(1 << 17, stream),
            request: Vec::new(),
            missed: Vec::new(),
            value_size: settings.value_size,
            volatile,
            bytes: Vec::new(),
        })
    }

    /// Number of keys that may be asked for at once: none of them twice, because the second time it would be there.
    fn batch(keys: &[u32], most: usize) -> usize {
        let keys = &keys[..keys.len().min(most)];
        (1..keys.len()).find(|at| keys[..*at].contains(&keys[*at])).unwrap_or(keys.len())
    }

    /// Asks for keys and remembers those that are not there. Returns how many are.
    fn ask(&mut self, keys: &[u32]) -> io::Result<usize> {
        self.request.clear();
        let stored = self.missed.len();
        for number in self.missed.drain(..) {
            let (key, value) = (name(number), value(u64::from(number), self.value_size));
            if self.volatile {
                write_command(&mut self.request, &["SET", &key, &value, "EX", "100000"]);
            } else {
                write_command(&mut self.request, &["SET", &key, &value]);
            }
        }
        for number in keys {
            write_command(&mut self.request, &["GET", &name(*number)]);
        }
        self.stream.get_mut().write_all(&self.request)?;
        for _ in 0..stored {
            self.reply()?;
        }
        let mut found = 0;
        for number in keys {
            if self.reply()? {
                found += 1;
            } else {
                self.missed.push(*number);
            }
        }
        Ok(found)
    }

    /// Reads a reply; false when it is null.
    fn reply(&mut self) -> io::Result<bool> {
        self.bytes.clear();
        io::BufRead::read_until(&mut self.stream, b'\n', &mut self.bytes)?;
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        match self.bytes.first() {
            Some(b'+') => Ok(true),
            Some(b'$') => {
                let len: i64 = text[1..].trim().parse().map_err(io::Error::other)?;
                if len < 0 {
                    return Ok(false);
                }
                self.bytes.resize(len as usize + 2, 0);
                self.stream.read_exact(&mut self.bytes)?;
                Ok(true)
            }
            _ => Err(io::Error::other(format!("an unexpected reply: {text}"))),
        }
    }
}

fn name(number: u32) -> String {
    format!("key:{number:012}")
}
