//! Files between Redis and us: what one writes, the other reads and finds nothing wrong with. Without `redis-server` and
//! `redis-check-aof` on the machine there is nothing to compare with, and these tests say so.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tidegate_persistence::aof::check::check;
use tidegate_persistence::aof::load::{Loading, Step};
use tidegate_persistence::aof::{Aof, Fsync, Loaded, Place};
use tidegate_persistence::disk::RealDisk;
use tidegate_persistence::journal::{Journal as _, Unit};

/// A directory that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tidegate-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn place(&self) -> Place {
        Place { dir: self.0.join("appendonlydir"), stem: "appendonly.aof".to_owned() }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_missing(program: &str) -> bool {
    let missing =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err();
    if missing {
        eprintln!("not compared: there is no {program} here");
    }
    missing
}

/// A server of Redis in this directory.
struct Redis {
    child: Child,
    socket: PathBuf,
}

impl Redis {
    fn start(dir: &Path) -> Self {
        let socket = dir.join("socket");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "yes", "--dir"]).arg(dir);
        command.arg("--unixsocket").arg(&socket).stdout(Stdio::null());
        let redis = Redis { child: command.spawn().unwrap(), socket };
        for _ in 0..400 {
            if redis.call(&["PING"]) == "PONG\n" {
                return redis;
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        panic!("redis-server did not load the files");
    }

    fn call(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli").arg("-s").arg(&self.socket).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn stop(mut self) {
        self.call(&["SHUTDOWN"]);
        self.child.wait().unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn load(place: &Place) -> (String, Loaded) {
    let mut commands = String::new();
    let Some(mut loading) = Loading::begin(Arc::new(RealDisk), place.clone(), false).unwrap() else {
        return (commands, Loaded::default());
    };
    loop {
        match loading.next_step().unwrap() {
            Step::File { .. } => {}
            Step::Snapshot { size, .. } => loading.snapshot_ended(size).unwrap(),
            Step::Units(piece) => {
                for run in &piece.runs {
                    commands.push_str(std::str::from_utf8(&piece.bytes[run.clone()]).unwrap());
                }
            }
            Step::Done(loaded) => return (commands, loaded),
        }
    }
}

fn push(unit: &mut Unit, db: u16, words: &[&str]) {
    unit.push(db, words.iter().map(|word| word.as_bytes()));
}

fn append(place: &Place, first: usize, count: usize) {
    let aof =
        Aof::new(Arc::new(RealDisk), place.clone(), "0123456789012345678901234567890123456789".to_owned());
    aof.log().set_fsync(Fsync::Always);
    aof.resume(load(place).1).unwrap();
    for number in first..first + count {
        let mut unit = Unit::default();
        push(&mut unit, (number % 3) as u16, &["SET", &format!("key:{number}"), &number.to_string()]);
        if number % 5 == 0 {
            push(&mut unit, 7, &["RPUSH", "list", &number.to_string()]);
            push(&mut unit, 7, &["INCR", "transactions"]);
        }
        aof.append(&mut unit);
        aof.advance();
    }
    assert!(aof.stop());
}

/// Both checkers on the same file: what they say, and how they end.
fn compare(arguments: &[&str], path: &Path, answer: &str) -> (String, u8) {
    let before = fs::read(path).unwrap();
    let mut theirs = Command::new("redis-check-aof");
    theirs.args(arguments).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = theirs.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), answer.as_bytes()).unwrap();
    let theirs = child.wait_with_output().unwrap();
    let after = fs::read(path).unwrap();
    fs::write(path, before).unwrap();
    let mut words: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    words.push(path.into());
    let mut said = Vec::new();
    let code = check(&RealDisk, "redis-check-aof", &words, &mut answer.as_bytes(), &mut said);
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(said, String::from_utf8_lossy(&theirs.stdout), "{arguments:?}");
    assert_eq!(Some(i32::from(code)), theirs.status.code(), "{said}");
    assert!(fs::read(path).unwrap() == after, "{arguments:?} leaves another file");
    (said, code)
}

#[test]
fn redis_goes_on_with_our_files_and_we_with_its() {
    if is_missing("redis-server") || is_missing("redis-cli") || is_missing("redis-check-aof") {
        return;
    }
    let scratch = Scratch::new("both");
    let place = scratch.place();
    append(&place, 0, 600);
    let (ours, _) = load(&place);
    let status =
        Command::new("redis-check-aof").arg(place.manifest()).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "redis-check-aof accepts our files");

    let redis = Redis::start(&scratch.0);
    assert_eq!(redis.call(&["-n", "0", "DBSIZE"]), "200\n");
    assert_eq!(redis.call(&["-n", "2", "GET", "key:599"]), "599\n");
    assert_eq!(redis.call(&["-n", "7", "GET", "transactions"]), "120\n");
    assert_eq!(redis.call(&["-n", "7", "LLEN", "list"]), "120\n");
    redis.call(&["-n", "4", "SET", "theirs", "1"]);
    redis.call(&["-n", "4", "EVAL", "redis.call('SET', 'a', 1) redis.call('SET', 'b', 2)", "0"]);
    redis.stop();

    let (both, loaded) = load(&place);
    assert!(both.starts_with(&ours) && both.contains("theirs") && both.contains("EXEC"));
    assert!(loaded.sealed_to < loaded.last_size);
    append(&place, 600, 300);
    let (all, loaded) = load(&place);
    assert!(all.starts_with(&both) && all.contains("key:899"));
    assert_eq!(loaded.sealed_to, loaded.last_size);

    let redis = Redis::start(&scratch.0);
    assert_eq!(redis.call(&["-n", "0", "DBSIZE"]), "300\n");
    assert_eq!(redis.call(&["-n", "7", "GET", "transactions"]), "180\n");
    assert_eq!(redis.call(&["-n", "4", "GET", "b"]), "2\n");
    // And its own rewrite of ours.
    redis.call(&["BGREWRITEAOF"]);
    for _ in 0..200 {
        if redis
            .call(&["INFO", "persistence"])
            .contains("aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0")
        {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    redis.stop();
    assert_eq!(load(&place).0, "", "all is in its base");
}

#[test]
fn check_aof_says_what_redis_check_aof_says() {
    if is_missing("redis-check-aof") {
        return;
    }
    let scratch = Scratch::new("check");
    let path = scratch.0.join("a.aof");
    let set = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n";
    let whole = format!(
        "#TS:100\r\n{set}*1\r\n$5\r\nmulti\r\n{set}{set}*1\r\n$4\r\nEXEC\r\n#TS:200\r\n{set}#TS:300\r\n{set}"
    );
    for cut in 0..=whole.len() {
        // What C reads behind the end of half a line is not defined.
        let rest = &whole[..cut];
        if rest.ends_with(['\r'])
            || rest.ends_with("\r\n")
            || rest.is_empty()
            || !rest.rsplit("\r\n").next().unwrap().starts_with(['*', '$', '#'])
        {
            fs::write(&path, rest).unwrap();
            compare(&[], &path, "");
            compare(&["--fix"], &path, "y\n");
            if cut % 8 == 0 {
                compare(&["--fix"], &path, "n\n");
            }
        }
    }
    for date in ["50", "150", "250", "300", "400", "x"] {
        fs::write(&path, &whole).unwrap();
        compare(&["--truncate-to-timestamp", date], &path, "");
    }
    let exec = "*1\r\n$4\r\nEXEC\r\n";
    let multi = "*1\r\n$5\r\nMULTI\r\n";
    for damaged in [
        format!("{set}nonsense"),
        format!("{set}*3\r\n$3\r\nSETx\r\n"),
        format!("{set}*3\r\n:3\r\n"),
        format!("{set}*x\r\n"),
        format!("{set}*1\r\n$-5\r\n"),
        format!("{set}*0\r\n{set}"),
        format!("{set}{exec}{set}"),
        format!("{multi}{set}{multi}{set}"),
        format!("{set}*1\r\n$99999999999\r\nabc"),
        format!("#TS:x\r\n{set}"),
    ] {
        fs::write(&path, &damaged).unwrap();
        compare(&[], &path, "");
        compare(&["--fix"], &path, "y\n");
        fs::write(&path, &damaged).unwrap();
        compare(&["--truncate-to-timestamp", "100"], &path, "");
    }
}

#[test]
fn check_aof_says_the_same_of_manifests() {
    if is_missing("redis-check-aof") {
        return;
    }
    let scratch = Scratch::new("parts");
    let set = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n";
    let manifest = scratch.0.join("m.manifest");
    let named = "file b seq 1 type b\nfile i1 seq 1 type i\nfile i2 seq 2 type i\n";
    for (base, first, second) in [
        (set, set, set),
        (set, "", set),
        ("", "", ""),
        (set, "*1\r\n$4\r\nPI", set),
        (set, set, "*1\r\n$4\r\nPI"),
        (set, set, "#TS:100\r\n*1\r\n$4\r\nPING\r\n#TS:200\r\n*1\r\n$4\r\nPING\r\n"),
    ] {
        for arguments in [&[][..], &["--fix"], &["--truncate-to-timestamp", "150"]] {
            for (name, bytes) in [("b", base), ("i1", first), ("i2", second)] {
                fs::write(scratch.0.join(name), bytes).unwrap();
            }
            fs::write(&manifest, named).unwrap();
            let last = scratch.0.join("i2");
            // Both change the last file: each is given the same.
            let theirs =
                Command::new("redis-check-aof").args(arguments).arg(&manifest).stdin(answer("y\n")).output();
            let theirs = theirs.unwrap();
            let left = fs::read(&last).unwrap();
            fs::write(&last, second).unwrap();
            let mut words: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            words.push(manifest.clone().into());
            let mut said = Vec::new();
            let code = check(&RealDisk, "redis-check-aof", &words, &mut "y\n".as_bytes(), &mut said);
            assert_eq!(String::from_utf8_lossy(&said), String::from_utf8_lossy(&theirs.stdout));
            assert_eq!(Some(i32::from(code)), theirs.status.code());
            assert!(fs::read(&last).unwrap() == left);
        }
    }
}

/// Standard input with this in it.
fn answer(text: &str) -> Stdio {
    let path = std::env::temp_dir().join(format!("tidegate-answer-{}", std::process::id()));
    fs::write(&path, text).unwrap();
    let file = fs::File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    file.into()
}
