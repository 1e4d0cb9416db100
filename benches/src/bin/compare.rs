//! Tidegate beside Redis, and beside any other server of the protocol, on this machine, in one command.
//!
//! Servers and generator are pinned on different cores. Every cell is measured on one server after the other, round by
//! round (A B C A B C), while the other servers are stopped, so that a slow minute of the machine hits all of them.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tidegate_benches::cores::{self, Division};
use tidegate_benches::flags::{self, Flags};
use tidegate_benches::load::{self, Content, Generator};
use tidegate_benches::machine;
use tidegate_benches::now;
use tidegate_benches::process::{Recipe, Server};
use tidegate_benches::report::{Contender, Figure, Report, Source};
use tidegate_benches::stock;
use tidegate_benches::workload::tests_of_redis::Test;
use tidegate_benches::workload::{Batches, Cell, Keyspace, Op};

const HELP: &str = "\
Compares Tidegate with redis-server and with other servers of the protocol.

  --tidegate PATH         Tidegate's binary [target/release/tidegate]
  --io-threads N[,N]      Tidegate with these numbers of threads, each a contender of its own
                          [2,1, or 1 on fewer than four cores]; --threads is the same
  --tidegate-args TEXT    further arguments for every Tidegate
  --redis PATH            redis-server, the server the others are divided by [redis-server]
  --other NAME=PATH[:ARGS]  one more server, may be repeated; ARGS are added to Redis' usual options, or replace
                          them when they name {port}
  --cells A:N,B:N         cells: op[-zipf|-hot]:pipeline, op one of get set mix incr mset10 evalsha hot, or
                          a test of redis-benchmark: ping lpush rpush lpop rpop sadd hset spop zadd zpopmin lrange_100
                          lrange_300 lrange_500 lrange_600 xadd; `tests` means all of these at 1 and 16; or
                          Tidegate's own: rl.tokenbucket rl.gcra rl.fixed rl.sliding rl.check4 bf.add
                          bf.exists cms.incrby, and rl.script, a limiter in Lua for any server
                          [get set mix incr mset10 hot, each at 1, 16 and 64]
  --rounds N              times every cell is measured on every server [3]
  --seconds N             length of one measurement [2]
  --keys N                keys that exist [1000000]
  --value-size N          bytes of every value [64]
  --connections N         [50]
  --redis-benchmark PATH  [redis-benchmark]
  --stock-requests N      requests of each redis-benchmark test at pipeline 1, ten times as many at 16 [300000];
                          it reports in steps of a quarter of a second, so short runs say little
  --no-stock              leave redis-benchmark out
  --output DIR            where the report goes [benches/results]
  --quick                 under a minute: pipelines 1 and 16 of get, set and hot, one round, 0.5 s each, 200 k keys
";

fn main() -> ExitCode {
    flags::program("compare", HELP, Settings::read, |settings| {
        let complete = compare(settings)?;
        if !complete {
            eprintln!("compare: some measurements gave no figure, see the end of the report");
        }
        Ok::<_, io::Error>(complete)
    })
}

struct Settings {
    recipes: Vec<(Recipe, Contender)>,
    division: Division,
    cells: Vec<Cell>,
    rounds: usize,
    keyspace: Keyspace,
    generator: Generator,
    /// Program, and requests per test at pipeline 1.
    stock: Option<(PathBuf, u64)>,
    output: PathBuf,
}

impl Settings {
    fn read(mut flags: Flags) -> Result<Self, String> {
        let quick = flags.switch("--quick");
        let allowed = cores::allowed().map_err(|error| error.to_string())?;
        let named = flags.values("--io-threads")?.or(flags.values("--threads")?);
        let threads: Vec<usize> =
            named.unwrap_or_else(|| if allowed.len() < 4 { vec![1] } else { vec![2, 1] });
        if threads.contains(&0) {
            return Err("--io-threads: at least one thread".to_owned());
        }
        let division = cores::divide(&allowed, threads.iter().copied().max().unwrap_or(1));
        let connections = flags.value("--connections")?.unwrap_or(50);
        let seconds = flags.value("--seconds")?.unwrap_or(if quick { 0.5 } else { 2.0 });
        if !(0.01..=3_600.0).contains(&seconds) || connections == 0 {
            return Err("--seconds and --connections want sensible numbers".to_owned());
        }
        let keyspace = Keyspace {
            count: flags.value("--keys")?.unwrap_or(if quick { 200_000 } else { 1_000_000 }).max(1),
            value_len: flags.value("--value-size")?.unwrap_or(64),
        };
        let generator = Generator {
            connections,
            cores: division.generator.clone(),
            warm_up: Duration::from_secs_f64(if quick { 0.1 } else { 0.3 }),
            duration: Duration::from_secs_f64(seconds),
        };
        let cells = match flags.values::<String>("--cells")? {
            None => usual_cells(quick),
            Some(names) => named_cells(&names)?,
        };
        let rounds = flags.value("--rounds")?.unwrap_or(if quick { 1 } else { 3 }).max(1);
        let requests = flags.value("--stock-requests")?.unwrap_or(if quick { 20_000 } else { 300_000 });
        let program = flags.value("--redis-benchmark")?.unwrap_or_else(|| PathBuf::from("redis-benchmark"));
        let stock = (!flags.switch("--no-stock")).then_some((program, requests));
        let output = flags.value("--output")?.unwrap_or_else(|| PathBuf::from("benches/results"));
        let recipes = read_recipes(&mut flags, &division, &threads)?;
        flags.finish()?;
        Ok(Self { recipes, division, cells, rounds, keyspace, generator, stock, output })
    }
}

/// Redis first: it is what the others are divided by.
fn read_recipes(
    flags: &mut Flags,
    division: &Division,
    threads: &[usize],
) -> Result<Vec<(Recipe, Contender)>, String> {
    let redis: PathBuf = flags.value("--redis")?.unwrap_or_else(|| PathBuf::from("redis-server"));
    let tidegate: PathBuf =
        flags.value("--tidegate")?.unwrap_or_else(|| PathBuf::from("target/release/tidegate"));
    let more: String = flags.value("--tidegate-args")?.unwrap_or_default();
    let foreign = |recipe: Recipe| {
        let contender = Contender { name: recipe.name.clone(), tidegate_threads: None };
        (recipe, contender)
    };
    let mut recipes =
        vec![foreign(Recipe::redis_like("redis", &machine::absolute(&redis), &division.servers, &[]))];
    for &count in threads {
        let name = format!("tidegate-{count}t");
        let used = &division.servers[..count.min(division.servers.len())];
        let threads_text = count.to_string();
        let mut extra = vec!["--io-threads", &threads_text];
        extra.extend(more.split_whitespace());
        let recipe = Recipe::redis_like(&name, &machine::absolute(&tidegate), used, &extra);
        recipes.push((recipe, Contender { name, tidegate_threads: Some(count) }));
    }
    for text in flags.all("--other")? {
        recipes.push(foreign(Recipe::parse(&text, &division.servers)?));
    }
    Ok(recipes)
}

fn usual_cells(quick: bool) -> Vec<Cell> {
    let (names, depths): (&[&str], &[usize]) = if quick {
        (&["get", "set", "hot"], &[1, 16])
    } else {
        (&["get", "set", "mix", "incr", "mset10", "hot"], &[1, 16, 64])
    };
    let cells = depths.iter().flat_map(|depth| names.iter().map(move |name| format!("{name}:{depth}")));
    cells.map(|cell| cell.parse().expect("the names above are cells")).collect()
}

/// The cells that were asked for; `tests` stands for those of redis-benchmark.
fn named_cells(names: &[String]) -> Result<Vec<Cell>, String> {
    let mut cells = Vec::new();
    for name in names {
        if name == "tests" {
            let depths = [1, 16].into_iter();
            let tests = depths.flat_map(|depth| Test::ALL.map(|test| format!("{}:{depth}", test.name())));
            cells.extend(tests.map(|cell| cell.parse::<Cell>().expect("every test is a cell")));
        } else {
            cells.push(name.parse()?);
        }
    }
    Ok(cells)
}

/// A started server, or why it takes no further part.
struct Entry {
    server: Option<Server>,
    contender: usize,
}

/// Runs everything and writes the report; true when every measurement gave a figure.
fn compare(settings: &Settings) -> io::Result<bool> {
    let contenders = settings.recipes.iter().map(|(_, contender)| contender.clone()).collect();
    let mut report = Report {
        conditions: conditions(settings),
        contenders,
        baseline: 0,
        figures: Vec::new(),
        failures: Vec::new(),
    };
    let mut entries = start_all(settings, &mut report);
    if entries.iter().all(|entry| entry.server.is_none()) {
        return Err(io::Error::other(report.failures.join("; ")));
    }
    for round in 0..settings.rounds {
        for &cell in &settings.cells {
            let batches = Batches::build(cell, settings.keyspace, 0x7169 + round as u64);
            for entry in &mut entries {
                measure(settings, entry, &mut report, &format!("{cell}"), |server, contender| {
                    counting_figure(settings, server, cell, &batches, contender, round)
                        .map(|figure| vec![figure])
                });
            }
        }
        for pipeline in [1, 16] {
            for entry in &mut entries {
                if let Some((program, requests)) = &settings.stock {
                    let requests = if pipeline == 1 { *requests } else { requests * 10 };
                    measure(settings, entry, &mut report, "redis-benchmark", |server, contender| {
                        stock_figures(settings, server, program, requests, pipeline, contender, round)
                    });
                }
            }
        }
        eprintln!("round {} of {} done", round + 1, settings.rounds);
    }
    drop(entries);
    write_report(settings, &report)?;
    Ok(report.failures.is_empty())
}

/// Starts, fills and pauses every server; one that cannot be used is a failure in the report.
fn start_all(settings: &Settings, report: &mut Report) -> Vec<Entry> {
    let wants_counters = settings.cells.iter().any(|cell| matches!(cell.op, Op::Incr | Op::Evalsha));
    let mut entries = Vec::new();
    for (contender, (recipe, _)) in settings.recipes.iter().enumerate() {
        let ready = || -> Result<Server, Box<dyn std::error::Error>> {
            let server = Server::start(recipe)?;
            load::preload(server.address, settings.keyspace, 0, Content::Values)?;
            if wants_counters {
                load::preload(server.address, settings.keyspace, 0, Content::Counters)?;
            }
            server.pause()?;
            Ok(server)
        };
        let server = ready().map_err(|error| report.failures.push(format!("{}: {error}", recipe.name))).ok();
        eprintln!("{}: {}", recipe.name, if server.is_some() { "ready" } else { "not usable" });
        entries.push(Entry { server, contender });
    }
    entries
}

/// Runs one measurement on one server while all others stand still.
fn measure(
    settings: &Settings,
    entry: &mut Entry,
    report: &mut Report,
    what: &str,
    run: impl FnOnce(&Server, usize) -> Result<Vec<Figure>, Box<dyn std::error::Error>>,
) {
    let Some(server) = &entry.server else {
        return;
    };
    let name = &settings.recipes[entry.contender].0.name;
    let result = match server.resume() {
        Ok(()) => run(server, entry.contender),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(figures) => report.figures.extend(figures),
        Err(error) => {
            eprintln!("{name}, {what}: {error}");
            report.failures.push(format!("{name}, {what}: {error}"));
        }
    }
    // A server that does not answer any more would only cost the time limit of every further cell.
    if server.ping().and_then(|()| server.pause()).is_err() {
        report.failures.push(format!("{name} does not answer any more; left out from {what} on"));
        entry.server = None;
    }
}

fn counting_figure(
    settings: &Settings,
    server: &Server,
    cell: Cell,
    batches: &Batches,
    contender: usize,
    round: usize,
) -> Result<Figure, Box<dyn std::error::Error>> {
    let (from, cpu_from) = (now(), server.cpu_time()?);
    let measured = load::run(server.address, batches, &settings.generator)?;
    let server_cores =
        server.cpu_time()?.saturating_sub(cpu_from).as_secs_f64() / from.elapsed().as_secs_f64();
    let figure = Figure {
        source: Source::Counting,
        row: cell.row(),
        pipeline: cell.pipeline,
        contender,
        round,
        per_second: measured.per_second(),
        p50_us: measured.latency.percentile_us(50.0),
        p99_us: measured.latency.percentile_us(99.0),
        p999_us: Some(measured.latency.percentile_us(99.9)),
        server_cores: Some(server_cores),
        generator_busy: Some(measured.generator_busy),
    };
    eprintln!(
        "  {:<10} {:<12} {:>9.1} k/s  p50 {:>6.0}  p99 {:>6.0}  p99.9 {:>6.0} µs",
        cell.to_string(),
        server.name,
        figure.per_second / 1e3,
        figure.p50_us,
        figure.p99_us,
        figure.p999_us.unwrap_or_default()
    );
    Ok(figure)
}

fn stock_figures(
    settings: &Settings,
    server: &Server,
    program: &Path,
    requests: u64,
    pipeline: usize,
    contender: usize,
    round: usize,
) -> Result<Vec<Figure>, Box<dyn std::error::Error>> {
    let lines = stock::run(program, server.address, pipeline, requests, &settings.division.generator)?;
    let figure = |line: stock::Stock| Figure {
        source: Source::Stock,
        row: line.test.to_owned(),
        pipeline,
        contender,
        round,
        per_second: line.per_second,
        p50_us: line.p50_us,
        p99_us: line.p99_us,
        p999_us: None,
        server_cores: None,
        generator_busy: None,
    };
    let figures: Vec<Figure> = lines.into_iter().map(figure).collect();
    let shown: Vec<String> =
        figures.iter().map(|figure| format!("{} {:.0}", figure.row, figure.per_second / 1e3)).collect();
    eprintln!("  redis-benchmark -P {pipeline} {}: {} k/s", server.name, shown.join(", "));
    Ok(figures)
}

fn conditions(settings: &Settings) -> Vec<String> {
    let mut lines = vec![machine::describe()];
    lines.push(format!(
        "servers on cores {}, generator on {} ({} threads, {} connections, closed loop)",
        cores::list(&settings.division.servers),
        cores::list(&settings.division.generator),
        settings.generator.cores.len(),
        settings.generator.connections
    ));
    if settings.division.servers == settings.division.generator {
        lines.push("**one core only: server and generator share it, the figures mean little**".to_owned());
    }
    lines.push(format!(
        "{} keys of 16 bytes, values of {} bytes, all present; persistence off; {} s per cell, medians of {} interleaved rounds",
        settings.keyspace.count,
        settings.keyspace.value_len,
        settings.generator.duration.as_secs_f64(),
        settings.rounds
    ));
    for (recipe, _) in &settings.recipes {
        lines.push(format!(
            "{}: {} on cores {}",
            recipe.name,
            machine::version(&recipe.program),
            cores::list(&recipe.cores)
        ));
    }
    lines.push("a generator near 100 % busy was the limit of that cell, not the server".to_owned());
    lines
}

fn write_report(settings: &Settings, report: &Report) -> io::Result<()> {
    let stamp = machine::stamp()?;
    let title = format!("Tidegate compared, {stamp} UTC");
    let mut text = report.markdown(&title);
    write!(text, "\n![requests per second]({stamp}.svg)\n").expect("a String takes every write");
    fs::create_dir_all(&settings.output)?;
    let file = |extension: &str| settings.output.join(format!("{stamp}.{extension}"));
    fs::write(file("md"), &text)?;
    fs::write(file("csv"), report.csv())?;
    fs::write(file("svg"), report.chart(&title))?;
    println!("{text}");
    eprintln!("written: {}, .csv and .svg", file("md").display());
    Ok(())
}
