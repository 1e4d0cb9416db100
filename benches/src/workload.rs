//! What the generator sends: cells such as `get:16` or `mix-zipf:64`, turned into batches of ready-made request bytes.
//!
//! Values are a function of their key, so the exact reply to every request but INCR is known in advance. That is what
//! lets the load loop only count while a server that answers errors, or another key's value, still cannot score.

use std::fmt;
use std::io::Write as _;
use std::str::FromStr;

pub mod own;
pub mod tests_of_redis;

use own::Own;
use tests_of_redis::{Test, write_request};

/// Length of every key: `key:%012d`.
pub const KEY_LEN: usize = 16;
/// Keys written by one MSET request.
const MSET_KEYS: u32 = 10;
/// One request in five of a mixed load writes.
const MIX_WRITES_PERCENT: u64 = 20;
/// A rate limiter: three commands on a declared key.
const SCRIPT: &str =
    "redis.call('incr', KEYS[1]) redis.call('expire', KEYS[1], ARGV[1]) return redis.call('get', KEYS[1])";
/// Its SHA1, which says what is called.
const SCRIPT_SHA: &str = "c9a76a8dc8c5e4ebfc6b41ac484a0d059430a9d8";
const ZIPF_THETA: f64 = 0.99;

/// The request of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Get,
    Set,
    /// 80 % GET, 20 % SET.
    Mix,
    /// MSET of ten keys.
    Mset10,
    /// INCR on keys of their own (`cnt:%012d`).
    Incr,
    /// EVALSHA of [`SCRIPT`] on the keys of INCR.
    Evalsha,
    /// A command of Tidegate's own, or the script that others have in its place.
    Own(Own),
    /// One of redis-benchmark's tests, on the one key it has.
    Test(Test),
}

/// How keys are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    Uniform,
    /// Zipf with theta 0.99: the hottest of 1 M keys takes 7 % of the requests.
    Zipf,
    /// Every request names one key.
    Hot,
}

/// One cell of the comparison: a request, a distribution of keys and a pipeline depth.
///
/// Written `op[-distribution]:depth`; `hot:depth` is short for `mix-hot:depth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub op: Op,
    pub distribution: Distribution,
    pub pipeline: usize,
}

impl Cell {
    /// The cell without its depth, as in `mix-zipf`.
    pub fn row(&self) -> String {
        let op = match self.op {
            Op::Get => "get",
            Op::Set => "set",
            Op::Mix => "mix",
            Op::Mset10 => "mset10",
            Op::Incr => "incr",
            Op::Evalsha => "evalsha",
            Op::Own(own) => own.name(),
            Op::Test(test) => test.name(),
        };
        match (self.op, self.distribution) {
            (_, Distribution::Uniform) => op.to_owned(),
            (_, Distribution::Zipf) => format!("{op}-zipf"),
            (Op::Mix, Distribution::Hot) => "hot".to_owned(),
            (_, Distribution::Hot) => format!("{op}-hot"),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.row(), self.pipeline)
    }
}

impl FromStr for Cell {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no cell: write op[-zipf|-hot]:depth, op one of get set mix incr mset10 evalsha hot, one of \
                 redis-benchmark's tests, or {}",
                Own::ALL.map(Own::name).join(" ")
            )
        };
        let (name, depth) = text.split_once(':').ok_or_else(wrong)?;
        let pipeline = depth.parse().ok().filter(|depth| (1..=1_000).contains(depth)).ok_or_else(wrong)?;
        let (op, keys) = name.split_once('-').unwrap_or((name, "uniform"));
        let (op, keys) = if op == "hot" { ("mix", "hot") } else { (op, keys) };
        let op = match op {
            "get" => Op::Get,
            "set" => Op::Set,
            "mix" => Op::Mix,
            "mset10" => Op::Mset10,
            "incr" => Op::Incr,
            "evalsha" => Op::Evalsha,
            _ => {
                let own = Own::ALL.into_iter().find(|own| own.name() == op).map(Op::Own);
                let test = Test::ALL.into_iter().find(|test| test.name() == op).filter(|_| keys == "uniform");
                own.or(test.map(Op::Test)).ok_or_else(wrong)?
            }
        };
        let distribution = match keys {
            "uniform" => Distribution::Uniform,
            "zipf" => Distribution::Zipf,
            "hot" => Distribution::Hot,
            _ => return Err(wrong()),
        };
        Ok(Self { op, distribution, pipeline })
    }
}

/// The keyspace a cell runs on.
#[derive(Clone, Copy, Debug)]
pub struct Keyspace {
    /// Keys 0..count exist before anything is measured.
    pub count: u32,
    /// Bytes of every string value.
    pub value_len: usize,
}

/// How the generator recognises that a batch is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// The length of the reply is known exactly.
    Bytes,
    /// Replies are single lines of unknown length (INCR).
    Lines,
    /// Replies are of any kind but errors.
    Replies,
}

/// One pipelined batch within [`Batches`].
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    start: usize,
    end: usize,
    /// Bytes or lines of the whole reply, as [`Batches::counting`] says.
    pub expected: usize,
    /// First byte of the first reply, where that is known: an error reply differs here.
    pub first: Option<u8>,
}

/// Request bytes for about as many draws as there are keys, cut into batches of one pipeline each.
pub struct Batches {
    bytes: Vec<u8>,
    cuts: Vec<Batch>,
    replies: Replies,
    counting: Counting,
    requests_per_batch: u64,
    setup: (Vec<u8>, usize),
}

/// What is needed to write down the exact reply of a batch for the check before a measurement.
struct Replies {
    requests: Vec<Request>,
    value_len: usize,
}

#[derive(Clone, Copy)]
enum Request {
    Get(u32),
    Write,
    Incr,
    Test,
}

impl Batches {
    /// Builds the batches of a cell; deterministic for a `seed`. O(keys), tens of bytes per key.
    pub fn build(cell: Cell, keyspace: Keyspace, seed: u64) -> Self {
        let mut draw = Draw::new(cell.distribution, keyspace.count, seed);
        let keys_per_request = if cell.op == Op::Mset10 { MSET_KEYS } else { 1 };
        let wanted = (keyspace.count / keys_per_request).max(1) as usize;
        let count = wanted.div_ceil(cell.pipeline).max(64);
        let mut built = Self {
            bytes: Vec::new(),
            cuts: Vec::with_capacity(count),
            replies: Replies {
                requests: Vec::with_capacity(count * cell.pipeline),
                value_len: keyspace.value_len,
            },
            counting: match cell.op {
                Op::Incr => Counting::Lines,
                Op::Test(_) | Op::Own(_) | Op::Evalsha => Counting::Replies,
                _ => Counting::Bytes,
            },
            requests_per_batch: cell.pipeline as u64,
            setup: match cell.op {
                Op::Test(test) => test.setup(),
                Op::Own(own) => own.setup(),
                Op::Evalsha => {
                    let mut load = Vec::new();
                    write_request(&mut load, &["SCRIPT", "LOAD", SCRIPT]);
                    (load, 1)
                }
                _ => (Vec::new(), 0),
            },
        };
        for _ in 0..count {
            built.push_batch(cell, &mut draw);
        }
        built
    }

    fn push_batch(&mut self, cell: Cell, draw: &mut Draw) {
        let start = self.bytes.len();
        let first_request = self.replies.requests.len();
        for _ in 0..cell.pipeline {
            let request = self.push_request(cell.op, draw);
            self.replies.requests.push(request);
        }
        let requests = &self.replies.requests[first_request..];
        let expected = requests.iter().map(|request| request.reply_size(self.replies.value_len)).sum();
        let first = requests[0].first_byte();
        self.cuts.push(Batch { start, end: self.bytes.len(), expected, first });
    }

    fn push_request(&mut self, op: Op, draw: &mut Draw) -> Request {
        let value_len = self.replies.value_len;
        match op {
            Op::Mix if draw.percent() < MIX_WRITES_PERCENT => self.push_request(Op::Set, draw),
            Op::Get | Op::Mix => {
                let key = draw.key();
                self.bytes.extend_from_slice(b"*2\r\n$3\r\nGET\r\n");
                write_key(&mut self.bytes, "key", key);
                Request::Get(key)
            }
            Op::Set => {
                write_set(&mut self.bytes, draw.key(), value_len);
                Request::Write
            }
            Op::Mset10 => {
                write!(self.bytes, "*{}\r\n$4\r\nMSET\r\n", 1 + 2 * MSET_KEYS)
                    .expect("a Vec takes every write");
                for _ in 0..MSET_KEYS {
                    let key = draw.key();
                    write_key(&mut self.bytes, "key", key);
                    write_value(&mut self.bytes, key, value_len);
                }
                Request::Write
            }
            Op::Incr => {
                self.bytes.extend_from_slice(b"*2\r\n$4\r\nINCR\r\n");
                write_key(&mut self.bytes, "cnt", draw.key());
                Request::Incr
            }
            Op::Evalsha => {
                write!(self.bytes, "*5\r\n$7\r\nEVALSHA\r\n$40\r\n{SCRIPT_SHA}\r\n$1\r\n1\r\n")
                    .expect("a Vec takes every write");
                write_key(&mut self.bytes, "cnt", draw.key());
                self.bytes.extend_from_slice(b"$4\r\n3600\r\n");
                Request::Test
            }
            Op::Own(own) => {
                own.write(&mut self.bytes, draw.key());
                Request::Test
            }
            Op::Test(test) => {
                test.write(&mut self.bytes, self.replies.requests.len());
                Request::Test
            }
        }
    }

    pub fn len(&self) -> usize {
        self.cuts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    /// Requests to send before a run, and how many they are.
    pub fn setup(&self) -> (&[u8], usize) {
        (&self.setup.0, self.setup.1)
    }

    pub fn counting(&self) -> Counting {
        self.counting
    }

    /// Requests in each batch: the pipeline depth.
    pub fn requests_per_batch(&self) -> u64 {
        self.requests_per_batch
    }

    pub fn batch(&self, index: usize) -> Batch {
        self.cuts[index]
    }

    /// The bytes to send for batch `index`.
    pub fn request(&self, index: usize) -> &[u8] {
        let batch = self.cuts[index];
        &self.bytes[batch.start..batch.end]
    }

    /// Whether `reply` is the right answer to batch `index`, byte for byte (INCR: one integer line per request; EVALSHA
    /// and tests of redis-benchmark: any complete reply, which was seen to be no error).
    pub fn answers(&self, index: usize, reply: &[u8]) -> bool {
        if self.counting == Counting::Replies {
            return true;
        }
        let depth = self.requests_per_batch as usize;
        let requests = &self.replies.requests[index * depth..(index + 1) * depth];
        let mut rest = reply;
        for request in requests {
            let Some(after) = request.strip_reply(rest, self.replies.value_len) else {
                return false;
            };
            rest = after;
        }
        rest.is_empty()
    }
}

impl Request {
    /// Bytes of the reply; 1, meaning one line or reply, for INCR, EVALSHA and tests.
    fn reply_size(self, value_len: usize) -> usize {
        match self {
            Self::Get(_) => 1 + decimal_len(value_len) + 2 + value_len + 2,
            Self::Write => b"+OK\r\n".len(),
            Self::Incr | Self::Test => 1,
        }
    }

    /// `None` where it may be any but that of an error.
    fn first_byte(self) -> Option<u8> {
        match self {
            Self::Get(_) => Some(b'$'),
            Self::Write => Some(b'+'),
            Self::Incr => Some(b':'),
            Self::Test => None,
        }
    }

    fn strip_reply(self, reply: &[u8], value_len: usize) -> Option<&[u8]> {
        match self {
            Self::Get(key) => {
                let mut expected = Vec::new();
                write_value(&mut expected, key, value_len);
                reply.strip_prefix(expected.as_slice())
            }
            Self::Write => reply.strip_prefix(b"+OK\r\n"),
            Self::Incr => {
                let end = reply.windows(2).position(|pair| pair == b"\r\n")?;
                let digits = reply[..end].strip_prefix(b":")?;
                (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then(|| &reply[end + 2..])
            }
            Self::Test => None,
        }
    }
}

/// Appends `SET key:<key> <its value>`.
pub fn write_set(out: &mut Vec<u8>, key: u32, value_len: usize) {
    out.extend_from_slice(b"*3\r\n$3\r\nSET\r\n");
    write_key(out, "key", key);
    write_value(out, key, value_len);
}

/// Appends `SET cnt:<key> 0`: the counters INCR runs on.
pub fn write_counter(out: &mut Vec<u8>, key: u32) {
    out.extend_from_slice(b"*3\r\n$3\r\nSET\r\n");
    write_key(out, "cnt", key);
    out.extend_from_slice(b"$1\r\n0\r\n");
}

fn write_key(out: &mut Vec<u8>, prefix: &str, key: u32) {
    write!(out, "${KEY_LEN}\r\n{prefix}:{key:012}\r\n").expect("a Vec takes every write");
}

/// Appends the bulk string a key holds: its number in twelve digits, repeated.
fn write_value(out: &mut Vec<u8>, key: u32, value_len: usize) {
    write!(out, "${value_len}\r\n").expect("a Vec takes every write");
    let start = out.len();
    while out.len() < start + value_len {
        write!(out, "{key:012}").expect("a Vec takes every write");
    }
    out.truncate(start + value_len);
    out.extend_from_slice(b"\r\n");
}

fn decimal_len(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Draws keys of a distribution, deterministically.
struct Draw {
    state: u64,
    count: u32,
    kind: Kind,
}

enum Kind {
    Uniform,
    Hot,
    /// Cumulative weights by rank; rank is the key number, servers hash keys anyway.
    Zipf(Vec<f64>),
}

impl Draw {
    fn new(distribution: Distribution, count: u32, seed: u64) -> Self {
        let kind = match distribution {
            Distribution::Uniform => Kind::Uniform,
            Distribution::Hot => Kind::Hot,
            Distribution::Zipf => {
                let weights = (1..=count).map(|rank| f64::from(rank).powf(-ZIPF_THETA));
                Kind::Zipf(
                    weights
                        .scan(0.0, |sum, weight| {
                            *sum += weight;
                            Some(*sum)
                        })
                        .collect(),
                )
            }
        };
        Self { state: seed, count, kind }
    }

    fn key(&mut self) -> u32 {
        let random = self.next();
        match &self.kind {
            Kind::Uniform => (random % u64::from(self.count)) as u32,
            Kind::Hot => 0,
            Kind::Zipf(cumulative) => {
                let total = cumulative.last().copied().unwrap_or(0.0);
                let point = (random >> 11) as f64 / (1_u64 << 53) as f64 * total;
                (cumulative.partition_point(|sum| *sum <= point) as u32).min(self.count - 1)
            }
        }
    }

    fn percent(&mut self) -> u64 {
        self.next() % 100
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Keyspace = Keyspace { count: 1_000, value_len: 64 };

    fn cell(text: &str) -> Cell {
        text.parse().expect("a valid cell")
    }

    #[test]
    fn cells_read_back_as_they_print() {
        for text in [
            "get:1",
            "set:16",
            "mix-zipf:64",
            "hot:16",
            "mset10:1",
            "incr-hot:2",
            "evalsha:16",
            "rl.check4-hot:16",
            "bf.add:16",
            "lrange_600:16",
        ] {
            assert_eq!(cell(text).to_string(), text);
        }
        for text in ["get", "get:0", "get:x", "pop:1", "get-cold:1", "lpop-zipf:1", ""] {
            assert!(text.parse::<Cell>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_get_batch_carries_the_requests_and_knows_its_exact_reply() {
        let batches = Batches::build(cell("get-hot:2"), SMALL, 1);
        assert_eq!(batches.request(0), b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000000\r\n".repeat(2));
        let reply = [b"$64\r\n".as_slice(), &[b'0'; 64], b"\r\n"].concat().repeat(2);
        assert_eq!(batches.batch(0).expected, reply.len());
        assert!(batches.answers(0, &reply));
    }

    #[test]
    fn wrong_answers_are_refused() {
        let gets = Batches::build(cell("get:1"), SMALL, 1);
        let other_value = [b"$64\r\n".as_slice(), &[b'x'; 64], b"\r\n"].concat();
        assert!(!gets.answers(0, &other_value));
        assert!(!gets.answers(0, b"$-1\r\n"));
        let sets = Batches::build(cell("set:1"), SMALL, 1);
        assert!(sets.answers(0, b"+OK\r\n"));
        assert!(!sets.answers(0, b"-ERR\r\n"));
        assert!(!sets.answers(0, b"+OK\r\n+OK\r\n"));
        let counters = Batches::build(cell("incr:2"), SMALL, 1);
        assert_eq!(counters.batch(0).expected, 2);
        assert!(counters.answers(0, b":1\r\n:20\r\n"));
        assert!(!counters.answers(0, b":1\r\n-ERR value is not an integer or out of range\r\n"));
    }

    #[test]
    fn batches_of_every_depth_cover_the_draws_and_join_up() {
        for text in ["set:1", "mix:7", "mset10:16", "incr:64"] {
            let batches = Batches::build(cell(text), SMALL, 3);
            let sent: usize = (0..batches.len()).map(|index| batches.request(index).len()).sum();
            assert_eq!(sent, batches.bytes.len(), "{text}");
            assert_eq!(batches.replies.requests.len(), batches.len() * batches.requests_per_batch as usize);
        }
    }

    #[test]
    fn a_mixed_load_writes_one_time_in_five() {
        let batches = Batches::build(cell("mix:1"), Keyspace { count: 20_000, value_len: 8 }, 5);
        let writes = (0..batches.len()).filter(|index| batches.batch(*index).first == Some(b'+')).count();
        let share = writes as f64 / batches.len() as f64;
        assert!((0.18..0.22).contains(&share), "{share}");
    }

    #[test]
    fn zipf_prefers_low_ranks_and_reaches_the_tail() {
        let mut draw = Draw::new(Distribution::Zipf, 1_000, 7);
        let keys: Vec<u32> = (0..100_000).map(|_| draw.key()).collect();
        let hottest = keys.iter().filter(|key| **key == 0).count() as f64 / keys.len() as f64;
        assert!((0.12..0.15).contains(&hottest), "{hottest}");
        assert!(keys.iter().any(|key| *key > 900) && keys.iter().all(|key| *key < 1_000));
    }

    #[test]
    fn values_have_the_length_asked_for() {
        for value_len in [0, 1, 16, 100] {
            let mut out = Vec::new();
            write_value(&mut out, 42, value_len);
            assert_eq!(out.len(), Request::Get(42).reply_size(value_len));
        }
    }
}
