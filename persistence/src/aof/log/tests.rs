use super::*;

fn unit(commands: &[(u16, &str)]) -> Unit {
    let mut unit = Unit::default();
    for (db, command) in commands {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        unit.push(*db, words.into_iter());
    }
    unit
}

fn taken(log: &Log) -> (String, Vec<Order>) {
    let (mut items, mut text, mut orders) = (Vec::new(), String::new(), Vec::new());
    log.take(&mut items, usize::MAX);
    for item in items {
        match item {
            Item::Bytes(chunk) => {
                let words = String::from_utf8(chunk.bytes).unwrap();
                let words = words.split("\r\n").filter(|word| !word.starts_with(['*', '$']));
                text.push_str(&words.collect::<Vec<_>>().join(" "));
                log.set_written(chunk.end);
            }
            Item::Order(order) => orders.push(order),
        }
    }
    (text, orders)
}

#[test]
fn units_are_framed_and_databases_named_once() {
    let log = Log::default();
    let first = log.append(&mut unit(&[(0, "SET a 1")]));
    assert_eq!(first, 23 + 27);
    assert!(log.append(&mut unit(&[(0, "SET b 2")])) > first);
    log.append(&mut unit(&[(0, "SET c 3"), (5, "SET d 4"), (5, "SET e 5")]));
    log.append(&mut unit(&[(5, "DEL f")]));
    let expected = "SELECT 0 SET a 1 SET b 2 MULTI SET c 3 SELECT 5 SET d 4 SET e 5 EXEC DEL f ";
    assert_eq!(taken(&log).0, expected);
    assert_eq!(log.written(), log.tail());
}

#[test]
fn a_new_file_names_its_database_again() {
    let log = Log::default();
    log.append(&mut unit(&[(0, "SET a 1")]));
    log.order(Order::Switch);
    log.append(&mut unit(&[(0, "SET a 2")]));
    let (text, orders) = taken(&log);
    assert_eq!(text, "SELECT 0 SET a 1 SELECT 0 SET a 2 ");
    assert!(matches!(orders[..], [Order::Switch]));
}

#[test]
fn a_large_unit_is_moved_and_still_one_unit() {
    let log = Log::default();
    let value = "v".repeat(MOVED);
    for _ in 0..2 {
        log.append(&mut unit(&[(2, "SET a 1"), (2, &format!("SET b {value}"))]));
    }
    log.append(&mut unit(&[(2, &format!("SET c {value}"))]));
    let (text, _) = taken(&log);
    let once = format!("MULTI SET a 1 SET b {value} EXEC ");
    assert_eq!(text, format!("SELECT 2 {once}{once}SET c {value} "));
    assert_eq!(log.written(), log.tail());
}

#[test]
fn pieces_of_one_unit_are_forgotten_together() {
    let log = Log::default();
    log.append(&mut unit(&[(0, "SET a 1")]));
    let end = log.append(&mut unit(&[(0, "SET a 1"), (0, &format!("SET b {}", "v".repeat(MOVED)))]));
    let mut items = Vec::new();
    log.take(&mut items, usize::MAX);
    let ends = items.iter().filter_map(|item| match item {
        Item::Bytes(chunk) => Some(chunk.end),
        Item::Order(_) => None,
    });
    assert_eq!(ends.collect::<Vec<_>>(), [end; 3]);
}

#[test]
fn one_command_is_appended_as_any_unit_is() {
    let (log, other) = (Log::default(), Log::default());
    for (db, command) in [(0, "SET a 1"), (0, "SET a 1234567890123"), (3, "INCR b"), (0, "APPEND a ")] {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        let mut encoded = Vec::new();
        write_command(&mut encoded, words.into_iter());
        let lsn = log.append_one(db, &encoded);
        assert_eq!(lsn, other.append(&mut unit(&[(db, command)])));
        assert_eq!(lsn, log.tail());
    }
    assert_eq!(taken(&log).0, taken(&other).0);
}

#[test]
fn a_large_unit_that_nothing_comes_before_leaves_nothing_open() {
    let log = Log::default();
    let value = "v".repeat(MOVED);
    log.append(&mut unit(&[(0, "SET a 1")]));
    taken(&log);
    for _ in 0..2 {
        log.append(&mut unit(&[(0, &format!("SET b {value}"))]));
    }
    log.append(&mut unit(&[(0, "SET c 3")]));
    let mut items = Vec::new();
    log.take(&mut items, usize::MAX);
    let open = items.iter().filter(|item| matches!(item, Item::Bytes(chunk) if chunk.is_open));
    assert_eq!((open.count(), items.len()), (0, 3));
}

#[test]
fn replies_wait_for_what_the_mode_promises() {
    let log = Log::default();
    assert_eq!(log.open_to(), Lsn::MAX);
    log.enable(true);
    let end = log.append(&mut unit(&[(0, "SET a 1")]));
    assert_eq!(log.open_to(), 0);
    taken(&log);
    assert_eq!(log.open_to(), end);
    log.set_fsync(Fsync::Always);
    assert_eq!(log.open_to(), 0);
    log.set_synced(end);
    assert_eq!(log.open_to(), end);
    log.set_fsync(Fsync::No);
    log.append(&mut unit(&[(0, "SET a 1")]));
    assert_eq!(log.open_to(), end);
    log.set_waits_for_write(false);
    assert_eq!(log.open_to(), Lsn::MAX);
}

#[test]
fn who_waits_for_work_is_woken() {
    let log = std::sync::Arc::new(Log::default());
    let writer = std::sync::Arc::clone(&log);
    let thread = std::thread::spawn(move || {
        let mut items = Vec::new();
        while items.is_empty() {
            writer.wait(Duration::from_secs(60));
            writer.take(&mut items, usize::MAX);
        }
        items.len()
    });
    while !log.is_idle.load(SeqCst) {
        std::thread::yield_now();
    }
    log.append(&mut unit(&[(0, "SET a 1")]));
    assert!(!thread.is_finished());
    log.kick();
    assert_eq!(thread.join().unwrap(), 1);
    log.kick();
    log.wait(Duration::from_secs(60));
}
