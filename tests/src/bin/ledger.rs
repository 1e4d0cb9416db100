//! `ledger`: kills Tidegate and redis-server again and again while clients write, and reports what was lost.
//!
//! ```text
//! ledger [--kills N] [--modes always,everysec,no] [--disks fast,slow] [--seed N] [--lanes N] [--jobs N]
//!        [--target PATH] [--control PATH] [--no-control] [--no-target] [--anchors] [--dir DIR]
//! ```
//! `--kills` is for each mode on each disk. `--anchors` also does to both what redis-server is known to get wrong, and ends
//! with a table of both. Exits with 1 when Tidegate lost, tore or invented something; what was found is
//! kept in the directory then. What redis-server loses is shown and has no consequences.

use std::path::PathBuf;
use std::process::ExitCode;

use tidegate_tests::clock;
use tidegate_tests::ledger::anchors::{self, ALL, Outcome};
use tidegate_tests::ledger::{self, MODES, Options, Row, Server};
use tidegate_tests::server::{REDIS_SERVER, tidegate_binary};

fn main() -> ExitCode {
    match parse().and_then(|(options, has_anchors)| run(&options, has_anchors)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("ledger: {message}");
            ExitCode::from(2)
        }
    }
}

fn parse() -> Result<(Options, bool), String> {
    let mut options = Options {
        servers: Vec::new(),
        modes: MODES.into(),
        disks: vec![false, true],
        kills: 200,
        slow_lanes: 4,
        jobs: 1,
        seed: clock::unix_us() % 1_000_000_000,
        dir: std::env::temp_dir().join(format!("tidegate-ledger-{}", std::process::id())),
    };
    let (mut target, mut control) = (None, Some(PathBuf::from(REDIS_SERVER)));
    let (mut has_target, mut has_anchors) = (true, false);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
        match word.as_str() {
            "--kills" => options.kills = number(value()?)? as usize,
            "--seed" => options.seed = number(value()?)?,
            "--lanes" => options.slow_lanes = number(value()?)? as usize,
            "--jobs" => options.jobs = number(value()?)? as usize,
            "--target" => target = Some(value()?.into()),
            "--control" => control = Some(value()?.into()),
            "--no-control" => control = None,
            "--no-target" => has_target = false,
            "--anchors" => has_anchors = true,
            "--dir" => options.dir = value()?.into(),
            "--modes" => {
                let wanted = value()?;
                options.modes =
                    MODES.into_iter().filter(|mode| wanted.split(',').any(|one| one == *mode)).collect();
            }
            "--disks" => {
                let wanted = value()?;
                let disks = [("fast", false), ("slow", true)].into_iter();
                options.disks = disks
                    .filter(|(name, _)| wanted.split(',').any(|one| one == *name))
                    .map(|(_, is_slow)| is_slow)
                    .collect();
            }
            _ => return Err(format!("unknown option {word}")),
        }
    }
    if has_target {
        options.servers.push(Server::tidegate(target.unwrap_or_else(tidegate_binary)));
    }
    options.servers.extend(control.map(Server::redis));
    if has_anchors && options.servers.len() != 2 {
        return Err("--anchors needs both servers".to_owned());
    }
    Ok((options, has_anchors))
}

/// True when Tidegate kept what it promised.
fn run(options: &Options, has_anchors: bool) -> Result<bool, String> {
    println!("seed {}, {} kills for each mode on each disk", options.seed, options.kills);
    let start = clock::now();
    let report = |row: &Row| {
        println!("{row}");
        row.complaints().for_each(|line| println!("  {line}"));
    };
    let rows = ledger::run(options, &report).map_err(|error| error.to_string())?;
    let mut is_fine = rows.iter().filter(|row| !row.server.is_control).all(Row::is_clean);
    if has_anchors {
        let outcomes = try_anchors(options)?;
        is_fine &= outcomes.iter().all(|[target, _]| target.is_fine);
        table(&rows, &outcomes);
    }
    println!("{:.0} s", start.elapsed().as_secs_f64());
    Ok(is_fine)
}

fn try_anchors(options: &Options) -> Result<Vec<[Outcome; 2]>, String> {
    let Ok(servers) = <[Server; 2]>::try_from(options.servers.clone()) else { return Ok(Vec::new()) };
    let mut outcomes = Vec::new();
    for anchor in &ALL {
        let both = anchors::compare(anchor, &servers, &options.dir).map_err(|error| error.to_string())?;
        println!("{}: {}", anchor.name, anchor.about);
        for (server, outcome) in servers.iter().zip(&both) {
            println!("  {}: {}", server.name, outcome.text);
        }
        outcomes.push(both);
    }
    Ok(outcomes)
}

/// One line for each server, as in `docs/persistence.md`.
fn table(rows: &[Row], outcomes: &[[Outcome; 2]]) {
    println!(
        "| | lost on kill -9, fast disk | slow disk | torn transaction | failed sync | 64 flipped bits |"
    );
    println!("|---|---|---|---|---|---|");
    for (at, name) in ["Tidegate", "redis-server"].into_iter().enumerate() {
        let lost = |is_slow: bool| {
            let of = |row: &&Row| row.server.is_control == (at == 1) && row.is_slow == is_slow;
            let parts: Vec<_> = rows
                .iter()
                .filter(of)
                .map(|row| format!("{} {} of {}", row.mode, row.figures.sum.lost, row.figures.acked))
                .collect();
            parts.join(", ")
        };
        let text = |anchor: usize| &outcomes[anchor][at].text;
        println!("| {name} | {} | {} | {} | {} | {} |", lost(false), lost(true), text(0), text(1), text(5));
    }
}
