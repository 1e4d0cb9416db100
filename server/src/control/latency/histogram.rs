//! `LATENCY HISTOGRAM`: how many calls of a command took at most so long, for durations that double.

use super::super::{ControlCtx, Flow};
use crate::registry::Entry;
use crate::shared::Shared;
use tidegate_commands::model::{Args, Error, Reply};

/// The first duration of the reply, in nanoseconds.
const FIRST_NANOS: u64 = 1024;
/// What takes longer counts as this long, in nanoseconds.
const LAST_NANOS: u64 = 1_000_000_000;

pub(super) fn histogram(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let shared = cx.shared();
    let registry = shared.registry;
    let with_subcommands = |entry: &'static Entry| std::iter::once(entry).chain(&entry.subcommands);
    let wanted: Vec<&Entry> = if args.is_done() {
        registry.entries().iter().flat_map(with_subcommands).collect()
    } else {
        args.rest().filter_map(|name| find(shared, name)).flat_map(with_subcommands).collect()
    };
    let found: Vec<_> =
        wanted.iter().filter_map(|entry| Some((entry, Durations::of(shared, entry)?))).collect();
    reply.map(found.len());
    for (entry, durations) in &found {
        reply.bulk(entry.name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(durations.calls as i64);
        reply.bulk(b"histogram_usec");
        let steps = durations.steps();
        reply.map(steps.len());
        for (micros, calls) in steps {
            reply.integer(micros as i64);
            reply.integer(calls as i64);
        }
    }
    Ok(Flow::Done)
}

/// A command by its full name: `get`, `config|set`.
fn find(shared: &Shared, name: &[u8]) -> Option<&'static Entry> {
    let mut words = name.splitn(2, |byte| *byte == b'|');
    let entry = shared.registry.lookup(words.next()?)?;
    match words.next() {
        None => Some(entry),
        Some(own) => entry.subcommand(own),
    }
}

/// The calls of one command by duration.
struct Durations {
    calls: u64,
    /// Calls that took less than `FIRST_NANOS << index`, the previous ones not included.
    below: [u64; 21],
}

impl Durations {
    /// The calls of all threads; `None` when there were none.
    fn of(shared: &Shared, entry: &Entry) -> Option<Self> {
        let mut durations = Durations { calls: 0, below: [0; 21] };
        for thread in shared.stats.current() {
            if let Some(histogram) = thread.commands[entry.id].histogram.get() {
                histogram.each(|nanos, calls| durations.count(nanos, calls));
            }
        }
        (durations.calls > 0).then_some(durations)
    }

    fn count(&mut self, nanos: u64, calls: u64) {
        let step = (nanos.min(LAST_NANOS) / FIRST_NANOS).checked_ilog2().map_or(0, |log| log as usize + 1);
        self.below[step] += calls;
        self.calls += calls;
    }

    /// Durations in microseconds that end a step in which there were calls, with all calls up to there.
    fn steps(&self) -> Vec<(u64, u64)> {
        let mut sum = 0;
        let mut steps = Vec::new();
        for (index, &calls) in self.below.iter().enumerate() {
            sum += calls;
            if calls > 0 {
                steps.push((label(index), sum));
            }
        }
        steps
    }
}

/// How Redis prints the end of a step: its histogram has two significant digits, so the end is the largest duration
/// it cannot tell from a power of two. That of the last is the end of the histogram.
fn label(index: usize) -> u64 {
    let nanos = FIRST_NANOS << index;
    if nanos > LAST_NANOS { (nanos - 1) / 1000 } else { (nanos + (nanos >> 7) - 1) / 1000 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_steps_are_those_of_redis() {
        let labels: Vec<u64> = (0..21).map(label).collect();
        assert_eq!(labels[..8], [1, 2, 4, 8, 16, 33, 66, 132]);
        assert_eq!(labels[18..], [270_532, 541_065, 1_073_741]);
    }

    #[test]
    fn calls_add_up() {
        let mut durations = Durations { calls: 0, below: [0; 21] };
        for (nanos, calls) in [(0, 1), (1023, 1), (1024, 2), (5_000_000, 3), (9_000_000_000, 4)] {
            durations.count(nanos, calls);
        }
        assert_eq!(durations.calls, 11);
        assert_eq!(durations.steps(), [(1, 2), (2, 4), (8454, 7), (1_073_741, 11)]);
    }
}
