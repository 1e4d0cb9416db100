//! Payments from a queue, each booked once, whoever dies at whatever moment.
//!
//!     cargo run -p tidegate-examples --bin queued-payments [redis://127.0.0.1:6379/]      a demonstration that checks itself
//!     cargo run -p tidegate-examples --bin queued-payments redis://127.0.0.1:6379/ work   one worker, until SIGTERM
//!
//! The queue delivers at least once. What makes that once in effect: the worker books and acknowledges in one transaction, and
//! `GUARD RECEIPT` in it lets nothing of that happen unless the message is still leased under this very receipt. A worker that
//! lost its connection just then does not know whether it was booked, and needs not know: it sends the same again.

use std::collections::{BTreeMap, HashSet};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use redis::{Client, Connection, RedisError, RedisResult, Value, cmd};
use signal_hook::consts::SIGTERM;

const QUEUE: &str = "example:payments:queue";
const ACCOUNTS: &str = "example:payments:accounts";
const BOOK: &str = "example:payments:book";
const LEASE_MS: u64 = 500;
const PAYMENTS: i64 = 60;

/// What `XQUEUE.POP` answers for each message: the queue, an id, a receipt, deliveries, the body, and what else there is.
type Message = (String, String, String, u64, String, Value);

/// From which account, to which, how much.
type Payment = (String, String, i64);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let url = words.first().map_or("redis://127.0.0.1:6379/", String::as_str);
    let result = if words.len() > 1 { work(url) } else { demonstrate(url) };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{url}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(body: &str) -> Payment {
    let mut words = body.split(' ').map(str::to_owned);
    let mut word = || words.next().unwrap_or_default();
    (word(), word(), word().parse().unwrap_or(0))
}

/// Books a payment, and says whether it was us who did it.
fn book(
    connection: &mut Connection,
    id: &str,
    receipt: &str,
    (from, to, euros): &Payment,
) -> RedisResult<bool> {
    cmd("MULTI").exec(connection)?;
    cmd("GUARD").arg("RECEIPT").arg(QUEUE).arg(receipt).exec(connection)?;
    cmd("HINCRBY").arg(ACCOUNTS).arg(from).arg(-euros).exec(connection)?;
    cmd("HINCRBY").arg(ACCOUNTS).arg(to).arg(euros).exec(connection)?;
    cmd("RPUSH").arg(BOOK).arg(id).exec(connection)?;
    cmd("XQUEUE.ACK").arg(QUEUE).arg(receipt).exec(connection)?;
    match cmd("EXEC").exec(connection) {
        Ok(()) => Ok(true),
        // Booked already, or somebody else's by now.
        Err(error) if error.code() == Some("GUARDFAIL") => Ok(false),
        Err(error) => Err(error),
    }
}

/// A connection that is made anew until the server has answered.
struct Patient {
    client: Client,
    connection: Option<Connection>,
    stopping: Arc<AtomicBool>,
}

impl Patient {
    /// `None` if it was to stop before there was an answer.
    fn answered<T>(&mut self, action: impl Fn(&mut Connection) -> RedisResult<T>) -> RedisResult<Option<T>> {
        loop {
            match self.attempt(&action) {
                Err(error) if is_of_the_connection(&error) => {
                    self.connection = None;
                    if self.stopping.load(Relaxed) {
                        return Ok(None);
                    }
                    thread::sleep(Duration::from_millis(50));
                }
                answer => return answer.map(Some),
            }
        }
    }

    fn attempt<T>(&mut self, action: &impl Fn(&mut Connection) -> RedisResult<T>) -> RedisResult<T> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.client.get_connection()?,
        };
        let answer = action(&mut connection);
        self.connection = Some(connection);
        answer
    }
}

fn is_of_the_connection(error: &RedisError) -> bool {
    // A server that was started again says so as long as it reads its files.
    let is_loading = error.code() == Some("LOADING");
    is_loading || error.is_io_error() || error.is_connection_dropped() || error.is_connection_refusal()
}

fn work(url: &str) -> RedisResult<()> {
    let stopping = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&stopping))?;
    let mut server =
        Patient { client: Client::open(url)?, connection: None, stopping: Arc::clone(&stopping) };
    let mut pop = cmd("XQUEUE.POP");
    pop.arg(1).arg(QUEUE).arg("COUNT").arg(4).arg("LEASE").arg(LEASE_MS).arg("BLOCK").arg(200);
    while !stopping.load(Relaxed) {
        let messages = server.answered(|connection| pop.query::<Option<Vec<Message>>>(connection))?;
        for (_, id, receipt, _, body, _) in messages.flatten().unwrap_or_default() {
            thread::sleep(Duration::from_millis(5)); // the bank
            let payment = read(&body);
            server.answered(|connection| book(connection, &id, &receipt, &payment))?;
        }
    }
    Ok(())
}

fn payments() -> impl Iterator<Item = Payment> {
    (0..PAYMENTS).map(|n| (format!("a{}", n % 3), format!("b{}", n % 5), n))
}

fn booked(connection: &mut Connection) -> RedisResult<Vec<String>> {
    cmd("LRANGE").arg(BOOK).arg(0).arg(-1).query(connection)
}

fn is_done(connection: &mut Connection) -> RedisResult<bool> {
    let mut left = 0;
    for state in ["ready", "delayed", "leased"] {
        left += cmd("XQUEUE.LEN").arg(QUEUE).arg("STATE").arg(state).query::<u64>(connection)?;
    }
    Ok(left == 0)
}

fn demonstrate(url: &str) -> RedisResult<()> {
    let mut connection = Client::open(url)?.get_connection()?;
    let r = &mut connection;
    cmd("DEL").arg(&[QUEUE, ACCOUNTS, BOOK]).exec(r)?;
    // Many deliveries, because it is the workers that fail here and not the payments.
    cmd("XQUEUE.CREATE").arg(QUEUE).arg("MAXDELIVER").arg(0).exec(r)?;
    let bodies: Vec<String> = payments().map(|(from, to, euros)| format!("{from} {to} {euros}")).collect();
    cmd("XQUEUE.PUSH").arg(QUEUE).arg("BODIES").arg(bodies.len()).arg(&bodies).exec(r)?;

    // Somebody takes a payment, and is so slow that another one books it.
    let taken: Vec<Message> = cmd("XQUEUE.POP").arg(1).arg(QUEUE).arg("LEASE").arg(50).query(r)?;
    let (_, id, receipt, _, body, _) = &taken[0];
    for deaths in 0..3 {
        let mut worker = Command::new(std::env::current_exe()?).args([url, "work"]).spawn()?;
        let enough = (booked(r)?.len() + 10).min(bodies.len());
        // A worker dies in the middle of what it does, after a few payments. The third one lives.
        let mut turns = 0;
        while booked(r)?.len() < enough || deaths == 2 && !is_done(r)? {
            thread::sleep(Duration::from_millis(5));
            turns += 1;
            assert!(turns < 6000, "it does not come to an end");
        }
        if deaths == 2 {
            let said = Command::new("kill").arg(worker.id().to_string()).status()?;
            assert!(said.success() && worker.wait()?.success(), "a worker ends well");
        } else {
            worker.kill()?;
            worker.wait()?;
        }
    }
    assert!(!book(r, id, receipt, &read(body))?, "it was late, and has booked");

    let booked = booked(r)?;
    assert_eq!(booked.iter().collect::<HashSet<_>>().len(), bodies.len());
    assert_eq!(booked.len(), bodies.len());
    let mut wanted: BTreeMap<String, i64> = BTreeMap::new();
    for (from, to, euros) in payments() {
        *wanted.entry(from).or_default() -= euros;
        *wanted.entry(to).or_default() += euros;
    }
    assert_eq!(cmd("HGETALL").arg(ACCOUNTS).query::<BTreeMap<String, i64>>(r)?, wanted);
    cmd("DEL").arg(&[QUEUE, ACCOUNTS, BOOK]).exec(r)?;
    println!("{PAYMENTS} payments booked once, 2 workers died, 1 came too late");
    Ok(())
}
