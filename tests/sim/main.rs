//! Simulation: whatever a server does, replaying what it says it did gives the same keyspace.
//!
//! `SIM_SEED=n` runs one seed, `LONG=1` many more than the short form. The seed of a failure is printed with it.

mod effects;
mod lines;
mod server;
mod touches;
mod waiting;

/// Memory is counted as in the server, where that decides.
#[global_allocator]
static ALLOCATOR: tidegate::memory::Counting<mimalloc::MiMalloc> =
    tidegate::memory::Counting(mimalloc::MiMalloc);

/// The seeds of a test: `short` of them, `long` with `LONG`, or the one of `SIM_SEED`.
fn rounds(test: &str, short: u64, long: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("SIM_SEED");
    let is_long = std::env::var_os("LONG").is_some_and(|value| !value.is_empty());
    let count = if is_long { long } else { short };
    let seeds = first.map_or(1..count + 1, |seed| seed..seed + 1);
    println!("{test}: seeds {seeds:?}");
    seeds
}
