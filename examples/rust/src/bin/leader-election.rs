//! Leader election with fencing tokens: one leader per term, and a leader of the past writes nothing.
//!
//!     cargo run -p tidegate-examples --bin leader-election [redis://127.0.0.1:6379/]
//!
//! A candidate waits in line for a lock; the term is the lock's token, which grows with every holder. The leader renews at
//! a third of its lease. One that stops for longer than its lease does not know that it leads no more: that is why it
//! writes in a transaction with `GUARD LOCK`, which fails once the token is not the current one.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use redis::{Client, Cmd, Connection, RedisResult, cmd};

const LEADER: &str = "example:leader";
const CONFIG: &str = "example:leader:config";
const LEASE_MS: u64 = 300;

struct Candidate {
    connection: Connection,
    name: &'static str,
    term: i64,
}

impl Candidate {
    fn new(client: &Client, name: &'static str) -> RedisResult<Self> {
        Ok(Candidate { connection: client.get_connection()?, name, term: 0 })
    }

    fn wait_for_leadership(&mut self) -> RedisResult<()> {
        let mut acquire = cmd("LOCK.ACQUIRE");
        acquire.arg(LEADER).arg(self.name).arg(LEASE_MS).arg("BLOCK").arg(10_000);
        let (term, _, _): (i64, i64, i64) = acquire.query(&mut self.connection)?;
        self.term = term;
        Ok(())
    }

    fn renew(&mut self) -> RedisResult<()> {
        cmd("LOCK.RENEW").arg(LEADER).arg(self.name).arg(LEASE_MS).exec(&mut self.connection)
    }

    /// Writes as the leader of this term; false if another term has begun.
    fn write(&mut self, value: &str) -> RedisResult<bool> {
        let guard = cmd("GUARD").arg("LOCK").arg(LEADER).arg(self.term).clone();
        let set = cmd("HSET").arg(CONFIG).arg("value").arg(value).arg("by").arg(self.name).clone();
        match transaction(&mut self.connection, &[guard, set]) {
            Ok(()) => Ok(true),
            Err(error) if error.to_string().contains("GUARDFAIL") => Ok(false),
            Err(error) => Err(error),
        }
    }
}

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
        Ok(()) => {
            println!("2 terms, 3 writes, 1 refused that came from the term before");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{url}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(url: &str) -> RedisResult<()> {
    let client = Client::open(url)?;
    let (mut ada, mut bob) = (Candidate::new(&client, "ada")?, Candidate::new(&client, "bob")?);
    cmd("DEL").arg(LEADER).arg(CONFIG).exec(&mut ada.connection)?;
    ada.wait_for_leadership()?;
    assert!(ada.write("one")?);
    thread::scope(|scope| {
        let succession = scope.spawn(|| bob.wait_for_leadership());
        // ada is at work for longer than her lease, and renews it.
        for _ in 0..6 {
            thread::sleep(Duration::from_millis(LEASE_MS / 3));
            ada.renew()?;
        }
        assert!(!succession.is_finished() && ada.write("two")?);
        // Then she is stopped: bob leads when her lease ends.
        succession.join().expect("a candidate does not panic")
    })?;
    assert!(bob.term > ada.term);
    assert!(bob.write("three")?);

    // She goes on where she was, and believes that she leads.
    assert!(!ada.write("four")?);
    let config: Vec<String> = cmd("HMGET").arg(CONFIG).arg("value").arg("by").query(&mut bob.connection)?;
    assert_eq!(config, ["three", "bob"]);
    let holds: i64 = cmd("LOCK.RELEASE").arg(LEADER).arg("bob").query(&mut bob.connection)?;
    assert_eq!(holds, 0);
    cmd("DEL").arg(CONFIG).exec(&mut bob.connection)
}
