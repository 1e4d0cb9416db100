//! The oracle: random typed commands run on a real Redis (the reference) and on Tidegate (the target); every reply is
//! compared byte by byte and every few hundred commands everything stored. A difference is shrunk to the fewest
//! commands that show it. What is generated lives in [`families`], one file per family of commands.

pub mod allow;
pub mod compare;
pub mod coverage;
pub mod families;
pub mod generate;
pub mod pair;
pub mod payload;
pub mod scene;
pub mod shrink;
pub mod state;
pub mod step;

use std::io;
use std::path::PathBuf;

use allow::AllowList;
use coverage::Coverage;
use generate::Generator;
use hashbrown::HashSet;
use pair::{Difference, Mutant, Pair};
use shrink::Shrunk;
use step::Step;

/// What to run.
#[derive(Clone)]
pub struct Options {
    pub reference: PathBuf,
    pub target: PathBuf,
    pub seed: u64,
    /// How many commands to run at least.
    pub commands: u64,
    /// Stop after this many different differences.
    pub differences_max: usize,
    /// Names of the families to draw from; empty means all.
    pub families: Vec<String>,
    pub allow: AllowList,
    pub mutant: Option<Mutant>,
    /// Also run commands the target does not list in COMMAND INFO.
    pub include_missing: bool,
}

impl Options {
    /// Everything with defaults: Redis against `target`, all families.
    pub fn new(target: PathBuf, seed: u64, commands: u64) -> Self {
        Self {
            reference: PathBuf::from(crate::server::REDIS_SERVER),
            target,
            seed,
            commands,
            differences_max: 1,
            families: Vec::new(),
            allow: AllowList::default(),
            mutant: None,
            include_missing: false,
        }
    }
}

/// A difference with its smallest reproduction.
pub struct Finding {
    pub seed: u64,
    pub steps: Vec<Step>,
    pub difference: Difference,
    /// It showed up once but not when the same steps ran again.
    pub unstable: bool,
    /// The end of the target's log if the process died.
    pub crash: Option<String>,
}

/// What a run found.
#[derive(Default)]
pub struct Summary {
    pub commands: u64,
    pub checks: u64,
    pub tolerated: u64,
    pub findings: Vec<Finding>,
    /// Commands the reference has and the target lacks; they were left out.
    pub missing: Vec<String>,
    pub allowed: AllowList,
    /// Commands and options that were sent.
    pub coverage: Coverage,
}

/// Steps between two emptyings of the servers: bounds what shrinking has to replay.
const EPOCH_STEPS: usize = 2_000;
/// Steps between two comparisons of everything stored.
const CHECK_STEPS: usize = 500;
/// Connections that commands are spread over.
pub const CONNECTIONS: usize = 3;

/// Runs one job.
pub fn run(options: &Options) -> io::Result<Summary> {
    let mut pair =
        Pair::start(&options.reference, &options.target, CONNECTIONS, options.allow.clone(), options.mutant)?;
    let mut generator = Generator::new(options.seed, &options.families);
    let mut summary = Summary::default();
    if !options.include_missing {
        let used = state::COMMANDS.iter().map(ToString::to_string);
        pair.find_missing(generator.command_names().into_iter().chain(used))?;
        summary.missing = pair.missing.iter().cloned().collect();
        summary.missing.sort();
    }
    let keys = generate::keys();
    let mut seen = HashSet::new();
    while summary.commands < options.commands && summary.findings.len() < options.differences_max {
        pair.reset()?;
        let steps = generator.epoch(EPOCH_STEPS, |name| pair.lacks(name));
        let Some(shown) = run_epoch(&mut pair, &steps, &keys, &mut summary) else { continue };
        let finding = minimise(&mut pair, options.seed, &steps, &keys, shown)?;
        if seen.insert((finding.difference.signature(), finding.unstable)) {
            summary.findings.push(finding);
        }
    }
    summary.tolerated = pair.tolerated;
    summary.allowed = std::mem::take(&mut pair.allow);
    Ok(summary)
}

/// Runs one epoch; the first difference and how many steps led to it.
fn run_epoch(
    pair: &mut Pair,
    steps: &[Step],
    keys: &[Vec<u8>],
    summary: &mut Summary,
) -> Option<(usize, Difference)> {
    for (index, part) in steps.chunks(CHECK_STEPS).enumerate() {
        let result = pair.run(part);
        summary.coverage.note(part);
        summary.commands += part.iter().map(|step| step.commands() as u64).sum::<u64>();
        if let Err((at, difference)) = result {
            return Some((index * CHECK_STEPS + at + 1, difference));
        }
        summary.checks += 1;
        if let Err(difference) = state::compare(pair, keys) {
            return Some((index * CHECK_STEPS + part.len(), difference));
        }
    }
    None
}

fn minimise(
    pair: &mut Pair,
    seed: u64,
    steps: &[Step],
    keys: &[Vec<u8>],
    (used, difference): (usize, Difference),
) -> io::Result<Finding> {
    let crash = (difference.is_lost() && pair.target_died()).then(|| {
        let log = pair.target_log();
        log.lines().rev().take(40).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    });
    let finding = if let Some(Shrunk { steps, difference }) = shrink::shrink(pair, &steps[..used], keys) {
        Finding { seed, steps, difference, unstable: false, crash }
    } else {
        let steps = steps[used.saturating_sub(20)..used].to_vec();
        Finding { seed, steps, difference, unstable: true, crash }
    };
    pair.reset()?;
    Ok(finding)
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.unstable { "NOT REPRODUCED, last steps" } else { "smallest reproduction" };
        writeln!(f, "DIFFERENCE in {} (seed {}), {kind}:", self.difference.name, self.seed)?;
        for step in &self.steps {
            writeln!(f, "    {step}")?;
        }
        let short = |text: &str| -> String {
            if text.len() > 1500 {
                format!("{}...", text.chars().take(1500).collect::<String>())
            } else {
                text.into()
            }
        };
        writeln!(f, "  command    {}", self.difference.command)?;
        writeln!(f, "  reference  {}", short(&self.difference.reference))?;
        writeln!(f, "  target     {}", short(&self.difference.target))?;
        if let Some(log) = &self.crash {
            writeln!(f, "  THE TARGET DIED; end of its log:\n{log}")?;
        }
        Ok(())
    }
}
