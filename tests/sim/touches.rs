//! Every command, sent by a user who may use only some keys, to read, to write or both, in some databases: what it then
//! touches is what the user may touch. That it is also what the command declares every debug build of the server asserts, for whoever
//! runs commands; this makes sure that there are commands of every kind, and looks at the keys with the eyes of the user.
#![cfg(debug_assertions)]

use crate::lines::{self, LINES};
use crate::rounds;
use std::path::Path;
use std::sync::Arc;
use tidegate::acl::{Access, User};
use tidegate::clock;
use tidegate::config::{Config, Sources};
use tidegate::dispatch::{Progress, Worker};
use tidegate::session::{Client, Session};
use tidegate::shared::Shared;
use tidegate_data::Touch;
use tidegate_persistence::journal::MemoryJournal;
use tidegate_tests::oracle::generate::{Args, Generator, keys};
use tidegate_tests::resp::encode_command;

/// Requests of one sequence.
const SEQUENCE: usize = 600;

/// Lines with keys that only a careful look finds.
const TRICKY: &[&str] = &[
    "SORT :key BY weight_* GET # GET h*->f STORE :key",
    "SORT :key BY nosort GET a* STORE :key STORE :key",
    "SORT_RO :key BY weight_* GET :key*",
    "SORT :key GET *",
    "GEORADIUS :zset 15 37 200 km STORE :zset STOREDIST :zset",
    "GEORADIUS :zset 15 37 200 km STORE :zset STORE :key",
    "GEORADIUSBYMEMBER :zset m1 200 km STOREDIST :zset",
    "GEOSEARCHSTORE :zset :zset FROMLONLAT 15 37 BYRADIUS 200 km",
    "COPY :key :key DB 1",
    "COPY :key :key DB 0 DB 2 REPLACE",
    "MOVE :key 1",
    "MOVE :key 2",
    "SELECT 0",
    "SELECT 1",
    "SELECT 2",
    "XREADGROUP GROUP g c STREAMS :stream :stream > >",
    "XREAD COUNT 1 STREAMS :stream :stream 0 0",
    "ZUNIONSTORE :zset 2 :zset :zset WEIGHTS 1 2",
    "LMPOP 2 :key :key LEFT",
    "EVAL return{redis.call('get',KEYS[1]),redis.call('set',ARGV[1],'x')} 1 :key :key",
    "EVAL return{redis.pcall('sort',KEYS[1],'get',ARGV[1]),redis.pcall('del',ARGV[1])} 1 :key :key",
    "MEMORY USAGE :key",
    "OBJECT ENCODING :key",
    "WATCH :key",
    "WATCH :key :key",
    "DEBUG OBJECT :key",
    "DEBUG SDSLEN :key",
    "DEBUG DIGEST-VALUE :key :key",
    "DEBUG POPULATE 2 k 10",
    // Nobody listens there.
    "MIGRATE 127.0.0.1 1 :key 0 1000 COPY",
    "MIGRATE 127.0.0.1 1 # 0 1000 COPY KEYS :key :key",
    "UNWATCH",
];

#[test]
fn users_touch_what_they_may() {
    let mut seen = vec![0_u32; LINES.len()];
    let mut denied = 0;
    for seed in rounds("touches", 150, 20_000) {
        denied += sequence(seed, &mut seen);
    }
    let untouched: Vec<_> = LINES
        .iter()
        .zip(&seen)
        .filter(|((name, _), seen)| **seen == 0 && has_keys(name))
        .map(|((name, _), _)| name)
        .collect();
    assert!(untouched.is_empty(), "these never touched a key: {untouched:?}");
    assert!(denied > 0, "nothing was denied");
}

/// These name a key, and leave it alone: what they change stands beside the keyspace.
const NAMING: &[&str] = &["xqueue.bind", "xqueue.unbind"];

fn has_keys(name: &str) -> bool {
    if NAMING.contains(&name) {
        return false;
    }
    let mut all = tidegate_commands::families::every().flat_map(|family| family.commands);
    let command = all.find(|command| command.name.eq_ignore_ascii_case(name));
    command.is_some_and(|command| command.specs().next().is_some())
}

struct Run {
    worker: Worker,
    shared: Arc<Shared>,
    clients: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut config = Config::new(1, Path::new("/"));
        let options = Some(b"enable-debug-command yes\n".to_vec());
        config.load(&Sources { options, ..Sources::default() }).expect("it is right");
        let journal = Arc::new(MemoryJournal::default());
        let shared = Arc::new(Shared::new(config, &[], journal as _).expect("nothing is renamed"));
        let mut worker = Worker::new(Arc::clone(&shared), 0, seed);
        worker.exec.witness = Some(Vec::new());
        Run { worker, shared, clients: 0 }
    }

    fn session(&mut self) -> Session {
        self.clients += 1;
        let client = Client::new(self.clients, String::new(), String::new(), 0, 0, false, true);
        Session::new(Arc::new(client), true)
    }

    fn send(&mut self, session: &mut Session, requests: &[Args]) -> (Progress, Vec<u8>) {
        let (mut bytes, mut out) = (Vec::new(), Vec::new());
        for request in requests {
            encode_command(request, &mut bytes);
        }
        let mut at = 0;
        loop {
            let progress = self.worker.process(session, &mut bytes, &mut at, &mut out);
            if progress != Progress::Flush {
                return (progress, out);
            }
        }
    }
}

/// Rules that allow some keys.
fn rules(generator: &mut Generator) -> Vec<Vec<u8>> {
    let mut rules = vec![b"reset".to_vec(), b"on".to_vec(), b">pw".to_vec(), b"+@all".to_vec()];
    rules.extend([b"-acl".to_vec(), b"-client".to_vec(), b"-reset".to_vec(), b"allchannels".to_vec()]);
    let some_keys = |generator: &mut Generator, one_in: usize| {
        let mut some = Vec::new();
        for key in keys().iter().filter(|key| key.iter().all(|byte| *byte > b' ')) {
            if generator.one_in(one_in) {
                continue;
            }
            let mut rule = generator.random.pick(&[&b"~"[..], b"~", b"~", b"%R~", b"%W~"]).to_vec();
            rule.extend(key.iter().flat_map(|byte| [b'\\', *byte]));
            some.push(rule);
        }
        some
    };
    rules.extend(some_keys(generator, 4));
    // Keys of lines that name them.
    rules.push(if generator.one_in(2) { b"~[0-9]*".to_vec() } else { b"%R~[0-8]*".to_vec() });
    rules.push(if generator.one_in(2) { b"~l*".to_vec() } else { b"~id*".to_vec() });
    if generator.one_in(3) {
        rules.push(b"resetdbs".to_vec());
        rules.push(b"db=0,1".to_vec());
    }
    if generator.one_in(8) {
        rules.push(b"%R~*".to_vec());
    }
    rules
}

/// One user's requests; returns how many were denied.
fn sequence(seed: u64, seen: &mut [u32]) -> usize {
    let mut generator = Generator::new(seed, &[]);
    let mut run = Run::new(seed);
    let mut admin = run.session();
    let mut set_user = vec![b"ACL".to_vec(), b"SETUSER".to_vec(), b"u".to_vec()];
    set_user.extend(rules(&mut generator));
    let (_, out) = run.send(&mut admin, &[set_user]);
    assert_eq!(out, b"+OK\r\n", "seed {seed}: {}", out.escape_ascii());
    let user = run.shared.users.get(b"u").expect("it was made");
    let login: Args = [&b"AUTH"[..], b"u", b"pw"].map(<[u8]>::to_vec).into();
    let mut session = run.session();
    run.send(&mut session, std::slice::from_ref(&login));
    let mut denied = 0;
    for _ in 0..SEQUENCE {
        // Others use all keys, so that there is something to find.
        let by_admin = generator.one_in(3);
        let (which, args) = request(&mut generator);
        let requests = match generator.random.below(4) {
            0 => vec![vec![b"MULTI".to_vec()], args.clone(), vec![b"EXEC".to_vec()]],
            1 => {
                let code = &b"return redis.call(unpack(ARGV))"[..];
                let mut call = vec![b"EVAL".to_vec(), code.to_vec(), b"0".to_vec()];
                call.extend(args.clone());
                vec![call]
            }
            _ => vec![args.clone()],
        };
        let one = if by_admin { &mut admin } else { &mut session };
        let id = one.client.id;
        let (progress, out) = run.send(one, &requests);
        let all_touches = run.worker.exec.witness.replace(Vec::new()).unwrap_or_default();
        // Somebody who has waited may have been served, too.
        let own = all_touches.into_iter().filter(|(client, _)| *client == id);
        let touches: Vec<Touch> = own.map(|(_, touch)| touch).collect();
        if let Some(which) = which {
            seen[which] += u32::from(touches.iter().any(|touch| touch.key.is_some()));
        }
        if matches!(progress, Progress::Parked | Progress::Close) {
            *one = run.session();
            if !by_admin {
                run.send(&mut session, std::slice::from_ref(&login));
            }
        }
        if by_admin {
            continue;
        }
        let text = String::from_utf8_lossy(&out);
        denied += usize::from(text.contains("NOPERM") || text.contains("The user executing the script"));
        for touch in &touches {
            assert!(
                may_touch(&user, &args, touch.db, touch.key.as_deref(), touch.changed),
                "seed {seed}: {touch:?} by {}: {}",
                shown(&args),
                out.escape_ascii()
            );
        }
    }
    denied
}

/// A request, and which of the lines it is.
fn request(generator: &mut Generator) -> (Option<usize>, Args) {
    if generator.one_in(6) {
        let template = *generator.random.pick(TRICKY);
        let mut args = generator.fill(template);
        if let Some(code) = template.strip_prefix("EVAL ").and_then(|rest| rest.split(' ').next()) {
            args[1] = code.as_bytes().to_vec();
        }
        return (None, args);
    }
    loop {
        let which = generator.random.below(LINES.len());
        let empties = ["flushall", "flushdb", "swapdb"].contains(&LINES[which].0);
        if !empties || generator.one_in(20) {
            return (Some(which), lines::line(generator, &LINES[which], clock::unix_ms()));
        }
    }
}

fn may_touch(user: &User, args: &Args, db: u16, key: Option<&[u8]>, changed: bool) -> bool {
    // These change how a value is kept, for which Redis asks for no right to write.
    let rearranges =
        |word: &Vec<u8>| ["pfcount", "pfdebug"].iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()));
    let access = if changed && !args.iter().any(rearranges) { Access::WRITE } else { Access::NONE };
    user.selectors()
        .iter()
        .any(|rules| rules.allows_db(db.into()) && key.is_none_or(|key| rules.allows_key(key, access)))
}

fn shown(args: &Args) -> String {
    args.iter().map(|arg| format!("\"{}\"", arg.escape_ascii())).collect::<Vec<_>>().join(" ")
}
