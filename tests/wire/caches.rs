//! Client-side caches under load: readers on several threads keep what they read until they are told that it is stale,
//! writers on others change it. A cache may never show less than what was acknowledged before its last fence (a PING that
//! was answered), and once the writers are done it shows what is there.

use hashbrown::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use tidegate_tests::random::Random;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

const READERS: usize = 3;
const WRITERS: usize = 3;
/// Every key has one writer, so that its values only grow.
const KEYS: usize = 12;
const WRITES: u64 = 1500;

/// What was acknowledged of each key, and whether there is more to come.
#[derive(Default)]
struct Truth {
    acknowledged: [AtomicU64; KEYS],
    is_over: AtomicBool,
}

fn name(key: usize) -> String {
    format!("key:{key}")
}

fn number(reply: &Reply) -> Option<u64> {
    reply
        .bytes()
        .map(|text| std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).expect("a number"))
}

/// A connection with a cache.
struct Reader {
    client: RespClient,
    cache: HashMap<String, Option<u64>>,
}

impl Reader {
    fn new(server: &TestServer, tracking: &str) -> Self {
        let mut client = server.client();
        client.line("HELLO 3");
        assert_eq!(client.line(tracking), Reply::Simple(b"OK".to_vec()));
        Reader { client, cache: HashMap::new() }
    }

    /// The next reply; what comes before it makes entries of the cache stale.
    fn reply(&mut self) -> Reply {
        loop {
            let reply = self.client.read().expect("an answer");
            let Reply::Push(items) = reply else { return reply };
            assert_eq!(items[0].text(), "invalidate");
            match items[1].items() {
                Some(keys) => keys.iter().for_each(|key| {
                    self.cache.remove(&key.text());
                }),
                None => self.cache.clear(),
            }
        }
    }

    fn call(&mut self, words: &[&str]) -> Reply {
        self.client.send(words).expect("the connection takes a command");
        self.reply()
    }

    /// Reads keys in one of several ways; they are in the cache then.
    fn read(&mut self, keys: &[usize], way: u64) {
        let names: Vec<String> = keys.iter().map(|key| name(*key)).collect();
        match way {
            0 => {
                for name in &names {
                    let value = number(&self.call(&["GET", name]));
                    self.cache.insert(name.clone(), value);
                }
            }
            1 => {
                let words: Vec<&str> = ["MGET"].into_iter().chain(names.iter().map(String::as_str)).collect();
                let reply = self.call(&words);
                self.keep(&names, reply.items().expect("an array"));
            }
            2 => {
                self.call(&["MULTI"]);
                for name in &names {
                    self.call(&["GET", name]);
                }
                let reply = self.call(&["EXEC"]);
                self.keep(&names, reply.items().expect("an array"));
            }
            _ => {
                // All at once, and the replies in their order.
                for name in &names {
                    self.client.send(&["GET", name]).expect("the connection takes a command");
                }
                for name in names {
                    let value = number(&self.reply());
                    self.cache.insert(name, value);
                }
            }
        }
    }

    fn keep(&mut self, names: &[String], values: &[Reply]) {
        for (name, value) in names.iter().zip(values) {
            self.cache.insert(name.clone(), number(value));
        }
    }

    /// After this the cache is not older than what was acknowledged before.
    fn fence(&mut self) {
        assert_eq!(self.call(&["PING"]), Reply::Simple(b"PONG".to_vec()));
    }

    fn run(mut self, truth: &Truth, seed: u64) -> (Self, u64) {
        let mut random = Random::new(seed);
        let mut kept = 0;
        while !truth.is_over.load(SeqCst) {
            let keys: Vec<usize> = (0..=random.below(4)).map(|_| random.below(KEYS)).collect();
            self.read(&keys, random.below(4) as u64);
            let floors: Vec<u64> = truth.acknowledged.iter().map(|value| value.load(SeqCst)).collect();
            self.fence();
            for (key, floor) in floors.into_iter().enumerate() {
                if let Some(value) = self.cache.get(&name(key)) {
                    let value = value.unwrap_or(0);
                    assert!(value >= floor, "{}: {value} is kept, {floor} was acknowledged", name(key));
                    kept += 1;
                }
            }
        }
        self.fence();
        (self, kept)
    }
}

/// Writes ascending numbers into its keys, one or several at once.
fn write(mut client: RespClient, writer: usize, truth: &Truth, seed: u64) {
    let mut random = Random::new(seed);
    let parked = format!("parked:{writer}");
    let own: Vec<usize> = (0..KEYS).filter(|key| key % WRITERS == writer).collect();
    for value in 1..=WRITES {
        let text = value.to_string();
        let (one, other) = (own[random.below(own.len())], own[random.below(own.len())]);
        let changed: &[usize] = match random.below(4) {
            0 => {
                client.call(&["SET", &name(one), &text]);
                &[one]
            }
            1 => {
                client.call(&["MSET", &name(one), &text, &name(other), &text]);
                &[one, other]
            }
            2 => {
                client.call(&["MULTI"]);
                client.call(&["DEL", &name(one)]);
                client.call(&["SET", &name(one), &text]);
                client.call(&["EXEC"]);
                &[one]
            }
            _ => {
                client.call(&["SET", &parked, &text]);
                client.call(&["RENAME", &parked, &name(one)]);
                &[one]
            }
        };
        for key in changed {
            truth.acknowledged[*key].store(value, SeqCst);
        }
    }
}

fn race(tracking: &str) {
    let server = TestServer::tidegate_with(&["--io-threads", "4"]);
    let truth = Truth::default();
    let ended = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|index| {
                let (reader, truth) = (Reader::new(&server, tracking), &truth);
                scope.spawn(move || reader.run(truth, 1000 + index as u64))
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|index| {
                let (client, truth) = (server.client(), &truth);
                scope.spawn(move || write(client, index, truth, 2000 + index as u64))
            })
            .collect();
        for writer in writers {
            writer.join().expect("a writer ends well");
        }
        truth.is_over.store(true, SeqCst);
        readers.into_iter().map(|reader| reader.join().expect("a reader ends well")).collect::<Vec<_>>()
    });
    let mut client = server.client();
    for (reader, kept) in ended {
        assert!(kept > 0, "nothing was ever kept: this proves nothing");
        for (name, value) in &reader.cache {
            assert_eq!(number(&client.call(&["GET", name])), *value, "{name} is stale for good");
        }
    }
}

#[test]
fn caches_of_what_was_read_are_never_stale() {
    race("CLIENT TRACKING ON");
}

#[test]
fn caches_by_prefix_are_never_stale() {
    race("CLIENT TRACKING ON BCAST PREFIX key:");
}
