//! The load generator: many connections over a few pinned threads, closed loop, replies counted and not parsed.
//!
//! Each connection has one batch in flight; the next leaves as soon as the last byte of the reply is there. A latency
//! is that of a whole batch. Before anything is measured a sample of the replies is compared byte for byte, and while
//! measuring the first byte of each reply and the exact length have to be right, so errors never count as speed.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::time::{ClockId, clock_gettime};

use crate::histogram::Histogram;
use crate::workload::{Batches, Counting, Keyspace, write_counter, write_set};
use crate::{cores, now};

mod replies;

pub use replies::{ErrorReply, Replies};

/// A server that sends nothing for this long has lost a reply.
const STALL: Duration = Duration::from_secs(10);
/// Batches whose replies are compared exactly before a measurement.
const CHECKED_BATCHES: usize = 32;
const READ_BUFFER: usize = 256 * 1024;
const PRELOAD_CONNECTIONS: usize = 4;
const PRELOAD_BATCH: u32 = 500;

/// How hard, from where and for how long.
#[derive(Clone, Debug)]
pub struct Generator {
    pub connections: usize,
    /// One generator thread per entry, pinned to it.
    pub cores: Vec<usize>,
    /// Load that is not counted.
    pub warm_up: Duration,
    pub duration: Duration,
}

/// What one run measured.
#[derive(Clone)]
pub struct Measured {
    /// Requests answered within the measured time.
    pub requests: u64,
    pub elapsed: Duration,
    /// Per batch.
    pub latency: Histogram,
    /// CPU share (0-1) of the busiest generator thread: near 1 the generator was the limit, not the server.
    pub generator_busy: f64,
}

impl Measured {
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }
}

/// Why a run gives no figure.
#[derive(Debug)]
pub enum LoadError {
    Io(io::Error),
    /// The server closed a connection.
    Closed,
    /// No reply within ten seconds.
    Stalled,
    /// A reply that is not the right one; the start of it, printable.
    WrongReply(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Closed => write!(f, "the server closed the connection"),
            Self::Stalled => write!(f, "no reply within {} s", STALL.as_secs()),
            Self::WrongReply(start) => write!(f, "wrong reply: {start}"),
        }
    }
}

impl std::error::Error for LoadError {}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::Closed
            }
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Stalled,
            _ => Self::Io(error),
        }
    }
}

fn wrong_reply(reply: &[u8]) -> LoadError {
    LoadError::WrongReply(reply[..reply.len().min(120)].escape_ascii().to_string())
}

/// Checks a sample of replies, then drives `batches` over all connections and measures.
pub fn run(server: SocketAddr, batches: &Batches, generator: &Generator) -> Result<Measured, LoadError> {
    set_up(server, batches)?;
    check(server, batches)?;
    let threads = generator.cores.len().clamp(1, generator.connections.max(1));
    let mut shares: Vec<Vec<std::net::TcpStream>> = (0..threads).map(|_| Vec::new()).collect();
    for index in 0..generator.connections.max(1) {
        shares[index % threads].push(connect(server)?);
    }
    let begin = now();
    let window = Window {
        start: begin + generator.warm_up,
        end: begin + generator.warm_up + generator.duration,
        elapsed: generator.duration,
    };
    thread::scope(|scope| {
        let running: Vec<_> = shares
            .into_iter()
            .enumerate()
            .map(|(index, share)| {
                let core = generator.cores.get(index).copied();
                let first = index * batches.len() / threads;
                scope.spawn(move || Thread::new(share, batches, first, window)?.run(core))
            })
            .collect();
        let mut total = Measured {
            requests: 0,
            elapsed: window.elapsed,
            latency: Histogram::default(),
            generator_busy: 0.0,
        };
        for thread in running {
            let share = thread.join().expect("a generator thread returns its errors")?;
            total.requests += share.requests;
            total.latency.merge(&share.latency);
            total.generator_busy = total.generator_busy.max(share.generator_busy);
        }
        Ok(total)
    })
}

/// Sends what the batches need to be there.
fn set_up(server: SocketAddr, batches: &Batches) -> Result<(), LoadError> {
    let (requests, count) = batches.setup();
    let mut connection = connect(server)?;
    connection.set_read_timeout(Some(STALL))?;
    connection.write_all(requests)?;
    let (mut replies, mut answered, mut chunk) = (Replies::default(), 0, vec![0; READ_BUFFER]);
    while answered < count {
        let read = connection.read(&mut chunk)?;
        if read == 0 {
            return Err(LoadError::Closed);
        }
        answered += replies.feed(&chunk[..read]).map_err(|_| wrong_reply(&chunk[..read]))?;
    }
    Ok(())
}

/// Sends a sample of the batches one by one and compares every reply byte for byte.
fn check(server: SocketAddr, batches: &Batches) -> Result<(), LoadError> {
    let mut connection = connect(server)?;
    connection.set_read_timeout(Some(STALL))?;
    let mut reply = Vec::new();
    let mut chunk = vec![0; READ_BUFFER];
    for sample in 0..CHECKED_BATCHES.min(batches.len()) {
        let index = sample * (batches.len() / CHECKED_BATCHES).max(1);
        connection.write_all(batches.request(index))?;
        reply.clear();
        let (mut counter, mut seen) = (Counter::new(batches.counting()), 0);
        while seen < batches.batch(index).expected {
            let read = connection.read(&mut chunk)?;
            reply.extend_from_slice(&chunk[..read]);
            // An error is shorter than the value it stands for: waiting for the rest would hide what it says.
            let refused = !begins_as(batches.batch(index).first, &reply);
            seen += counter.feed(&chunk[..read]).ok_or_else(|| wrong_reply(&reply))?;
            if read == 0 || refused {
                return Err(if refused { wrong_reply(&reply) } else { LoadError::Closed });
            }
        }
        if !batches.answers(index, &reply) {
            return Err(wrong_reply(&reply));
        }
    }
    Ok(())
}

fn connect(server: SocketAddr) -> io::Result<std::net::TcpStream> {
    let stream = std::net::TcpStream::connect_timeout(&server, STALL)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Measures replies in the unit their batch is counted in.
#[derive(Clone, Copy)]
enum Counter {
    Bytes,
    Lines,
    Replies(Replies),
}

impl Counter {
    fn new(counting: Counting) -> Self {
        match counting {
            Counting::Bytes => Counter::Bytes,
            Counting::Lines => Counter::Lines,
            Counting::Replies => Counter::Replies(Replies::default()),
        }
    }

    /// How much of a reply `bytes` is; `None` when an error is seen.
    fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        match self {
            Counter::Bytes => Some(bytes.len()),
            // Summing the comparisons compiles to vector code; a search for each newline in turn does not.
            Counter::Lines => Some(bytes.iter().map(|byte| usize::from(*byte == b'\n')).sum()),
            Counter::Replies(replies) => replies.feed(bytes).ok(),
        }
    }
}

/// Whether a reply may begin like this; nothing has come of an empty one.
fn begins_as(first: Option<u8>, reply: &[u8]) -> bool {
    match (first, reply.first()) {
        (Some(wanted), Some(first)) => wanted == *first,
        (None, Some(first)) => *first != b'-',
        (_, None) => true,
    }
}

/// The measured stretch of time, the same for all threads.
#[derive(Clone, Copy)]
struct Window {
    start: Instant,
    end: Instant,
    elapsed: Duration,
}

struct Connection {
    stream: TcpStream,
    /// Batch in flight, how many of its bytes are sent, how much of its reply is missing.
    batch: usize,
    sent: usize,
    missing: usize,
    counter: Counter,
    started: Instant,
}

impl Connection {
    fn send(&mut self, batches: &Batches) -> Result<(), LoadError> {
        let request = batches.request(self.batch);
        while self.sent < request.len() {
            match self.stream.write(&request[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes the bytes of one read into account; true when the batch is answered.
    fn receive(&mut self, batches: &Batches, bytes: &[u8]) -> Result<bool, LoadError> {
        let batch = batches.batch(self.batch);
        if self.missing == batch.expected && !begins_as(batch.first, bytes) {
            return Err(wrong_reply(bytes));
        }
        let counted = self.counter.feed(bytes);
        let Some(missing) = counted.and_then(|counted| self.missing.checked_sub(counted)) else {
            return Err(wrong_reply(bytes));
        };
        self.missing = missing;
        if missing == 0 && bytes.last() != Some(&b'\n') {
            return Err(wrong_reply(bytes));
        }
        Ok(missing == 0)
    }
}

/// One generator thread.
struct Thread<'a> {
    poll: Poll,
    connections: Vec<Connection>,
    batches: &'a Batches,
    /// Next batch to send, shared by the connections of this thread.
    next: usize,
    window: Window,
    measured: Measured,
    buffer: Vec<u8>,
}

impl<'a> Thread<'a> {
    fn new(
        streams: Vec<std::net::TcpStream>,
        batches: &'a Batches,
        first: usize,
        window: Window,
    ) -> Result<Self, LoadError> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(streams.len());
        for (index, stream) in streams.into_iter().enumerate() {
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            let counter = Counter::new(batches.counting());
            let started = window.start;
            connections.push(Connection { stream, batch: 0, sent: 0, missing: 0, counter, started });
        }
        let measured = Measured {
            requests: 0,
            elapsed: window.elapsed,
            latency: Histogram::default(),
            generator_busy: 0.0,
        };
        Ok(Self { poll, connections, batches, next: first, window, measured, buffer: vec![0; READ_BUFFER] })
    }

    fn run(mut self, core: Option<usize>) -> Result<Measured, LoadError> {
        if let Some(core) = core {
            cores::pin(&[core])?;
        }
        let begin = now();
        for index in 0..self.connections.len() {
            self.start_batch(index, begin)?;
        }
        let mut events = Events::with_capacity(self.connections.len().max(16));
        let mut last_reply = begin;
        let busy_from = thread_cpu();
        loop {
            match self.poll.poll(&mut events, Some(Duration::from_millis(100))) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            if events.is_empty() && last_reply.elapsed() > STALL {
                return Err(LoadError::Stalled);
            }
            for event in &events {
                let index = event.token().0;
                if event.is_writable() {
                    self.connections[index].send(self.batches)?;
                }
                if event.is_readable() || event.is_read_closed() {
                    last_reply = self.drain(index)?.unwrap_or(last_reply);
                }
            }
            let time = now();
            if time >= self.window.end {
                let busy = thread_cpu().saturating_sub(busy_from).as_secs_f64();
                self.measured.generator_busy = busy / (time - begin).as_secs_f64();
                return Ok(self.measured);
            }
        }
    }

    /// Reads what has come on one connection; sends the next batch when the reply is complete. Gives the time of a
    /// completed batch.
    fn drain(&mut self, index: usize) -> Result<Option<Instant>, LoadError> {
        loop {
            let connection = &mut self.connections[index];
            let read = match connection.stream.read(&mut self.buffer) {
                Ok(0) => return Err(LoadError::Closed),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if connection.receive(self.batches, &self.buffer[..read])? {
                let time = now();
                let latency = time - connection.started;
                if time >= self.window.start && time < self.window.end {
                    self.measured.requests += self.batches.requests_per_batch();
                    self.measured.latency.record(latency);
                }
                // Nothing more can be on its way: a closed loop has one batch in flight.
                self.start_batch(index, time)?;
                return Ok(Some(time));
            }
            // A short read emptied the socket; what comes later raises a new event.
            if read < self.buffer.len() {
                return Ok(None);
            }
        }
    }

    fn start_batch(&mut self, index: usize, time: Instant) -> Result<(), LoadError> {
        let connection = &mut self.connections[index];
        connection.batch = self.next;
        connection.sent = 0;
        connection.missing = self.batches.batch(self.next).expected;
        connection.started = time;
        self.next = (self.next + 1) % self.batches.len();
        connection.send(self.batches)
    }
}

fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// What to write before measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// `key:N` with the value [`Batches`] expects.
    Values,
    /// `cnt:N` = 0.
    Counters,
}

/// Writes keys `from..keyspace.count` over a few connections in pipelines of 500, checking that every reply is +OK.
pub fn preload(server: SocketAddr, keyspace: Keyspace, from: u32, content: Content) -> Result<(), LoadError> {
    let span = keyspace.count.saturating_sub(from);
    let part = |index: usize| from + (u64::from(span) * index as u64 / PRELOAD_CONNECTIONS as u64) as u32;
    thread::scope(|scope| {
        let writers: Vec<_> = (0..PRELOAD_CONNECTIONS)
            .map(|index| {
                let keys = part(index)..part(index + 1);
                scope.spawn(move || write_keys(server, keys, keyspace.value_len, content))
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().expect("a writer returns its errors"))
    })
}

fn write_keys(
    server: SocketAddr,
    keys: std::ops::Range<u32>,
    value_len: usize,
    content: Content,
) -> Result<(), LoadError> {
    let mut connection = connect(server)?;
    connection.set_read_timeout(Some(STALL))?;
    let expected = b"+OK\r\n".repeat(PRELOAD_BATCH as usize);
    let (mut request, mut reply) = (Vec::new(), vec![0; expected.len()]);
    let mut next = keys.start;
    while next < keys.end {
        let end = keys.end.min(next + PRELOAD_BATCH);
        request.clear();
        for key in next..end {
            match content {
                Content::Values => write_set(&mut request, key, value_len),
                Content::Counters => write_counter(&mut request, key),
            }
        }
        connection.write_all(&request)?;
        let reply = &mut reply[..(end - next) as usize * b"+OK\r\n".len()];
        connection.read_exact(reply)?;
        if *reply != expected[..reply.len()] {
            return Err(wrong_reply(reply));
        }
        next = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
