//! Transcripts of commands of our own, in the notation of their specification, under clocks that stand still.
//!
//! ```text
//! RL.TOKENBUCKET k 5 5 1000             -> [1 5 4 0 200]
//! @+250 RL.GET k                        -> {algo tokenbucket limit 5 ...}
//! a> RL.TOKENBUCKET w 2 2 1000 BLOCK 9  sent by client `a`, whose reply is read later:
//! a<                                    -> [1 2 0 0 1500]
//! a?                                    it has no reply yet; where one waits nothing is restarted
//! a!                                    it hangs up
//! # a comment; `#!norestart` as the first line: it is about connections, which no restart survives
//! ~RL.STATS                             -> [...]        (leading `~`: not where the server was restarted)
//! ```
//! `[a b]` array, `{k v}` map (in RESP2 a flat array), `7` integer, `"x"` bulk string, a bare word a simple string (within
//! others a bulk string), `(nil)`, `#t` and `#f`, `,1.5` double, `-CODE text` error (within others `"-CODE text"`, and `+word` a
//! simple string), `...` whatever comes. Where the protocols differ in more than that: `-> RESP2 || RESP3`.

use std::time::Duration;
use tidegate_tests::resp::{REPLY_LIMIT, Reply, RespClient};
use tidegate_tests::server::TestServer;

use crate::transcript::{show, words};

/// The moment every transcript begins at.
const START_MS: i64 = 1_700_000_000_000;

/// What a reply must be.
#[derive(Debug, Clone, PartialEq)]
enum Expected {
    Any,
    Nil,
    Int(i64),
    Double(f64),
    Bool(bool),
    Bulk(Vec<u8>),
    Simple(Vec<u8>),
    Error(String),
    /// The elements; whether any others may follow.
    Array(Vec<Expected>, bool),
    Map(Vec<Expected>, bool),
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn parse(text: &str) -> Expected {
        if let Some(error) =
            text.strip_prefix('-').filter(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        {
            return Expected::Error(error.to_owned());
        }
        let mut parser = Parser { text: text.as_bytes(), at: 0 };
        let expected = parser.value(true);
        assert_eq!(parser.peek(), None, "more than one reply: {text}");
        expected
    }

    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn list(&mut self, end: u8) -> (Vec<Expected>, bool) {
        self.at += 1;
        let mut items = Vec::new();
        while self.peek().expect("brackets are closed") != end {
            items.push(self.value(false));
        }
        self.at += 1;
        let is_open = items.last() == Some(&Expected::Any);
        if is_open {
            items.pop();
        }
        (items, is_open)
    }

    fn value(&mut self, is_top: bool) -> Expected {
        match self.peek().expect("a reply") {
            b'[' => {
                let (items, is_open) = self.list(b']');
                Expected::Array(items, is_open)
            }
            b'{' => {
                let (items, is_open) = self.list(b'}');
                Expected::Map(items, is_open)
            }
            b'"' => {
                let start = self.at;
                self.at += 1;
                while self.text[self.at] != b'"' {
                    self.at += if self.text[self.at] == b'\\' { 2 } else { 1 };
                }
                self.at += 1;
                let text = std::str::from_utf8(&self.text[start..self.at]).expect("text");
                Expected::Bulk(words(text).remove(0))
            }
            _ => {
                let rest = &self.text[self.at..];
                let len = rest.iter().position(|byte| b" []{}".contains(byte)).unwrap_or(rest.len());
                self.at += len;
                let word = std::str::from_utf8(&rest[..len]).expect("text");
                Self::word(word, is_top)
            }
        }
    }

    fn word(word: &str, is_top: bool) -> Expected {
        match word {
            "..." => Expected::Any,
            "(nil)" => Expected::Nil,
            "#t" | "#f" => Expected::Bool(word == "#t"),
            _ => match (word.parse(), word.strip_prefix(',')) {
                (Ok(number), _) => Expected::Int(number),
                (_, Some(double)) => Expected::Double(double.parse().expect("a double")),
                _ if is_top => Expected::Simple(word.into()),
                _ => Expected::Bulk(word.into()),
            },
        }
    }
}

/// The same but for the last digits, or the same that is no finite number.
fn is_near(wanted: f64, got: f64) -> bool {
    wanted.to_bits() == got.to_bits()
        || wanted.is_nan() && got.is_nan()
        || wanted.is_finite() && (wanted - got).abs() <= wanted.abs() * 1e-12
}

impl Expected {
    fn is(&self, reply: &Reply, resp3: bool) -> bool {
        let all = |wanted: &[Expected], is_open: bool, got: &[&Reply]| {
            (got.len() == wanted.len() || is_open && got.len() > wanted.len())
                && wanted.iter().zip(got).all(|(wanted, got)| wanted.is(got, resp3))
        };
        match (self, reply) {
            (Expected::Any, _) | (Expected::Nil, Reply::Null) => true,
            (Expected::Int(wanted), Reply::Int(got)) => wanted == got,
            (Expected::Bool(wanted), Reply::Bool(got)) => resp3 && wanted == got,
            (Expected::Bool(wanted), Reply::Int(got)) => !resp3 && i64::from(*wanted) == *got,
            (Expected::Double(wanted), Reply::Double(got)) => resp3 && is_near(*wanted, *got),
            (Expected::Double(wanted), Reply::Bulk(got)) => {
                let got = std::str::from_utf8(got).ok().and_then(|text| text.parse::<f64>().ok());
                !resp3 && got.is_some_and(|got| is_near(*wanted, got))
            }
            (Expected::Bulk(wanted), Reply::Bulk(got)) | (Expected::Simple(wanted), Reply::Simple(got)) => {
                wanted == got
            }
            (Expected::Bulk(wanted), Reply::Error(got)) => wanted.strip_prefix(b"-") == Some(got),
            (Expected::Bulk(wanted), Reply::Simple(got)) => wanted.strip_prefix(b"+") == Some(got),
            (Expected::Error(wanted), Reply::Error(got)) => {
                let got = String::from_utf8_lossy(got);
                match wanted.strip_suffix("...") {
                    Some(start) => got.starts_with(start),
                    None => got == *wanted,
                }
            }
            (Expected::Array(wanted, is_open), Reply::Array(got)) => {
                all(wanted, *is_open, &got.iter().collect::<Vec<_>>())
            }
            (Expected::Map(wanted, is_open), Reply::Array(got)) => {
                !resp3 && all(wanted, *is_open, &got.iter().collect::<Vec<_>>())
            }
            (Expected::Map(wanted, is_open), Reply::Map(got)) => {
                let got: Vec<&Reply> = got.iter().flat_map(|(name, value)| [name, value]).collect();
                resp3 && all(wanted, *is_open, &got)
            }
            _ => false,
        }
    }
}

/// What happens after each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    Nothing,
    /// The server is killed, and loads its append-only file.
    Append,
    /// It saves, is killed, and loads its snapshot.
    Snapshot,
    /// A twin replays the effects: the server throws its data away and takes it from its journal again.
    Twin,
}

struct Stage {
    server: TestServer,
    between: Between,
    resp3: bool,
    now_ms: i64,
    clients: Vec<(String, RespClient)>,
    /// Clients that were sent something to which there is no reply yet: while there are any nothing is restarted.
    awaiting: Vec<String>,
}

impl Stage {
    fn new(between: Between, resp3: bool) -> Self {
        let start = START_MS.to_string();
        let mut options = vec![
            "--enable-debug-command",
            "yes",
            "--debug-clock-freeze",
            &start,
            "--io-threads",
            "1",
            "--native-soft-flush-ms",
            if between == Between::Twin { "100" } else { "0" },
        ];
        match between {
            Between::Append | Between::Twin => options.extend(["--appendonly", "yes"]),
            Between::Nothing | Between::Snapshot => {}
        }
        let server = TestServer::tidegate_with(&options);
        Stage { server, between, resp3, now_ms: START_MS, clients: Vec::new(), awaiting: Vec::new() }
    }

    fn client(&mut self, name: &str) -> &mut RespClient {
        if !self.clients.iter().any(|(known, _)| known == name) {
            let mut client = self.server.client();
            if self.resp3 {
                client.line("HELLO 3");
            }
            self.clients.push((name.to_owned(), client));
        }
        let (_, client) = self.clients.iter_mut().find(|(known, _)| known == name).expect("just added");
        client
    }

    fn advance(&mut self, ms: i64) {
        self.now_ms += ms;
        let line = format!("DEBUG CLOCK ADVANCE {ms}");
        assert_eq!(self.client("").line(&line), Reply::Simple(b"OK".to_vec()));
    }

    fn after_line(&mut self, line: &str) {
        if self.between == Between::Nothing || !self.awaiting.is_empty() {
            return;
        }
        let digest = |stage: &mut Self| stage.client("").line("DEBUG DIGEST");
        let before = digest(self);
        match self.between {
            Between::Nothing => {}
            Between::Twin => {
                assert_eq!(self.client("").line("DEBUG LOADAOF"), Reply::Simple(b"OK".to_vec()));
            }
            Between::Append | Between::Snapshot => {
                if self.between == Between::Snapshot {
                    assert_eq!(self.client("").line("SAVE"), Reply::Simple(b"OK".to_vec()));
                }
                self.clients.clear();
                let now = self.now_ms.to_string();
                let options = ["--debug-clock-freeze", &now];
                // Another process may have taken its port meanwhile.
                let started = || self.server.restart_loading(&options).is_ok();
                assert!(
                    tidegate_tests::clock::wait_until(Duration::from_secs(20), started),
                    "it starts again"
                );
                let pong = || self.server.client().line("PING") == Reply::Simple(b"PONG".to_vec());
                assert!(tidegate_tests::clock::wait_until(Duration::from_secs(20), pong), "it is loaded");
            }
        }
        assert_eq!(digest(self), before, "{:?}: the same data after {line}", self.between);
    }

    fn play(&mut self, text: &str) {
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let is_restarted = matches!(self.between, Between::Append | Between::Snapshot);
            let line = match line.strip_prefix('~') {
                Some(_) if is_restarted => continue,
                Some(line) => line,
                None => line,
            };
            let (command, expected) = match line.split_once(" -> ") {
                Some((command, expected)) => (command.trim(), Some(expected.trim())),
                None => (line, None),
            };
            let command = match command.strip_prefix("@+") {
                Some(rest) => {
                    let (ms, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                    self.advance(ms.parse().expect("milliseconds"));
                    rest.trim()
                }
                None => command,
            };
            self.line(line, command, expected);
            if !command.is_empty() && expected.is_some() {
                self.after_line(line);
            }
        }
    }

    fn line(&mut self, line: &str, command: &str, expected: Option<&str>) {
        let (mode, resp3) = (self.between, self.resp3);
        let mark = command
            .find(['>', '<', '?', '!'])
            .filter(|at| command[..*at].bytes().all(|byte| byte.is_ascii_alphanumeric()) && *at > 0);
        let reply = match mark {
            Some(at) if command.as_bytes()[at] == b'!' => {
                self.awaiting.retain(|name| *name != command[..at]);
                return self.clients.retain(|(name, _)| *name != command[..at]);
            }
            Some(at) => {
                let client = self.client(&command[..at]);
                match command.as_bytes()[at] {
                    b'>' => {
                        client.send(&words(&command[at + 1..])).expect("it is sent");
                        self.awaiting.push(command[..at].to_owned());
                        return;
                    }
                    b'?' => {
                        client.set_reply_limit(Duration::from_millis(40)).expect("a limit");
                        let reply = client.read();
                        assert!(reply.is_err(), "a reply too early: {line}: {reply:?}");
                        client.set_reply_limit(REPLY_LIMIT).expect("a limit");
                        return;
                    }
                    _ => {
                        let reply = client.read().expect("a reply");
                        let answered = self.awaiting.iter().position(|name| *name == command[..at]);
                        answered.map(|at| self.awaiting.remove(at));
                        reply
                    }
                }
            }
            None if command.is_empty() => return,
            None => self.client("").call(&words(command)),
        };
        let Some(expected) = expected else { panic!("no reply is given: {line}") };
        let expected = match expected.split_once(" || ") {
            Some((resp2, _)) if !resp3 => resp2,
            Some((_, resp3)) => resp3,
            None => expected,
        };
        assert!(
            Parser::parse(expected).is(&reply, resp3),
            "{line}\n     got {}\n  ({mode:?}, RESP{})",
            show(&reply),
            if resp3 { 3 } else { 2 },
        );
    }
}

/// Plays a transcript in both protocols; after a restart from either kind of file, and on a twin, behind every line.
pub(crate) fn play(text: &str) {
    let mut modes = vec![(Between::Nothing, false), (Between::Nothing, true)];
    if !text.starts_with("#!norestart") {
        modes.extend([(Between::Append, true), (Between::Snapshot, false), (Between::Twin, true)]);
    }
    for (between, resp3) in modes {
        Stage::new(between, resp3).play(text);
    }
}

#[test]
fn replies_are_compared_in_both_protocols() {
    let map = Parser::parse(r#"{a 1 "b c" [,1.5 #t (nil)] ...}"#);
    let list = Reply::Array(vec![Reply::Double(1.5), Reply::Bool(true), Reply::Null]);
    let pair = |name: &[u8], value: Reply| (Reply::Bulk(name.to_vec()), value);
    let reply = Reply::Map(vec![pair(b"a", Reply::Int(1)), pair(b"b c", list), pair(b"d", Reply::Int(2))]);
    assert!(map.is(&reply, true) && !map.is(&reply, false));
    assert!(Parser::parse("-ERR ...").is(&Reply::Error(b"ERR x".to_vec()), false));
    assert!(Parser::parse("-1").is(&Reply::Int(-1), false));
    assert!(!Parser::parse("[1 2]").is(&Reply::Array(vec![Reply::Int(1)]), false));
}
