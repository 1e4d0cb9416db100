//! What a key, a growing table and an idle connection cost: Tidegate beside Redis, each measured from outside.
//!
//! Bytes are differences of resident memory, so they include the table, the allocator's slack and everything else a
//! key or a connection makes a server keep. Every figure comes from a server started for it alone.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidegate_benches::cores::{self, Division};
use tidegate_benches::flags::{self, Flags};
use tidegate_benches::histogram::Histogram;
use tidegate_benches::load::{self, Content};
use tidegate_benches::members::Kind;
use tidegate_benches::process::{Recipe, Server, Tracked, ping_on};
use tidegate_benches::workload::{Keyspace, write_set};
use tidegate_benches::{machine, now};

const HELP: &str = "\
Measures memory per key and per idle connection, and the worst SET while a keyspace grows.

  --tidegate PATH         Tidegate's binary [target/release/tidegate]
  --io-threads N          threads of Tidegate [2]
  --redis PATH            redis-server [redis-server]
  --other NAME=PATH[:ARGS]  one more server, may be repeated
  --only NAMES            some of: keys,collections,growth,connections [all]
  --value-sizes N,N       [16,64,256]
  --keys N,N              numbers of keys at which memory is read, ascending [1000000,5000000]
  --elements N            elements of every collection [1000000]
  --growth-keys N         keys to grow to with unpipelined SETs [10000000]
  --connections N         idle connections [10000]
  --table-memory PATH     the table's own bench, whose worst insert is shown beside the socket's [beside this program]
  --output DIR            where the table goes [benches/results]
  --quick                 a tenth of the keys and connections, growth to 200 k
";

/// Bytes per key, key included, by length of the value, for keys of 16 bytes.
const KEY_TARGETS: [(usize, f64); 3] = [(16, 66.0), (64, 114.0), (256, 386.0)];
const WORST_SET_TARGET_MS: f64 = 15.0;
const CONNECTION_TARGET_BYTES: f64 = 6.0 * 1024.0;
/// Value length of the growth run.
const GROWTH_VALUE: usize = 64;
/// Room for the server's own files and the monitoring connection.
const SPARE_DESCRIPTORS: usize = 100;

fn main() -> ExitCode {
    flags::program("memory", HELP, Settings::read, run)
}

struct Settings {
    recipes: Vec<Recipe>,
    division: Division,
    only: Vec<String>,
    value_sizes: Vec<usize>,
    counts: Vec<u32>,
    elements: u32,
    growth_keys: u32,
    connections: usize,
    table_memory: Option<PathBuf>,
    output: PathBuf,
}

impl Settings {
    fn read(mut flags: Flags) -> Result<Self, String> {
        let quick = flags.switch("--quick");
        let allowed = cores::allowed().map_err(|error| error.to_string())?;
        let threads: usize = flags.value("--io-threads")?.unwrap_or(2).max(1);
        let division = cores::divide(&allowed, threads);
        let wanted = flags.value("--connections")?.unwrap_or(if quick { 1_000 } else { 10_000 });
        let connections = raise_descriptor_limit(wanted);
        if connections < wanted {
            eprintln!("only {connections} connections: the hard limit of open files allows no more");
        }
        let mut counts: Vec<u32> = flags
            .values("--keys")?
            .unwrap_or_else(|| if quick { vec![100_000, 500_000] } else { vec![1_000_000, 5_000_000] });
        counts.sort_unstable();
        let only = flags.values("--only")?.unwrap_or_else(|| PARTS.map(str::to_owned).to_vec());
        if let Some(unknown) = only.iter().find(|part| !PARTS.contains(&part.as_str())) {
            return Err(format!("--only: `{unknown}` is none of {}", PARTS.join(", ")));
        }
        let settings = Self {
            recipes: read_recipes(&mut flags, &division, threads, connections)?,
            division,
            only,
            value_sizes: flags.values("--value-sizes")?.unwrap_or_else(|| vec![16, 64, 256]),
            counts,
            elements: flags.value("--elements")?.unwrap_or(if quick { 100_000 } else { 1_000_000 }).max(1),
            growth_keys: flags
                .value("--growth-keys")?
                .unwrap_or(if quick { 200_000 } else { 10_000_000 })
                .max(1),
            connections,
            table_memory: flags.value("--table-memory")?.or_else(table_memory_beside),
            output: flags.value("--output")?.unwrap_or_else(|| PathBuf::from("benches/results")),
        };
        flags.finish()?;
        Ok(settings)
    }

    fn wants(&self, part: &str) -> bool {
        self.only.iter().any(|wanted| wanted == part)
    }
}

const PARTS: [&str; 4] = ["keys", "collections", "growth", "connections"];

/// Tidegate first: the table reads target, Tidegate, others.
fn read_recipes(
    flags: &mut Flags,
    division: &Division,
    threads: usize,
    connections: usize,
) -> Result<Vec<Recipe>, String> {
    let tidegate: PathBuf =
        flags.value("--tidegate")?.unwrap_or_else(|| PathBuf::from("target/release/tidegate"));
    let redis: PathBuf = flags.value("--redis")?.unwrap_or_else(|| PathBuf::from("redis-server"));
    let (threads, clients) = (threads.to_string(), (connections + SPARE_DESCRIPTORS).to_string());
    let limit = ["--maxclients", &clients];
    let mut recipes = vec![
        Recipe::redis_like(
            "tidegate",
            &machine::absolute(&tidegate),
            &division.servers,
            &["--io-threads", &threads, limit[0], limit[1]],
        ),
        Recipe::redis_like("redis", &machine::absolute(&redis), &division.servers, &limit),
    ];
    for text in flags.all("--other")? {
        recipes.push(Recipe::parse(&text, &division.servers)?);
    }
    Ok(recipes)
}

/// Raises the soft limit of open files as far as `connections` need it, for this process and the servers it starts;
/// gives how many connections fit.
fn raise_descriptor_limit(connections: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let needed = (connections + 2 * SPARE_DESCRIPTORS) as u64;
    let possible = limit.maximum.unwrap_or(needed).min(needed.max(limit.current.unwrap_or(needed)));
    // A refused raise leaves the soft limit as it was; the minimum below then counts.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum: limit.maximum });
    let now = getrlimit(Resource::Nofile).current.unwrap_or(needed) as usize;
    connections.min(now.saturating_sub(2 * SPARE_DESCRIPTORS))
}

/// One row of the table: what was measured, its target and a text per server.
struct Row {
    what: String,
    target: String,
    cells: Vec<String>,
}

type Failure = Box<dyn std::error::Error>;

/// Measures everything and writes the table; true when every measurement gave a figure.
fn run(settings: &Settings) -> io::Result<bool> {
    cores::pin(&settings.division.generator)?;
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    if settings.wants("keys") {
        for &value_len in &settings.value_sizes {
            key_rows(settings, value_len, &mut rows, &mut failures);
        }
    }
    if settings.wants("collections") {
        collection_rows(settings, &mut rows, &mut failures);
    }
    if settings.wants("growth") {
        growth_rows(settings, &mut rows, &mut failures);
    }
    if settings.wants("connections") {
        let cells = column(settings, &mut failures, "idle connections", |recipe| {
            let bytes = per_connection(recipe, settings.connections)?;
            Ok(figure(bytes, CONNECTION_TARGET_BYTES, "B"))
        });
        rows.push(Row {
            what: format!("RSS per idle connection, {}", settings.connections),
            target: format!("{CONNECTION_TARGET_BYTES:.0} B"),
            cells,
        });
    }
    write_table(settings, &rows, &failures)?;
    Ok(failures.is_empty())
}

/// Runs one measurement on every server; a failure leaves `-` in its column.
fn column(
    settings: &Settings,
    failures: &mut Vec<String>,
    what: &str,
    measure: impl Fn(&Recipe) -> Result<String, Failure>,
) -> Vec<String> {
    let one = |recipe: &Recipe| match measure(recipe) {
        Ok(text) => {
            eprintln!("{what}, {}: {text}", recipe.name);
            text
        }
        Err(error) => {
            eprintln!("{what}, {}: {error}", recipe.name);
            failures.push(format!("{what}, {}: {error}", recipe.name));
            "-".to_owned()
        }
    };
    settings.recipes.iter().map(one).collect()
}

fn figure(value: f64, target: f64, unit: &str) -> String {
    let missed = if value > target { " (over)" } else { "" };
    let digits = usize::from(value < 100.0);
    format!("{value:.digits$} {unit}{missed}")
}

fn key_rows(settings: &Settings, value_len: usize, rows: &mut Vec<Row>, failures: &mut Vec<String>) {
    let target = KEY_TARGETS.iter().find(|(size, _)| *size == value_len).map(|(_, bytes)| *bytes);
    let per_server: Vec<Option<Vec<f64>>> = settings
        .recipes
        .iter()
        .map(|recipe| {
            let bytes = per_key(recipe, value_len, &settings.counts);
            let bytes =
                bytes.map_err(|error| failures.push(format!("memory per key, {}: {error}", recipe.name)));
            eprintln!("values of {value_len} bytes, {}: {bytes:.1?} bytes per key", recipe.name);
            bytes.ok()
        })
        .collect();
    for (index, count) in settings.counts.iter().enumerate() {
        let cell = |bytes: &Option<Vec<f64>>| match bytes {
            Some(bytes) => figure(bytes[index], target.unwrap_or(f64::INFINITY), "B"),
            None => "-".to_owned(),
        };
        rows.push(Row {
            what: format!("RSS per key, 16-byte key, {value_len}-byte value, {count} keys"),
            target: target.map_or_else(|| "-".to_owned(), |bytes| format!("{bytes:.0} B")),
            cells: per_server.iter().map(cell).collect(),
        });
    }
}

/// Bytes of resident memory per key at each of the ascending `counts`.
fn per_key(recipe: &Recipe, value_len: usize, counts: &[u32]) -> Result<Vec<f64>, Failure> {
    let server = Server::start(recipe)?;
    let empty = server.resident_bytes()?;
    let mut from = 0;
    let mut bytes = Vec::new();
    for &count in counts {
        load::preload(server.address, Keyspace { count, value_len }, from, Content::Values)?;
        bytes.push(server.resident_bytes()?.saturating_sub(empty) as f64 / f64::from(count));
        from = count;
    }
    Ok(bytes)
}

fn collection_rows(settings: &Settings, rows: &mut Vec<Row>, failures: &mut Vec<String>) {
    for kind in Kind::ALL {
        let what = format!("RSS per {}, {} of them", kind.what(), settings.elements);
        let cells = column(settings, failures, &what, |recipe| {
            let server = Server::start(recipe)?;
            let empty = server.resident_bytes()?;
            kind.fill(server.address, settings.elements)?;
            let grown = server.resident_bytes()?.saturating_sub(empty);
            Ok(figure(grown as f64 / f64::from(settings.elements), kind.target(), "B"))
        });
        rows.push(Row { what, target: format!("{:.0} B", kind.target()), cells });
    }
}

/// Latencies of unpipelined SETs in microseconds.
struct Growth {
    p50_us: f64,
    p9999_us: f64,
    max_us: f64,
    /// Keys there were when the slowest SET came.
    slowest_at: u32,
    /// The slowest overwrite of a key afterwards, when nothing grows: what the machine alone is guilty of.
    settled_max_us: f64,
}

fn growth_rows(settings: &Settings, rows: &mut Vec<Row>, failures: &mut Vec<String>) {
    let what = format!("worst SET while growing to {} keys", settings.growth_keys);
    let cells = column(settings, failures, &what, |recipe| {
        let growth = grow(recipe, settings.growth_keys)?;
        Ok(format!(
            "{} at {} keys; p50 {:.0} µs, p99.99 {:.0} µs; overwriting {:.2} ms",
            figure(growth.max_us / 1e3, WORST_SET_TARGET_MS, "ms"),
            growth.slowest_at,
            growth.p50_us,
            growth.p9999_us,
            growth.settled_max_us / 1e3
        ))
    });
    rows.push(Row {
        what: format!("{what}, one connection"),
        target: format!("{WORST_SET_TARGET_MS} ms"),
        cells,
    });
    if let Some(program) = &settings.table_memory {
        let mut cells = vec!["-".to_owned(); settings.recipes.len()];
        match table_worst_ms(program, settings.growth_keys) {
            Ok(worst) => cells[0] = figure(worst, WORST_SET_TARGET_MS, "ms"),
            Err(error) => failures.push(format!("{}: {error}", program.display())),
        }
        rows.push(Row {
            what: "the same within the process, table only".to_owned(),
            target: format!("{WORST_SET_TARGET_MS} ms"),
            cells,
        });
    }
}

fn table_memory_beside() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.with_file_name("table_memory");
    path.is_file().then_some(path)
}

/// Lets the table's own bench grow to `keys` and reads its slowest insert, in milliseconds.
fn table_worst_ms(program: &Path, keys: u32) -> Result<f64, Failure> {
    let mut command = Command::new(program);
    command.args(["grow", &keys.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
    let (said, status) = Tracked::start(&mut command, None)?.output()?;
    if !status.success() {
        return Err(format!("ended with {status}").into());
    }
    // "... slowest inserts [1.2ms, 900µs, ...] ...": the slowest one comes first.
    let slowest = said.split_once("slowest inserts [").and_then(|(_, rest)| rest.split([',', ']']).next());
    slowest.and_then(milliseconds).ok_or_else(|| format!("not understood: {}", said.trim()).into())
}

/// Reads a duration as Rust's debug format writes it.
fn milliseconds(text: &str) -> Option<f64> {
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
    let number: f64 = text[..unit_at].parse().ok()?;
    let factor = match &text[unit_at..] {
        "s" => 1e3,
        "ms" => 1.0,
        "µs" => 1e-3,
        "ns" => 1e-6,
        _ => return None,
    };
    Some(number * factor)
}

fn grow(recipe: &Recipe, keys: u32) -> Result<Growth, Failure> {
    let server = Server::start(recipe)?;
    let mut client = Client::new(&server)?;
    let (mut growing, mut slowest, mut slowest_at) = (Histogram::default(), Duration::ZERO, 0);
    for key in 0..keys {
        let latency = client.set(key)?;
        growing.record(latency);
        if latency > slowest {
            (slowest, slowest_at) = (latency, key);
        }
        if key > 0 && key % 1_000_000 == 0 {
            eprintln!(
                "  {}: {} M keys, worst SET so far {:.2} ms",
                recipe.name,
                key / 1_000_000,
                growing.max_us() / 1e3
            );
        }
    }
    let mut settled = Histogram::default();
    for key in 0..keys.min(1_000_000) {
        settled.record(client.set(key)?);
    }
    Ok(Growth {
        p50_us: growing.percentile_us(50.0),
        p9999_us: growing.percentile_us(99.99),
        max_us: growing.max_us(),
        slowest_at,
        settled_max_us: settled.max_us(),
    })
}

/// One connection that sends one SET at a time.
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
}

impl Client {
    fn new(server: &Server) -> io::Result<Self> {
        let stream = TcpStream::connect(server.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, request: Vec::new() })
    }

    fn set(&mut self, key: u32) -> io::Result<Duration> {
        self.request.clear();
        write_set(&mut self.request, key, GROWTH_VALUE);
        let mut reply = [0; 5];
        let sent = now();
        self.stream.write_all(&self.request)?;
        self.stream.read_exact(&mut reply)?;
        let latency = sent.elapsed();
        if reply != *b"+OK\r\n" {
            return Err(io::Error::other(format!("SET answered {}", reply.escape_ascii())));
        }
        Ok(latency)
    }
}

/// Bytes of resident memory per connection that has sent one PING and is idle.
fn per_connection(recipe: &Recipe, count: usize) -> Result<f64, Failure> {
    let server = Server::start(recipe)?;
    let empty = server.resident_bytes()?;
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(server.address)?;
        ping_on(&mut stream)?;
        connections.push(stream);
    }
    let full = server.resident_bytes()?;
    // A sample is asked again: a server that dropped connections on the way must not look thrifty.
    for stream in connections.iter_mut().step_by(97) {
        ping_on(stream)?;
    }
    Ok(full.saturating_sub(empty) as f64 / count as f64)
}

fn write_table(settings: &Settings, rows: &[Row], failures: &[String]) -> io::Result<()> {
    let stamp = machine::stamp()?;
    let names: Vec<&str> = settings.recipes.iter().map(|recipe| recipe.name.as_str()).collect();
    let mut lines = vec![format!("# Memory compared, {stamp} UTC\n\n- {}", machine::describe())];
    for recipe in &settings.recipes {
        lines.push(format!("- {}: {}", recipe.name, machine::version(&recipe.program)));
    }
    lines.push(
        "- differences to the empty server; persistence off; \"over\" means over the target".to_owned(),
    );
    lines.push(format!("\n| measured | target | {} |", names.join(" | ")));
    lines.push(format!("|---|---:|{}", "---:|".repeat(names.len())));
    lines.extend(
        rows.iter().map(|row| format!("| {} | {} | {} |", row.what, row.target, row.cells.join(" | "))),
    );
    if !failures.is_empty() {
        lines.push("\nWithout a figure:\n".to_owned());
        lines.extend(failures.iter().map(|failure| format!("- {failure}")));
    }
    let text = lines.join("\n") + "\n";
    fs::create_dir_all(&settings.output)?;
    let path = settings.output.join(format!("memory-{stamp}.md"));
    fs::write(&path, &text)?;
    println!("{text}");
    eprintln!("written: {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_as_milliseconds() {
        for duration in [Duration::from_micros(1_234), Duration::from_secs(2), Duration::from_nanos(250_500)]
        {
            let read = milliseconds(&format!("{duration:?}")).expect("a duration");
            assert!((read - duration.as_secs_f64() * 1e3).abs() < 1e-9, "{duration:?} -> {read}");
        }
        assert_eq!(milliseconds("12 apples"), None);
    }
}
