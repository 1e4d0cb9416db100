use std::cell::RefCell;
use std::path::Path;

use super::*;

const CLIENT: Caller = Caller { local: true, loading: false };

fn config() -> Config {
    Config::new(4, Path::new("/tmp"))
}

fn set(config: &Config, args: &[&str]) -> Result<(), String> {
    let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
    config.set(&args, CLIENT, &NotRunning).map_err(|error| error.to_string())
}

fn get(config: &Config, name: &str) -> String {
    String::from_utf8(config.get_one(name).expect("a directive of the table")).unwrap()
}

#[test]
fn values_are_read_back_in_the_form_redis_writes_them() {
    let config = config();
    let cases = [
        ("maxmemory", "1gb", "1073741824"),
        ("maxmemory", "18446744073709551615", "18446744073709551615"),
        ("maxmemory-clients", "5%", "5%"),
        ("maxmemory-clients", "1mb", "1048576"),
        ("save", "900 1 300 10", "900 1 300 10"),
        ("save", "", ""),
        ("notify-keyspace-events", "KEA", "AKE"),
        (
            "client-output-buffer-limit",
            "replica 1mb 2k 3",
            "normal 0 0 0 slave 1048576 2000 3 pubsub 33554432 8388608 60",
        ),
        ("shutdown-on-sigterm", "force NOSAVE now", "nosave now force"),
        ("oom-score-adj", "relative", "yes"),
        ("maxmemory-policy", "ALLKEYS-LFU", "allkeys-lfu"),
        ("latency-tracking-info-percentiles", "50 99.90 100", "50 99.9 100"),
        ("bind", "127.0.0.1 ::1", "127.0.0.1 ::1"),
        ("bind", "", ""),
        ("hz", "1000", "500"),
        ("hz", "0", "1"),
        ("lua-time-limit", "12", "12"),
        ("requirepass", "", ""),
        ("set-max-listpack-value", "-0", "64"),
    ];
    for (name, written, read) in cases {
        let _ = set(&config, &[name, written]);
        assert_eq!(get(&config, name), read, "{name} {written}");
    }
    assert_eq!(get(&config, "busy-reply-threshold"), "12", "an alias sets its directive");
}

#[test]
fn refusals_have_the_texts_of_redis() {
    let config = config();
    let failed = |name: &str, reason: &str| {
        format!("CONFIG SET failed (possibly related to argument '{name}') - {reason}")
    };
    let yes_no = "argument must be 'yes' or 'no'";
    let cases: [(&[&str], String); 22] = [
        (&["nope", "1"], "Unknown option or number of arguments for CONFIG SET - 'nope'".into()),
        (&["maxmemory"], "syntax error".into()),
        (&["Daemonize", "yes"], failed("Daemonize", "can't set immutable config")),
        (&["dir", "/"], failed("dir", "can't set protected config")),
        (&["hz", "1", "HZ", "2"], failed("HZ", "duplicate parameter")),
        (&["appendonly", "maybe"], failed("appendonly", yes_no)),
        (&["PORT", "x"], failed("port", "argument couldn't be parsed into an integer")),
        (&["port", "65536"], failed("port", "argument must be between 0 and 65535 inclusive")),
        (&["maxclients", "-1"], failed("maxclients", "argument must be between 1 and 4294967295 inclusive")),
        (&["maxmemory", "12q"], failed("maxmemory", "argument must be a memory value")),
        (
            &["maxmemory-clients", "12q"],
            failed("maxmemory-clients", "argument must be a memory or percent value"),
        ),
        (
            &["maxmemory-clients", "200%"],
            failed("maxmemory-clients", "percentage argument must be less or equal to 100"),
        ),
        (
            &["loglevel", "loud"],
            failed("loglevel", "argument(s) must be one of the following: debug, verbose, notice, warning"),
        ),
        (&["save", "1"], failed("save", "Invalid save parameters")),
        (&["save", "0 1"], failed("save", "Invalid save parameters")),
        (
            &["client-output-buffer-limit", "normal 0 0"],
            failed("client-output-buffer-limit", "Wrong number of arguments in buffer limit configuration."),
        ),
        (
            &["client-output-buffer-limit", "master 0 0 0"],
            failed(
                "client-output-buffer-limit",
                "Invalid client class specified in buffer limit configuration.",
            ),
        ),
        (
            &["client-output-buffer-limit", "normal 0 0 -1"],
            failed(
                "client-output-buffer-limit",
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            ),
        ),
        // A crash once: the end of so many seconds cannot be told as a point in time. Redis cuts them to -1.
        (
            &["client-output-buffer-limit", "normal 0 1 9223372036854775807"],
            failed(
                "client-output-buffer-limit",
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            ),
        ),
        (
            &["notify-keyspace-events", "q"],
            failed("notify-keyspace-events", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
        ),
        (&["oom-score-adj-values", "1 2"], failed("oom-score-adj-values", "wrong number of arguments")),
        (
            &["shutdown-on-sigint", "save nosave"],
            failed("shutdown-on-sigint", "shutdown options SAVE and NOSAVE can't be used simultaneously"),
        ),
    ];
    for (args, text) in cases {
        assert_eq!(set(&config, args), Err(text), "{args:?}");
    }
}

#[test]
fn a_refused_value_leaves_the_others_of_its_command_unchanged() {
    let config = config();
    set(&config, &["maxmemory", "10000002"]).unwrap();
    let args = ["maxmemory", "10000001", "maxmemory-clients", "200%", "client-query-buffer-limit", "invalid"];
    assert!(set(&config, &args).is_err());
    assert_eq!(get(&config, "maxmemory"), "10000002");
    assert_eq!(config.hot().maxmemory.get(), 10_000_002);
}

/// A server that can listen on one port only.
struct OnePort(RefCell<Vec<(Effect, u16, u64)>>);

impl Apply for OnePort {
    fn apply(&self, effect: Effect, config: &Config) -> Result<(), String> {
        self.0.borrow_mut().push((effect, config.port(), config.hot().maxmemory.get()));
        match (effect, config.port()) {
            (Effect::Port, 1) => Err("Unable to listen on this port. Check server logs.".into()),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_change_that_cannot_take_effect_is_undone_and_the_old_values_applied() {
    let (config, server) = (config(), OnePort(RefCell::default()));
    let args: [&[u8]; 4] = [b"maxmemory", b"9mb", b"port", b"1"];
    let error = config.set(&args, CLIENT, &server).unwrap_err();
    assert_eq!(
        error.to_string(),
        "CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs."
    );
    assert_eq!(get(&config, "maxmemory"), "0");
    let tried = [(Effect::MaxMemory, 1, 9 << 20), (Effect::Port, 1, 9 << 20)];
    let undone = [(Effect::MaxMemory, 6379, 0), (Effect::Port, 6379, 0)];
    assert_eq!(*server.0.borrow(), [tried, undone].concat());
}

#[test]
fn effects_are_shared_and_unchanged_values_have_none() {
    let (config, server) = (config(), OnePort(RefCell::default()));
    let args: [&[u8]; 4] = [b"min-replicas-to-write", b"1", b"min-replicas-max-lag", b"3"];
    config.set(&args, CLIENT, &server).unwrap();
    config.set(&args, CLIENT, &server).unwrap();
    let effects: Vec<Effect> = server.0.borrow().iter().map(|(effect, ..)| *effect).collect();
    assert_eq!(effects, [Effect::GoodReplicas]);
    config.set(&[b"tls-cert-file", b""], CLIENT, &server).unwrap();
    assert_eq!(server.0.borrow().last().unwrap().0, Effect::Tls, "a certificate file may have new content");
}

#[test]
fn loading_refuses_some_directives() {
    let config = config();
    let loading = Caller { local: true, loading: true };
    assert_eq!(config.set(&[b"appendonly", b"yes"], loading, &NotRunning), Err(SetError::Loading));
    assert_eq!(config.set(&[b"loglevel", b"debug"], loading, &NotRunning), Ok(()));
}

#[test]
fn patterns_answer_names_and_aliases_once_and_hide_what_is_hidden() {
    let config = config();
    let names = |patterns: &[&str]| -> Vec<String> {
        let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
        config.get(&patterns).into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(&["*of"]), ["replicaof", "slaveof"]);
    assert_eq!(names(&["MaxMemory"]), ["MaxMemory"], "a name is answered as it was written");
    assert_eq!(
        names(&["maxmemory", "maxmemory-[p]*", "MAXMEMORY-POLIC?"]),
        ["maxmemory", "maxmemory-policy"]
    );
    assert_eq!(names(&["key-load-delay", "key-load-dela?"]), ["key-load-delay"]);
    assert_eq!(names(&["nope", "no*pe"]), Vec::<String>::new());
    let everything = names(&["*"]);
    assert!(!everything.contains(&"watchdog-period".to_owned()));
    // 192 of Redis 7.0.15, and those of later versions and of Tidegate.
    assert_eq!(everything.len(), 230);
}

#[test]
fn every_value_can_be_set_to_itself() {
    let config = config();
    for (name, value) in config.get(&[b"*"]) {
        if directives::lookup(name.as_bytes()).unwrap().has(Flags::IMMUTABLE)
            || name == "dir"
            || name == "dbfilename"
        {
            continue;
        }
        assert_eq!(config.set(&[name.as_bytes(), &value], CLIENT, &NotRunning), Ok(()), "{name}");
        assert_eq!(config.get_one(&name).as_deref(), Some(value.as_slice()), "{name}");
    }
}

#[test]
fn hot_settings_follow_their_directives() {
    let config = config();
    let limit = config.hot().output_limits.get(crate::config::ClientClass::Replica);
    assert_eq!((limit.hard, limit.soft, limit.soft_seconds), (256 << 20, 64 << 20, 60));
    assert_eq!(config.hot().slowlog_log_slower_than.get(), 10_000);
    let args = ["slowlog-log-slower-than", "-1", "requirepass", "x", "maxmemory-policy", "volatile-ttl"];
    set(&config, &args).unwrap();
    assert_eq!(config.hot().slowlog_log_slower_than.get(), -1);
    assert!(config.hot().requirepass.get());
    assert_eq!(config.hot().maxmemory_policy.get(), crate::config::choices::MaxmemoryPolicy::VolatileTtl);
    config.set_replicaof(Some(("10.0.0.1", 6380)));
    assert!(config.hot().replicaof.get());
    assert_eq!(get(&config, "slaveof"), "10.0.0.1 6380");
}
