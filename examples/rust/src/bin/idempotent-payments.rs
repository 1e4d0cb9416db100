//! An endpoint that takes money once, however often and from how many places the same request comes.
//!
//!     cargo run -p tidegate-examples --bin idempotent-payments [redis://127.0.0.1:6379/]
//!
//! `IDEM.BEGIN` tells whether a request is new, under way (409), done (its answer is sent again) or another one under the same
//! key (422). What it does is done in one transaction with `GUARD IDEM` and `IDEM.COMPLETE`: a handler that was so slow
//! that somebody else has taken over does nothing any more, and one that dies has done everything or nothing.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use redis::{Client, Cmd, Connection, RedisResult, cmd};

const TAKEN: &str = "example:payments";
const KEYS: [&str; 2] = ["example:idem:a", "example:idem:b"];
const LEASE_MS: u64 = 500;

/// What `IDEM.BEGIN` answers: a status, a token, the response of a request that is done, and milliseconds.
type Begin = (String, Option<i64>, Option<String>, i64);

/// What the endpoint would answer: a status of HTTP and a text.
type Answer = (u16, String);

/// A transaction. The crate's own pipelines do not show what `EXEC` was refused with.
fn transaction(connection: &mut Connection, commands: &[Cmd]) -> RedisResult<()> {
    cmd("MULTI").exec(connection)?;
    for command in commands {
        command.exec(connection)?;
    }
    cmd("EXEC").exec(connection)
}

fn main() -> ExitCode {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379/".to_owned());
    match run(&url) {
        Ok(euros) => {
            println!("2 payments asked for 9 times, {euros} euros taken");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{url}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn begin(connection: &mut Connection, key: &str, euros: u64) -> RedisResult<Begin> {
    cmd("IDEM.BEGIN")
        .arg(key)
        .arg(LEASE_MS)
        .arg("FINGERPRINT")
        .arg(format!("euros={euros}"))
        .query(connection)
}

/// The endpoint.
fn take(connection: &mut Connection, key: &str, euros: u64) -> RedisResult<Answer> {
    let (status, token, response, _) = match begin(connection, key, euros) {
        Err(error) if error.to_string().contains("MISMATCH") => {
            return Ok((422, "this key was used for another request".to_owned()));
        }
        begin => begin?,
    };
    if status == "done" {
        return Ok((200, response.unwrap_or_default()));
    }
    let Some(token) = token else { return Ok((409, "it is under way".to_owned())) };
    thread::sleep(Duration::from_millis(20)); // the bank
    let text = format!("{euros} taken");
    let guard = cmd("GUARD").arg("IDEM").arg(key).arg(token).clone();
    let pay = cmd("INCRBY").arg(TAKEN).arg(euros).clone();
    let complete = cmd("IDEM.COMPLETE").arg(key).arg(token).arg(&text).arg("EX").arg(3600).clone();
    transaction(connection, &[guard, pay, complete])?;
    Ok((200, text))
}

/// What a client does: it asks until it has an answer.
fn pay(connection: &mut Connection, key: &str, euros: u64) -> RedisResult<Answer> {
    loop {
        match take(connection, key, euros)? {
            (409, _) => thread::sleep(Duration::from_millis(10)),
            answer => return Ok(answer),
        }
    }
}

fn run(url: &str) -> RedisResult<u64> {
    let client = Client::open(url)?;
    let mut connection = client.get_connection()?;
    cmd("DEL").arg(TAKEN).arg(&KEYS).exec(&mut connection)?;
    let taken = |connection: &mut Connection| cmd("GET").arg(TAKEN).query::<u64>(connection);

    // The same request from eight places at once.
    let answers: RedisResult<Vec<Answer>> = thread::scope(|scope| {
        let client = &client;
        let places: Vec<_> =
            (0..8).map(|_| scope.spawn(move || pay(&mut client.get_connection()?, KEYS[0], 5))).collect();
        places.into_iter().map(|place| place.join().expect("a client does not panic")).collect()
    });
    assert!(answers?.iter().all(|answer| *answer == (200, "5 taken".to_owned())));
    assert_eq!(taken(&mut connection)?, 5);
    // Another one under the same key.
    assert_eq!(take(&mut connection, KEYS[0], 500)?.0, 422);

    // A handler begins and dies: who asks again is served when its lease ends, and it comes too late if it lives.
    let (status, token, ..) = begin(&mut connection, KEYS[1], 7)?;
    assert_eq!(status, "new");
    assert_eq!(pay(&mut connection, KEYS[1], 7)?, (200, "7 taken".to_owned()));
    let guard = cmd("GUARD").arg("IDEM").arg(KEYS[1]).arg(token).clone();
    let again = cmd("INCRBY").arg(TAKEN).arg(7).clone();
    let late = transaction(&mut connection, &[guard, again]);
    let refused = late.expect_err("it is late").to_string();
    assert!(refused.contains("GUARDFAIL"), "{refused}");
    let euros = taken(&mut connection)?;
    assert_eq!(euros, 12);
    cmd("DEL").arg(TAKEN).arg(&KEYS).exec(&mut connection)?;
    Ok(euros)
}
