//! Makes a failing sequence of steps small: delta debugging, where each candidate runs on emptied servers.

use std::time::Duration;

use super::pair::{Difference, PATIENCE, Pair, SHORT_PATIENCE};
use super::state;
use super::step::{Action, Step};
use crate::clock;

/// The smallest sequence found and the difference it ends in.
pub struct Shrunk {
    pub steps: Vec<Step>,
    pub difference: Difference,
}

/// No more candidates than this are tried, nor for longer than this, so that one difference cannot eat the whole run:
/// finding out that a server no longer answers takes seconds each time.
const CANDIDATES_MAX: usize = 600;
const TIME_MAX: Duration = Duration::from_secs(60);

/// Runs `steps` on emptied servers; the difference they end in, if any, and how many steps it took.
pub fn replay(pair: &mut Pair, steps: &[Step], keys: &[Vec<u8>]) -> Option<(usize, Difference)> {
    pair.reset().ok()?;
    match pair.run(steps) {
        Err((at, difference)) => Some((at + 1, difference)),
        Ok(()) => state::compare(pair, keys).err().map(|difference| (steps.len(), difference)),
    }
}

/// Drops steps as long as a difference remains; `None` when the whole sequence does not show one again.
pub fn shrink(pair: &mut Pair, steps: &[Step], keys: &[Vec<u8>]) -> Option<Shrunk> {
    let (used, difference) = replay(pair, steps, keys)?;
    if difference.is_lost() {
        pair.patience = SHORT_PATIENCE;
    }
    let shrunk = drop_steps(pair, &steps[..used], keys, difference);
    let shrunk = drop_parts(pair, shrunk, keys);
    pair.patience = PATIENCE;
    Some(shrunk)
}

fn drop_steps(pair: &mut Pair, steps: &[Step], keys: &[Vec<u8>], mut difference: Difference) -> Shrunk {
    let mut steps = steps.to_vec();
    let mut tried = 0;
    let start = clock::now();
    let mut chunk = (steps.len() / 2).max(1);
    loop {
        let mut at = 0;
        let mut shorter = false;
        while at < steps.len() && tried < CANDIDATES_MAX && start.elapsed() < TIME_MAX {
            let mut candidate = steps[..at].to_vec();
            candidate.extend_from_slice(&steps[(at + chunk).min(steps.len())..]);
            tried += 1;
            match replay(pair, &candidate, keys) {
                Some((used, found)) if similar(&found, &difference) => {
                    candidate.truncate(used);
                    steps = candidate;
                    difference = found;
                    shorter = true;
                }
                _ => at += chunk,
            }
        }
        if tried >= CANDIDATES_MAX || start.elapsed() >= TIME_MAX || (chunk == 1 && !shorter) {
            return Shrunk { steps, difference };
        }
        let widest = if shorter { chunk.min(steps.len() / 2) } else { chunk / 2 };
        chunk = widest.max(1);
    }
}

/// Drops parts of the scene that the steps end in.
fn drop_parts(pair: &mut Pair, mut shrunk: Shrunk, keys: &[Vec<u8>]) -> Shrunk {
    let start = clock::now();
    let mut at = 0;
    while let Some(Step { conn, action: Action::Scene(ops, list) }) = shrunk.steps.last()
        && at < list.len()
        && start.elapsed() < TIME_MAX
    {
        let first: usize = list[..at].iter().map(|part| part.count).sum();
        let (mut fewer, mut shorter) = (ops.clone(), list.clone());
        fewer.drain(first..first + list[at].count);
        shorter.remove(at);
        let mut steps = shrunk.steps[..shrunk.steps.len() - 1].to_vec();
        steps.push(Step { conn: *conn, action: Action::Scene(fewer, shorter) });
        match replay(pair, &steps, keys) {
            Some((used, difference)) if used == steps.len() && similar(&difference, &shrunk.difference) => {
                shrunk = Shrunk { steps, difference };
            }
            _ => at += 1,
        }
    }
    shrunk
}

/// A lost connection must stay one: otherwise shrinking a crash could end in some other difference.
fn similar(a: &Difference, b: &Difference) -> bool {
    a.is_lost() == b.is_lost()
}
