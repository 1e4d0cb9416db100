//! Locks, sequences and idempotency keys under 16 clients, while the server is killed (`kill -9`) and started again: what they
//! were told must be explained by one order of what happened. A server whose tokens do not advance is found out.
//!
//! `LONG=1` kills it 60 times instead of 4.

mod checker;
mod models;

use checker::{Model, Operation, is_linearizable};
use models::{Idem, IdemAnswer, IdemAsked, Lock, LockAnswer, LockAsked, Sequence};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tidegate_tests::clock::wait_until;
use tidegate_tests::random::Random;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

const CLIENTS: usize = 16;
/// Of each kind. Few enough for clients to meet.
const KEYS: usize = 8;
/// Answers between two kills.
const ANSWERS: u64 = 1500;
/// No lease ends while this runs.
const LEASE: &str = "86000000";

type Asked<M> = <M as Model>::Asked;
type Answer<M> = <M as Model>::Answer;
/// By key.
type Histories<M> = BTreeMap<usize, Vec<Operation<Asked<M>, Answer<M>>>>;

/// What was asked and answered, by one client or by all.
struct Seen {
    locks: Histories<Lock>,
    requests: Histories<Idem>,
    sequences: Histories<Sequence>,
}

impl Seen {
    fn new() -> Self {
        Seen { locks: BTreeMap::new(), requests: BTreeMap::new(), sequences: BTreeMap::new() }
    }
}

/// Ordered moments, and what the clients have to know of each other.
#[derive(Default)]
struct Stage {
    moment: AtomicU64,
    answers: AtomicU64,
    is_over: AtomicBool,
}

struct Client<'s> {
    number: usize,
    random: Random,
    path: &'s Path,
    stage: &'s Stage,
    connection: Option<RespClient>,
    /// Tokens of requests it runs, by key.
    tokens: BTreeMap<usize, i64>,
    /// A number that was asked for and not answered: key and name.
    unanswered: Option<(usize, u64)>,
    seen: Seen,
}

impl Client<'_> {
    fn run(mut self) -> Seen {
        while !self.stage.is_over.load(SeqCst) {
            match self.random.below(3) {
                0 => self.lock(),
                1 => self.request(),
                _ => self.sequence(),
            }
        }
        self.seen
    }

    /// Sends a command: when, and the answer if there was one.
    fn call(&mut self, words: &[&str]) -> (u64, u64, Option<Reply>) {
        if self.connection.is_none() {
            let path = self.path;
            let connection = &mut self.connection;
            wait_until(Duration::from_secs(20), || {
                *connection = RespClient::connect_unix(path).ok();
                connection.is_some()
            });
        }
        let began = self.stage.moment.fetch_add(1, SeqCst);
        let Some(connection) = &mut self.connection else { return (began, u64::MAX, None) };
        let reply = connection.send(words).and_then(|()| connection.read());
        let is_refused = |reply: &Reply| reply.error().is_some_and(|error| error.starts_with("LOADING"));
        match reply {
            Ok(reply) if is_refused(&reply) => (began, self.stage.moment.fetch_add(1, SeqCst), None),
            Ok(reply) => {
                self.stage.answers.fetch_add(1, SeqCst);
                (began, self.stage.moment.fetch_add(1, SeqCst), Some(reply))
            }
            Err(_) => {
                self.connection = None;
                (began, u64::MAX, None)
            }
        }
    }

    /// The same, remembered under its key with what the answer means. What was refused while the server loaded never happened.
    fn record<A, T: Clone>(
        &mut self,
        words: &[&str],
        asked: A,
        meaning: impl FnOnce(&Reply) -> T,
    ) -> Option<Operation<A, T>> {
        let (began, ended, reply) = self.call(words);
        if reply.is_none() && ended != u64::MAX {
            return None;
        }
        Some(Operation { began, ended, asked, answer: reply.as_ref().map(meaning) })
    }

    fn lock(&mut self) {
        let key = self.random.below(KEYS);
        let (name, owner) = (format!("lock:{key}"), self.number.to_string());
        let operation = match self.random.below(20) {
            0..9 => self.record(
                &["LOCK.ACQUIRE", &name, &owner, LEASE],
                LockAsked::Acquire(self.number),
                |reply| match reply.items() {
                    Some([token, _, holds]) => LockAnswer::Granted(int(token), int(holds)),
                    _ => LockAnswer::Refused,
                },
            ),
            9..17 => {
                self.record(&["LOCK.RELEASE", &name, &owner], LockAsked::Release(self.number), |reply| {
                    reply.int().map_or(LockAnswer::NotOwner, LockAnswer::Left)
                })
            }
            17..19 => self.record(&["LOCK.GET", &name], LockAsked::Get, |reply| {
                LockAnswer::Token(reply.items().map_or(0, |items| int(&items[3])))
            }),
            _ => {
                self.record(&["DEL", &name], LockAsked::Delete, |reply| LockAnswer::Deleted(int(reply) == 1))
            }
        };
        self.seen.locks.entry(key).or_default().extend(operation);
    }

    fn request(&mut self) {
        let key = self.random.below(KEYS);
        let name = format!("request:{key}");
        let operation = match (self.tokens.get(&key).copied(), self.random.below(20)) {
            (_, 0) => {
                self.record(&["DEL", &name], IdemAsked::Delete, |reply| IdemAnswer::Changed(int(reply) == 1))
            }
            (Some(token), 1..4) => {
                self.tokens.remove(&key);
                self.record(&["IDEM.FAIL", &name, &token.to_string()], IdemAsked::Fail(token), |reply| {
                    IdemAnswer::Changed(int(reply) == 1)
                })
            }
            (Some(token), 4..12) => {
                // Sometimes twice: the second time it is stale.
                if !self.random.one_in(4) {
                    self.tokens.remove(&key);
                }
                let response = self.random.bits() >> 1;
                let words = [&*token.to_string(), &*response.to_string()];
                let words = ["IDEM.COMPLETE", &name, words[0], words[1]];
                self.record(&words, IdemAsked::Complete(token, response), |reply| match reply.error() {
                    None => IdemAnswer::Ok,
                    Some(_) => IdemAnswer::Stale,
                })
            }
            _ => self.record(&["IDEM.BEGIN", &name, LEASE], IdemAsked::Begin, |reply| {
                let items = reply.items().expect("four items");
                match items[0].bytes() {
                    Some(b"new") => IdemAnswer::New(int(&items[1])),
                    Some(b"pending") => IdemAnswer::Pending,
                    _ => IdemAnswer::Done(items[2].text().parse().expect("a response is a number")),
                }
            }),
        };
        if let Some(Operation { answer: Some(IdemAnswer::New(token)), .. }) = operation {
            self.tokens.insert(key, token);
        }
        self.seen.requests.entry(key).or_default().extend(operation);
    }

    fn sequence(&mut self) {
        // Who got no answer asks again.
        let again = self.unanswered.take();
        let (key, asked) = if let Some((key, name)) = again {
            (key, Some(name))
        } else {
            let name = self.random.one_in(3).then(|| self.random.bits() >> 1);
            (self.random.below(KEYS), name)
        };
        let (sequence, name) = (format!("sequence:{key}"), asked.unwrap_or(0).to_string());
        let mut words = vec!["SEQ.NEXT", &sequence];
        if asked.is_some() {
            words.extend(["FOR", &name]);
        }
        let operation = self.record(&words, asked, int);
        if operation.as_ref().is_none_or(|operation| operation.answer.is_none()) {
            self.unanswered = asked.map(|name| (key, name));
        }
        self.seen.sequences.entry(key).or_default().extend(operation);
    }
}

fn int(reply: &Reply) -> i64 {
    reply.int().unwrap_or_else(|| panic!("not a number: {reply:?}"))
}

/// Runs the clients while the server is killed so often; `disturb` is called again and again meanwhile.
fn play(kills: usize, disturb: impl Fn(&mut RespClient)) -> Seen {
    let mut server = TestServer::tidegate_with(&[
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
        "--io-threads",
        "4",
        "--enable-debug-command",
        "yes",
    ]);
    let stage = Stage::default();
    let path = server.unix_path();
    let seen = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let client = Client {
                    number,
                    random: Random::new(number as u64 + 1),
                    path: &path,
                    stage: &stage,
                    connection: None,
                    tokens: BTreeMap::new(),
                    unanswered: None,
                    seen: Seen::new(),
                };
                scope.spawn(move || client.run())
            })
            .collect();
        for kill in 0..=kills {
            let goal = stage.answers.load(SeqCst) + ANSWERS;
            let mut control = server.client();
            let moved = wait_until(Duration::from_secs(60), || {
                disturb(&mut control);
                stage.answers.load(SeqCst) >= goal
            });
            assert!(moved, "the clients are served");
            if kill < kills {
                server.restart().expect("it starts again");
            }
        }
        stage.is_over.store(true, SeqCst);
        clients.into_iter().map(|client| client.join().expect("a client that ends")).collect::<Vec<_>>()
    });
    let mut all = Seen::new();
    for one in seen {
        merge::<Lock>(&mut all.locks, one.locks);
        merge::<Idem>(&mut all.requests, one.requests);
        merge::<Sequence>(&mut all.sequences, one.sequences);
    }
    all
}

fn merge<M: Model>(all: &mut Histories<M>, one: Histories<M>) {
    for (key, operations) in one {
        all.entry(key).or_default().extend(operations);
    }
}

/// The keys whose history nothing explains.
fn violations<M: Model>(histories: &mut Histories<M>) -> Vec<usize> {
    let mut wrong = Vec::new();
    for (key, history) in histories {
        history.sort_by_key(|operation| operation.began);
        if !is_linearizable::<M>(history) {
            wrong.push(*key);
        }
    }
    wrong
}

/// Tokens, of any lock and any request, that were not larger than one that had been given before.
fn stale_tokens(seen: &Seen) -> usize {
    let locks = seen.locks.values().flatten().filter_map(|operation| match operation.answer {
        Some(LockAnswer::Granted(token, 1)) => Some((operation.began, operation.ended, token)),
        _ => None,
    });
    let requests = seen.requests.values().flatten().filter_map(|operation| match operation.answer {
        Some(IdemAnswer::New(token)) => Some((operation.began, operation.ended, token)),
        _ => None,
    });
    let mut moments: Vec<(u64, bool, u64, i64)> = Vec::new();
    for (began, ended, token) in locks.chain(requests) {
        moments.extend([(began, false, began, token), (ended, true, began, token)]);
    }
    moments.sort_unstable();
    let (mut largest, mut at_begin, mut stale) = (0, BTreeMap::new(), 0);
    for (_, is_end, began, token) in moments {
        if is_end {
            stale += usize::from(token <= at_begin.remove(&began).unwrap_or(0));
            largest = token.max(largest);
        } else {
            at_begin.insert(began, largest);
        }
    }
    stale
}

#[test]
fn what_clients_are_told_is_one_story() {
    let is_long = std::env::var_os("LONG").is_some_and(|value| !value.is_empty());
    let kills = if is_long { 60 } else { 4 };
    let mut seen = play(kills, |_| {});
    let wrong = [
        violations::<Lock>(&mut seen.locks),
        violations::<Idem>(&mut seen.requests),
        violations::<Sequence>(&mut seen.sequences),
    ];
    let operations = seen.locks.values().map(Vec::len).sum::<usize>()
        + seen.requests.values().map(Vec::len).sum::<usize>()
        + seen.sequences.values().map(Vec::len).sum::<usize>();
    println!("{operations} operations of {CLIENTS} clients, {kills} kills");
    assert_eq!(wrong, [const { Vec::<usize>::new() }; 3], "keys of locks, requests, sequences");
    assert_eq!(stale_tokens(&seen), 0, "each token is larger than all before");
}

/// The mistake that all of this is about: tokens that begin anew.
#[test]
fn a_token_that_does_not_advance_is_noticed() {
    let mut seen = play(0, |control| {
        control.line("DEBUG CLOCK FREEZE 1700000000000");
    });
    let (locks, requests) = (violations::<Lock>(&mut seen.locks), violations::<Idem>(&mut seen.requests));
    assert!(!locks.is_empty() && !requests.is_empty(), "locks {locks:?}, requests {requests:?}");
    assert!(stale_tokens(&seen) > 0);
}

/// A number that is given out twice.
#[test]
fn a_sequence_that_goes_back_is_noticed() {
    let mut seen = play(0, |control| {
        control.line("SEQ.SET sequence:0 VALUE 5");
    });
    assert_eq!(violations::<Sequence>(&mut seen.sequences), [0]);
}
