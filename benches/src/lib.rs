//! Load generation and measurement shared by the benches.
//!
//! * [`workload`] builds the request batches before anything is measured, [`load`] drives them over many
//!   connections and counts the replies, [`histogram`] keeps the latencies.
//! * [`client`] is a single connection, for what is not load.
//! * [`process`] starts, pauses, pins and always stops the servers that are compared, [`cores`] divides the machine
//!   between them and the generator, [`stock`] runs `redis-benchmark`.
//! * [`machine`] says where it was measured; [`report`] and [`chart`] turn the figures into Markdown, CSV and SVG.
//!
//! Nothing here knows Tidegate: every server is a black box behind a TCP port, so that all of them are treated alike.

use std::time::Instant;

pub mod chart;
pub mod client;
pub mod cores;
pub mod flags;
pub mod histogram;
pub mod hitratio;
pub mod load;
pub mod machine;
pub mod members;
pub mod probe;
pub mod process;
pub mod report;
pub mod stock;
pub mod workload;

/// The time: benches measure the real clock, there is nothing to inject.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Whether a criterion bench should run a tiny input only to prove that it works (`cargo test --benches`) instead of
/// measuring (`cargo bench`, which passes `--bench`).
pub fn tiny() -> bool {
    !std::env::args().any(|argument| argument == "--bench")
}
