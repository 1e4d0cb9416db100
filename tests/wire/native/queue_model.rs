//! A queue against a plain list of messages: random commands, a clock that jumps, and a server that is killed.
//!
//! `QUEUE_OPS=1000000` makes it longer, `QUEUE_SEED=n` another one. Every message is in exactly one state, lines are in order
//! and take turns, nothing is delivered too often, no old receipt counts, and nothing that was answered is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tidegate_tests::random::Random;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

const MAX_DELIVER: i64 = 3;
const STATES: [&str; 4] = ["ready", "delayed", "leased", "dead"];

type Id = (i64, i64);

#[derive(Clone, Debug)]
struct Message {
    id: Id,
    body: String,
    place_ms: i64,
    when_ms: i64,
    token: i64,
    deliveries: i64,
    group: usize,
    priority: i64,
    state: &'static str,
    expires_ms: Option<i64>,
}

/// A group, or the priority of those without one.
type Line = (usize, i64);

impl Message {
    fn line(&self) -> Line {
        (self.group, if self.group == 0 { self.priority } else { 0 })
    }
}

#[derive(Default)]
struct Queue {
    name: String,
    group_max: usize,
    messages: Vec<Message>,
    /// For each line that can give, its class, and who was served since it could and was not.
    waiting: BTreeMap<Line, (i64, BTreeSet<Line>)>,
    receipts: Vec<(Id, i64)>,
}

impl Queue {
    fn elapse(&mut self, now_ms: i64) {
        for m in &mut self.messages {
            if m.when_ms <= now_ms {
                m.state = match m.state {
                    "leased" if m.deliveries >= MAX_DELIVER => "dead",
                    "delayed" | "leased" => "ready",
                    other => other,
                };
            }
        }
        let waits = |m: &Message| matches!(m.state, "ready" | "delayed");
        self.messages.retain(|m| !(waits(m) && m.expires_ms.is_some_and(|ms| ms <= now_ms)));
        self.note_turns();
    }

    fn heads(&self) -> BTreeMap<Line, &Message> {
        let mut heads: BTreeMap<Line, &Message> = BTreeMap::new();
        for m in self.messages.iter().filter(|m| m.state == "ready") {
            let head = heads.entry(m.line()).or_insert(m);
            if (m.place_ms, m.id) < (head.place_ms, head.id) {
                *head = m;
            }
        }
        heads.retain(|(group, _), _| {
            let of_group = || self.messages.iter().filter(|m| m.group == *group);
            let retrying = of_group().any(|m| m.state == "delayed" && m.deliveries > 0);
            let out = of_group().filter(|m| m.state == "leased").count();
            *group == 0 || out < self.group_max && (self.group_max > 1 || !retrying)
        });
        heads
    }

    fn note_turns(&mut self) {
        let heads: BTreeMap<Line, i64> =
            self.heads().into_iter().map(|(line, head)| (line, head.priority)).collect();
        self.waiting.retain(|line, (class, _)| heads.get(line) == Some(class));
        for (line, class) in heads {
            self.waiting.entry(line).or_insert((class, BTreeSet::new()));
        }
    }

    /// One message of a reply to a pop.
    fn deliver(&mut self, id: Id, token: i64, deliveries: i64, body: &str, end_ms: i64) {
        let heads = self.heads();
        let class = heads.values().map(|head| head.priority).max();
        let message = self.messages.iter().find(|m| m.id == id);
        let message = message.unwrap_or_else(|| panic!("{id:?} was delivered and is not there"));
        let line = message.line();
        assert_eq!(heads.get(&line).map(|head| head.id), Some(id), "{id:?} is first in its line");
        assert_eq!(Some(message.priority), class, "nobody more important than {id:?} waits");
        assert_eq!((message.deliveries + 1, message.body.as_str()), (deliveries, body), "of {id:?}");
        assert!(deliveries <= MAX_DELIVER, "{id:?} was delivered too often");
        let class = message.priority;
        self.waiting.remove(&line);
        for (waiting, (of_class, served)) in &mut self.waiting {
            assert!(
                *of_class != class || served.insert(line),
                "{line:?} came twice while {waiting:?} waited"
            );
        }
        let message = self.messages.iter_mut().find(|m| m.id == id).expect("it was there a moment ago");
        (message.state, message.deliveries, message.token) = ("leased", deliveries, token);
        message.when_ms = end_ms;
        self.receipts.push((id, token));
        self.note_turns();
    }
}

fn id_of(text: &str) -> Id {
    let (ms, seq) = text.split_once('-').expect("an id");
    (ms.parse().expect("a time"), seq.parse().expect("a number"))
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.bytes().unwrap_or_else(|| panic!("no text: {reply:?}"))).into_owned()
}

struct Stage {
    server: TestServer,
    client: RespClient,
    now_ms: i64,
    random: Random,
    queues: Vec<Queue>,
    token: i64,
    bodies: usize,
}

impl Stage {
    fn call(&mut self, line: &str) -> Reply {
        let reply = self.client.line(line);
        assert!(!matches!(reply, Reply::Error(_)), "{line}: {}", reply.text());
        reply
    }

    fn move_clock(&mut self, ms: i64, how: &str) {
        self.call(&format!("DEBUG CLOCK {how} {ms}"));
        self.now_ms += ms;
        let now_ms = self.now_ms;
        self.queues.iter_mut().for_each(|queue| queue.elapse(now_ms));
    }

    /// Ends the server while it has commands that nobody has read the replies of, and starts it again.
    fn kill(&mut self) {
        let at = self.random.below(self.queues.len());
        let name = self.queues[at].name.clone();
        let newest = self.queues[at].messages.iter().map(|m| m.id).max();
        let bodies: Vec<String> =
            (0..self.random.below(30)).map(|n| format!("lost-{}-{n}", self.bodies)).collect();
        for body in &bodies {
            self.client.send(&["XQUEUE.PUSH", &name, "BODY", body]).expect("it is sent");
        }
        self.bodies += 1;
        let now = self.now_ms.to_string();
        self.server.restart_loading(&["--debug-clock-freeze", &now]).expect("it starts again");
        let pong = || self.server.client().line("PING") == Reply::Simple(b"PONG".to_vec());
        assert!(tidegate_tests::clock::wait_until(Duration::from_secs(60), pong), "it is loaded");
        self.client = self.server.client();
        // Of what was sent last it has the first ones, each once; of what was answered, everything.
        let after = newest.map(|(ms, seq)| format!(" AFTER {ms}-{seq}")).unwrap_or_default();
        let found = self.call(&format!("XQUEUE.PEEK {name} COUNT 1000{after}"));
        let mut came = Vec::new();
        for message in found.items().expect("messages") {
            let parts = message.items().expect("a message");
            came.push((id_of(&text(&parts[0])), text(&parts[3])));
        }
        let expected = bodies.iter().take(came.len());
        assert!(came.iter().map(|(_, body)| body).eq(expected), "{came:?} of {bodies:?}");
        for (id, body) in came {
            self.note_push(at, id, body, 0, 4, 0, None);
        }
        self.check();
    }

    #[expect(clippy::too_many_arguments, reason = "they are what a push says")]
    fn note_push(
        &mut self,
        at: usize,
        id: Id,
        body: String,
        group: usize,
        priority: i64,
        delay_ms: i64,
        ttl_ms: Option<i64>,
    ) {
        let due_ms = self.now_ms + delay_ms;
        let queue = &mut self.queues[at];
        assert!(queue.messages.iter().all(|m| m.id < id), "{id:?} is newer than all others");
        queue.messages.push(Message {
            id,
            body,
            place_ms: due_ms,
            when_ms: due_ms,
            token: 0,
            deliveries: 0,
            group,
            priority,
            state: if delay_ms > 0 { "delayed" } else { "ready" },
            expires_ms: ttl_ms.map(|ttl_ms| self.now_ms + ttl_ms),
        });
        queue.note_turns();
    }

    /// Everything that the server has is what the list has.
    fn check(&mut self) {
        for at in 0..self.queues.len() {
            let name = self.queues[at].name.clone();
            for state in STATES {
                let count = self.queues[at].messages.iter().filter(|m| m.state == state).count();
                assert_eq!(
                    self.call(&format!("XQUEUE.LEN {name} STATE {state}")),
                    Reply::Int(count as i64),
                    "{state}"
                );
            }
            let found = self.call(&format!("XQUEUE.PEEK {name} COUNT 1000"));
            let found = found.items().expect("messages").to_vec();
            assert_eq!(found.len(), self.queues[at].messages.len());
            for (message, m) in found.iter().zip(&self.queues[at].messages) {
                let parts = message.items().expect("a message");
                let seen = (id_of(&text(&parts[0])), text(&parts[1]), parts[2].int(), text(&parts[3]));
                assert_eq!(seen, (m.id, m.state.to_owned(), Some(m.deliveries), m.body.clone()));
            }
        }
    }

    fn push(&mut self, at: usize) {
        let (group, priority) = (self.random.below(5), *self.random.pick(&[4, 4, 9]));
        let delay_ms = if self.random.one_in(4) { self.random.between(1, 50) } else { 0 };
        let ttl_ms = self.random.one_in(8).then(|| self.random.between(1, 400));
        let body = format!("body-{}", self.bodies);
        self.bodies += 1;
        let mut line = format!("XQUEUE.PUSH {} PRIORITY {priority}", self.queues[at].name);
        if group > 0 {
            line.extend([" GROUP g", &group.to_string()]);
        }
        if delay_ms > 0 {
            line.extend([" DELAY ", &delay_ms.to_string()]);
        }
        if let Some(ttl_ms) = ttl_ms {
            line.extend([" TTL ", &ttl_ms.to_string()]);
        }
        let id = text(&self.call(&format!("{line} BODY {body}")));
        self.note_push(at, id_of(&id), body, group, priority, delay_ms, ttl_ms);
    }

    fn pop(&mut self, at: usize) {
        let (count, lease_ms) = (self.random.between(1, 3), self.random.between(1, 120));
        let reply =
            self.call(&format!("XQUEUE.POP 1 {} COUNT {count} LEASE {lease_ms}", self.queues[at].name));
        let messages = reply.items().unwrap_or_default();
        for message in messages {
            let parts = message.items().expect("a message");
            let receipt = text(&parts[2]);
            let (id, token) = receipt.split_once('#').expect("a receipt");
            let token: i64 = token.parse().expect("a token");
            assert!(token > self.token, "tokens grow");
            self.token = token;
            let deliveries = parts[3].int().expect("deliveries");
            self.queues[at].deliver(id_of(id), token, deliveries, &text(&parts[4]), self.now_ms + lease_ms);
        }
        let all = messages.len() as i64 == count || self.queues[at].heads().is_empty();
        assert!(all, "there was more: {:?}", self.queues[at].heads());
    }

    fn settle(&mut self, at: usize) {
        let receipts = &self.queues[at].receipts;
        if receipts.is_empty() {
            return;
        }
        let (id, token) = *self.random.pick(receipts);
        let (name, now_ms) = (self.queues[at].name.clone(), self.now_ms);
        let receipt = format!("{}-{}#{token}", id.0, id.1);
        let is_current = |m: &Message| m.id == id && m.state == "leased" && m.token == token;
        let found = self.queues[at].messages.iter().position(is_current);
        match self.random.below(4) {
            0 | 1 => {
                let acked = self.call(&format!("XQUEUE.ACK {name} {receipt} {receipt}"));
                assert_eq!(acked, Reply::Int(found.is_some().into()), "{receipt}");
                found.map(|found| self.queues[at].messages.remove(found));
            }
            2 => {
                let lease_ms = self.random.between(1, 200);
                let reply = self.call(&format!("XQUEUE.EXTEND {name} {lease_ms} {receipt}"));
                let end_ms = if found.is_some() { now_ms + lease_ms } else { 0 };
                assert_eq!(reply, Reply::Array(vec![Reply::Int(end_ms)]), "{receipt}");
                if let Some(found) = found {
                    self.queues[at].messages[found].when_ms = end_ms;
                }
            }
            _ => self.nack(at, found, &receipt),
        }
        self.queues[at].note_turns();
        if self.queues[at].receipts.len() > 300 {
            self.queues[at].receipts.drain(..100);
        }
    }

    fn nack(&mut self, at: usize, found: Option<usize>, receipt: &str) {
        let (name, now_ms) = (self.queues[at].name.clone(), self.now_ms);
        let delay_ms = self.random.between(0, 60);
        let how = self.random.pick(&["DELAY", "DELAY", "RELEASE", "DEAD"]);
        let line = match *how {
            "DELAY" => format!("XQUEUE.NACK {name} {receipt} DELAY {delay_ms} REASON why"),
            other => format!("XQUEUE.NACK {name} {receipt} {other}"),
        };
        let reply = self.client.line(&line);
        let Some(found) = found else {
            assert_eq!(reply.error().as_deref(), Some("STALE receipt is not current"), "{line}");
            return;
        };
        let m = &mut self.queues[at].messages[found];
        let (state, due_ms) = match *how {
            "RELEASE" => {
                m.deliveries -= 1;
                ("ready", 0)
            }
            "DELAY" if m.deliveries < MAX_DELIVER && delay_ms > 0 => ("delayed", now_ms + delay_ms),
            "DELAY" if m.deliveries < MAX_DELIVER => ("ready", 0),
            _ => ("dead", 0),
        };
        assert_eq!(reply, Reply::Array(vec![Reply::Bulk(state.into()), Reply::Int(due_ms)]), "{line}");
        (m.state, m.when_ms) = (state, due_ms);
        self.queues[at].elapse(now_ms);
    }

    fn care(&mut self, at: usize) {
        let name = self.queues[at].name.clone();
        let Some(found) = self.queues[at].messages.iter().position(|m| m.state == "dead") else { return };
        let (ms, seq) = self.queues[at].messages[found].id;
        if self.random.one_in(2) {
            assert_eq!(self.call(&format!("XQUEUE.DEL {name} {ms}-{seq}")), Reply::Int(1));
            self.queues[at].messages.remove(found);
        } else {
            // What was to live for a time lives as long once more, which this list does not know the length of.
            let ttl = self.queues[at].messages[found].expires_ms.is_some();
            if ttl {
                return;
            }
            assert_eq!(self.call(&format!("XQUEUE.REDRIVE {name} IDS 1 {ms}-{seq}")), Reply::Int(1));
            let m = &mut self.queues[at].messages[found];
            (m.state, m.when_ms, m.deliveries) = ("ready", 0, 0);
        }
        self.queues[at].note_turns();
    }
}

#[test]
fn agrees_with_a_plain_list() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let (steps, seed) = (number("QUEUE_OPS").unwrap_or(6000), number("QUEUE_SEED").unwrap_or(1));
    println!("QUEUE_SEED={seed} QUEUE_OPS={steps}");
    let now_ms = 1_700_000_000_000;
    let now = i64::to_string(&now_ms);
    let options = ["--enable-debug-command", "yes", "--debug-clock-freeze", &now, "--appendonly", "yes"];
    let server = TestServer::tidegate_with(&options);
    let client = server.client();
    let queue = |name: &str, group_max| Queue { name: name.into(), group_max, ..Queue::default() };
    let queues = vec![queue("first", 1), queue("second", 2)];
    let random = Random::new(seed as u64);
    let mut stage = Stage { server, client, now_ms, random, queues, token: 0, bodies: 0 };
    for (name, group_max) in [("first", 1), ("second", 2)] {
        stage.call(&format!("XQUEUE.CREATE {name} MAXDELIVER {MAX_DELIVER} GROUPMAX {group_max} DEADTTL 0"));
    }
    // The longer it runs, the rarer: starting a server takes as long as a thousand commands.
    let kill_every = (steps / 40).max(500);
    for _ in 0..steps {
        let at = stage.random.below(stage.queues.len());
        match stage.random.below(20) {
            0..=6 if stage.queues[at].messages.len() < 150 => stage.push(at),
            0..=11 => stage.pop(at),
            12..=16 => stage.settle(at),
            17 => stage.care(at),
            _ => {
                let ms = if stage.random.one_in(40) {
                    stage.random.between(0, 5000)
                } else {
                    stage.random.between(0, 9)
                };
                let how = if stage.random.one_in(4) { "JUMP" } else { "ADVANCE" };
                stage.move_clock(ms, how);
            }
        }
        if stage.random.one_in(kill_every) {
            stage.kill();
        }
        if stage.random.one_in(97) {
            stage.check();
        }
        if stage.random.one_in(4999) {
            // One may still be under way.
            stage.client.line("BGREWRITEAOF");
        }
    }
    stage.check();
}
