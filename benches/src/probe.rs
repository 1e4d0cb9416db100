//! What any client notices of what goes on in a server: connections that ask for small keys without a pause.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::now;

/// Small keys that the probes read and write.
const KEYS: u64 = 1_000;

/// Writes the keys that probes use.
pub fn fill(client: &mut Client) -> io::Result<()> {
    for key in 0..KEYS {
        client.call(&["SET", &format!("probe:{key}"), "value"])?;
    }
    Ok(())
}

/// Reads and writes small keys, one after the other; when each was sent, and how long its reply took.
pub fn run(server: SocketAddr, number: usize, stop: &AtomicBool) -> io::Result<Vec<(Instant, Duration)>> {
    let mut client = Client::connect(server)?;
    let mut samples = Vec::with_capacity(1 << 20);
    let mut turn = number as u64;
    while !stop.load(Relaxed) {
        turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = format!("probe:{}", (turn >> 33) % KEYS);
        let sent = now();
        if turn >> 63 == 0 {
            client.call(&["GET", &key])?;
        } else {
            client.call(&["SET", &key, "value"])?;
        }
        samples.push((sent, sent.elapsed()));
    }
    Ok(samples)
}
