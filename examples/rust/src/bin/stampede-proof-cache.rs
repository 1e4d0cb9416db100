//! A cache in front of something slow: whatever happens, one caller at a time computes, and nobody stores what is out of date.
//!
//!     cargo run -p tidegate-examples --bin stampede-proof-cache [redis://127.0.0.1:6379/]
//!
//! `CACHE.GET` gives one caller a lease; the others wait for the value. If whoever has the lease dies, the next one gets
//! it when it ends. `CACHE.INVALIDATE` makes all values with a tag useless at once. `CACHE.PUT` under a lease is refused
//! if the key was deleted since: the value was computed from what is not true any more.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use redis::{Client, Connection, RedisResult, cmd};

const PAGE: &str = "example:stampede:page";
const TAG: &str = "example:user:7";
const CALLERS: usize = 20;

/// What `CACHE.GET` answers: a status, the value, and the token of a lease.
type Look = (String, Option<String>, Option<i64>);

/// What is slow.
struct Source {
    version: AtomicU64,
    computed: AtomicU64,
}

impl Source {
    fn compute(&self) -> String {
        self.computed.fetch_add(1, SeqCst);
        let version = self.version.load(SeqCst);
        thread::sleep(Duration::from_millis(50));
        format!("page {version}")
    }
}

fn main() -> ExitCode {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379/".to_owned());
    match run(&url) {
        Ok(reads) => {
            println!("{reads} reads, 3 computed, 1 value refused that was out of date");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{url}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(url: &str) -> RedisResult<usize> {
    let client = Client::open(url)?;
    let mut connection = client.get_connection()?;
    let source = Source { version: AtomicU64::new(1), computed: AtomicU64::new(0) };
    cmd("DEL").arg(PAGE).exec(&mut connection)?;
    let mut reads = stampede(&client, &source)?;
    assert_eq!(source.computed.load(SeqCst), 1);

    source.version.store(2, SeqCst);
    let bumped: i64 = cmd("CACHE.INVALIDATE").arg(TAG).query(&mut connection)?;
    assert_eq!(bumped, 1);
    reads += stampede(&client, &source)?;
    assert_eq!(source.computed.load(SeqCst), 2);

    // Somebody gets the lease and dies: those who wait go on when it ends.
    cmd("DEL").arg(PAGE).exec(&mut connection)?;
    let (status, ..): Look = cmd("CACHE.GET").arg(PAGE).arg("LEASE").arg(300).query(&mut connection)?;
    assert_eq!(status, "miss");
    reads += stampede(&client, &source)?;
    assert_eq!(source.computed.load(SeqCst), 3);

    // Somebody computes while the page changes.
    cmd("DEL").arg(PAGE).exec(&mut connection)?;
    let (_, _, token): Look = cmd("CACHE.GET").arg(PAGE).query(&mut connection)?;
    let old = source.compute();
    source.version.store(3, SeqCst);
    cmd("DEL").arg(PAGE).exec(&mut connection)?;
    let put = cmd("CACHE.PUT").arg(PAGE).arg(old).arg("EX").arg(60).arg("TOKEN").arg(token).clone();
    let stored: i64 = put.query(&mut connection)?;
    assert_eq!(stored, 0);
    Ok(reads)
}

/// All callers at once, each with a connection of its own; all must see the present page.
fn stampede(client: &Client, source: &Source) -> RedisResult<usize> {
    let pages: RedisResult<Vec<Option<String>>> = thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| scope.spawn(move || cached(&mut client.get_connection()?, PAGE, source)))
            .collect();
        callers.into_iter().map(|caller| caller.join().expect("a caller does not panic")).collect()
    });
    let pages = pages?;
    let present = format!("page {}", source.version.load(SeqCst));
    assert!(pages.iter().all(|page| page.as_ref() == Some(&present)), "{pages:?}");
    Ok(pages.len())
}

fn cached(connection: &mut Connection, key: &str, source: &Source) -> RedisResult<Option<String>> {
    loop {
        let look: Look =
            cmd("CACHE.GET").arg(key).arg("LEASE").arg(3000).arg("BLOCK").arg(5000).query(connection)?;
        match look {
            // Nobody has it ("miss"), or it is getting old ("stale"): it is on us.
            (_, _, Some(token)) => {
                let value = source.compute();
                let mut put = cmd("CACHE.PUT");
                put.arg(key).arg(&value).arg("PX").arg(60_000).arg("SOFT").arg(30_000);
                put.arg("TOKEN").arg(token).arg("TAGS").arg(1).arg(TAG).exec(connection)?;
                return Ok(Some(value));
            }
            (status, value, None) if status != "wait" && status != "miss" => return Ok(value),
            // Whoever computes takes longer than we wanted to wait.
            _ => {}
        }
    }
}
