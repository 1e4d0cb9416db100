//! The whole server: several connections on several threads, transactions over several shards, keys that expire. Its
//! journal, replayed unit by unit on a twin, gives what its shards hold.

use crate::lines::{self, LINES};
use crate::rounds;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use tidegate::clock;
use tidegate::config::{Config, Sources};
use tidegate::dispatch::Worker;
use tidegate::session::{Client, Session};
use tidegate::shared::Shared;
use tidegate::{Handle, Server};
use tidegate_persistence::journal::{MemoryJournal, Unit};
use tidegate_tests::clock::wait_until;
use tidegate_tests::oracle::generate::{Args, Generator};
use tidegate_tests::resp::{Reply, RespClient, encode_command, simple};
use tidegate_tests::twin::{Contents, Held, Twin, collect, difference};

const CONNECTIONS: u64 = 6;
/// Turns of one connection: each is a command, a pipeline or a transaction.
const TURNS: usize = 120;
const KEYS_OF_SUM: usize = 10;

#[test]
fn the_journal_of_a_busy_server_makes_a_twin() {
    for seed in rounds("server", 6, 300) {
        run_and_replay(seed, "", false);
    }
}

/// Keys with a deadline go whenever somebody lowers the limit, in the middle of everything else.
#[test]
fn the_journal_of_a_server_short_of_memory_makes_a_twin() {
    for seed in rounds("evictions", 3, 100) {
        let policy = ["volatile-lru", "volatile-ttl", "volatile-lfu", "volatile-random"][seed as usize % 4];
        run_and_replay(seed, &format!("maxmemory-policy {policy}\nlazyfree-lazy-eviction yes\n"), true);
    }
}

/// Each unit has the events it made, appended to a stream of which the commands know nothing.
#[test]
fn the_journal_has_the_recorded_events_in_the_units_that_made_them() {
    for seed in rounds("events", 3, 100) {
        run_and_replay(
            seed,
            "notify-stream recorded\nnotify-stream-maxlen 500\nnotify-keyspace-events Amn\n",
            seed % 2 == 0,
        );
    }
}

fn run_and_replay(seed: u64, settings: &str, evicts: bool) {
    let server = Running::start_with(settings);
    let addr = server.addr;
    let sum_before = KEYS_OF_SUM as i64 * 100;
    let mut first = RespClient::connect(addr).expect("it listens");
    for key in 0..KEYS_OF_SUM {
        assert_eq!(first.call(&["SET", &format!("sum:{key}"), "100"]), simple("OK"));
    }
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || talk(addr, seed.wrapping_mul(1000) + connection));
        }
        if evicts {
            scope.spawn(move || squeeze(addr));
        }
    });
    if evicts {
        let evicted = first.line("INFO stats").text();
        let none = evicted.contains("evicted_keys:0\r\n");
        assert!(!none || settings.contains("notify-stream"), "seed {seed}: nothing was evicted");
    }
    // The sweep removes what nobody asks for; only then is the server at rest.
    let shared = Arc::clone(server.handle().shared());
    let at_rest =
        wait_until(std::time::Duration::from_secs(20), || soonest(&shared) > clock::unix_ms() + 1_000);
    assert!(at_rest, "seed {seed}: at {} nobody has swept {}", clock::unix_ms(), first_due(&shared));
    check(&server, seed, sum_before);
}

/// The name of a due key in the database a command reaches into may be that of a living key in the selected one: its
/// deletion must not be replayed there.
#[test]
fn a_key_that_was_due_in_another_database_is_deleted_there() {
    let journal = Arc::new(MemoryJournal::default());
    let config = Config::new(1, Path::new("/"));
    let shared = Shared::new(config, &[], Arc::clone(&journal) as _).expect("nothing is renamed");
    let mut worker = Worker::new(Arc::new(shared), 0, 1);
    let client = Client::new(1, String::new(), String::new(), 0, 0, false, true);
    let mut session = Session::new(Arc::new(client), true);
    let mut run = |lines: &[u8]| {
        let mut out = Vec::new();
        worker.process(&mut session, &mut lines.to_vec(), &mut 0, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    };
    assert_eq!(run(b"SELECT 1\r\nSET a old PX 1\r\nSELECT 0\r\nSET a new\r\n"), "+OK\r\n".repeat(4));
    let set_ms = clock::unix_ms();
    assert!(wait_until(std::time::Duration::from_secs(20), || clock::unix_ms() > set_ms + 1));
    assert_eq!(run(b"MOVE a 1\r\n"), ":1\r\n");
    let mut twin = Twin::default();
    for part in journal.take().iter().flat_map(Unit::parts) {
        assert_eq!(twin.replay(part.db as usize, part.bytes), Ok(part.commands));
    }
    let contents = twin.contents(i64::MIN);
    let keys: Vec<_> = contents.keys().collect();
    assert_eq!(keys, [&(1, b"a".to_vec())], "the key moved, with the value it had");
    assert_eq!(contents[keys[0]].held, Held::Bytes(b"new".to_vec()));
}

/// An event is in the unit of the command that made it, behind it, and those of a transaction are in the transaction's.
#[test]
fn an_event_is_journaled_with_what_made_it() {
    let journal = Arc::new(MemoryJournal::default());
    let mut config = Config::new(1, Path::new("/"));
    let lines = b"notify-stream recorded\nnotify-stream-db 2\nnotify-keyspace-events $x\n";
    config.load(&Sources { input: Some(lines.to_vec()), ..Sources::default() }).expect("the lines are right");
    let shared = Shared::new(config, &[], Arc::clone(&journal) as _).expect("nothing is renamed");
    let mut worker = Worker::new(Arc::new(shared), 0, 1);
    let client = Client::new(1, String::new(), String::new(), 0, 0, false, true);
    let mut session = Session::new(Arc::new(client), true);
    let mut units = |lines: &[u8]| {
        worker.process(&mut session, &mut lines.to_vec(), &mut 0, &mut Vec::new());
        let units = journal.take();
        let parts = |unit: &Unit| {
            let mut shown = Vec::new();
            for part in unit.parts() {
                let mut rest = part.bytes;
                while let Ok(Some((command, used))) = Reply::decode(rest) {
                    let words: Vec<String> =
                        command.items().expect("words").iter().map(Reply::text).collect();
                    // The id and the limit of an entry depend on the clock and on settings.
                    let first = if words[0] == "XADD" { words.len() - 6 } else { 0 };
                    shown.push(format!("{}: {}", part.db, words[first..].join(" ")));
                    rest = &rest[used..];
                }
            }
            shown
        };
        units.iter().map(parts).collect::<Vec<_>>()
    };
    assert_eq!(
        units(b"MSET a 1 b 2\r\nGET a\r\nHSET h f v\r\n"),
        [
            vec!["0: MSET a 1 b 2", "2: event set key a db 0", "2: event set key b db 0"],
            vec!["0: HSET h f v"]
        ],
    );
    assert_eq!(
        units(b"MULTI\r\nAPPEND a x\r\nDEL h\r\nINCR n\r\nEXEC\r\n"),
        [[
            "0: APPEND a x",
            "2: event append key a db 0",
            "0: DEL h",
            "0: INCR n",
            "2: event incrby key n db 0"
        ]],
    );
}

/// A client that lowers the limit of memory below anything, and lifts it, again and again.
fn squeeze(addr: SocketAddr) {
    let mut client = RespClient::connect(addr).expect("it listens");
    for turn in 0..2 * TURNS {
        let limit = if turn % 8 == 0 { "1" } else { "0" };
        assert_eq!(client.call(&["CONFIG", "SET", "maxmemory", limit]), simple("OK"));
        assert_eq!(client.line("PING"), simple("PONG"));
    }
    assert_eq!(client.call(&["CONFIG", "SET", "maxmemory", "0"]), simple("OK"));
}

/// One client: random lines, some in transactions, and transfers between keys of different shards.
fn talk(addr: SocketAddr, seed: u64) {
    let mut generator = Generator::new(seed, &[]);
    let mut client = RespClient::connect(addr).expect("it listens");
    for _ in 0..TURNS {
        let mut requests: Vec<Args> = Vec::new();
        match generator.random.below(4) {
            0 => requests.push(command(&mut generator)),
            1 => requests.extend((0..8).map(|_| command(&mut generator))),
            2 => transfer(&mut generator, &mut requests),
            _ => {
                let watched = generator.one_in(3);
                if watched {
                    requests.push(vec![b"WATCH".to_vec(), generator.key(), generator.key()]);
                }
                requests.push(vec![b"MULTI".to_vec()]);
                requests.extend((0..5).map(|_| command(&mut generator)));
                requests.push(vec![if generator.one_in(8) { b"DISCARD".to_vec() } else { b"EXEC".to_vec() }]);
            }
        }
        let mut bytes = Vec::new();
        for request in &requests {
            encode_command(request, &mut bytes);
        }
        client.send_raw(&bytes).expect("it reads");
        for request in &requests {
            let reply = client.read();
            assert!(reply.is_ok(), "seed {seed}: no reply to {request:?}: {reply:?}");
        }
    }
}

/// A line that leaves the `sum:` keys alone.
fn command(generator: &mut Generator) -> Args {
    if generator.one_in(25) {
        return generator.fill("SELECT 0");
    }
    if generator.one_in(25) {
        return generator.fill("SELECT 1");
    }
    loop {
        let lines = &LINES[generator.random.below(LINES.len())];
        if !["flushall", "flushdb", "swapdb", "keys"].contains(&lines.0) {
            return lines::line(generator, lines, clock::unix_ms());
        }
    }
}

/// Takes from one key and gives to another in one transaction: the sum over all keys stays.
fn transfer(generator: &mut Generator, requests: &mut Vec<Args>) {
    let mut key = || format!("sum:{}", generator.random.below(KEYS_OF_SUM));
    let (from, to) = (key(), key());
    requests.push(generator.fill("SELECT 0"));
    requests.push(vec![b"MULTI".to_vec()]);
    requests.push(vec![b"DECRBY".to_vec(), from.into_bytes(), b"7".to_vec()]);
    requests.push(vec![b"INCRBY".to_vec(), to.into_bytes(), b"7".to_vec()]);
    requests.push(vec![b"EXEC".to_vec()]);
}

fn check(server: &Running, seed: u64, sum: i64) {
    let (contents, units) = replay_each(server, seed, |at, unit, twin| {
        if unit.commands() > 1 {
            // No state between two commands of a transaction is ever a state of the keyspace.
            assert_eq!(total(&twin.contents(i64::MIN)), sum_so_far(twin, sum), "seed {seed}, unit {at}");
        }
    });
    assert_eq!(total(&contents), sum, "seed {seed}: transfers keep the sum");
    assert!(units > TURNS && !contents.is_empty(), "seed {seed}: the run did something");
}

/// Replays the journal on a twin, which must end up holding what the shards of the server at rest hold.
pub(crate) fn replay(server: &Running, seed: u64) {
    replay_each(server, seed, |_, _, _| {});
}

/// The same, with a look after each unit. Returns what the shards hold and the number of units.
fn replay_each(server: &Running, seed: u64, mut look: impl FnMut(usize, &Unit, &Twin)) -> (Contents, usize) {
    let shared = server.handle().shared();
    // Nothing is due for a while: what the journal says is what the shards hold.
    let mut contents = Contents::new();
    let units = {
        tidegate::native::soft::flush_all(shared);
        let mut hold = shared.shards.hold_all();
        hold.each(|_, data| {
            collect(&data.databases, i64::MIN, &mut contents);
        });
        server.journal.take()
    };
    let mut twin = Twin::default();
    let mut commands = 0;
    for (at, unit) in units.iter().enumerate() {
        for part in unit.parts() {
            let replayed = twin.replay(part.db as usize, part.bytes);
            assert_eq!(replayed, Ok(part.commands), "seed {seed}, unit {at}: {}", shown(unit));
            commands += part.commands;
        }
        look(at, unit, &twin);
    }
    let replayed = twin.contents(i64::MIN);
    if let Some(difference) = difference(&contents, &replayed) {
        panic!("seed {seed}: {difference}, after {} units", units.len());
    }
    println!("seed {seed}: {} units, {commands} commands, {} keys", units.len(), contents.len());
    (contents, units.len())
}

/// The sum once all keys are there, else what is there: the first units write the keys one by one.
fn sum_so_far(twin: &Twin, sum: i64) -> i64 {
    let contents = twin.contents(i64::MIN);
    let keys = contents.keys().filter(|(db, key)| *db == 0 && key.starts_with(b"sum:")).count();
    if keys == KEYS_OF_SUM { sum } else { total(&contents) }
}

fn total(contents: &Contents) -> i64 {
    let sums = contents.iter().filter(|((db, key), _)| *db == 0 && key.starts_with(b"sum:"));
    sums.map(|(_, seen)| match &seen.held {
        Held::Bytes(bytes) => String::from_utf8_lossy(bytes).parse::<i64>().expect("transfers keep numbers"),
        Held::Boxed(value) => panic!("a transfer made {value:?}"),
    })
    .sum()
}

fn shown(unit: &Unit) -> String {
    unit.parts()
        .map(|part| format!("{}: {}", part.db, part.bytes.escape_ascii()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The key with the earliest deadline, and what its table knows of it.
fn first_due(shared: &Shared) -> String {
    let mut found = None;
    shared.shards.hold_all().each(|shard, data| {
        for db in 0..data.databases.count() {
            let table = data.databases.table(db);
            table.for_each(&mut |record| {
                if let Some(deadline) = record.expiry_ms()
                    && found.as_ref().is_none_or(|(earliest, _)| deadline < *earliest)
                {
                    let noted = table.earliest_expiry_ms();
                    let text = format!("{record:?} of db {db}, shard {shard}, which notes {noted:?}");
                    found = Some((deadline, text));
                }
            });
        }
    });
    found.map_or_else(|| "nothing".to_owned(), |(_, text)| text)
}

/// The earliest deadline of any key.
fn soonest(shared: &Shared) -> i64 {
    let mut contents = Contents::new();
    shared.shards.hold_all().each(|_, data| {
        collect(&data.databases, i64::MIN, &mut contents);
    });
    contents.values().filter_map(|seen| seen.expiry_ms).min().unwrap_or(i64::MAX)
}

/// A server in this process.
pub(crate) struct Running {
    handle: Option<Handle>,
    journal: Arc<MemoryJournal>,
    pub(crate) addr: SocketAddr,
}

impl Running {
    pub(crate) fn handle(&self) -> &Handle {
        self.handle.as_ref().expect("it runs")
    }

    /// Another process can take the free port between probing and binding, so a few are tried.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// With more lines of configuration.
    fn start_with(settings: &str) -> Self {
        for _ in 0..5 {
            let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|probe| probe.local_addr());
            let addr = probe.expect("the loopback interface has a free port");
            let mut config = Config::new(4, Path::new("/"));
            let lines = format!("port {}\nbind 127.0.0.1\nio-threads 3\nsave \"\"\n{settings}", addr.port());
            config
                .load(&Sources { input: Some(lines.into_bytes()), ..Sources::default() })
                .expect("the lines are right");
            let journal = Arc::new(MemoryJournal::default());
            if let Ok(handle) = Server::start_with(config, &[], Arc::clone(&journal) as _) {
                return Running { handle: Some(handle), journal, addr };
            }
        }
        panic!("no port could be bound");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.shared().shutdown.request();
            handle.join();
        }
    }
}
