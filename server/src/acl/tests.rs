use super::*;
use crate::registry::Registry;
use tidegate_commands::model::Span;

fn users() -> (&'static Registry, Users) {
    let registry: &'static Registry = Box::leak(Box::new(Registry::new(&[]).expect("nothing is renamed")));
    (registry, Users::new(registry, None))
}

fn user(users: &Users, rules: &str) -> Result<User, String> {
    let rules: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
    users.changed(b"alice", &rules, false).map_err(|error| String::from_utf8_lossy(&error).into_owned())
}

fn check(registry: &Registry, user: &User, line: &str) -> Result<(), Denied> {
    let mut buf = Vec::new();
    let mut spans = Vec::new();
    for word in line.split(' ') {
        spans.push(Span { start: buf.len() as u32, len: word.len() as u32 });
        buf.extend_from_slice(word.as_bytes());
    }
    let mut words = line.split(' ');
    let mut entry = registry.lookup(words.next().unwrap().as_bytes()).expect("a command");
    if !entry.subcommands.is_empty() {
        entry = entry.subcommand(words.next().unwrap().as_bytes()).expect("a subcommand");
    }
    user.check(&Asked { entry, buf: &buf, spans: &spans, is_real: true, db: 0 })
}

fn allows(registry: &Registry, user: &User, line: &str) -> bool {
    check(registry, user, line).is_ok()
}

#[test]
fn a_new_user_may_do_nothing() {
    let (registry, users) = users();
    let alice = user(&users, "on").unwrap();
    assert_eq!(check(registry, &alice, "get k"), Err(Denied { reason: Reason::Command, arg: 0 }));
    // What is allowed before authentication always is.
    assert!(allows(registry, &alice, "auth x"));
    assert_eq!(alice.describe(&users.catalog), b"on resetchannels -@all");
    assert!(users.default_user().is_unlimited());
    assert_eq!(users.default_user().describe(&users.catalog), b"on nopass ~* &* +@all");
}

#[test]
fn commands_subcommands_and_first_arguments() {
    let (registry, users) = users();
    let alice = user(&users, "allkeys +get +config|get +select|0 +@hash -hdel").unwrap();
    for line in ["get k", "config get x", "select 0", "hset k f v"] {
        assert!(allows(registry, &alice, line), "{line}");
    }
    for line in ["set k v", "config set x y", "select 1", "hdel k f"] {
        assert!(!allows(registry, &alice, line), "{line}");
    }
    // Of all commands but some, new ones are in.
    let bob = user(&users, "allkeys +@all -config|set -debug").unwrap();
    assert!(allows(registry, &bob, "config get x") && !allows(registry, &bob, "config set x y"));
    assert_eq!(bob.selectors()[0].describe_commands(&users.catalog), b"+@all -config|set -debug");
}

#[test]
fn keys_by_what_is_done_to_them() {
    let (registry, users) = users();
    let alice = user(&users, "+@all %R~read:* %W~write:* ~both:*").unwrap();
    for line in
        ["get read:1", "set both:1 v", "copy read:1 write:1", "rename both:1 both:2", "exists write:1"]
    {
        assert!(allows(registry, &alice, line), "{line}");
    }
    let denied = |line: &str, arg: usize| {
        assert_eq!(check(registry, &alice, line), Err(Denied { reason: Reason::Key, arg }), "{line}");
    };
    denied("get write:1", 1);
    denied("set write:1 v get", 1);
    denied("copy write:1 both:1", 1);
    denied("copy read:1 read:2", 2);
    denied("mget read:1 other", 2);
    denied("sort both:1 store read:1", 3);
    denied("georadius both:1 1 1 1 m store other", 7);
    // Redis looks at one of both.
    denied("georadius both:1 1 1 1 m store both:2 store other", 9);
    denied("georadius both:1 1 1 1 m store other storedist both:2", 7);
    denied("rl.tokenbucket other 1 1 1 1", 1);
}

#[test]
fn channels_and_selectors() {
    let (registry, users) = users();
    let alice = user(&users, "+publish +psubscribe +subscribe &news:* (+get ~a:* &x) (+set ~b:*)").unwrap();
    for line in ["publish news:1 m", "psubscribe news:*", "subscribe news:1 news:2", "get a:1", "set b:1 v"] {
        assert!(allows(registry, &alice, line), "{line}");
    }
    for (line, reason, arg) in [
        ("psubscribe news:1*", Reason::Channel, 1),
        ("subscribe news:1 other", Reason::Channel, 2),
        ("get b:1", Reason::Key, 1),
        ("del a:1", Reason::Command, 0),
    ] {
        assert_eq!(check(registry, &alice, line), Err(Denied { reason, arg }), "{line}");
    }
    let text = String::from_utf8(alice.describe(&users.catalog)).unwrap();
    assert!(text.ends_with(" (~a:* resetchannels &x -@all +get) (~b:* resetchannels -@all +set)"), "{text}");
}

#[test]
fn databases() {
    let (registry, users) = users();
    let alice = user(&users, "+@all ~* &* db=0,3").unwrap();
    assert!(!alice.is_unlimited());
    for line in ["get k", "select 3", "move k 3", "copy a b db 3", "swapdb 0 3", "ping"] {
        assert!(allows(registry, &alice, line), "{line}");
    }
    for line in ["select 1", "move k 1", "copy a b db 1", "swapdb 0 1", "flushall"] {
        let denied = Err(Denied { reason: Reason::Database, arg: 0 });
        assert_eq!(check(registry, &alice, line), denied, "{line}");
    }
    assert_eq!(alice.describe(&users.catalog), b"off ~* &* resetdbs db=0,3 +@all");
    assert!(user(&users, "+@all ~* &* db=1 alldbs").unwrap().is_unlimited());
    assert!(user(&users, "db=").is_err() && user(&users, "db=x").is_err());
}

#[test]
fn what_is_wrong_is_said_in_the_words_of_redis() {
    let (_, users) = users();
    for (rules, wrong, reason) in [
        ("+nosuch", "+nosuch", RuleError::Unknown),
        ("-select|0", "-select|0", RuleError::Unknown),
        ("+@nosuch", "+@nosuch", RuleError::Unknown),
        ("+config|", "+config|", RuleError::Syntax),
        ("+config|get|x", "+config|get|x", RuleError::FirstArgOfSubcommand),
        ("nosuch", "nosuch", RuleError::Syntax),
        ("%~x", "%~x", RuleError::Syntax),
        ("%RR~x", "%RR~x", RuleError::Syntax),
        ("allkeys ~x", "~x", RuleError::KeysAfterAll),
        ("allchannels &x", "&x", RuleError::ChannelsAfterAll),
        ("<x", "<x", RuleError::NoSuchPassword),
        ("#x", "#x", RuleError::BadHash),
        ("(+get on)", "(+get on)", RuleError::Syntax),
    ] {
        let text = format!("Error in ACL SETUSER modifier '{wrong}': {reason}");
        assert_eq!(user(&users, rules), Err(text));
    }
    let text = "Unmatched parenthesis in acl selector starting at '(+get'.";
    assert_eq!(user(&users, "on (+get ~x"), Err(text.to_owned()));
}

#[test]
fn passwords() {
    let (_, users) = users();
    let alice = user(&users, "on >one >two").unwrap();
    assert!(alice.opens_with(b"one") && alice.opens_with(b"two"));
    assert!(!alice.opens_with(b"on") && !alice.opens_with(b"") && !alice.opens_with(b"three"));
    assert!(!user(&users, ">one").unwrap().opens_with(b"one"), "off");
    assert!(user(&users, "on nopass").unwrap().opens_with(b"anything"));
    assert!(!format!("{alice:?}").contains("7692c3ad"), "hashes are not for logs");
    let hash = PasswordHash::of(b"one").to_string();
    assert_eq!(hash, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
    assert!(user(&users, &format!("on #{hash}")).unwrap().opens_with(b"one"));
}

#[test]
fn categories_are_described_by_the_nearest() {
    let (_, users) = users();
    for rules in
        ["-@all +@read", "+@all -@write", "-@all +@hash +@ratelimit -hget", "+@all -@all", "-@all +@bloom"]
    {
        let alice = user(&users, rules).unwrap();
        let text = String::from_utf8(alice.selectors()[0].describe_commands(&users.catalog)).unwrap();
        let again = user(&users, &text).unwrap();
        assert_eq!(again.selectors()[0].commands, alice.selectors()[0].commands, "{rules}: {text}");
        assert!(text.split(' ').count() < 8, "{rules}: {text}");
    }
}

#[test]
fn keys_that_change_say_so() {
    // A pattern of any kind would match a key with which nothing is done.
    let (registry, _) = users();
    let all = registry.entries().iter().flat_map(|entry| std::iter::once(entry).chain(&entry.subcommands));
    for entry in all.filter(|entry| entry.is_native()) {
        let accesses: Vec<Access> = entry.key_specs.iter().map(|spec| Access::of(spec.flags)).collect();
        let writes = accesses.iter().any(|access| access.has(Access::WRITE));
        assert_eq!(writes, entry.writes() && !accesses.is_empty(), "{}", entry.name);
    }
}
