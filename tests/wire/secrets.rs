//! A run that uses many secrets, each with a mark of its own, in every place where one may stand. Then nothing that the server
//! shows or writes may have any of them, but the places that are made to keep them.

use crate::metrics::scraped_with;
use std::fs;
use std::path::Path;
use tidegate_tests::resp::{RespClient, simple};
use tidegate_tests::server::{TestServer, tidegate_binary};

/// How the marks begin. What the server knows of itself has no such word.
const MARK: &str = "s3cretmark";

/// Gives out marks.
struct Secrets(usize);

impl Secrets {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("{MARK}{:03}x", self.0)
    }
}

fn assert_clean(place: &str, text: &str) {
    let found = text.find(MARK).map(|at| text[at.saturating_sub(200)..(at + 20).min(text.len())].to_owned());
    assert!(found.is_none(), "a secret in {place}: ...{}", found.unwrap_or_default());
}

fn clean_file(place: &str, path: &Path) {
    assert_clean(place, &String::from_utf8_lossy(&fs::read(path).unwrap_or_default()));
}

/// Sends everything a secret may be in, right and wrong.
fn use_secrets(client: &mut RespClient, server: &TestServer, secrets: &mut Secrets) {
    for name in ["alice", "bob", "carol", "erin"] {
        let (one, two) = (secrets.next(), secrets.next());
        client.line(&format!("ACL SETUSER {name} on >{one} >{two} ~* &* +@all"));
        client.line(&format!("ACL SETUSER {name} <{two}"));
        client.line(&format!("ACL SETUSER {name} >{} no-such-rule", secrets.next()));
        client.line(&format!("ACL SETUSER {name} (>{} +get)", secrets.next()));
        let mut other = server.client();
        other.line(&format!("AUTH {name} {}", secrets.next()));
        other.line(&format!("AUTH {}", secrets.next()));
        other.line(&format!("AUTH {name} {} {}", secrets.next(), secrets.next()));
        other.line(&format!("HELLO 3 AUTH {name} {}", secrets.next()));
        assert_eq!(other.line(&format!("AUTH {name} {one}")), simple("OK"));
        other.line(&format!("HELLO 2 AUTH {name} {one} SETNAME {name}"));
        for line in [format!("AUTH {name} {one}"), format!("HELLO 3 AUTH {name} {}", secrets.next())] {
            other.line("MULTI");
            other.line(&line);
            other.line("EXEC");
        }
    }
    for setting in [
        "masterauth",
        "masteruser x masterauth",
        "hz 11 masterauth",
        "tls-key-file-pass",
        "tls-client-key-file-pass",
    ] {
        client.line(&format!("CONFIG SET {setting} {}", secrets.next()));
    }
    client.line(&format!("CONFIG SET masterauth {} no-such-setting 1", secrets.next()));
    client.line("SET migrated value");
    for auth in ["AUTH", "AUTH2 user"] {
        client.line(&format!("MIGRATE 127.0.0.1 1 migrated 0 10 COPY {auth} {}", secrets.next()));
        client.line(&format!("MIGRATE 127.0.0.1 1 \"\" 0 10 {auth} {} KEYS migrated", secrets.next()));
    }
    let script = "return redis.pcall(unpack(ARGV))";
    for words in [["acl", "setuser", "dave"], ["config", "set", "masterauth"]] {
        let secret = secrets.next();
        let last = if words[0] == "acl" { format!(">{secret}") } else { secret };
        client.line("MULTI");
        client.call(&[words[0], words[1], words[2], last.as_str()]);
        client.line("EXEC");
    }
    client.call(&["EVAL", script, "0", "get", "k"]);
    let password = secrets.next();
    assert_eq!(client.line(&format!("CONFIG SET requirepass {password}")), simple("OK"));
    let mut other = server.client();
    other.line(&format!("AUTH {}", secrets.next()));
    assert_eq!(other.line(&format!("AUTH {password}")), simple("OK"));
    assert_eq!(other.line(&format!("HELLO 3 AUTH default {password}")).error(), None);
}

#[test]
fn secrets_stand_nowhere() {
    let mut secrets = Secrets(0);
    let (user, start) = (secrets.next(), secrets.next());
    let mut scraped = scraped_with(&[
        "--audit-log",
        "all",
        "--slowlog-log-slower-than",
        "0",
        "--slowlog-max-len",
        "10000",
        "--loglevel",
        "debug",
        "--commandlog-request-larger-than",
        "0",
        "--commandlog-large-request-max-len",
        "10000",
        "--commandlog-reply-larger-than",
        "0",
        "--commandlog-large-reply-max-len",
        "10000",
        "--enable-debug-command",
        "yes",
        "--auth-failure-delay",
        "0",
        "--masterauth",
        &start,
        "--user",
        "file",
        "on",
        &format!(">{user}"),
        "+@all",
        "~*",
    ]);
    let server = &scraped.server;
    let mut client = server.client();
    let mut monitor = server.client();
    assert_eq!(monitor.line("MONITOR"), simple("OK"));
    use_secrets(&mut client, server, &mut secrets);
    assert!(secrets.0 >= 50, "{} secrets", secrets.0);
    for line in [
        "SLOWLOG GET -1",
        "COMMANDLOG GET -1 slow",
        "COMMANDLOG GET -1 large-request",
        "COMMANDLOG GET -1 large-reply",
        "CLIENT LIST",
        "CLIENT INFO",
        "ACL LOG 1000",
        "ACL LIST",
        "ACL GETUSER alice",
        "ACL GETUSER default",
        "INFO everything",
        "LATENCY LATEST",
        "LATENCY DOCTOR",
        "MEMORY DOCTOR",
        "DEBUG OBJECT migrated",
        "COMMAND LIST",
    ] {
        let raw = client.call_raw(&line.split(' ').collect::<Vec<_>>());
        assert_clean(line, &String::from_utf8_lossy(&raw));
    }
    client.line("ECHO the-end");
    let mut seen = String::new();
    while !seen.contains("the-end") {
        seen = monitor.read().expect("it is told of everything").text();
        assert_clean("MONITOR", &seen);
    }
    assert_eq!(client.line("CONFIG SET audit-log off"), simple("OK"));
    let audit = server.dir().join("audit.log");
    assert!(fs::metadata(&audit).is_ok_and(|of| of.len() > 1000), "it was written");
    clean_file("the audit log", &audit);
    assert_clean("the log", &server.log());
    assert_clean("/metrics", &scraped.get("/metrics"));
    // The crash report names the command that ran, and no more.
    client.send(&["DEBUG", "SEGFAULT"]).expect("it reads");
    assert!(client.read().is_err(), "it crashes");
    assert!(scraped.server.exit_code(std::time::Duration::from_secs(20)) != Some(0));
    let log = scraped.server.log();
    assert_clean("the crash report", &log);
    assert!(log.contains("crashed"), "there is a report: {log}");
}

/// Starts with users in `lines` of a configuration file, and stops with this text of the log.
fn start_with(file: &Path, lines: &str) -> String {
    fs::write(file, lines).expect("it is written");
    match TestServer::start(&tidegate_binary(), &[&file.display().to_string()]) {
        Ok(server) => server.log(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn files_of_users_have_hashes_and_refused_ones_are_not_quoted() {
    let mut secrets = Secrets(0);
    // The files have to be there; another server's directory will do.
    let other = TestServer::tidegate();
    let [main, users] = ["main.conf", "users.acl"].map(|name| other.dir().join(name));
    for is_apart in [false, true] {
        let line = format!("user file on >{} ~* +@all\n", secrets.next());
        let settings = format!("masterauth {}\nrequirepass {}\n", secrets.next(), secrets.next());
        let apart = format!("{settings}aclfile {}\n", users.display());
        fs::write(&users, if is_apart { &line } else { "" }).expect("it is written");
        fs::write(&main, if is_apart { apart } else { settings + &line }).expect("it is written");
        let server = TestServer::tidegate_with(&[&main.display().to_string()]);
        let mut client = server.client();
        let password = fs::read_to_string(&main).expect("it is read");
        let password =
            password.lines().find_map(|line| line.strip_prefix("requirepass ")).expect("there is one");
        let command = if is_apart { "ACL SAVE" } else { "CONFIG REWRITE" };
        if !is_apart {
            assert_eq!(client.line(&format!("AUTH {password}")), simple("OK"));
        }
        use_secrets(&mut client, &server, &mut secrets);
        client.line("ACL SETUSER last on >secret ~* +@all");
        assert_eq!(client.line(command), simple("OK"), "{command}");
        let file = if is_apart { &users } else { &main };
        let written = fs::read_to_string(file).expect("it is read");
        for name in ["file", "alice", "bob", "last"] {
            let line = written.lines().find(|line| line.starts_with(&format!("user {name} ")));
            assert!(line.is_some_and(|line| line.contains(" #")), "{name} has a hash: {written}");
        }
        // What is no password of a user has to be kept as it is: Redis does so.
        let plain = ["requirepass ", "masterauth ", "tls-key-file-pass ", "tls-client-key-file-pass "];
        let kept = |line: &&str| !plain.iter().any(|name| line.starts_with(name));
        assert_clean(command, &written.lines().filter(kept).collect::<Vec<_>>().join("\n"));
        assert_clean("the log", &server.log());
    }
    for lines in [
        "requirepass SECRET SECRET",
        "masterauth \"SECRET",
        "tls-key-file-pass SECRET SECRET",
        "user a on >SECRET +nosuch",
        "user a on <SECRET",
        "user a on #SECRET",
        "user a on !SECRET +get",
        "user a on (~x >SECRET)",
        "user a on (~x >SECRET",
        "user a >SECRET\nuser a on",
    ] {
        let log = start_with(&main, &lines.replace("SECRET", &secrets.next()));
        assert_clean(lines, &log);
        let log = start_with(&users, &lines.replace("SECRET", &secrets.next()));
        assert_clean(lines, &log);
    }
}
