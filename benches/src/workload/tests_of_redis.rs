//! The requests of redis-benchmark's own tests, driven by the counting generator: one key per test, three-byte
//! values. redis-benchmark parses every reply and is itself the limit in the pipelined tests of a fast server.
//!
//! A test that takes things away (`lpop`, `spop`, ...) puts one in for each it takes, so that it never runs dry.

use std::io::Write as _;

/// One test, as `redis-benchmark -t` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    Ping,
    Lpush,
    Rpush,
    Lpop,
    Rpop,
    Sadd,
    Hset,
    Spop,
    Zadd,
    Zpopmin,
    Lrange100,
    Lrange300,
    Lrange500,
    Lrange600,
    /// Not one of redis-benchmark 7.0's tests: an entry with one field of three bytes.
    Xadd,
}

impl Test {
    pub const ALL: [Test; 15] = [
        Test::Ping,
        Test::Lpush,
        Test::Rpush,
        Test::Lpop,
        Test::Rpop,
        Test::Sadd,
        Test::Hset,
        Test::Spop,
        Test::Zadd,
        Test::Zpopmin,
        Test::Lrange100,
        Test::Lrange300,
        Test::Lrange500,
        Test::Lrange600,
        Test::Xadd,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Test::Ping => "ping",
            Test::Lpush => "lpush",
            Test::Rpush => "rpush",
            Test::Lpop => "lpop",
            Test::Rpop => "rpop",
            Test::Sadd => "sadd",
            Test::Hset => "hset",
            Test::Spop => "spop",
            Test::Zadd => "zadd",
            Test::Zpopmin => "zpopmin",
            Test::Lrange100 => "lrange_100",
            Test::Lrange300 => "lrange_300",
            Test::Lrange500 => "lrange_500",
            Test::Lrange600 => "lrange_600",
            Test::Xadd => "xadd",
        }
    }

    /// The key the test works on.
    fn key(self) -> String {
        format!("test:{}", self.name())
    }

    /// What brings a server to the state the test begins with, and the number of its requests.
    pub fn setup(self) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        let key = self.key();
        write_request(&mut out, &["DEL", &key]);
        let mut requests = 1;
        if self.lrange().is_some() {
            for _ in 0..600 {
                write_request(&mut out, &["LPUSH", &key, "xxx"]);
                requests += 1;
            }
        }
        (out, requests)
    }

    fn lrange(self) -> Option<&'static str> {
        match self {
            Test::Lrange100 => Some("99"),
            Test::Lrange300 => Some("299"),
            Test::Lrange500 => Some("499"),
            Test::Lrange600 => Some("599"),
            _ => None,
        }
    }

    /// Appends request number `turn`.
    pub fn write(self, out: &mut Vec<u8>, turn: usize) {
        let key = self.key();
        let puts = turn.is_multiple_of(2);
        if let Some(last) = self.lrange() {
            return write_request(out, &["LRANGE", &key, "0", last]);
        }
        match self {
            Test::Ping => write_request(out, &["PING"]),
            Test::Lpush => write_request(out, &["LPUSH", &key, "xxx"]),
            Test::Rpush => write_request(out, &["RPUSH", &key, "xxx"]),
            Test::Lpop | Test::Rpop if puts => write_request(out, &["RPUSH", &key, "xxx"]),
            Test::Lpop => write_request(out, &["LPOP", &key]),
            Test::Rpop => write_request(out, &["RPOP", &key]),
            Test::Sadd => write_request(out, &["SADD", &key, "element:__rand_int__"]),
            Test::Hset => write_request(out, &["HSET", &key, "element:__rand_int__", "xxx"]),
            Test::Spop if puts => write_request(out, &["SADD", &key, &format!("element:{turn:012}")]),
            Test::Spop => write_request(out, &["SPOP", &key]),
            Test::Zadd => write_request(out, &["ZADD", &key, "0", "element:__rand_int__"]),
            Test::Zpopmin if puts => write_request(out, &["ZADD", &key, "0", &format!("element:{turn:012}")]),
            Test::Zpopmin => write_request(out, &["ZPOPMIN", &key]),
            _ => write_request(out, &["XADD", &key, "MAXLEN", "~", "100000", "*", "field", "xxx"]),
        }
    }
}

/// Appends one request.
pub fn write_request(out: &mut Vec<u8>, words: &[&str]) {
    write!(out, "*{}\r\n", words.len()).expect("a Vec takes every write");
    for word in words {
        write!(out, "${}\r\n{word}\r\n", word.len()).expect("a Vec takes every write");
    }
}
