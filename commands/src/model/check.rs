//! Runs handlers without a server: what the tests beside each command use, and what the simulation builds on.
//!
//! One in-memory shard, a clock that stands still, a fixed random seed. Lines are split at spaces; `""` is an empty
//! argument. Replies are compared as RESP with line ends written as spaces: `$1 a`, `*2 :1 :2`, `-ERR syntax error`.

use super::{
    Args, Clocks, Command, Ctx, Effects, Env, Error, KeyPosition, Limits, NativeTurn, Outcome, Protocol,
    Reply, Rng, RoutedKey, Scope, Span, StoredRequest, Wait,
};
use crate::families;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use tidegate_data::{Access, Databases, EventClasses, Held, KeyHasher, KeyLog, Keys, Rules};

/// The clock of a new bench: 2023-11-14T22:13:20Z.
pub const START_MS: i64 = 1_700_000_000_000;

/// One shard, and what commands need to run on it.
#[derive(Debug)]
pub struct Bench {
    databases: Databases,
    hasher: KeyHasher,
    rng: Rng,
    log: KeyLog,
    /// Settings.
    pub limits: Limits,
    /// The clock, Unix milliseconds.
    pub now_ms: i64,
    /// The protocol of replies.
    pub protocol: Protocol,
    /// Bytes of output at which the client is given up.
    pub reply_max: usize,
    /// The selected database.
    pub db: usize,
    /// The next command has waited: what [`Wait`] named for a key is run with this set.
    pub is_retry: bool,
    clocks: std::sync::Arc<BenchClocks>,
    /// What commands of our own have besides.
    pub native: NativeTurn,
}

/// Clocks that go with that of the bench.
#[derive(Debug, Default)]
struct BenchClocks {
    now_ms: AtomicI64,
    token: AtomicI64,
}

impl Clocks for BenchClocks {
    fn now_ns(&self) -> i64 {
        self.now_ms.load(Relaxed) * 1_000_000
    }

    fn next_token(&self, now_ns: i64) -> i64 {
        /// 2020-01-01 in microseconds.
        const EPOCH_US: i64 = 1_577_836_800_000_000;
        let token = (self.token.load(Relaxed) + 1).max(now_ns / 1000 - EPOCH_US);
        self.token.store(token, Relaxed);
        token
    }

    fn raise(&self, _: i64, token: i64) {
        self.token.fetch_max(token, Relaxed);
    }

    fn jitter(&self) -> Option<f64> {
        Some(0.5)
    }
}

impl Default for Bench {
    fn default() -> Self {
        let hasher = KeyHasher::new(1);
        let clocks = std::sync::Arc::<BenchClocks>::default();
        Bench {
            databases: Databases::new(16, &hasher),
            hasher,
            rng: Rng::new(1),
            log: KeyLog { record_touched: true, record_events: EventClasses::ALL, ..KeyLog::default() },
            limits: Limits::default(),
            now_ms: START_MS,
            protocol: Protocol::Resp2,
            reply_max: usize::MAX,
            db: 0,
            is_retry: false,
            native: NativeTurn::new(
                clocks.clone(),
                super::Books {
                    policies: std::sync::Arc::default(),
                    ids: std::sync::Arc::new(families::ids::Ids::new([1, 2])),
                    tags: std::sync::Arc::default(),
                    quotas: std::sync::Arc::default(),
                    bindings: std::sync::Arc::default(),
                    calls: std::sync::Arc::default(),
                },
            ),
            clocks,
        }
    }
}

/// What running one command gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The reply as RESP; for a command that waits what it answers where nothing may wait.
    pub reply: Vec<u8>,
    /// What it waits for.
    pub wait: Option<Box<Wait>>,
    /// What must be replayed on a twin: the commands, lazily expired keys first.
    pub effects: Effects,
    /// What must be replayed in databases other than the selected one before `effects` are: keys and members that were
    /// deleted because their time had come.
    pub expired_elsewhere: Vec<(usize, Effects)>,
    /// Keyspace events: `set k`.
    pub events: Vec<String>,
    /// Lookups that count as hits, and those that count as misses.
    pub lookups: (u64, u64),
    /// How much it adds to `rdb_changes_since_last_save`.
    pub changes: u64,
}

impl Ran {
    /// The reply with line ends as spaces.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.reply).replace("\r\n", " ").trim_end().to_string()
    }
}

impl Bench {
    /// A new bench whose client speaks RESP3.
    pub fn resp3() -> Self {
        Bench { protocol: Protocol::Resp3, ..Bench::default() }
    }

    /// Runs one command given as words.
    ///
    /// Panics where the server would never get: an unknown command or a wrong number of arguments is answered with
    /// the error, but a handler that breaks its contract (an outcome `Same` after a change) fails the test.
    pub fn run_words(&mut self, words: &[&[u8]]) -> Ran {
        let Some((command, name_len)) = find(words) else {
            return self.failed(&Error::text(format!("ERR unknown command '{}'", words[0].escape_ascii())));
        };
        if !command.accepts(words.len()) {
            return self.failed(&Error::Arity(full_name(words, name_len).into()));
        }
        let (buf, spans) = flatten(words);
        let mut routed = Vec::new();
        let mut found = |position: KeyPosition| {
            let hash = self.hasher.hash(words[position.arg]);
            routed.push(RoutedKey { arg: position.arg as u32, shard: 0, hash });
        };
        match command.finder() {
            Some(finder) => finder(words, &mut found),
            None => {
                for spec in command.specs() {
                    spec.positions(words.len(), |i| words[i], &mut found);
                }
            }
        }
        let held = match command.scope_of(words) {
            Scope::Keys => Held::One(0, &mut self.databases),
            Scope::Keyspace => Held::Many(vec![(0, &mut self.databases)]),
        };
        let rules = Rules { now_ms: self.now_ms, access: Access::lru(self.now_ms), delete_expired: true };
        self.log.clear();
        self.clocks.now_ms.store(self.now_ms, Relaxed);
        self.native.begin(false);
        let mut cx = Ctx {
            keys: Keys::new(held, self.db, rules, &mut self.log),
            env: Env::new(self.now_ms, &mut self.rng, &self.limits, &self.native).retrying(self.is_retry),
        };
        let mut args = Args::new(&buf, &spans, &routed, name_len);
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, self.protocol).limited(self.reply_max);
        let handler = command.handler.expect("a container is never found as a command");
        let result = handler(&mut cx, &mut args, &mut reply);
        let nondeterministic = cx.env.was_nondeterministic();
        drop(cx);
        let mut effects = Effects::default();
        let mut waits = None;
        let mut expired_elsewhere = Vec::new();
        let mut expire = |db: u16, effect: &[&[u8]]| {
            if usize::from(db) == self.db {
                effects.push(effect);
            } else {
                let mut elsewhere = Effects::default();
                elsewhere.push(effect);
                expired_elsewhere.push((usize::from(db), elsewhere));
            }
        };
        for expired in &self.log.expired {
            expire(expired.db, &[b"DEL", &expired.key]);
        }
        for expired in &self.log.expired_members {
            expire(expired.key.db, &expired.effect());
        }
        let changes = self.log.changes;
        let changed = changes > 0;
        match result {
            Ok(Outcome::Same) => {
                assert!(!changed, "{} answered Same but changed the keyspace", command.name);
            }
            Ok(Outcome::Changed) => {
                assert!(!nondeterministic, "{} read the clock or chance and names no effects", command.name);
                effects.push(words);
            }
            Ok(Outcome::Soft) => panic!("{} leaves effects for later", command.name),
            Ok(Outcome::ChangedAs(more)) => effects.push_encoded(more.bytes(), more.len()),
            Ok(Outcome::Wait(wait)) if wait.is_answered => {
                effects.push_encoded(wait.effects.bytes(), wait.effects.len());
                waits = Some(wait);
            }
            Ok(Outcome::Wait(wait)) => {
                assert!(out.is_empty(), "{} has replied and waits nevertheless", command.name);
                assert!(!wait.keys.is_empty() || wait.call.is_some(), "{} waits for nothing", command.name);
                assert_eq!(
                    changed,
                    !wait.effects.is_empty(),
                    "{} waits and tells what it changed",
                    command.name
                );
                effects.push_encoded(wait.effects.bytes(), wait.effects.len());
                wait.refused.write(&mut Reply::new(&mut out, self.protocol));
                waits = Some(wait);
            }
            Err(error) => {
                assert!(!changed, "{} failed after it had changed the keyspace", command.name);
                out.clear();
                Reply::new(&mut out, self.protocol).error(&error);
            }
        }
        let events = self.log.events.drain(..);
        let events = events.map(|event| format!("{} {}", event.name, event.key.escape_ascii())).collect();
        let lookups = (self.log.hits, self.log.misses);
        self.log.free();
        self.log.emptied.clear();
        self.log.save_wanted = false;
        Ran { reply: out, wait: waits, effects, expired_elsewhere, events, lookups, changes }
    }

    /// The keyspace as it is, to look at.
    pub fn databases(&self) -> &Databases {
        &self.databases
    }

    /// Runs one line.
    pub fn run(&mut self, line: &str) -> Ran {
        let words: Vec<&[u8]> =
            line.split(' ').map(|word| if word == "\"\"" { &b""[..] } else { word.as_bytes() }).collect();
        self.run_words(&words)
    }

    /// Runs the commands of effects; each must be accepted.
    pub fn replay(&mut self, effects: &Effects) {
        for words in commands_of(effects) {
            let ran = self.run_words(&words);
            assert!(!ran.reply.starts_with(b"-"), "{}: {}", words.join(&b' ').escape_ascii(), ran.text());
        }
    }

    fn failed(&self, error: &Error) -> Ran {
        let mut out = Vec::new();
        Reply::new(&mut out, self.protocol).error(error);
        Ran {
            reply: out,
            wait: None,
            effects: Effects::default(),
            expired_elsewhere: Vec::new(),
            events: Vec::new(),
            lookups: (0, 0),
            changes: 0,
        }
    }
}

/// The commands of effects, in words.
pub fn commands_of(effects: &Effects) -> Vec<Vec<&[u8]>> {
    let mut rest = effects.bytes();
    // `*2`, and then `$3` and the bytes of each word.
    let number = |rest: &mut &[u8]| -> usize {
        let end = rest.iter().position(|byte| *byte == b'\r').expect("a header ends with its line");
        let number = super::parse_i64(&rest[1..end]).expect("a header has a number");
        *rest = &rest[end + 2..];
        number as usize
    };
    let mut commands = Vec::new();
    while !rest.is_empty() {
        let mut words = Vec::new();
        for _ in 0..number(&mut rest) {
            let len = number(&mut rest);
            words.push(&rest[..len]);
            rest = &rest[len + 2..];
        }
        commands.push(words);
    }
    commands
}

fn flatten(words: &[&[u8]]) -> (Vec<u8>, Vec<Span>) {
    let mut buf = Vec::new();
    let spans = words.iter().map(|word| {
        let span = Span { start: buf.len() as u32, len: word.len() as u32 };
        buf.extend_from_slice(word);
        span
    });
    let spans = spans.collect();
    (buf, spans)
}

fn full_name(words: &[&[u8]], name_len: usize) -> String {
    let name: Vec<_> = words[..name_len].iter().map(|word| word.escape_ascii().to_string()).collect();
    name.join("|").to_ascii_lowercase()
}

/// The command or subcommand these words call, and how many words its name has.
fn find(words: &[&[u8]]) -> Option<(&'static Command, usize)> {
    let named = |command: &&&'static Command, word: &[u8]| command.name.as_bytes().eq_ignore_ascii_case(word);
    let effects = families::EFFECTS.iter().copied();
    let all = families::every().chain(effects).flat_map(|family| family.commands);
    let command = all.into_iter().find(|command| named(command, words[0]))?;
    if command.handler.is_some() {
        return Some((command, 1));
    }
    let sub = command.subcommands.iter().find(|sub| words.len() > 1 && named(sub, words[1]))?;
    Some((sub, 2))
}

/// Runs all lines on an empty keyspace and compares the last reply.
#[track_caller]
pub fn check(lines: &[&str], last_reply: &str) {
    let mut bench = Bench::default();
    let mut last = String::new();
    for line in lines {
        last = bench.run(line).text();
    }
    assert_eq!(last, last_reply, "after {lines:?}");
}

/// Runs all lines on an empty keyspace and compares what the last one must be replayed as (lines as in `check`).
#[track_caller]
pub fn check_effects(lines: &[&str], effects: &[&str]) {
    let mut bench = Bench::default();
    let mut last = Effects::default();
    for line in lines {
        last = bench.run(line).effects;
    }
    let mut expected = Effects::default();
    for line in effects {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        expected.push(&words);
    }
    let text = |effects: &Effects| String::from_utf8_lossy(effects.bytes()).into_owned();
    assert_eq!(text(&last), text(&expected), "after {lines:?}");
}

/// Runs all lines on an empty keyspace and compares the keyspace events of the last one.
#[track_caller]
pub fn check_events(lines: &[&str], events: &[&str]) {
    let mut bench = Bench::default();
    let mut last = Vec::new();
    for line in lines {
        last = bench.run(line).events;
    }
    assert_eq!(last, events, "after {lines:?}");
}

/// Runs all lines on an empty keyspace and compares what the last one waits for: the command of each key, in order, and
/// in how many milliseconds the time is up.
#[track_caller]
pub fn check_waits(lines: &[&str], commands: &[&str], timeout_ms: Option<i64>) {
    let mut bench = Bench::default();
    let mut last = None;
    for line in lines {
        last = bench.run(line).wait;
    }
    let wait = last.unwrap_or_else(|| panic!("the last of {lines:?} does not wait"));
    let line = |command: &StoredRequest| {
        let words: Vec<_> = command.words().map(|word| word.escape_ascii().to_string()).collect();
        words.join(" ")
    };
    let awaited: Vec<_> = wait.keys.iter().map(|awaited| line(&awaited.command)).collect();
    assert_eq!(awaited, commands, "after {lines:?}");
    assert_eq!(wait.deadline_ms.map(|deadline_ms| deadline_ms - bench.now_ms), timeout_ms, "after {lines:?}");
}

/// Runs all lines on an empty keyspace and compares the reply of the last one, which has waited before; `wait` where it
/// waits again.
#[track_caller]
pub fn check_retry(lines: &[&str], last_reply: &str) {
    let mut bench = Bench::default();
    let Some((last, before)) = lines.split_last() else { return };
    for line in before {
        bench.run(line);
    }
    bench.is_retry = true;
    let ran = bench.run(last);
    let reply = if ran.wait.is_some() { "wait".to_owned() } else { ran.text() };
    assert_eq!(reply, last_reply, "after {lines:?}");
}

/// Runs all lines on an empty keyspace and compares what the last one adds to the statistics: hits and misses.
#[track_caller]
pub fn check_lookups(lines: &[&str], hits: u64, misses: u64) {
    let mut bench = Bench::default();
    let mut last = (0, 0);
    for line in lines {
        last = bench.run(line).lookups;
    }
    assert_eq!(last, (hits, misses), "after {lines:?}");
}

/// Runs all lines on an empty keyspace and compares how much the last one adds to `rdb_changes_since_last_save`.
#[track_caller]
pub fn check_changes(lines: &[&str], changes: u64) {
    let mut bench = Bench::default();
    let mut last = 0;
    for line in lines {
        last = bench.run(line).changes;
    }
    assert_eq!(last, changes, "after {lines:?}");
}
