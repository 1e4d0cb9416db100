//! Random schedules against a plain list of messages, and what is worth telling apart.

use super::{Ask, Backoff, Effect, Id, Metered, Next, Options, Push, Queue, State, XQueue};
use crate::types::collection::AlwaysBoxed;
use crate::types::queue::message::Message;
use crate::types::ratelimit::Spec;
use std::collections::{BTreeMap, BTreeSet};

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// What the time brings, if that is anything.
fn elapsed(queue: &Queue, now_ms: u64) -> Option<Effect<'static>> {
    queue.is_due(now_ms).then_some(Effect::Elapse(now_ms))
}

#[derive(Clone, Debug)]
struct Plain {
    id: Id,
    place_ms: u64,
    when_ms: u64,
    token: u64,
    deliveries: u32,
    group: u8,
    priority: u8,
    state: State,
    ttl_ms: u64,
    expires_ms: u64,
}

/// A group, or the priority of those without one.
type Line = (u8, u8);

impl Plain {
    fn line(&self) -> Line {
        (self.group, if self.group == 0 { self.priority } else { 0 })
    }

    fn key(&self) -> (u64, Id) {
        (self.place_ms, self.id)
    }
}

const MAX_DELIVER: u32 = 3;

/// The list, and what is known of turns.
struct Model {
    messages: Vec<Plain>,
    group_max: usize,
    /// For each line that can give, its class, and who was served since it could and was not.
    waiting: BTreeMap<Line, (u8, BTreeSet<Line>)>,
}

impl Model {
    fn elapse(&mut self, now_ms: u64) {
        for m in &mut self.messages {
            if m.when_ms <= now_ms {
                match m.state {
                    State::Leased if m.deliveries >= MAX_DELIVER => m.state = State::Dead,
                    State::Delayed | State::Leased => m.state = State::Ready,
                    _ => {}
                }
            }
        }
        let waits = |m: &Plain| matches!(m.state, State::Ready | State::Delayed);
        self.messages.retain(|m| !(waits(m) && m.expires_ms > 0 && m.expires_ms <= now_ms));
    }

    /// The heads of the lines that can give.
    fn heads(&self) -> BTreeMap<Line, &Plain> {
        let mut heads: BTreeMap<Line, &Plain> = BTreeMap::new();
        for m in self.messages.iter().filter(|m| m.state == State::Ready) {
            let head = heads.entry(m.line()).or_insert(m);
            if m.key() < head.key() {
                *head = m;
            }
        }
        heads.retain(|(group, _), _| {
            let of_group = || self.messages.iter().filter(|m| m.group == *group);
            let out = of_group().filter(|m| m.state == State::Leased).count();
            let retrying = of_group().any(|m| m.state == State::Delayed && m.deliveries > 0);
            *group == 0 || out < self.group_max && (self.group_max > 1 || !retrying)
        });
        heads
    }

    fn note_turns(&mut self) {
        let heads: BTreeMap<Line, u8> =
            self.heads().into_iter().map(|(line, head)| (line, head.priority)).collect();
        self.waiting.retain(|line, (class, _)| heads.get(line) == Some(class));
        for (line, class) in heads {
            self.waiting.entry(line).or_insert((class, BTreeSet::new()));
        }
    }

    fn served(&mut self, line: Line, class: u8) {
        self.waiting.remove(&line);
        for (waiting, (of_class, served)) in &mut self.waiting {
            if *of_class == class {
                assert!(served.insert(line), "{line:?} was served twice while {waiting:?} waited");
            }
        }
    }
}

fn apply(queue: &mut Queue, twin: &mut Queue, effect: &Effect<'_>) {
    assert_eq!(queue.apply(effect), Ok(()), "{effect:?}");
    assert_eq!(twin.apply(effect), Ok(()), "{effect:?}");
}

/// Every count and size that is kept is what it would be if it were counted now.
fn check(queue: &Queue) {
    let bytes: usize = queue.messages.iter().map(Message::heap_size).sum();
    let consumers: usize = queue.consumers.keys().map(|name| crate::keyspace::size_class(name.len())).sum();
    assert_eq!(queue.bytes, bytes + consumers);
    let mut form = Vec::new();
    queue.write(&mut form);
    let read = Queue::read(&form).expect("what was written is read");
    let mut again = Vec::new();
    read.write(&mut again);
    assert!(form == again, "it is the same afterwards");
    for len in (0..form.len()).step_by(form.len() / 50 + 1) {
        assert!(Queue::read(&form[..len]).is_err(), "half a queue is none");
    }
}

fn run(seed: u64, steps: usize, group_max: u32) {
    let mut random = Random(seed | 1);
    let (mut queue, mut twin) = (Queue::default(), Queue::default());
    let options = Options { max_deliver: MAX_DELIVER, group_max, dead_ttl_ms: 0, ..Options::default() };
    apply(&mut queue, &mut twin, &Effect::Configure(options));
    let mut model = Model { messages: Vec::new(), group_max: group_max as usize, waiting: BTreeMap::new() };
    let (mut now_ms, mut token) = (1000u64, 0u64);
    let mut receipts: Vec<(Id, u64)> = Vec::new();
    for step in 0..steps {
        now_ms += if random.below(200) == 0 { random.below(5000) } else { random.below(3) };
        model.elapse(now_ms);
        let visible = queue.visible(now_ms);
        for state in State::ALL {
            let count = model.messages.iter().filter(|m| m.state == state).count();
            assert_eq!(visible[state as usize], count, "{state:?} before time is applied");
        }
        if let Some(effect) = elapsed(&queue, now_ms) {
            apply(&mut queue, &mut twin, &effect);
        }
        model.note_turns();
        match random.below(12) {
            0..=4 if model.messages.len() < 200 => {
                let id = queue.next_id(now_ms).expect("there are ids");
                let (group, priority) = (random.below(6) as u8, [4, 4, 9][random.below(3) as usize]);
                let due_ms = if random.below(4) == 0 { now_ms + 1 + random.below(50) } else { now_ms };
                let ttl_ms = if random.below(6) == 0 { 1 + random.below(300) } else { 0 };
                let name = [group];
                let name = if group == 0 { &[][..] } else { &name };
                let push =
                    Push { id, due_ms, priority, group: name, ttl_ms, body: b"body", ..Push::default() };
                apply(&mut queue, &mut twin, &Effect::Push(push));
                let state = if due_ms > now_ms { State::Delayed } else { State::Ready };
                let expires_ms = if ttl_ms > 0 { now_ms + ttl_ms } else { 0 };
                model.messages.push(Plain {
                    id,
                    place_ms: due_ms,
                    when_ms: due_ms,
                    token: 0,
                    deliveries: 0,
                    group,
                    priority,
                    state,
                    ttl_ms,
                    expires_ms,
                });
            }
            0..=7 => {
                let heads = model.heads();
                let class = heads.values().map(|head| head.priority).max();
                match queue.next(&Ask { now_ms, ..Ask::default() }) {
                    Next::Nothing { .. } => assert_eq!(class, None, "a pop finds what there is"),
                    Next::Give(id) => {
                        let message =
                            model.messages.iter().find(|m| m.id == id).expect("it is there").clone();
                        assert_eq!(heads.get(&message.line()).map(|head| head.id), Some(id), "first in line");
                        assert_eq!(Some(message.priority), class, "nobody more important waits");
                        token += 1;
                        let end_ms =
                            if random.below(20) == 0 { now_ms } else { now_ms + 1 + random.below(100) };
                        let consumer: &[u8] = [&b""[..], b"anna", b"bert"][random.below(3) as usize];
                        apply(&mut queue, &mut twin, &Effect::Take { id, token, now_ms, end_ms, consumer });
                        model.served(message.line(), message.priority);
                        if end_ms == now_ms {
                            model.messages.retain(|m| m.id != id);
                        } else {
                            let m = model.messages.iter_mut().find(|m| m.id == id).expect("it is there");
                            m.state = State::Leased;
                            m.deliveries += 1;
                            assert!(m.deliveries <= MAX_DELIVER, "not delivered too often");
                            (m.token, m.when_ms) = (token, end_ms);
                            receipts.push((id, token));
                        }
                    }
                }
            }
            what if !receipts.is_empty() => {
                let (id, token) = receipts[random.below(receipts.len() as u64) as usize];
                let at = model
                    .messages
                    .iter()
                    .position(|m| m.id == id && m.state == State::Leased && m.token == token);
                assert_eq!(
                    queue.is_current(id, token, now_ms),
                    at.is_some(),
                    "only the newest receipt counts"
                );
                let Some(at) = at else { continue };
                let m = &mut model.messages[at];
                match what {
                    8 => {
                        apply(&mut queue, &mut twin, &Effect::Ack { id, now_ms });
                        model.messages.remove(at);
                    }
                    9 if m.deliveries >= MAX_DELIVER => {
                        apply(&mut queue, &mut twin, &Effect::Bury { id, now_ms, reason: b"bad" });
                        m.state = State::Dead;
                    }
                    9 => {
                        let due_ms = now_ms + random.below(40);
                        apply(&mut queue, &mut twin, &Effect::Nack { id, now_ms, due_ms, reason: b"" });
                        m.when_ms = due_ms;
                        m.state = if due_ms > now_ms { State::Delayed } else { State::Ready };
                    }
                    10 => {
                        apply(&mut queue, &mut twin, &Effect::Release { id, now_ms });
                        m.state = State::Ready;
                        m.deliveries -= 1;
                    }
                    _ => {
                        let end_ms = now_ms + 1 + random.below(200);
                        apply(&mut queue, &mut twin, &Effect::Extend { id, end_ms });
                        m.when_ms = end_ms;
                    }
                }
            }
            _ => {}
        }
        model.elapse(now_ms);
        if receipts.len() > 300 {
            receipts.drain(..100);
        }
        if random.below(3) == 0
            && let Some(m) = model.messages.iter_mut().find(|m| m.state == State::Dead)
        {
            let id = m.id;
            if random.below(2) == 0 {
                apply(&mut queue, &mut twin, &Effect::Delete(id));
                model.messages.retain(|m| m.id != id);
            } else {
                let due_ms = now_ms + random.below(2) * 20;
                apply(&mut queue, &mut twin, &Effect::Redrive { id, now_ms, due_ms });
                m.state = if due_ms > now_ms { State::Delayed } else { State::Ready };
                (m.when_ms, m.deliveries) = (due_ms, 0);
                m.expires_ms = if m.ttl_ms > 0 { due_ms + m.ttl_ms } else { 0 };
            }
        }
        model.note_turns();
        let visible = queue.visible(now_ms);
        for state in State::ALL {
            let count = model.messages.iter().filter(|m| m.state == state).count();
            assert_eq!(visible[state as usize], count, "{state:?} in step {step}");
        }
        assert_eq!(queue.is_empty(), model.messages.is_empty());
        if step % 501 == 0 {
            check(&queue);
            // The twin goes on from what a file has.
            let mut form = Vec::new();
            twin.write(&mut form);
            twin = Queue::read(&form).expect("what was written is read");
            assert!(XQueue(Box::new(queue.clone())) == XQueue(Box::new(twin.clone())));
            let mut copy = queue.clone();
            copy.forget_leases();
            assert_eq!(copy.len(State::Leased), 0);
            check(&copy);
            copy.apply(&Effect::Purge(Some(State::Ready))).expect("it fits");
            check(&copy);
            copy.apply(&Effect::Purge(None)).expect("it fits");
            assert!(copy.is_empty());
            check(&copy);
        }
    }
}

#[test]
fn agrees_with_a_plain_list() {
    let steps = std::env::var("QUEUE_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(20_000);
    run(0x9e37_79b9_7f4a_7c15, steps, 1);
    run(0x2545_f491_4f6c_dd1d, steps, 2);
}

fn push(queue: &mut Queue, now_ms: u64, group: &[u8], body: &[u8]) -> Id {
    let id = queue.next_id(now_ms).expect("there are ids");
    queue.apply(&Effect::Push(Push { id, priority: 4, group, body, ..Push::default() })).expect("it fits");
    id
}

fn pop(queue: &mut Queue, now_ms: u64) -> Option<Id> {
    let Next::Give(id) = queue.next(&Ask { now_ms, ..Ask::default() }) else { return None };
    let (token, end_ms) = (now_ms, now_ms + 1000);
    queue.apply(&Effect::Take { id, token, now_ms, end_ms, consumer: b"" }).expect("it fits");
    Some(id)
}

#[test]
fn a_tenant_with_many_messages_delays_others_by_one_turn() {
    let mut queue = Queue::default();
    for _ in 0..1000 {
        push(&mut queue, 1, b"", b"x");
    }
    for group in 0..100u8 {
        push(&mut queue, 2, &[1, group], b"y");
    }
    let mut seen = 0;
    for _ in 0..101 {
        let id = pop(&mut queue, 3).expect("there is one");
        seen += usize::from(id.ms == 2);
    }
    assert_eq!(seen, 100);
}

#[test]
fn a_line_whose_head_was_another_for_a_moment_keeps_its_turn() {
    let mut queue = Queue::default();
    queue.apply(&Effect::Configure(Options { group_max: 2, ..Options::default() })).expect("it fits");
    let id = queue.next_id(1).expect("there are ids");
    let mortal = Push { id, priority: 9, ttl_ms: 100, group: b"g", body: b"x", ..Push::default() };
    queue.apply(&Effect::Push(mortal)).expect("it fits");
    assert_eq!(pop(&mut queue, 1), Some(id));
    let next = push(&mut queue, 2, b"g", b"x");
    push(&mut queue, 3, b"h", b"x");
    // Its lease ends, it is the head of its line in a class of its own, and has outlived itself.
    queue.apply(&elapsed(&queue, 2000).expect("a lease ends")).expect("it fits");
    assert!(queue.get(id).is_none());
    assert_eq!(pop(&mut queue, 2000), Some(next));
}

#[test]
fn delays_of_failures() {
    let exponential = Backoff::Exponential { base_ms: 1000, max_ms: 60_000 };
    assert_eq!([1, 2, 3, 7, 100].map(|n| exponential.delay_ms(n)), [1000, 2000, 4000, 60_000, 60_000]);
    let linear = Backoff::Linear { base_ms: 10, max_ms: 25 };
    assert_eq!([1, 2, 3, u32::MAX].map(|n| linear.delay_ms(n)), [10, 20, 25, 25]);
    let list = Backoff::List([5, 7].into());
    assert_eq!([1, 2, 3].map(|n| list.delay_ms(n)), [5, 7, 7]);
    let options = Options { jitter: 20, ..Options::default() };
    assert_eq!([0.0, 0.5, 0.999].map(|u| options.delay_ms(1, u)), [1000, 900, 801]);
}

#[test]
fn the_oldest_go_first() {
    let mut queue = Queue::default();
    let ids: Vec<Id> = (0..10).map(|ms| push(&mut queue, ms, b"", b"x")).collect();
    assert_eq!(pop(&mut queue, 10), Some(ids[0]));
    queue.apply(&Effect::Trim(3)).expect("it fits");
    assert!(queue.get(ids[0]).is_some() && queue.get(ids[3]).is_none() && queue.get(ids[4]).is_some());
    queue.apply(&Effect::Release { id: ids[0], now_ms: 11 }).expect("it fits");
    queue.apply(&Effect::Trim(2)).expect("it fits");
    assert_eq!(queue.after(None).map(|message| message.id).collect::<Vec<_>>(), ids[5..]);
    queue.apply(&Effect::Trim(100)).expect("it fits");
    assert!(queue.is_empty());
}

#[test]
fn absurd_clocks_close_nothing() {
    let mut queue = Queue::default();
    let year_ms = 366 * 86_400_000;
    push(&mut queue, 100 * year_ms, b"", b"x");
    let id = pop(&mut queue, 100 * year_ms).expect("it is there");
    let now_ms = year_ms;
    queue.apply(&elapsed(&queue, now_ms).expect("the lease is too long")).expect("it fits");
    assert_eq!(elapsed(&queue, now_ms), None);
    let now_ms = now_ms + super::LEASE_MAX_MS;
    queue.apply(&elapsed(&queue, now_ms).expect("the lease ends")).expect("it fits");
    assert_eq!(pop(&mut queue, now_ms), Some(id));
}

/// A queue, and a group, that were at their limit when the clock was set back by years go on when the limit would have let
/// them: whoever asks in vain does not begin anew.
#[test]
fn a_clock_that_was_far_ahead_keeps_no_rate_closed() {
    let year_ms = 366 * 86_400_000;
    for spec in [
        Spec::Bucket { capacity: 1, unit_ns: 500_000_000 },
        Spec::Fixed { limit: 1, window_ms: 500, align_ms: None },
        Spec::Fixed { limit: 1, window_ms: 500, align_ms: Some(0) },
    ] {
        for group in [&b""[..], b"g"] {
            let mut queue = Queue::default();
            push(&mut queue, year_ms, group, b"x");
            let Metered { limiter, open_ms, reset_ms } = if group.is_empty() {
                queue.metered(&spec, 100 * year_ms)
            } else {
                queue.group_metered(group, &spec, 100 * year_ms)
            };
            assert!(open_ms > 100 * year_ms, "{spec:?}");
            queue.apply(&Effect::Meter { group, limiter, open_ms, reset_ms }).expect("it fits");
            let ask = |now_ms| Ask {
                now_ms,
                rate: Some(&spec).filter(|_| group.is_empty()),
                group_rate: Some(&spec).filter(|_| !group.is_empty()),
                ..Ask::default()
            };
            let mut given_ms = None;
            for now_ms in (2 * year_ms..).step_by(100).take(20) {
                if let Some(effect) = elapsed(&queue, now_ms) {
                    queue.apply(&effect).expect("it fits");
                }
                if matches!(queue.next(&ask(now_ms)), Next::Give(_)) {
                    given_ms.get_or_insert(now_ms - 2 * year_ms);
                }
            }
            assert!(given_ms.is_some_and(|ms| (300..=500).contains(&ms)), "{spec:?} {group:?}: {given_ms:?}");
            assert_eq!(elapsed(&queue, 2 * year_ms + 1900), None, "{spec:?}");
        }
    }
}

/// What a million messages take that wait, beside their bodies; and that each of a million groups is found at once.
#[test]
fn what_many_messages_take() {
    let count = 100_000usize;
    let mut queue = Queue::default();
    let mut bodies = 0;
    for n in 0..count {
        push(&mut queue, n as u64 / 3, b"", b"sixteen bytes ab");
        bodies += 16;
    }
    let each = (XQueue(Box::new(queue)).size_behind() - bodies) / count;
    assert!(each <= 140, "{each} bytes");
}
