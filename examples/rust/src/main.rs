//! A lock between processes: threads, each with a connection of its own, add to a number that they read and write in
//! two steps. Without the lock, additions would get lost.
//!
//!     cargo run -p tidegate-examples [redis://127.0.0.1:6379/]

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use redis::{Client, Connection, RedisResult, cmd, pipe};

const LOCK: &str = "example:lock";
const NUMBER: &str = "example:number";
/// A holder that dies is waited for no longer than this.
const LOCK_MS: u64 = 5000;
const THREADS: u64 = 4;
const ADDITIONS: u64 = 25;

fn main() -> ExitCode {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379/".to_owned());
    match run(&url) {
        Ok(number) if number == THREADS * ADDITIONS => {
            println!("{number} additions, none lost");
            ExitCode::SUCCESS
        }
        Ok(number) => {
            eprintln!("{number} additions instead of {}", THREADS * ADDITIONS);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{url}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(url: &str) -> RedisResult<u64> {
    let client = Client::open(url)?;
    let mut connection = client.get_connection()?;
    cmd("SET").arg(NUMBER).arg(0).exec(&mut connection)?;
    thread::scope(|scope| {
        let client = &client;
        let adders: Vec<_> = (0..THREADS).map(|adder| scope.spawn(move || add(client, adder))).collect();
        adders.into_iter().try_for_each(|adder| adder.join().expect("an adder does not panic"))
    })?;
    cmd("GETDEL").arg(NUMBER).query(&mut connection)
}

fn add(client: &Client, adder: u64) -> RedisResult<()> {
    let mut connection = client.get_connection()?;
    for addition in 0..ADDITIONS {
        // Different for every holder, so that nobody releases the lock of somebody else.
        let token = format!("{}-{adder}-{addition}", std::process::id());
        acquire(&mut connection, &token)?;
        let number: u64 = cmd("GET").arg(NUMBER).query(&mut connection)?;
        cmd("SET").arg(NUMBER).arg(number + 1).exec(&mut connection)?;
        release(&mut connection, &token)?;
    }
    Ok(())
}

/// Waits for the lock.
fn acquire(connection: &mut Connection, token: &str) -> RedisResult<()> {
    loop {
        let taken: Option<String> =
            cmd("SET").arg(LOCK).arg(token).arg("NX").arg("PX").arg(LOCK_MS).query(connection)?;
        if taken.is_some() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Gives the lock back, unless it expired and belongs to somebody else by now.
fn release(connection: &mut Connection, token: &str) -> RedisResult<()> {
    cmd("WATCH").arg(LOCK).exec(connection)?;
    let holder: Option<String> = cmd("GET").arg(LOCK).query(connection)?;
    if holder.as_deref() == Some(token) {
        // Nothing happens when the lock changed hands since WATCH.
        let _: Option<(u64,)> = pipe().atomic().del(LOCK).query(connection)?;
        Ok(())
    } else {
        cmd("UNWATCH").exec(connection)
    }
}
