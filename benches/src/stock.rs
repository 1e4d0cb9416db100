//! `redis-benchmark` as a second opinion: the tests everybody runs first, with its own defaults (one key, 3-byte value).

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cores;
use crate::process::Tracked;

/// The tests, as redis-benchmark's `-t` names them; its report names them otherwise.
pub const TESTS: [&str; 15] = [
    "ping_inline",
    "ping_mbulk",
    "set",
    "get",
    "incr",
    "lpush",
    "rpush",
    "lpop",
    "rpop",
    "sadd",
    "hset",
    "spop",
    "zadd",
    "zpopmin",
    "mset",
];

/// Tests whose replies have hundreds of elements: a tenth of the requests takes as long.
pub const LONG_TESTS: [&str; 4] = ["lrange_100", "lrange_300", "lrange_500", "lrange_600"];

/// One line of the report of redis-benchmark.
#[derive(Clone, Debug, PartialEq)]
pub struct Stock {
    /// As `-t` names it.
    pub test: &'static str,
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

/// Runs the tests with `requests` requests each (the long ones with a tenth) at one pipeline depth, pinned on
/// `generator_cores`, one thread each.
pub fn run(
    program: &Path,
    server: SocketAddr,
    pipeline: usize,
    requests: u64,
    generator_cores: &[usize],
) -> io::Result<Vec<Stock>> {
    let mut lines = run_tests(program, server, pipeline, requests, generator_cores, &TESTS)?;
    let requests = (requests / 10).max(1);
    lines.extend(run_tests(program, server, pipeline, requests, generator_cores, &LONG_TESTS)?);
    Ok(lines)
}

fn run_tests(
    program: &Path,
    server: SocketAddr,
    pipeline: usize,
    requests: u64,
    generator_cores: &[usize],
    tests: &[&str],
) -> io::Result<Vec<Stock>> {
    let mut command = Command::new(program);
    command.args(["-h", &server.ip().to_string(), "-p", &server.port().to_string()]);
    command.args([
        "-t",
        &tests.join(","),
        "-n",
        &requests.to_string(),
        "-P",
        &pipeline.to_string(),
        "-q",
        "--csv",
    ]);
    if generator_cores.len() > 1 {
        command.args(["--threads", &generator_cores.len().to_string()]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let ours = cores::allowed()?;
    cores::pin(generator_cores)?;
    let started = Tracked::start(&mut command, None);
    cores::pin(&ours)?;
    let (report, status) = started?.output()?;
    let lines = parse(&report);
    if !status.success() || lines.len() != tests.len() {
        let last = report.lines().last().unwrap_or_default();
        return Err(io::Error::other(format!("redis-benchmark ended with {status}: {last}")));
    }
    Ok(lines)
}

/// Reads `"SET","145401.67",avg,min,p50,p95,p99,max`, latencies in milliseconds, whatever else is printed around it.
fn parse(report: &str) -> Vec<Stock> {
    report.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Stock> {
    // The name of the MSET test is "MSET (10 keys)": no commas within quotes.
    let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
    // "LPUSH (needed to benchmark LRANGE)" is no test.
    let name = fields.first()?.split_once(" (needed").is_none().then(|| fields[0].split(' ').next())??;
    let name = name.to_ascii_lowercase();
    let test = TESTS.into_iter().chain(LONG_TESTS).find(|test| *test == name)?;
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(Stock { test, per_second: number(1)?, p50_us: number(4)? * 1e3, p99_us: number(6)? * 1e3 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_csv_report_are_read_and_others_skipped() {
        let report = "WARNING: Could not fetch server CONFIG\n\
            \"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n\
            \"PING_INLINE\",\"99800.40\",\"0.3\",\"0.1\",\"0.295\",\"0.463\",\"0.567\",\"6.031\"\n\
            \"LPUSH (needed to benchmark LRANGE)\",\"99800.40\",\"0.3\",\"0.1\",\"0.295\",\"0.463\",\"0.567\",\"6.031\"\n\
            \"MSET (10 keys)\",\"50000.00\",\"0.3\",\"0.1\",\"0.400\",\"0.5\",\"0.600\",\"6\"\n";
        let lines = parse(report);
        assert_eq!(lines.iter().map(|line| line.test).collect::<Vec<_>>(), ["ping_inline", "mset"]);
        assert!((lines[0].per_second - 99_800.4).abs() < 0.01);
        assert!((lines[0].p50_us - 295.0).abs() < 0.01 && (lines[1].p99_us - 600.0).abs() < 0.01);
    }
}
