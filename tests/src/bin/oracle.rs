//! `oracle`: runs random commands on Redis and on Tidegate and reports where they differ.
//!
//! ```text
//! oracle [--seed N] [--commands M] [--jobs J] [--self] [--families a,b] [--differences K] [--all]
//!        [--reference PATH] [--target PATH] [--allow FILE]
//! ```
//! `--self` compares Redis with itself, which must find nothing. Exits with 1 when there is a difference that the
//! allow-list does not explain, with 2 when it cannot run.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tidegate_tests::clock;
use tidegate_tests::oracle::allow::AllowList;
use tidegate_tests::oracle::{self, Options, Summary};
use tidegate_tests::server::{REDIS_SERVER, tidegate_binary};

fn main() -> ExitCode {
    match parse().and_then(|(options, jobs)| run(&options, jobs)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("oracle: {message}");
            ExitCode::from(2)
        }
    }
}

fn parse() -> Result<(Options, u64), String> {
    let mut options = Options::new(PathBuf::new(), clock::unix_us() % 1_000_000_000, 100_000);
    let mut jobs = 1;
    let mut allow = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/allow.txt");
    let mut target = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
        match word.as_str() {
            "--seed" => options.seed = number(value()?)?,
            "--commands" => options.commands = number(value()?)?,
            "--jobs" => jobs = number(value()?)?.max(1),
            "--differences" => options.differences_max = number(value()?)? as usize,
            "--families" => options.families = value()?.split(',').map(ToOwned::to_owned).collect(),
            "--reference" => options.reference = value()?.into(),
            "--target" => target = Some(value()?.into()),
            "--allow" => allow = value()?.into(),
            "--self" => target = Some(PathBuf::from(REDIS_SERVER)),
            "--all" => options.include_missing = true,
            _ => return Err(format!("unknown option {word}")),
        }
    }
    options.target = target.unwrap_or_else(tidegate_binary);
    options.allow = AllowList::load(&allow)?;
    Ok((options, jobs))
}

/// Runs all jobs, each with servers and a seed of its own; true when nothing unexplained was found.
fn run(options: &Options, jobs: u64) -> Result<bool, String> {
    println!("target {}, seeds {}..={}", options.target.display(), options.seed, options.seed + jobs - 1);
    let start = clock::now();
    let results: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..jobs)
            .map(|job| {
                let mut options = options.clone();
                options.seed += job;
                options.commands = options.commands.div_ceil(jobs);
                scope.spawn(move || oracle::run(&options))
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().map_err(|_| "a job panicked".to_owned())).collect()
    });
    let mut total = Summary::default();
    for result in results {
        let summary = result?.map_err(|error| error.to_string())?;
        total.commands += summary.commands;
        total.checks += summary.checks;
        total.tolerated += summary.tolerated;
        total.missing = summary.missing;
        total.coverage.merge(&summary.coverage);
        total.findings.extend(summary.findings);
        if total.allowed.0.is_empty() {
            total.allowed = summary.allowed;
        } else {
            for (sum, one) in total.allowed.0.iter_mut().zip(summary.allowed.0) {
                sum.used += one.used;
            }
        }
    }
    report(&total, start.elapsed().as_secs_f64());
    Ok(total.findings.is_empty())
}

fn report(total: &Summary, seconds: f64) {
    let mut shown = Vec::new();
    for finding in &total.findings {
        let signature = finding.difference.signature();
        if !shown.contains(&signature) {
            println!("{finding}");
            shown.push(signature);
        }
    }
    for allowed in total.allowed.0.iter().filter(|allowed| allowed.used > 0) {
        println!("allowed {} times: {} ({})", allowed.used, allowed.pattern, allowed.reason);
    }
    if !total.missing.is_empty() {
        println!("left out, the target lacks: {}", total.missing.join(" "));
    }
    println!("{}", total.coverage);
    println!(
        "{} commands in {seconds:.1} s ({:.0}/s), {} state comparisons, {} tolerated, {} differences",
        total.commands,
        total.commands as f64 / seconds,
        total.checks,
        total.tolerated,
        shown.len()
    );
}
