//! The one list of command families. A family is one file: which commands it may send, how often, and a function which
//! makes its next few steps. To add one, write the file and name it here.

mod bitmaps;
mod connection;
mod generic;
mod geo;
mod hashes;
mod hyperloglogs;
mod introspection;
mod keyspace;
mod lists;
mod messages;
mod scripts;
mod sets;
mod sort;
mod streams;
mod strings;
mod transactions;
mod types;
mod zsets;

use super::generate::{Args, Generator};
use super::step::Step;

/// Commands that are generated together.
pub struct Family {
    pub name: &'static str,
    /// Share of all steps.
    pub weight: u32,
    /// What it may send, `name` or `name|subcommand`; used to leave out what the target does not have yet.
    pub commands: &'static [&'static str],
    pub generate: fn(&mut Generator) -> Vec<Step>,
}

/// Makes one command.
type Maker = fn(&mut Generator) -> Args;

/// All families.
pub static FAMILIES: &[&Family] = &[
    &strings::FAMILY,
    &generic::FAMILY,
    &keyspace::FAMILY,
    &hashes::FAMILY,
    &sets::FAMILY,
    &zsets::FAMILY,
    &connection::FAMILY,
    &transactions::FAMILY,
    &introspection::FAMILY,
    &types::FAMILY,
    &lists::FAMILY,
    &bitmaps::FAMILY,
    &hyperloglogs::FAMILY,
    &geo::FAMILY,
    &streams::FAMILY,
    &sort::FAMILY,
    &scripts::FAMILY,
    &messages::FAMILY,
];

/// Keys that mostly hold hashes.
pub use hashes::KEYS as HASH_KEYS;
/// Keys that mostly hold sets.
pub use sets::KEYS as SET_KEYS;
/// Keys that mostly hold sorted sets, and those where all scores are equal.
pub use zsets::{KEYS as ZSET_KEYS, LEX_KEYS as ZSET_LEX_KEYS};

/// Keys outside the common pool that some family uses.
pub fn extra_keys() -> Vec<Vec<u8>> {
    types::KEYS
        .iter()
        .chain(HASH_KEYS)
        .chain(SET_KEYS)
        .chain(ZSET_KEYS)
        .chain(ZSET_LEX_KEYS)
        .chain(&[zsets::SMALL_KEY])
        .chain(lists::KEYS)
        .chain(hyperloglogs::KEYS)
        .chain(geo::KEYS)
        .chain(streams::KEYS)
        .chain(sort::KEYS)
        .map(|key| key.to_vec())
        .collect()
}

/// Picks one maker from a weighted table.
fn choose<T: Copy>(generator: &mut Generator, table: &[(u32, T)]) -> T {
    table[generator.random.weighted(table.iter().map(|(weight, _)| *weight))].1
}

/// Appends each option with its own probability of one in `n`; sometimes in another order or twice.
fn options(generator: &mut Generator, args: &mut Args, n: usize, choices: &[&str]) {
    let start = generator.random.below(choices.len());
    for offset in 0..choices.len() {
        let choice = choices[(start + offset) % choices.len()];
        if generator.one_in(n) {
            args.extend(generator.fill(choice));
            if generator.one_in(15) {
                args.extend(generator.fill(choice));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashbrown::HashSet;

    #[test]
    fn every_family_makes_steps_and_declares_what_it_sends() {
        for family in FAMILIES {
            let declared: HashSet<String> = family.commands.iter().map(ToString::to_string).collect();
            let mut generator = Generator::new(1, &[family.name.to_owned()]);
            // Some commands are rare, because they take long.
            let steps = generator.epoch(12_000, |_| false);
            let sent: HashSet<String> =
                steps.iter().flat_map(|step| step.ops().iter().map(super::super::step::Op::name)).collect();
            for name in &declared {
                let of_container = |sent: &String| sent.starts_with(&format!("{name}|"));
                let is_sent = sent.contains(name) || sent.iter().any(of_container);
                assert!(
                    is_sent || name.ends_with("scan"),
                    "{}: {name} is declared but never sent",
                    family.name
                );
            }
        }
    }
}
