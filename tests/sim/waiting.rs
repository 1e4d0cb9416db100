//! Many clients on several threads that wait for elements of a few queues, while others push, run out of time, are let go,
//! killed, or hang up: no element is lost, and none is given twice.

use crate::rounds;
use crate::server::{Running, replay};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;
use tidegate_tests::clock::wait_until;
use tidegate_tests::random::Random;
use tidegate_tests::resp::{Reply, RespClient, encode_command};

const QUEUES: usize = 7;
const PUSHERS: u64 = 3;
/// Turns of one pusher: each is a push, a move between queues or a transaction.
const TURNS: usize = 250;
/// Clients that pop and are never harmed: what they got is known.
const POPPERS: u64 = 10;
/// Clients that move elements to a list of their own, where they are found even if the reply never arrives.
const MOVERS: usize = 8;

/// What all clients of a run have in common.
struct Run {
    addr: SocketAddr,
    seed: u64,
    pushing: AtomicBool,
    popping: AtomicBool,
    /// Clients that pop and have not ended.
    active: AtomicU64,
    /// The ids of the clients that may be let go, and of those that may be killed.
    poppers: [AtomicI64; POPPERS as usize],
    movers: [AtomicI64; MOVERS],
}

impl Run {
    fn client(&self) -> RespClient {
        let mut client = RespClient::connect(self.addr).expect("it listens");
        client.set_reply_limit(Duration::from_secs(30)).expect("a socket has a time limit");
        client
    }

    fn random(&self, client: u64) -> Random {
        Random::new(self.seed.wrapping_mul(1000) + client)
    }
}

fn queue(random: &mut Random) -> String {
    format!("queue:{}", random.below(QUEUES))
}

#[test]
fn every_element_is_given_once() {
    for seed in rounds("waiting", 4, 300) {
        let server = Running::start();
        let run = Run {
            addr: server.addr,
            seed,
            pushing: AtomicBool::new(true),
            popping: AtomicBool::new(true),
            active: AtomicU64::new(POPPERS),
            poppers: Default::default(),
            movers: Default::default(),
        };
        let mut pushed = Vec::new();
        let mut found = BTreeMap::new();
        thread::scope(|scope| {
            let run = &run;
            let poppers: Vec<_> = (0..POPPERS).map(|number| scope.spawn(move || pop(run, number))).collect();
            let movers: Vec<_> = (0..MOVERS).map(|number| scope.spawn(move || carry(run, number))).collect();
            let others = [scope.spawn(move || let_go(run)), scope.spawn(move || kill(run))];
            let pushers: Vec<_> = (0..PUSHERS).map(|number| scope.spawn(move || push(run, number))).collect();
            for pusher in pushers {
                pushed.extend(pusher.join().expect("it pushes to the end"));
            }
            run.pushing.store(false, Relaxed);
            for mover in movers {
                mover.join().expect("it carries to the end");
            }
            run.popping.store(false, Relaxed);
            for popper in poppers {
                for element in popper.join().expect("it pops to the end") {
                    *found.entry(element).or_insert(0) += 1;
                }
            }
            for other in others {
                other.join().expect("it ends");
            }
        });
        let popped = found.len();
        let mut client = run.client();
        let lists = (0..QUEUES).map(|number| format!("queue:{number}"));
        for list in lists.chain((0..MOVERS).map(|number| format!("done:{number}"))) {
            for element in client.call(&["LRANGE", &list, "0", "-1"]).items().expect("a list") {
                *found.entry(element.text()).or_insert(0) += 1;
            }
        }
        pushed.sort();
        let all: Vec<String> = found.keys().cloned().collect();
        assert_eq!(all, pushed, "seed {seed}: what was pushed is where it was found");
        let twice: Vec<_> = found.iter().filter(|(_, count)| **count != 1).collect();
        assert!(twice.is_empty(), "seed {seed}: given more than once: {twice:?}");
        println!("seed {seed}: {} pushed, {popped} popped, the rest moved or left", pushed.len());
        nobody_is_remembered(&server, seed);
        replay(&server, seed);
    }
}

/// Pushes elements that are all different; returns them.
fn push(run: &Run, number: u64) -> Vec<String> {
    let mut random = run.random(number);
    let mut client = run.client();
    let mut pushed = Vec::new();
    for turn in 0..TURNS {
        let mut requests: Vec<Vec<String>> = Vec::new();
        let mut push = |random: &mut Random, elements: usize| {
            let command = if random.one_in(2) { "LPUSH" } else { "RPUSH" };
            let mut request = vec![command.to_owned(), queue(random)];
            for element in 0..elements {
                let name = format!("{number}:{turn}:{}:{element}", requests.len());
                pushed.push(name.clone());
                request.push(name);
            }
            requests.push(request);
        };
        match random.below(5) {
            0 => push(&mut random, 3),
            1 => {
                push(&mut random, 1);
                let (from, to) = (queue(&mut random), queue(&mut random));
                requests.push(vec!["LMOVE".into(), from, to, "LEFT".into(), "RIGHT".into()]);
            }
            2 => {
                push(&mut random, 1);
                push(&mut random, 2);
                requests.insert(0, vec!["MULTI".into()]);
                requests.push(vec!["EXEC".into()]);
            }
            _ => push(&mut random, 1),
        }
        let mut bytes = Vec::new();
        for request in &requests {
            encode_command(request, &mut bytes);
        }
        client.send_raw(&bytes).expect("it reads");
        for request in &requests {
            let reply = client.read().expect("it answers");
            assert!(reply.error().is_none(), "seed {}: {reply:?} to {request:?}", run.seed);
        }
        if random.one_in(3) {
            thread::sleep(Duration::from_micros(random.below(1500) as u64));
        }
    }
    pushed
}

/// A time to wait: mostly a short one, sometimes for ever.
fn timeout(random: &mut Random) -> String {
    if random.one_in(6) { "0".into() } else { format!("0.{:03}", random.between(1, 30)) }
}

/// Pops with several commands; returns what it got.
fn pop(run: &Run, number: u64) -> Vec<String> {
    let mut random = run.random(100 + number);
    let mut client = run.client();
    let id = client.line("CLIENT ID").int().expect("an id");
    run.poppers[number as usize].store(id, Relaxed);
    let mut got = Vec::new();
    while run.popping.load(Relaxed) {
        let keys: Vec<String> = (0..random.between(1, 4)).map(|_| queue(&mut random)).collect();
        let timeout = timeout(&mut random);
        let request: Vec<String> = match random.below(3) {
            0 => [vec!["BLPOP".into()], keys, vec![timeout]].concat(),
            1 => [vec!["BRPOP".into()], keys, vec![timeout]].concat(),
            _ => {
                let head = vec!["BLMPOP".into(), timeout, keys.len().to_string()];
                [head, keys, vec!["LEFT".into(), "COUNT".into(), "2".into()]].concat()
            }
        };
        match client.call(&request) {
            Reply::Null => {}
            Reply::Error(text) => assert!(text.starts_with(b"UNBLOCKED "), "{}", text.escape_ascii()),
            Reply::Array(items) => match &items[..] {
                [_, Reply::Array(elements)] => got.extend(elements.iter().map(Reply::text)),
                [_, element] => got.push(element.text()),
                other => panic!("{other:?}"),
            },
            other => panic!("seed {}: {other:?} to {request:?}", run.seed),
        }
    }
    run.active.fetch_sub(1, Relaxed);
    got
}

/// Moves elements to a list of its own, hangs up in the middle of it, and is killed.
fn carry(run: &Run, number: usize) {
    let mut random = run.random(200 + number as u64);
    let list = format!("done:{number}");
    while run.pushing.load(Relaxed) {
        let mut client = run.client();
        let Ok(()) = client.send(&["CLIENT", "ID"]) else { continue };
        let Some(id) = client.read().ok().and_then(|reply| reply.int()) else { continue };
        run.movers[number].store(id, Relaxed);
        for _ in 0..random.between(1, 10) {
            let timeout = format!("0.{:03}", random.between(1, 40));
            let request = ["BLMOVE", &queue(&mut random), &list, "RIGHT", "LEFT", &timeout];
            if client.send(&request).is_err() {
                break;
            }
            if random.one_in(6) {
                thread::sleep(Duration::from_micros(random.below(2000) as u64));
                break;
            }
            if client.read().is_err() {
                break;
            }
        }
    }
}

/// Lets clients go that wait, until the last of them has ended.
fn let_go(run: &Run) {
    let mut random = run.random(300);
    let mut client = run.client();
    while run.active.load(Relaxed) > 0 {
        let id = random.pick(&run.poppers).load(Relaxed);
        let how = *random.pick(&["TIMEOUT", "ERROR"]);
        let reply = client.line(&format!("CLIENT UNBLOCK {id} {how}"));
        assert!(matches!(reply, Reply::Int(0 | 1)), "{reply:?}");
        thread::sleep(Duration::from_micros(random.below(3000) as u64));
    }
}

fn kill(run: &Run) {
    let mut random = run.random(400);
    let mut client = run.client();
    while run.pushing.load(Relaxed) {
        let id = random.pick(&run.movers).load(Relaxed);
        if id > 0 {
            client.line(&format!("CLIENT KILL ID {id}"));
        }
        thread::sleep(Duration::from_micros(random.below(6000) as u64));
    }
}

fn nobody_is_remembered(server: &Running, seed: u64) {
    let shared = Arc::clone(server.handle().shared());
    let left = || {
        let mut left = 0;
        shared.shards.hold_all().each(|_, data| left += data.awaited.len());
        left
    };
    assert!(
        wait_until(Duration::from_secs(20), || left() == 0),
        "seed {seed}: {} keys are waited for",
        left()
    );
}
