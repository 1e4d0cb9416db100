//! Random typed arguments and the mix of families. Everything is decided by the seed.
//!
//! Time never decides a reply: an expiry is either long past, or so far away that no run reaches it, and no two
//! relative expiries of a run are the same (a comparison of equal ones, as in `EXPIRE k 100 GT` twice, would depend on
//! whether a millisecond has passed).

use super::CONNECTIONS;
use super::families::{self, FAMILIES, Family};
use super::step::{Action, Op, Step};
use crate::random::Random;

/// One random argument list.
pub type Args = Vec<Vec<u8>>;

/// First relative expiry, and the distance to the next one, in seconds.
const RELATIVE_FIRST_S: i64 = 200_000;
const RELATIVE_STEP_S: i64 = 1_000;

const PLAIN_KEYS: &[&[u8]] = &[
    b"a",
    b"b",
    b"c",
    b"key:1",
    b"key:2",
    b"key:3",
    b"{tag}1",
    b"{tag}2",
    b"{tag}x{y}",
    b"",
    b" ",
    b"\x00",
    b"\xff\xfe\r\n",
    b"h?llo",
    b"h*llo",
    b"[ab]",
    b"UPPER",
    b"number",
    b"float",
    b"counter",
    b"long-key-0123456789012345678901234567890123456789012345678901234567890123456789",
];

const INTS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "5",
    "10",
    "42",
    "99",
    "100",
    "-7",
    "127",
    "128",
    "255",
    "1000",
    "9999",
    "10000",
    "32767",
    "65536",
    "-2147483648",
    "2147483647",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775806",
    "-9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "99999999999999999999999",
];

const NOT_INTS: &[&str] = &[
    "", " ", "abc", "1.0", " 1", "1 ", "+1", "01", "-0", "0x10", "1e3", "--1", "1\n", "\u{661}", "inf",
    "nan", "-", "+",
];

const FLOATS: &[&str] = &[
    "0",
    "1.5",
    "-1.5",
    "0.1",
    "0.2",
    "3.0",
    "1e3",
    "1E-3",
    "5.0e3",
    "1e308",
    "1e4931",
    "1e-4940",
    "-1e308",
    "1.7976931348623157e308",
    "123456789.123456789",
    "0.000000000000000001",
    "1e17",
    "1e18",
    "10000000000000000000000",
    "2.5e-5",
    "100",
    "-3",
    "inf",
    "-inf",
    "+inf",
    "infinity",
    "nan",
    "-nan",
    "0x10",
    "0x1p3",
    "1e400",
    "1e5000",
    " 1.5",
    "1.5 ",
    "1.5x",
    "",
    ".5",
    "5.",
    "-.5",
    "+1.5",
    "1e",
    "e5",
    "1_000",
    "3,5",
    "1e+2",
    "00.10",
    "9007199254740993",
];

/// Every key that generated commands are expected to touch; what is stored under them is compared.
pub fn keys() -> Vec<Vec<u8>> {
    PLAIN_KEYS.iter().map(|key| key.to_vec()).chain(families::extra_keys()).collect()
}

/// The source of steps and of the arguments in them.
pub struct Generator {
    pub random: Random,
    families: Vec<&'static Family>,
    relative_used: i64,
    /// A number that grows, for what has to ascend: IDs of streams.
    pub serial: u64,
    /// The connection the current steps are for.
    pub conn: usize,
}

impl Generator {
    /// A generator over the named families, or all of them.
    pub fn new(seed: u64, names: &[String]) -> Self {
        let families = FAMILIES
            .iter()
            .copied()
            .filter(|family| names.is_empty() || names.iter().any(|name| name == family.name))
            .collect();
        Self { random: Random::new(seed), families, relative_used: 0, serial: 0, conn: 0 }
    }

    /// The commands the chosen families may send.
    pub fn command_names(&self) -> Vec<String> {
        self.families.iter().flat_map(|family| family.commands.iter().map(ToString::to_string)).collect()
    }

    /// The steps of one epoch, without those that use a command which the target `lacks`.
    pub fn epoch(&mut self, len: usize, lacks: impl Fn(&str) -> bool) -> Vec<Step> {
        self.relative_used = 0;
        self.serial = 0;
        let mut steps = Vec::with_capacity(len);
        while steps.len() < len {
            if self.random.one_in(12) {
                self.conn = self.random.below(CONNECTIONS);
            }
            let family =
                self.families[self.random.weighted(self.families.iter().map(|family| family.weight))];
            let made = (family.generate)(self);
            let lacking = |step: &Step| {
                step.ops().iter().any(|op| lacks(&op.name()))
                    || matches!(&step.action, Action::Scan(scan) if lacks(&scan.name()))
            };
            if !made.iter().any(lacking) {
                steps.extend(made);
            }
        }
        steps
    }

    /// A step with one command on the current connection.
    pub fn step(&self, op: Op) -> Step {
        Step { conn: self.conn, action: Action::Run(vec![op]) }
    }

    /// True once in `n` calls on average.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.random.one_in(n)
    }

    /// A command or option name in upper, lower or mixed case.
    pub fn word(&mut self, word: &str) -> Vec<u8> {
        match self.random.below(8) {
            0 | 1 => word.to_lowercase().into_bytes(),
            2 => word
                .bytes()
                .enumerate()
                .map(|(i, b)| if i % 2 == 0 { b.to_ascii_lowercase() } else { b.to_ascii_uppercase() })
                .collect(),
            _ => word.to_uppercase().into_bytes(),
        }
    }

    /// One of these words, in any case.
    pub fn word_of(&mut self, words: &[&str]) -> Vec<u8> {
        let word = *self.random.pick(words);
        self.word(word)
    }

    /// A command line given as words; `:name` is filled in: `:key :value :int :float :index :db`, and everything
    /// else is a word in any case.
    pub fn fill(&mut self, template: &str) -> Args {
        template.split_whitespace().map(|word| self.fill_word(word)).collect()
    }

    fn fill_word(&mut self, word: &str) -> Vec<u8> {
        match word {
            ":key" => self.key(),
            ":value" => self.value(),
            ":int" => self.int(),
            ":float" => self.float(),
            ":index" => self.index(),
            ":db" => self.database(),
            ":hash" => self.key_among(families::HASH_KEYS),
            ":set" => self.key_among(families::SET_KEYS),
            ":zset" => self.key_among(families::ZSET_KEYS),
            ":zlex" => self.random.pick(families::ZSET_LEX_KEYS).to_vec(),
            ":score" => self.score(),
            ":bound" => self.bound(),
            ":lex" => self.name_bound(),
            ":stream" => self.key_among(&[b"70", b"71", b"72"]),
            ":limit" => self.key_among(&[b"80", b"81", b"82"]),
            ":bf" => self.key_among(&[b"90", b"91"]),
            ":cf" => self.key_among(&[b"92", b"93"]),
            ":cms" => self.key_among(&[b"94", b"95"]),
            ":topk" => self.key_among(&[b"96", b"97"]),
            ":td" => self.key_among(&[b"98", b"99"]),
            ":member" => self.member(),
            ":s" => self.relative_s(),
            ":ms" => self.relative_ms(),
            ":at" => self.at_s(),
            ":atms" => self.at_ms(),
            ":payload" => super::payload::payload(self),
            other => self.word(other),
        }
    }

    /// A key from the small pool.
    pub fn key(&mut self) -> Vec<u8> {
        // The first few are used more often, so that commands meet each other's keys.
        let limit = if self.one_in(2) { 6 } else { PLAIN_KEYS.len() };
        PLAIN_KEYS[self.random.below(limit)].to_vec()
    }

    /// A key of those where a type has its values; rarely any other, to meet the wrong type.
    pub fn key_among(&mut self, keys: &[&[u8]]) -> Vec<u8> {
        if self.one_in(15) { self.key() } else { self.random.pick(keys).to_vec() }
    }

    /// A member of a set: out of a few, so that sets have members in common, and now and then anything.
    pub fn member(&mut self) -> Vec<u8> {
        match self.random.below(12) {
            0..=4 => self.random.between(-3, 16).to_string().into_bytes(),
            5..=8 => format!("m{}", self.random.below(12)).into_bytes(),
            _ => self.value(),
        }
    }

    /// A score or weight: mostly few different ones, so that names decide about the order, sometimes any float or none.
    pub fn score(&mut self) -> Vec<u8> {
        match self.random.below(8) {
            0..=3 => self.random.between(-4, 8).to_string().into_bytes(),
            4 | 5 => format!("{}.{}", self.random.between(-3, 3), self.random.below(4) * 25).into_bytes(),
            6 => self.random.pick(&["inf", "-inf", "+inf", "1e10", "0.1", "-0.0"]).as_bytes().to_vec(),
            _ => self.float(),
        }
    }

    /// A bound of a range of scores.
    pub fn bound(&mut self) -> Vec<u8> {
        let score = match self.random.below(12) {
            0 => self.random.pick(&["-inf", "+inf", "inf"]).as_bytes().to_vec(),
            1 => self.random.pick(&["", " 1", "1 ", "1\0x", "(", "((1", "1e400"]).as_bytes().to_vec(),
            _ => self.score(),
        };
        if self.one_in(3) { [b"(", &score[..]].concat() } else { score }
    }

    /// A bound of a range of names.
    pub fn name_bound(&mut self) -> Vec<u8> {
        let mark: &[u8] = match self.random.below(12) {
            0 | 1 => return b"-".to_vec(),
            2 | 3 => return b"+".to_vec(),
            4 => return self.value(),
            5..=7 => b"(",
            _ => b"[",
        };
        [mark, &self.member()].concat()
    }

    /// Several keys, rarely none, sometimes the same one twice.
    pub fn several_keys(&mut self) -> Args {
        let count = if self.one_in(40) { 0 } else { 1 + self.random.below(4) };
        (0..count).map(|_| self.key()).collect()
    }

    /// Something that can be stored.
    pub fn value(&mut self) -> Vec<u8> {
        match self.random.below(12) {
            0..=2 => self.int(),
            3 | 4 => self.float(),
            5 => Vec::new(),
            6 => {
                // Around the limit between the embedded and the separate string encoding.
                let len = self.random.between(40, 48) as usize;
                vec![b'x'; len]
            }
            7 => {
                let len = self.random.below(600);
                (0..len).map(|_| b'a' + self.random.below(4) as u8).collect()
            }
            8 => {
                let len = self.random.below(30);
                (0..len).map(|_| self.random.bits() as u8).collect()
            }
            9 => b"ohmytext".to_vec(),
            10 => b"mynewtext\r\n$3\r\nfoo".to_vec(),
            _ => {
                let len = self.random.below(12);
                (0..len).map(|_| b'a' + self.random.below(6) as u8).collect()
            }
        }
    }

    /// Mostly a valid 64-bit integer, sometimes just not one.
    pub fn int(&mut self) -> Vec<u8> {
        match self.random.below(10) {
            0 => self.random.pick(NOT_INTS).as_bytes().to_vec(),
            1..=3 => self.random.between(-20, 20).to_string().into_bytes(),
            4 => (self.random.bits() as i64).to_string().into_bytes(),
            _ => self.random.pick(INTS).as_bytes().to_vec(),
        }
    }

    /// Floats of every notation and size, and things that are not floats.
    pub fn float(&mut self) -> Vec<u8> {
        match self.random.below(6) {
            0 => self.int(),
            1 => {
                let (a, b) = (self.random.between(-1_000_000, 1_000_000), self.random.below(100_000));
                format!("{a}.{b}").into_bytes()
            }
            _ => self.random.pick(FLOATS).as_bytes().to_vec(),
        }
    }

    /// Positions in a short string or list, from both ends and beyond.
    pub fn index(&mut self) -> Vec<u8> {
        if self.one_in(12) { self.int() } else { self.random.between(-12, 40).to_string().into_bytes() }
    }

    /// The same without numbers that are far away.
    pub fn index_nearby(&mut self) -> Vec<u8> {
        self.random.between(-12, 40).to_string().into_bytes()
    }

    /// A database number; mostly one whose content is compared.
    pub fn database(&mut self) -> Vec<u8> {
        if self.one_in(12) {
            return self
                .random
                .pick(&["16", "-1", "abc", "", "9999999999", "9223372036854775807", "1.5", " 0"])
                .as_bytes()
                .to_vec();
        }
        self.random.pick(&["0", "0", "1", "2", "3", "9"]).as_bytes().to_vec()
    }

    /// A relative expiry in seconds: far away and never used before, or an edge case that does not depend on time.
    pub fn relative_s(&mut self) -> Vec<u8> {
        if self.one_in(5) {
            return self.edge_time();
        }
        self.relative_used += 1;
        (RELATIVE_FIRST_S + self.relative_used * RELATIVE_STEP_S).to_string().into_bytes()
    }

    /// The same in milliseconds.
    pub fn relative_ms(&mut self) -> Vec<u8> {
        if self.one_in(5) {
            return self.edge_time();
        }
        self.relative_used += 1;
        ((RELATIVE_FIRST_S + self.relative_used * RELATIVE_STEP_S) * 1000).to_string().into_bytes()
    }

    /// An absolute time in seconds: long past or far ahead.
    pub fn at_s(&mut self) -> Vec<u8> {
        match self.random.below(8) {
            0 => self.edge_time(),
            1 => b"1500000000".to_vec(),
            2 => b"1".to_vec(),
            _ => (4_102_444_800 + self.random.between(0, 5) * 1000).to_string().into_bytes(),
        }
    }

    /// An absolute time in milliseconds: long past or far ahead.
    pub fn at_ms(&mut self) -> Vec<u8> {
        match self.random.below(8) {
            0 => self.edge_time(),
            1 => b"1500000000123".to_vec(),
            2 => b"1".to_vec(),
            _ => (4_102_444_800_123 + self.random.between(0, 5) * 1_000_000).to_string().into_bytes(),
        }
    }

    fn edge_time(&mut self) -> Vec<u8> {
        self.random
            .pick(&[
                "0",
                "-1",
                "-100",
                "9223372036854775807",
                "-9223372036854775808",
                "9223372036854775806",
                "abc",
                "",
                "1.5",
                "9223372036854775",
                "9223372036854776",
                "-9223372036854775",
                "-9223372036854776",
                "99999999999999999999",
                " 1",
                "+5",
            ])
            .as_bytes()
            .to_vec()
    }

    /// Rarely spoils a command line: drops, doubles, adds, swaps or replaces an argument. Lines that mention a time
    /// are only shortened or made longer, so that no unexpected expiry comes out.
    pub fn spoil(&mut self, mut args: Args, timed: bool) -> Args {
        if !self.one_in(25) || args.is_empty() {
            return args;
        }
        let at = self.random.below(args.len());
        match self.random.below(if timed { 3 } else { 6 }) {
            0 => args.truncate(at.max(1)),
            1 => args.push(self.word("JUNK")),
            2 => {
                for _ in 0..3 {
                    args.push(b"x".to_vec());
                }
            }
            3 if at > 0 => {
                args.remove(at);
            }
            4 if at > 0 => args.insert(at, args[at].clone()),
            5 if at > 1 => args.swap(1, at),
            _ => args.push(self.value()),
        }
        args
    }
}
