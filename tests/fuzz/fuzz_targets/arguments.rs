//! Sequences of commands with any arguments, through a worker without sockets.
//!
//! The input decides which commands run and with which words: keys of a small pool, numbers at the edges, the options of
//! that very command, or bytes of the input itself. Whatever they are: nothing panics, each request gets exactly one
//! well-formed reply (the `redis-protocol` crate is the judge), and replaying the journal on a twin gives the same
//! keyspace.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::Arc;
use tidegate::config::{Config, Sources};
use tidegate::dispatch::{Progress, Worker};
use tidegate::registry::Entry;
use tidegate::session::{Client, Session};
use tidegate::shared::{Shared, random_u64};
use tidegate_persistence::journal::{MemoryJournal, Unit};
use tidegate_tests::resp::{Reply, encode_command};
use tidegate_tests::twin::{Contents, Twin, collect, difference};

/// What one input may send.
const COMMANDS_MAX: usize = 64;
const BATCH_MAX: usize = 8;
const ARGS_MAX: u8 = 8;

const KEYS: [&[u8]; 8] =
    [b"a", b"b", b"c", b"{t}1", b"{t}2", b"", b"\xff\r\n", b"a-key-that-is-longer-than-most"];

const EDGES: [&[u8]; 32] = [
    b"0",
    b"1",
    b"-1",
    b"2",
    b"10",
    b"16",
    b"100",
    b"255",
    b"65536",
    b"1048575",
    b"2147483647",
    b"-2147483648",
    b"4294967296",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"18446744073709551615",
    b"1.5",
    b"-0.0",
    b"1e308",
    b"1e4932",
    b"inf",
    b"-inf",
    b"nan",
    b"0x1p-3",
    b"3.0",
    b"1700000000",
    b"4102444800",
    b"4102444800000",
    b"*",
    b"[a-z",
    b"?",
];

/// What is not run: the end of the process, settings of the process itself, and waiting for the clock.
const LEFT_OUT: [&str; 3] = ["shutdown", "config|set", "client|pause"];

thread_local! {
    static ENGINE: std::cell::RefCell<Engine> = std::cell::RefCell::new(Engine::new());
}

fuzz_target!(|data: &[u8]| ENGINE.with_borrow_mut(|engine| engine.run(&mut Input(data))));

/// The input, read from the front; at its end it gives zeros.
struct Input<'d>(&'d [u8]);

impl<'d> Input<'d> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self, len: usize) -> &'d [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// A command that can be called, and the words of its syntax.
struct Callable {
    words: Vec<Vec<u8>>,
    options: Vec<Vec<u8>>,
    arity: i32,
}

struct Engine {
    worker: Worker,
    journal: Arc<MemoryJournal>,
    callable: Vec<Callable>,
    /// What the present session has sent.
    history: Vec<Vec<Vec<u8>>>,
}

impl Engine {
    fn new() -> Self {
        let mut config = Config::new(1, Path::new("/"));
        // A string may be large, but not so large that memory is what is tested.
        let input = b"proto-max-bulk-len 1mb\nslowlog-max-len 8\ndatabases 4\n".to_vec();
        config.load(&Sources { input: Some(input), ..Sources::default() }).expect("the lines are right");
        let journal = Arc::new(MemoryJournal::default());
        let shared = Shared::new(config, &[], Arc::clone(&journal) as _).expect("nothing is renamed");
        let mut callable = Vec::new();
        for entry in shared.registry.entries() {
            list(entry, Vec::new(), &mut callable);
        }
        Engine {
            worker: Worker::new(Arc::new(shared), 0, random_u64()),
            journal,
            callable,
            history: Vec::new(),
        }
    }

    fn run(&mut self, input: &mut Input<'_>) {
        let client = Arc::new(Client::new(1, "127.0.0.1:1".into(), "127.0.0.1:2".into(), 0, 0, false, true));
        self.worker.shared.clients.add(&client);
        let mut session = Session::new(Arc::clone(&client), true);
        self.history.clear();
        let mut sent = 0;
        while !input.0.is_empty() && sent < COMMANDS_MAX {
            let batch = 1 + usize::from(input.byte()) % BATCH_MAX;
            let requests: Vec<_> = (0..batch).map(|_| self.request(input)).collect();
            sent += batch;
            if !self.send(&mut session, &requests) {
                break;
            }
        }
        self.worker.discard(&mut session);
        self.worker.shared.clients.set_monitoring(&client, false);
        self.worker.shared.clients.remove(&client);
        self.compare_with_twin();
        self.empty();
    }

    fn request(&self, input: &mut Input<'_>) -> Vec<Vec<u8>> {
        let which = usize::from(input.byte()) << 8 | usize::from(input.byte());
        let callable = &self.callable[which % self.callable.len()];
        let mut words = callable.words.clone();
        // Mostly as many arguments as it takes, or a few more.
        let least = callable.arity.unsigned_abs() as usize;
        let wanted = match input.byte() {
            n @ 0..8 => words.len() + usize::from(n % ARGS_MAX),
            n if callable.arity < 0 => least + usize::from(n >> 4) % usize::from(ARGS_MAX),
            _ => least,
        };
        while words.len() < wanted {
            words.push(word(input, &callable.options));
        }
        words
    }

    /// Sends requests in one buffer and checks the replies. False when the session is over.
    fn send(&mut self, session: &mut Session, requests: &[Vec<Vec<u8>>]) -> bool {
        let mut buf = Vec::new();
        for words in requests {
            encode_command(words, &mut buf);
        }
        let (mut at, mut out) = (0, Vec::new());
        let progress = loop {
            match self.worker.process(session, &mut buf, &mut at, &mut out) {
                Progress::Flush => {}
                progress => break progress,
            }
        };
        self.history.extend_from_slice(requests);
        if are_uncounted(&self.history) {
            return matches!(progress, Progress::NeedInput(_)) && !session.close_after_reply;
        }
        let replies = count(&out, &self.history);
        match progress {
            Progress::NeedInput(_) => {
                assert_eq!(replies, requests.len(), "{} to {}", out.escape_ascii(), shown(&self.history));
                assert_eq!(at, buf.len(), "everything was a whole request");
            }
            Progress::Close | Progress::Parked => assert!(replies <= requests.len()),
            Progress::Flush => unreachable!("handled above"),
        }
        matches!(progress, Progress::NeedInput(_)) && !session.close_after_reply
    }

    fn compare_with_twin(&mut self) {
        let units = self.journal.take();
        let mut twin = Twin::default();
        for part in units.iter().flat_map(Unit::parts) {
            // A twin has keys only: libraries of functions are units of their own.
            if part.bytes.get(4..).is_some_and(|rest| rest.starts_with(b"$8\r\nFUNCTION\r\n")) {
                continue;
            }
            let replayed = twin.replay(part.db as usize, part.bytes);
            assert_eq!(replayed, Ok(part.commands), "{}", part.bytes.escape_ascii());
        }
        self.worker.begin_turn();
        let now_ms = self.worker.now_ms();
        let mut contents = Contents::new();
        let mut hold = self.worker.shared.shards.hold_all();
        hold.each(|_, data| {
            assert!(data.watched.is_empty(), "a session that ended watches nothing");
            collect(&data.databases, now_ms, &mut contents);
        });
        drop(hold);
        if let Some(difference) = difference(&contents, &twin.contents(now_ms)) {
            let text =
                units.iter().flat_map(Unit::parts).map(|part| format!("{}: {}\n", part.db, part.bytes.escape_ascii()));
            panic!("{difference}\njournal:\n{}", text.collect::<String>());
        }
    }

    fn empty(&mut self) {
        let client = Arc::new(Client::new(2, String::new(), String::new(), 0, 0, false, true));
        let mut session = Session::new(client, true);
        self.history.clear();
        self.send(&mut session, &[vec![b"FLUSHALL".to_vec(), b"SYNC".to_vec()]]);
        self.journal.take();
    }
}

fn list(entry: &Entry, mut words: Vec<Vec<u8>>, callable: &mut Vec<Callable>) {
    words.push(entry.own_name().as_bytes().to_vec());
    for sub in &entry.subcommands {
        list(sub, words.clone(), callable);
    }
    if LEFT_OUT.contains(&entry.name.as_str()) {
        return;
    }
    let is_option = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let options = entry.docs.syntax.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_option);
    let options = options.map(|word| word.as_bytes().to_vec()).collect();
    callable.push(Callable { words, options, arity: entry.arity });
}

fn word(input: &mut Input<'_>, options: &[Vec<u8>]) -> Vec<u8> {
    let kind = input.byte();
    let index = usize::from(kind >> 2);
    match kind & 3 {
        0 => KEYS[index % KEYS.len()].to_vec(),
        1 => EDGES[index % EDGES.len()].to_vec(),
        2 if !options.is_empty() => options[index % options.len()].clone(),
        2 => index.to_string().into_bytes(),
        _ => input.bytes(index).to_vec(),
    }
}

/// Number of replies; all of them must be whole.
fn count(mut out: &[u8], requests: &[Vec<Vec<u8>>]) -> usize {
    let mut replies = 0;
    while !out.is_empty() {
        match Reply::decode(out) {
            Ok(Some((_, used))) => out = &out[used..],
            other => panic!("{other:?}: {} to {}", out.escape_ascii(), shown(requests)),
        }
        replies += 1;
    }
    replies
}

/// `CLIENT REPLY` suppresses replies, even of a transaction's elements, a client that monitors gets none to another
/// `MONITOR`, and subscribing is confirmed for each channel, all as in Redis. After one of them replies are no longer
/// counted.
fn are_uncounted(requests: &[Vec<Vec<u8>>]) -> bool {
    let is = |word: Option<&Vec<u8>>, name: &[u8]| word.is_some_and(|word| word.eq_ignore_ascii_case(name));
    requests.iter().any(|words| {
        let replying = is(words.first(), b"client") && is(words.get(1), b"reply");
        let name = words.first().map(Vec::as_slice).unwrap_or_default();
        replying || is(words.first(), b"monitor") || name.to_ascii_lowercase().ends_with(b"subscribe")
    })
}

fn shown(requests: &[Vec<Vec<u8>>]) -> String {
    let line = |words: &Vec<Vec<u8>>| {
        words.iter().map(|word| format!("{} ", word.escape_ascii())).collect::<String>()
    };
    requests.iter().map(|words| line(words) + "\n").collect()
}
