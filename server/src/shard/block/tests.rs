use super::*;
use crate::registry::Registry;
use std::sync::LazyLock;

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::new(&[]).expect("no name is taken twice"));

/// A table, and requests that wait in it.
struct Setting {
    table: WaitTable,
    entry: &'static Entry,
    tickets: u64,
}

impl Setting {
    fn new() -> Self {
        let entry = REGISTRY.lookup(b"get").expect("there is GET");
        Setting { table: WaitTable::default(), entry, tickets: 0 }
    }

    /// A request that waits for `keys`, with a command of these words for each.
    fn wait(&mut self, keys: &[(&str, &str, Option<i64>)]) -> Arc<Waiter> {
        self.wait_in(Line::Free, keys)
    }

    fn wait_in(&mut self, line: Line, keys: &[(&str, &str, Option<i64>)]) -> Arc<Waiter> {
        self.tickets += 1;
        let client = Arc::new(Client::new(self.tickets, String::new(), String::new(), 0, 0, false, true));
        let waiter = Arc::new(Waiter {
            wait: client.begin_wait(),
            client,
            ticket: if line == Line::Strict { self.tickets | AFTER_WATCHERS } else { self.tickets },
            user: None,
            db: 0,
            protocol: Protocol::Resp2,
            no_touch: false,
            is_silent: false,
            remembers: false,
            line,
            until_ms: NEVER_MS,
            at_end: None,
            entry: self.entry,
            request: StoredRequest::default(),
            nanos: AtomicU64::new(0),
            keys: keys.iter().map(|(key, ..)| WaitedKey::new(key.as_bytes().into(), 0)).collect(),
            call: None,
        });
        for (index, (_, command, retry_at_ms)) in keys.iter().enumerate() {
            let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
            let kind = Kind::new(StoredRequest::of_words(&words), self.entry, Vec::new());
            self.table.add(&waiter, index, kind, *retry_at_ms);
        }
        waiter
    }

    /// Tickets in the order in which a visit of the key meets them; `helps` says which kinds it helps, and those it
    /// helps leave.
    fn visit(&mut self, key: &str, helps: impl Fn(&str) -> bool) -> Vec<u64> {
        self.tickets += 1;
        let mut visit = Visit::new(1000 + self.tickets);
        let mut met = Vec::new();
        while let Some(place) = self.table.next(0, key.as_bytes(), &visit) {
            met.push(place.waiter.ticket);
            let word = place.kind.request.words().next().expect("a command has a name").to_vec();
            if helps(&String::from_utf8_lossy(&word)) {
                visit.passed(&place);
                self.table.remove(&place.waiter, place.key);
            } else {
                visit.unhelped(&place, None);
            }
        }
        met
    }
}

#[test]
fn first_come_first_served() {
    let mut setting = Setting::new();
    for _ in 0..3 {
        setting.wait(&[("k", "POP k", None)]);
    }
    assert_eq!(setting.visit("other", |_| true), []);
    assert_eq!(setting.visit("k", |_| true), [1, 2, 3]);
    assert!(setting.table.is_empty());
}

#[test]
fn of_a_kind_that_is_not_helped_one_is_asked() {
    let mut setting = Setting::new();
    for _ in 0..100 {
        setting.wait(&[("k", "POP k", None)]);
    }
    setting.wait(&[("k", "READ k", None)]);
    setting.wait(&[("k", "POP k", None)]);
    assert_eq!(setting.visit("k", |_| false), [1, 101]);
    assert_eq!(setting.visit("k", |word| word == "READ"), [1, 101]);
    assert_eq!(setting.visit("k", |_| false), [1], "no kind is left that was not asked");
    assert_eq!(setting.visit("k", |word| word == "POP").len(), 101);
}

#[test]
fn a_request_leaves_all_its_queues() {
    let mut setting = Setting::new();
    let both = setting.wait(&[("a", "POP a", None), ("b", "POP b", None)]);
    setting.wait(&[("b", "POP b", None)]);
    assert_eq!(setting.table.len(), 2);
    setting.table.remove(&both, 0);
    assert!(!both.keys[0].is_registered() && both.keys[1].is_registered());
    setting.table.remove(&both, 0);
    setting.table.remove(&both, 1);
    assert_eq!((setting.table.len(), setting.visit("b", |_| true)), (1, vec![2]));
    assert!(
        setting.table.is_empty(),
        "an empty queue must not stay: a million keys may be waited for once each"
    );
}

#[test]
fn a_touched_key_is_noted_once_per_unit() {
    let mut setting = Setting::new();
    setting.wait(&[("k", "POP k", None)]);
    let table = &mut setting.table;
    assert!(!table.note_touched(0, b"other", 7) && !table.note_touched(1, b"k", 7));
    assert!(table.note_touched(0, b"k", 7) && !table.note_touched(0, b"k", 7));
    table.forget_touched(0, b"k");
    assert!(table.note_touched(0, b"k", 7) && table.note_touched(0, b"k", 8));
}

#[test]
fn the_first_of_a_kind_looks_after_it_in_time() {
    let mut setting = Setting::new();
    let first = setting.wait(&[("k", "DUE k", Some(50))]);
    let other = setting.wait(&[("k", "POP k", None)]);
    let second = setting.wait(&[("k", "DUE k", Some(50))]);
    let times = |waiters: [&Waiter; 3]| waiters.map(Waiter::retry_at_ms);
    assert_eq!(times([&first, &other, &second]), [50, NEVER_MS, NEVER_MS]);
    setting.table.remove(&first, 0);
    assert_eq!(times([&other, &other, &second]), [NEVER_MS, NEVER_MS, 50]);
    // What the key holds now is due at another time.
    let mut visit = Visit::new(2000);
    let place = setting.table.next(0, b"k", &visit).expect("two wait");
    assert!(!visit.unhelped(&place, None));
    let place = setting.table.next(0, b"k", &visit).expect("one of another kind");
    assert!(visit.unhelped(&place, Some(40)), "its client has to know");
    assert_eq!(second.retry_at_ms(), 40);
}

#[test]
fn who_stands_in_line_holds_up_others() {
    let mut setting = Setting::new();
    let first = setting.wait_in(Line::Strict, &[("k", "WRITE k", None)]);
    let second = setting.wait_in(Line::Strict, &[("k", "READ k", None)]);
    let watcher = setting.wait_in(Line::Watches, &[("k", "WATCH k", None)]);
    assert_eq!((setting.table.line(0, b"k"), setting.table.line(0, b"j")), (2, 0));
    let mut visit = Visit::new(1000);
    let mut met = Vec::new();
    while let Some(place) = setting.table.next(0, b"k", &visit) {
        met.push(place.waiter.ticket);
        visit.unhelped(&place, None);
        visit.waits_on(&place, place.waiter.line, None);
    }
    setting.table.end_visit(0, b"k", &visit);
    assert_eq!(
        met,
        [watcher.ticket, first.ticket],
        "who looks on comes first, and nobody behind the first in line"
    );
    assert!(!setting.table.remove(&watcher, 0));
    assert!(setting.table.remove(&first, 0), "the next may go on now");
    second.client.waiting.claim_present().expect("it waits").end(crate::session::Ending::TimedOut);
    assert_eq!(setting.table.line(0, b"k"), 0, "its wait is over");
    assert!(!setting.table.remove(&second, 0), "nobody is left");
    assert!(setting.table.is_empty());
}

#[test]
fn queues_have_moments() {
    let mut setting = Setting::new();
    let one = setting.wait(&[("a", "POP a", None), ("b", "POP b", None)]);
    let table = &mut setting.table;
    assert_eq!(table.next_timer_ms(), NEVER_MS);
    table.add_timer(0, b"a", 50);
    table.add_timer(0, b"a", 70);
    table.add_timer(0, b"b", 40);
    table.add_timer(0, b"c", 10);
    assert_eq!(table.next_timer_ms(), 40);
    assert_eq!(table.take_due(39, 9), []);
    let name = |key: &[u8]| (0u16, key.into());
    assert_eq!(table.take_due(60, 1), [name(b"b")]);
    assert_eq!(table.take_due(60, 9), [name(b"a")]);
    let mut visit = Visit::new(1000);
    let place = table.next(0, b"a", &visit).expect("one waits");
    visit.unhelped(&place, None);
    visit.waits_on(&place, Line::Free, Some(90));
    table.end_visit(0, b"a", &visit);
    assert_eq!(table.next_timer_ms(), 90);
    table.remove(&one, 0);
    table.remove(&one, 1);
    assert_eq!(table.next_timer_ms(), NEVER_MS, "a moment leaves with its queue");
}
