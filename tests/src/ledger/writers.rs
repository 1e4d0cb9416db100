//! The clients: writers that note what was acknowledged, and readers that note what they saw.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::check::{Event, What};
use super::work::{Kind, Plan};
use crate::random::Random;
use crate::resp::{Reply, RespClient};

/// How long a reply may take: longer than the slowest disk.
const REPLY_LIMIT: Duration = Duration::from_secs(60);

/// What all threads of one run of a server share.
#[derive(Debug)]
pub struct Board {
    /// When the lane began.
    pub epoch: Instant,
    /// The server is about to be killed, or was.
    pub over: AtomicBool,
    /// Per writer, its last unit that was acknowledged.
    pub acked: Vec<AtomicU64>,
    /// Per writer, its last unit that a reader saw.
    pub seen: Vec<AtomicU64>,
}

impl Board {
    /// For writers that have come so far.
    pub fn new(epoch: Instant, writers: &[Writer]) -> Self {
        Board {
            epoch,
            over: AtomicBool::new(false),
            acked: writers.iter().map(|writer| AtomicU64::new(writer.sent)).collect(),
            seen: writers.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn event(&self, what: What, unit: u64) -> Event {
        Event { at_ns: self.epoch.elapsed().as_nanos() as u64, what, unit }
    }

    /// What every writer was told of.
    pub fn acked(&self) -> Vec<u64> {
        self.acked.iter().map(|acked| acked.load(SeqCst)).collect()
    }
}

/// A connection that writes.
#[derive(Debug)]
pub struct Writer {
    /// What it does.
    pub plan: Plan,
    /// Units it sends before it waits for the replies.
    pub depth: u64,
    /// Units it has sent; after a recovery those that are there.
    pub sent: u64,
    /// Units that were there after the last recovery.
    pub base: u64,
    /// What happened since the last recovery.
    pub events: Vec<Event>,
    /// Replies that say something else than they have to.
    pub wrong: Vec<String>,
}

impl Writer {
    /// Has done nothing yet.
    pub fn new(seed: u64, number: usize, depth: u64) -> Self {
        Writer {
            plan: Plan::new(seed, number),
            depth,
            sent: 0,
            base: 0,
            events: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Goes on behind the units that are there.
    pub fn resume(&mut self, recovered: u64) {
        (self.sent, self.base) = (recovered, recovered);
        self.events.clear();
        self.wrong.clear();
    }

    /// Writes until the connection ends or an error comes.
    pub fn run(&mut self, addr: SocketAddr, board: &Board) {
        // The connection breaks when the server is killed.
        let _ = self.write(addr, board);
    }

    fn write(&mut self, addr: SocketAddr, board: &Board) -> io::Result<()> {
        let mut client = RespClient::connect(addr)?;
        client.set_reply_limit(REPLY_LIMIT)?;
        client.set_write_limit(REPLY_LIMIT)?;
        let mut request = Vec::new();
        while !board.over.load(SeqCst) {
            let units = self.sent + 1..=self.sent + self.depth;
            self.plan.extend_to(*units.end());
            request.clear();
            let replies: Vec<_> =
                units.clone().map(|unit| (unit, self.plan.request(unit, &mut request))).collect();
            self.events.extend(units.clone().map(|unit| board.event(What::Sent, unit)));
            self.sent = *units.end();
            client.send_raw(&request)?;
            for (unit, count) in replies {
                for _ in 1..count {
                    client.read_raw()?;
                }
                let reply = client.read()?;
                if let Some(error) = reply.error() {
                    self.events.push(board.event(What::Error, unit));
                    self.wrong.push(format!("unit {unit}: {error}"));
                    return Ok(());
                }
                if !self.plan.is_reply(unit, &reply) {
                    let kind = self.plan.kind(unit);
                    self.wrong.push(format!("{kind:?} {unit} is answered with {reply:?}"));
                }
                self.events.push(board.event(What::Acked, unit));
                board.acked[self.plan.writer].store(unit, SeqCst);
            }
        }
        Ok(())
    }
}

/// Reads what writers wrote, and notes what it saw.
pub fn read(addr: SocketAddr, board: &Board, random: &mut Random) {
    let _ = look(addr, board, random);
}

fn look(addr: SocketAddr, board: &Board, random: &mut Random) -> io::Result<()> {
    let mut client = RespClient::connect(addr)?;
    client.set_reply_limit(REPLY_LIMIT)?;
    while !board.over.load(SeqCst) {
        let writer = random.below(board.seen.len());
        let letter = random.pick(&[Kind::Set, Kind::Pair]).letter();
        let part = if letter == 'P' { ":b" } else { "" };
        client.send(&["GET".to_owned(), format!("{letter}:{writer}{part}")])?;
        let reply = client.read()?;
        if let Reply::Bulk(value) = &reply {
            let text = String::from_utf8_lossy(value);
            if let Some(unit) = text.split(':').next().and_then(|unit| unit.parse::<u64>().ok()) {
                board.seen[writer].fetch_max(unit, SeqCst);
            }
        }
        // Writers are to have the processors.
        std::thread::sleep(Duration::from_micros(300));
    }
    Ok(())
}
