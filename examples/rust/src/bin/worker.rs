//! Workers on a queue: fetch, acknowledge, fail with backoff, shut down without losing anything, look at what died, try again.
//!
//!     cargo run -p tidegate-examples --bin worker [redis://127.0.0.1:6379/]          a demonstration that checks itself
//!     cargo run -p tidegate-examples --bin worker redis://127.0.0.1:6379/ work NAME  one worker, until SIGTERM
//!
//! A message that was fetched is leased: a thread renews the leases of what is in hand while the worker lives, and when it dies
//! they end and somebody else gets the messages. A failure is a `NACK`, after which the queue's `BACKOFF` says when the next try
//! is, and after `MAXDELIVER` tries the message is dead: it stays in the queue with the reasons, until somebody redrives it.

use std::collections::HashSet;
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use redis::{Client, Connection, RedisResult, Value, cmd};
use signal_hook::consts::SIGTERM;

const QUEUE: &str = "example:jobs";
const DONE: &str = "example:jobs:done";
const REPAIRED: &str = "example:jobs:repaired";
const LEASE_MS: u64 = 3000;
const BATCH: usize = 5;

/// What `XQUEUE.POP` answers for each message: the queue, an id, a receipt, deliveries, the body, and what else there is.
type Message = (String, String, String, u64, String, Value);

/// What `XQUEUE.PEEK` answers for each: an id, a state, deliveries, the body, and what else there is.
type Peeked = (String, String, u64, String, Vec<(String, Value)>);

/// Why a job failed; the other failures are those of the connection.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let url = words.first().map_or("redis://127.0.0.1:6379/", String::as_str);
    let result = match &words[..] {
        [_, work, name] if work == "work" => work_until_stopped(url, name),
        _ => demonstrate(url),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{url}: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Worker {
    name: String,
    client: Client,
    stopping: Arc<AtomicBool>,
    /// Receipts of what is in hand.
    in_hand: Mutex<Vec<String>>,
}

fn work_until_stopped(url: &str, name: &str) -> RedisResult<()> {
    let stopping = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&stopping))?;
    let worker =
        Worker { name: name.to_owned(), client: Client::open(url)?, stopping, in_hand: Mutex::default() };
    thread::scope(|scope| {
        scope.spawn(|| worker.keep_leases());
        while !worker.stopping.load(Relaxed) {
            match worker.serve() {
                // What is not acknowledged comes again when its lease ends.
                Err(error) if is_of_the_connection(&error) => {
                    worker.hold(Vec::new());
                    thread::sleep(Duration::from_millis(100));
                }
                Err(error) => {
                    worker.stopping.store(true, Relaxed);
                    return Err(error);
                }
                Ok(()) => {}
            }
        }
        Ok(())
    })
}

fn is_of_the_connection(error: &redis::RedisError) -> bool {
    // A server that was started again says so as long as it reads its files.
    let is_loading = error.code() == Some("LOADING");
    is_loading || error.is_io_error() || error.is_connection_dropped() || error.is_connection_refusal()
}

impl Worker {
    fn hold(&self, receipts: Vec<String>) {
        *self.in_hand.lock().unwrap_or_else(PoisonError::into_inner) = receipts;
    }

    /// Works on messages as long as there is a connection and nobody has said to stop.
    fn serve(&self) -> RedisResult<()> {
        let mut connection = self.client.get_connection()?;
        while !self.stopping.load(Relaxed) {
            // SIGTERM does not wake who waits, hence no long BLOCK.
            let mut pop = cmd("XQUEUE.POP");
            pop.arg(1).arg(QUEUE).arg("COUNT").arg(BATCH).arg("LEASE").arg(LEASE_MS);
            pop.arg("BLOCK").arg(500).arg("CONSUMER").arg(&self.name);
            let messages: Option<Vec<Message>> = pop.query(&mut connection)?;
            let mut messages = messages.unwrap_or_default();
            while !messages.is_empty() {
                self.hold(messages.iter().map(|message| message.2.clone()).collect());
                let (_, id, receipt, deliveries, body, _) = messages.remove(0);
                if self.stopping.load(Relaxed) {
                    // Not begun: somebody else may have it now, and it does not count as a try.
                    nack(&mut connection, &receipt, &["RELEASE"])?;
                    continue;
                }
                match handle(&mut connection, &id, deliveries, &body)? {
                    Ok(()) => cmd("XQUEUE.ACK").arg(QUEUE).arg(&receipt).exec(&mut connection)?,
                    Err(reason) => nack(&mut connection, &receipt, &["REASON", &reason])?,
                }
            }
            self.hold(Vec::new());
        }
        Ok(())
    }

    fn keep_leases(&self) {
        let mut connection = None;
        let mut since_ms = 0;
        while !self.stopping.load(Relaxed) {
            thread::sleep(Duration::from_millis(50));
            since_ms += 50;
            if since_ms < LEASE_MS / 3 {
                continue;
            }
            since_ms = 0;
            let receipts = self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).clone();
            connection = connection.or_else(|| self.client.get_connection().ok());
            let Some(open) = connection.as_mut().filter(|_| !receipts.is_empty()) else { continue };
            // If that fails there is another turn, on another connection.
            if cmd("XQUEUE.EXTEND").arg(QUEUE).arg(LEASE_MS).arg(receipts).exec(open).is_err() {
                connection = None;
            }
        }
    }
}

fn nack(connection: &mut Connection, receipt: &str, how: &[&str]) -> RedisResult<()> {
    match cmd("XQUEUE.NACK").arg(QUEUE).arg(receipt).arg(how).exec(connection) {
        // The lease has ended, and somebody else has it.
        Err(error) if error.code() == Some("STALE") => Ok(()),
        result => result,
    }
}

/// What the jobs of the demonstration do.
fn handle(connection: &mut Connection, id: &str, deliveries: u64, job: &str) -> RedisResult<Outcome> {
    thread::sleep(Duration::from_millis(10));
    if job == "flaky" && deliveries == 1 {
        return Ok(Err("no answer".to_owned()));
    }
    if job == "broken" && !cmd("EXISTS").arg(REPAIRED).query(connection)? {
        return Ok(Err("no such template".to_owned()));
    }
    cmd("RPUSH").arg(DONE).arg(id).exec(connection)?;
    Ok(Ok(()))
}

fn started(url: &str, name: &str) -> RedisResult<Child> {
    Ok(Command::new(std::env::current_exe()?).args([url, "work", name]).spawn()?)
}

/// Says to a worker that it is to stop, and waits until it has.
fn stop(mut worker: Child) -> RedisResult<()> {
    let said = Command::new("kill").arg(worker.id().to_string()).status()?;
    assert!(said.success() && worker.wait()?.success(), "a worker ends well");
    Ok(())
}

/// How many messages are ready, delayed, leased and dead.
fn counts(connection: &mut Connection) -> RedisResult<Vec<usize>> {
    let states = ["ready", "delayed", "leased", "dead"];
    states
        .iter()
        .map(|state| cmd("XQUEUE.LEN").arg(QUEUE).arg("STATE").arg(state).query(connection))
        .collect()
}

fn done(connection: &mut Connection) -> RedisResult<Vec<String>> {
    cmd("LRANGE").arg(DONE).arg(0).arg(-1).query(connection)
}

fn until(mut condition: impl FnMut() -> RedisResult<bool>) -> RedisResult<()> {
    for _ in 0..3000 {
        if condition()? {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not come to that");
}

fn demonstrate(url: &str) -> RedisResult<()> {
    let mut connection = Client::open(url)?.get_connection()?;
    let r = &mut connection;
    cmd("DEL").arg(&[QUEUE, DONE, REPAIRED]).exec(r)?;
    // A try, 20 ms, another one, 40 ms, the last one.
    let options = ["MAXDELIVER", "3", "BACKOFF", "EXP", "20", "1000"];
    cmd("XQUEUE.CREATE").arg(QUEUE).arg(&options).exec(r)?;
    let mut jobs: Vec<String> = (0..40).map(|number| format!("mail {number}")).collect();
    jobs.extend(["flaky".to_owned(), "broken".to_owned()]);
    cmd("XQUEUE.PUSH").arg(QUEUE).arg("BODIES").arg(jobs.len()).arg(&jobs).exec(r)?;

    // A worker is told to stop: it ends what it has begun and gives back the rest.
    let first = started(url, "first")?;
    until(|| Ok(!done(r)?.is_empty()))?;
    stop(first)?;
    let left = counts(r)?;
    assert_eq!(left[2], 0, "nothing is leased");
    assert_eq!(left.iter().sum::<usize>() + done(r)?.len(), jobs.len());

    // Others do the rest. One message cannot be done: after three tries it is dead.
    let workers = [started(url, "second")?, started(url, "third")?];
    until(|| Ok(counts(r)? == [0, 0, 0, 1]))?;
    let peek = cmd("XQUEUE.PEEK").arg(QUEUE).arg("STATE").arg("dead").clone();
    let dead: Vec<Peeked> = peek.query(r)?;
    let (_, _, deliveries, body, about) = &dead[0];
    assert_eq!((*deliveries, &body[..]), (3, "broken"));
    let reason = about.iter().find(|(name, _)| name == "reason").map(|(_, value)| value.clone());
    assert_eq!(reason, Some(Value::BulkString(b"no such template".to_vec())));

    // What it lacked is there now.
    cmd("SET").arg(REPAIRED).arg(1).exec(r)?;
    let redriven: u64 = cmd("XQUEUE.REDRIVE").arg(QUEUE).query(r)?;
    until(|| Ok(counts(r)? == [0, 0, 0, 0]))?;
    workers.into_iter().try_for_each(stop)?;
    let done = done(r)?;
    assert_eq!(done.iter().collect::<HashSet<_>>().len(), jobs.len());
    assert_eq!(done.len(), jobs.len());
    cmd("DEL").arg(&[QUEUE, DONE, REPAIRED]).exec(r)?;
    println!("{} jobs done, {redriven} of them after it was dead", done.len());
    Ok(())
}
