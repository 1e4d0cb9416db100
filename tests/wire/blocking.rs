//! Requests that wait for keys: who is served when, by whom, and how waiting ends otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_tests::clock::{now, wait_until};
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

use crate::transcript::{converse, show, words};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server, and a client that looks at it and does things.
pub(crate) struct Setting {
    server: TestServer,
    pub(crate) admin: RespClient,
}

/// A client that waits.
pub(crate) struct Waiter {
    client: RespClient,
    id: i64,
}

impl Waiter {
    pub(crate) fn reply(&mut self) -> String {
        show(&self.client.read().expect("it is answered"))
    }
}

impl Setting {
    pub(crate) fn new() -> Self {
        let server = TestServer::tidegate();
        let admin = server.client();
        Setting { server, admin }
    }

    fn client(&self) -> Waiter {
        let mut client = self.server.client();
        let id = client.line("CLIENT ID").int().expect("an id");
        Waiter { client, id }
    }

    /// A client that has sent these lines in one go, and waits for the reply to one of them.
    pub(crate) fn waiting(&mut self, lines: &str) -> Waiter {
        let mut waiter = self.client();
        self.send(&mut waiter, lines);
        waiter
    }

    /// Sends lines that let the client wait.
    fn send(&mut self, waiter: &mut Waiter, lines: &str) {
        for line in lines.split("; ") {
            waiter.client.send(&words(line)).expect("connected");
        }
        let id = waiter.id;
        let waits = wait_until(PATIENCE, || self.flags(id).contains('b'));
        assert!(waits, "{lines} does not wait");
    }

    fn flags(&mut self, id: i64) -> String {
        let line = self.admin.line(&format!("CLIENT LIST ID {id}")).text();
        line.split(' ').find_map(|field| field.strip_prefix("flags=")).unwrap_or_default().to_owned()
    }

    /// A line of INFO without its name.
    fn info(&mut self, section: &str, name: &str) -> String {
        let text = self.admin.line(&format!("INFO {section}")).text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {name}")).to_owned()
    }

    pub(crate) fn blocked(&mut self) -> String {
        self.info("clients", "blocked_clients")
    }

    pub(crate) fn nobody_waits(&mut self) {
        assert!(wait_until(PATIENCE, || self.blocked() == "0"), "{} wait", self.blocked());
    }

    pub(crate) fn run(&mut self, text: &str) {
        converse(&mut self.admin, text);
    }
}

#[test]
fn first_come_first_served() {
    let mut setting = Setting::new();
    let mut waiters: Vec<Waiter> = (0..4).map(|_| setting.waiting("BLPOP k 0")).collect();
    assert_eq!(setting.blocked(), "4");
    setting.run("> RPUSH k a b\n2\n> RPUSH k c\n1\n> EXISTS k\n0");
    for (waiter, element) in waiters.iter_mut().zip(["a", "b", "c"]) {
        assert_eq!(waiter.reply(), format!(r#"["k" "{element}"]"#));
    }
    assert_eq!(setting.blocked(), "1");
    setting.run("> RPUSH k d e\n2\n> LRANGE k 0 -1\n[\"e\"]");
    assert_eq!(waiters[3].reply(), r#"["k" "d"]"#);
    setting.nobody_waits();
}

#[test]
fn any_of_several_keys_will_do() {
    let mut setting = Setting::new();
    let mut waiter = setting.waiting("BRPOP a b c a 0");
    setting.run("> RPUSH c x y\n2");
    assert_eq!(waiter.reply(), r#"["c" "y"]"#);
    // It waits for none of the others any more.
    setting.run("> RPUSH a z\n1\n> RPUSH b z\n1\n> LLEN a\n1\n> LLEN b\n1");
    // What is there already is taken in the order of the request.
    converse(&mut waiter.client, "> BLPOP nothing b a 0\n[\"b\" \"z\"]");
    // What comes in a transaction, in the order of that.
    setting.run("> DEL a b c\n2");
    setting.send(&mut waiter, "BLPOP a b 0");
    setting.run("> MULTI\nOK\n> RPUSH b 1\nQUEUED\n> RPUSH a 2\nQUEUED\n> EXEC\n[1 1]");
    assert_eq!(waiter.reply(), r#"["b" "1"]"#);
}

#[test]
fn a_transaction_is_over_before_anybody_is_served() {
    let mut setting = Setting::new();
    let mut waiter = setting.waiting("BLPOP k 0");
    setting.run("> MULTI\nOK\n> LPUSH k a\nQUEUED\n> DEL k\nQUEUED\n> EXEC\n[1 1]");
    setting.run("> MULTI\nOK\n> LPUSH k a\nQUEUED\n> LPUSH k b\nQUEUED\n> LLEN k\nQUEUED\n> EXEC\n[1 2 2]");
    assert_eq!(waiter.reply(), r#"["k" "b"]"#);
    setting.run("> LRANGE k 0 -1\n[\"a\"]");
}

#[test]
fn nothing_waits_in_a_transaction() {
    let mut setting = Setting::new();
    setting.run(
        r#"
        > MULTI
        OK
        > BLPOP k 0
        QUEUED
        > BRPOP k 0
        QUEUED
        > BLMPOP 0 1 k LEFT
        QUEUED
        > BLMOVE k l LEFT LEFT 0
        QUEUED
        > BRPOPLPUSH k l 0
        QUEUED
        > EXEC
        [nil nil nil nil nil]
        "#,
    );
    let mut raw = Vec::new();
    for line in ["MULTI", "BLPOP k 0", "BLMOVE k l LEFT LEFT 0", "EXEC"] {
        raw.extend(setting.admin.call_raw(&words(line)));
    }
    assert_eq!(raw, b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*-1\r\n$-1\r\n");
}

#[test]
fn elements_are_moved_on_and_on() {
    let mut setting = Setting::new();
    let mut last = setting.waiting("BLPOP d 0");
    let mut third = setting.waiting("BRPOPLPUSH c d 0");
    let mut second = setting.waiting("BLMOVE b c RIGHT LEFT 0");
    let mut first = setting.waiting("BLMOVE a b LEFT RIGHT 0");
    setting.run("> RPUSH a x\n1\n> EXISTS a b c d\n0");
    for waiter in [&mut first, &mut second, &mut third] {
        assert_eq!(waiter.reply(), "\"x\"");
    }
    assert_eq!(last.reply(), r#"["d" "x"]"#);
    // In a circle it stays with the last.
    let mut one = setting.waiting("BLMOVE x y LEFT RIGHT 0");
    let mut other = setting.waiting("BLMOVE y x LEFT RIGHT 0");
    setting.run("> RPUSH x e\n1\n> LRANGE x 0 -1\n[\"e\"]\n> EXISTS y\n0");
    assert_eq!((one.reply(), other.reply()), ("\"e\"".to_owned(), "\"e\"".to_owned()));
    let mut same = setting.waiting("BLMOVE z z LEFT RIGHT 0");
    setting.run("> RPUSH z 1 2 3\n3\n> LRANGE z 0 -1\n[\"2\" \"3\" \"1\"]");
    assert_eq!(same.reply(), "\"1\"");
}

#[test]
fn a_destination_of_another_type_is_an_error_and_nothing_is_lost() {
    let mut setting = Setting::new();
    let mut wrong = setting.waiting("BLMOVE k string LEFT RIGHT 0");
    let mut next = setting.waiting("BLPOP k 0");
    setting.run("> SET string x\nOK\n> RPUSH k e\n1");
    assert_eq!(wrong.reply(), "-WRONGTYPE Operation against a key holding the wrong kind of value");
    assert_eq!(next.reply(), r#"["k" "e"]"#);
}

#[test]
fn a_key_of_another_type_is_not_what_is_waited_for() {
    let mut setting = Setting::new();
    let mut waiter = setting.waiting("BLPOP k other 0");
    setting.run("> SET k x\nOK\n> APPEND k y\n2\n> DEL k\n1\n> SADD k x\n1\n> DEL k\n1");
    assert!(setting.flags(waiter.id).contains('b'));
    setting.run("> SET k x\nOK\n> RPUSH other y\n1");
    assert_eq!(waiter.reply(), r#"["other" "y"]"#);
    let reply = waiter.client.line("BLPOP k 0");
    assert_eq!(show(&reply), "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

#[test]
fn a_list_may_come_from_anywhere() {
    let mut setting = Setting::new();
    for (how, db, key) in [
        ("RENAME source k", 0, "k"),
        ("RENAMENX source k", 0, "k"),
        ("COPY source k", 0, "k"),
        ("COPY source k DB 1", 1, "k"),
        ("MOVE source 1", 1, "source"),
        ("SWAPDB 0 1", 1, "source"),
        ("SWAPDB 1 0", 1, "source"),
    ] {
        setting.run("> FLUSHALL\nOK\n> RPUSH source a\n1");
        let mut waiter = setting.client();
        waiter.client.line(&format!("SELECT {db}"));
        setting.send(&mut waiter, &format!("BLPOP {key} 0"));
        let reply = show(&setting.admin.line(how));
        assert!(["OK", "1"].contains(&&*reply), "{how}: {reply}");
        assert_eq!(waiter.reply(), format!(r#"["{key}" "a"]"#), "{how}");
    }
    setting.nobody_waits();
}

#[test]
fn time_runs_out() {
    let mut setting = Setting::new();
    let mut waiter = setting.client();
    for (line, ms) in
        [("BLPOP k 0.1", 100), ("BLMOVE k l LEFT LEFT 0.05", 50), ("BLMPOP 0.02 2 k l LEFT", 20)]
    {
        let start = now();
        let reply = waiter.client.call_raw(&words(line));
        let took = start.elapsed();
        assert_eq!(reply, b"*-1\r\n", "{line}");
        assert!(took >= Duration::from_millis(ms), "{line} took {took:?}");
        assert!(took < Duration::from_millis(ms + 500), "{line} took {took:?}");
    }
    waiter.client.line("HELLO 3");
    assert_eq!(waiter.client.call_raw(&words("BLPOP k 0.01")), b"_\r\n");
    setting.nobody_waits();
    // It does not take what comes later.
    setting.run("> RPUSH k x\n1\n> LLEN k\n1");
    setting.run(
        r#"
        > BLPOP k -1
        -ERR timeout is negative
        > BLPOP k x
        -ERR timeout is not a float or out of range
        > BLMOVE k l LEFT RIGHT nan
        -ERR timeout is not a float or out of range
        > BLPOP k 1e100
        -ERR timeout is negative
        "#,
    );
}

#[test]
fn clients_are_let_go() {
    let mut setting = Setting::new();
    let mut waiter = setting.waiting("BLPOP a b 0");
    let id = waiter.id;
    setting.run(&format!("> CLIENT UNBLOCK {id} TIMEOUT\n1\n> CLIENT UNBLOCK {id}\n0"));
    assert_eq!(setting.flags(id), "N");
    assert_eq!(waiter.reply(), "nil");
    setting.send(&mut waiter, "BLMOVE a b LEFT LEFT 0");
    setting.run(&format!("> CLIENT UNBLOCK {id} ERROR\n1"));
    assert_eq!(waiter.reply(), "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
    // One that is being let go is not served any more.
    setting.send(&mut waiter, "BLPOP a b 0");
    let requests = format!("CLIENT UNBLOCK {id} ERROR\r\nRPUSH a x\r\nLLEN a\r\n");
    setting.admin.send_raw(requests.as_bytes()).expect("connected");
    assert_eq!([(); 3].map(|()| setting.admin.read().expect("connected")), [1, 1, 1].map(Reply::Int));
    assert_eq!(waiter.reply(), "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
    setting.nobody_waits();
}

#[test]
fn the_dead_take_nothing() {
    let mut setting = Setting::new();
    let (gone, killed) = (setting.waiting("BLPOP k 0"), setting.waiting("BLPOP k 0"));
    let mut alive = setting.waiting("BLPOP k 0");
    drop(gone);
    assert!(wait_until(PATIENCE, || setting.blocked() == "2"));
    let requests = format!("CLIENT KILL ID {}\r\nRPUSH k x\r\nLLEN k\r\n", killed.id);
    setting.admin.send_raw(requests.as_bytes()).expect("connected");
    assert_eq!([(); 3].map(|()| setting.admin.read().expect("connected")), [1, 1, 0].map(Reply::Int));
    assert_eq!(alive.reply(), r#"["k" "x"]"#);
    setting.run("> RPUSH k y\n1\n> LLEN k\n1");
}

#[test]
fn what_is_sent_while_waiting_comes_later() {
    let mut setting = Setting::new();
    let mut waiter = setting.waiting("BLPOP k 0; SET x 1; BLPOP l 0; GET x; SET y 1");
    setting.run("> GET x\nnil\n> RPUSH k a\n1");
    assert_eq!(waiter.reply(), r#"["k" "a"]"#);
    assert_eq!(waiter.reply(), "OK");
    assert!(wait_until(PATIENCE, || setting.flags(waiter.id).contains('b')));
    setting.run("> GET x\n\"1\"\n> SET x 2\nOK\n> GET y\nnil\n> RPUSH l b\n1");
    assert_eq!(waiter.reply(), r#"["l" "b"]"#);
    assert_eq!((waiter.reply(), waiter.reply()), ("\"2\"".to_owned(), "OK".to_owned()));
}

#[test]
fn replies_that_nobody_wants() {
    let mut setting = Setting::new();
    let mut waiter = setting.client();
    waiter.client.send(&words("CLIENT REPLY OFF")).expect("connected");
    setting.send(&mut waiter, "BLPOP k 0");
    setting.run("> RPUSH k a\n1\n> EXISTS k\n0");
    setting.nobody_waits();
    waiter.client.send(&words("BLPOP k 0.01")).expect("connected");
    assert_eq!(show(&waiter.client.line("CLIENT REPLY ON")), "OK");
    waiter.client.send(&words("CLIENT REPLY SKIP")).expect("connected");
    setting.send(&mut waiter, "BLPOP k 0; PING");
    setting.run("> RPUSH k b\n1");
    assert_eq!(waiter.reply(), "PONG");
}

#[test]
fn nobody_is_served_during_a_pause() {
    let mut setting = Setting::new();
    let mut waiter = setting.waiting("BLPOP k 0");
    let mut pusher = setting.client();
    setting.run("> CLIENT PAUSE 100000 WRITE\nOK");
    setting.send(&mut pusher, "RPUSH k a");
    assert_eq!(setting.blocked(), "2");
    // Time goes on meanwhile, and who waits may be let go.
    let mut other = setting.client();
    let id = other.id;
    setting.run(&format!("> CLIENT UNBLOCK {id}\n0"));
    setting.run("> CLIENT UNPAUSE\nOK");
    assert_eq!(waiter.reply(), r#"["k" "a"]"#);
    assert_eq!(pusher.reply(), "1");
    setting.send(&mut other, "BLPOP k 0");
    setting.run("> CLIENT PAUSE 100000 WRITE\nOK");
    setting.run(&format!("> CLIENT UNBLOCK {id}\n1\n> CLIENT UNPAUSE\nOK"));
    assert_eq!(other.reply(), "nil");
}

#[test]
fn watched_keys_are_changed_by_who_is_served() {
    let mut setting = Setting::new();
    let mut waiter = setting.waiting("BLPOP k 0");
    let mut other = setting.client();
    setting.run("> WATCH k\nOK\n> MULTI\nOK\n> PING\nQUEUED");
    assert_eq!(show(&other.client.line("RPUSH k a")), "1");
    assert_eq!(waiter.reply(), r#"["k" "a"]"#);
    setting.run("> EXEC\nnil");
}

#[test]
fn statistics_leave_out_the_waiting() {
    let mut setting = Setting::new();
    setting.run("> CONFIG SET slowlog-log-slower-than 100000\nOK\n> CONFIG RESETSTAT\nOK");
    let mut waiter = setting.waiting("BLPOP k 0");
    std::thread::sleep(Duration::from_millis(150));
    assert!(setting.info("commandstats", "cmdstat_blpop").starts_with("calls=1,"));
    setting.run("> RPUSH k a\n1");
    waiter.reply();
    let stats = setting.info("commandstats", "cmdstat_blpop");
    let usec = stats.split(['=', ',']).nth(3).and_then(|usec| usec.parse::<u64>().ok()).expect("usec");
    assert!(stats.starts_with("calls=1,") && usec < 100_000, "{stats}");
    assert!(stats.ends_with("rejected_calls=0,failed_calls=0"), "{stats}");
    setting.run("> SLOWLOG GET\n[]");
    setting.send(&mut waiter, "BLPOP k 0");
    let id = waiter.id;
    setting.run(&format!("> CLIENT UNBLOCK {id}\n1"));
    waiter.reply();
    assert!(setting.info("commandstats", "cmdstat_blpop").ends_with("failed_calls=1"));
    assert_eq!(setting.info("stats", "keyspace_hits"), "0");
    setting.run("> CONFIG SET slowlog-log-slower-than 0\nOK");
    setting.send(&mut waiter, "BLPOP k 0");
    setting.run("> SLOWLOG RESET\nOK\n> RPUSH k a\n1\n> CONFIG SET slowlog-log-slower-than -1\nOK");
    waiter.reply();
    let log = show(&setting.admin.line("SLOWLOG GET"));
    assert!(log.contains(r#"["BLPOP" "k" "0"]"#), "{log}");
}

#[test]
fn monitors_see_the_request_and_not_how_it_is_served() {
    let mut setting = Setting::new();
    let mut monitor = setting.client();
    monitor.client.line("MONITOR");
    let mut waiter = setting.waiting("BLPOP k 0");
    setting.run("> RPUSH k a\n1\n> ECHO end\n\"end\"");
    waiter.reply();
    let mut seen = Vec::new();
    loop {
        let line = monitor.client.read().expect("it sees everything").text();
        if line.contains("\"BLPOP\"") || line.contains("\"RPUSH\"") || line.contains("POP\"") {
            seen.push(line.split('"').nth(1).unwrap_or_default().to_owned());
        }
        if line.contains("\"ECHO\"") {
            break;
        }
    }
    assert_eq!(seen, ["BLPOP", "RPUSH"]);
}

#[test]
fn waiting_leaves_nothing_behind() {
    let mut setting = Setting::new();
    // Redis looks for those whose time has run out that often.
    setting.run("> CONFIG SET hz 500\nOK");
    let mut waiter = setting.waiting("BLPOP a b c 100");
    assert_eq!(setting.info("clients", "clients_in_timeout_table"), "1");
    setting.run("> RPUSH b x\n1");
    waiter.reply();
    assert_eq!(setting.info("clients", "clients_in_timeout_table"), "0");
    let used = |setting: &mut Setting| setting.info("memory", "used_memory").parse::<i64>().expect("bytes");
    let mut wait = |setting: &mut Setting, keys: std::ops::Range<u32>| {
        for number in keys {
            let line = format!("BLPOP first:{number} second:{number} 0.001");
            waiter.client.send(&words(&line)).expect("connected");
        }
        // Some are let go instead, and the last is served.
        let id = waiter.id;
        setting.admin.line(&format!("CLIENT UNBLOCK {id}"));
        waiter.client.send(&words("BLPOP last 0")).expect("connected");
        setting.admin.line("RPUSH last x");
        let served = wait_until(PATIENCE, || waiter.reply() == "[\"last\" \"x\"]");
        assert!(served, "it waits on");
        used(setting)
    };
    let before = wait(&mut setting, 0..300);
    let after = wait(&mut setting, 1000..3000);
    assert!(after - before < 50_000, "{before} bytes before, {after} after");
    setting.nobody_waits();
    if setting.admin.line("INFO clients").text().contains("total_blocking_keys") {
        assert_eq!(setting.info("clients", "total_blocking_keys"), "0");
    }
}

#[test]
fn many_wait_for_one_key() {
    const MANY: usize = 500;
    let mut setting = Setting::new();
    let mut waiters: Vec<RespClient> = (0..MANY).map(|_| setting.server.client()).collect();
    for waiter in &mut waiters {
        waiter.send(&words("BLPOP k other 0")).expect("connected");
    }
    assert!(wait_until(PATIENCE, || setting.blocked() == MANY.to_string()));
    for number in 0..MANY {
        assert_eq!(setting.admin.line(&format!("RPUSH k {number}")), Reply::Int(1));
    }
    let mut taken = BTreeMap::new();
    for waiter in &mut waiters {
        let reply = show(&waiter.read().expect("it is served"));
        *taken.entry(reply).or_insert(0) += 1;
    }
    assert_eq!((taken.len(), taken.values().max()), (MANY, Some(&1)));
    setting.nobody_waits();
    setting.run("> EXISTS k other\n0");
}
