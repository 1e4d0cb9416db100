//! How many messages a second reach all subscribers of a channel.
//!
//! Some connections publish without a pause, a pipeline of messages at a time; many others are subscribed and count what
//! they get. The time runs until the last subscriber has the last message, so what a server only puts aside does not
//! count. A message that does not arrive fails the run.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use tidegate_benches::cores::{self, Division};
use tidegate_benches::flags::{self, Flags};
use tidegate_benches::process::{Recipe, Server};
use tidegate_benches::{machine, now};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
Measures how many published messages a second reach all subscribers.

  --tidegate PATH         Tidegate's binary [target/release/tidegate]
  --io-threads N          threads of Tidegate [2]
  --other NAME=PATH[:ARGS]  one more server, may be repeated [redis-server]
  --subscribers N         connections that listen [100]
  --publishers N          connections that publish [1]
  --pipeline N            messages sent together [16]
  --size N                bytes of a message [64]
  --sharded               SPUBLISH and SSUBSCRIBE
  --seconds N             of each measurement [3]
  --rounds N              the median of so many [3]
";

/// Messages that arrive later than this are lost.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(20);
/// Read at once, in bytes.
const READ: usize = 256 * 1024;

fn main() -> ExitCode {
    flags::program("fan_out", HELP, Settings::read, run)
}

struct Settings {
    recipes: Vec<Recipe>,
    division: Division,
    subscribers: usize,
    publishers: usize,
    pipeline: usize,
    size: usize,
    sharded: bool,
    seconds: u64,
    rounds: usize,
}

impl Settings {
    fn read(mut flags: Flags) -> Result<Self, String> {
        let threads: usize = flags.value("--io-threads")?.unwrap_or(2);
        let allowed = cores::allowed().map_err(|error| error.to_string())?;
        let division = cores::divide(&allowed, threads);
        let tidegate: Option<PathBuf> = flags.value("--tidegate")?;
        let tidegate = machine::absolute(&tidegate.unwrap_or_else(|| "target/release/tidegate".into()));
        let threads = threads.to_string();
        let mut recipes =
            vec![Recipe::redis_like("tidegate", &tidegate, &division.servers, &["--io-threads", &threads])];
        let mut others = flags.all("--other")?;
        if others.is_empty() {
            others.push("redis=/usr/bin/redis-server".to_owned());
        }
        for other in others {
            recipes.push(Recipe::parse(&other, &division.servers)?);
        }
        let settings = Self {
            recipes,
            division,
            subscribers: flags.value("--subscribers")?.unwrap_or(100),
            publishers: flags.value("--publishers")?.unwrap_or(1),
            pipeline: flags.value("--pipeline")?.unwrap_or(16),
            size: flags.value("--size")?.unwrap_or(64),
            sharded: flags.switch("--sharded"),
            seconds: flags.value("--seconds")?.unwrap_or(3),
            rounds: flags.value("--rounds")?.unwrap_or(3),
        };
        flags.finish()?;
        Ok(settings)
    }

    fn word(&self, plain: &'static str, sharded: &'static str) -> &'static str {
        if self.sharded { sharded } else { plain }
    }
}

fn run(settings: &Settings) -> io::Result<bool> {
    let servers = settings.recipes.iter().map(Server::start).collect::<io::Result<Vec<_>>>()?;
    for server in &servers {
        server.pause()?;
    }
    cores::pin(&settings.division.generator)?;
    let mut rates = vec![Vec::new(); servers.len()];
    let mut costs = vec![Vec::new(); servers.len()];
    for _ in 0..settings.rounds {
        for ((server, rates), costs) in servers.iter().zip(&mut rates).zip(&mut costs) {
            server.resume()?;
            let before = server.cpu_time()?;
            let (published, rate) = measure(settings, server.address)?;
            let busy = server.cpu_time()?.saturating_sub(before);
            rates.push(rate);
            costs.push(busy.as_secs_f64() * 1e9 / published / settings.subscribers as f64);
            server.pause()?;
        }
    }
    let medians: Vec<f64> = rates.into_iter().map(median).collect();
    println!("| server | messages/s | deliveries/s | CPU ns per delivery | ratio |\n|---|---|---|---|---|");
    for ((server, rate), cost) in servers.iter().zip(&medians).zip(costs.into_iter().map(median)) {
        let (ratio, deliveries) = (medians[0] / rate, rate * settings.subscribers as f64);
        println!("| {} | {rate:.0} | {deliveries:.0} | {cost:.0} | {ratio:.2} |", server.name);
    }
    Ok(true)
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        let _ = write!(text, "${}\r\n{word}\r\n", word.len());
    }
    text.into_bytes()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// How many messages reached everybody, and how many a second.
fn measure(settings: &Settings, address: SocketAddr) -> io::Result<(f64, f64)> {
    let message = "x".repeat(settings.size);
    let publish = command(&[settings.word("PUBLISH", "SPUBLISH"), "channel", &message]);
    let frame = command(&[settings.word("message", "smessage"), "channel", &message]).len() as u64;
    let subscribers = (0..settings.subscribers).map(|_| subscribed(settings, address));
    let mut subscribers = subscribers.collect::<io::Result<Vec<_>>>()?;
    let readers = settings.division.generator.len();
    let published = AtomicU64::new(0);
    let publishing = AtomicUsize::new(settings.publishers);
    let started = now();
    let share = subscribers.len().div_ceil(readers);
    thread::scope(|scope| {
        let (published, publishing, publish) = (&published, &publishing, &publish);
        let mut listening = Vec::new();
        while !subscribers.is_empty() {
            let own = subscribers.split_off(subscribers.len().saturating_sub(share));
            listening.push(scope.spawn(move || listen(own, frame, published, publishing)));
        }
        for _ in 0..settings.publishers {
            scope.spawn(move || {
                let result = publish_for(settings, address, publish, published);
                publishing.fetch_sub(1, Relaxed);
                result.expect("the server takes messages");
            });
        }
        for listener in listening {
            listener.join().expect("a listener ends")?;
        }
        let published = published.load(Relaxed) as f64;
        Ok((published, published / started.elapsed().as_secs_f64()))
    })
}

fn subscribed(settings: &Settings, address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(&command(&[settings.word("SUBSCRIBE", "SSUBSCRIBE"), "channel"]))?;
    let confirmation = command(&[settings.word("subscribe", "ssubscribe"), "channel"]).len() + ":1\r\n".len();
    stream.read_exact(&mut vec![0; confirmation])?;
    Ok(stream)
}

/// Publishes a pipeline after the other and waits for the replies of each.
fn publish_for(
    settings: &Settings,
    address: SocketAddr,
    publish: &[u8],
    published: &AtomicU64,
) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let batch = publish.repeat(settings.pipeline);
    let mut replies = vec![0; format!(":{}\r\n", settings.subscribers).len() * settings.pipeline];
    let end = now() + Duration::from_secs(settings.seconds);
    while now() < end {
        stream.write_all(&batch)?;
        stream.read_exact(&mut replies)?;
        published.fetch_add(settings.pipeline as u64, Relaxed);
    }
    Ok(())
}

/// Reads until every subscriber has every message.
fn listen(
    subscribers: Vec<TcpStream>,
    frame: u64,
    published: &AtomicU64,
    publishing: &AtomicUsize,
) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut streams = Vec::new();
    for (index, stream) in subscribers.into_iter().enumerate() {
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
        streams.push(stream);
    }
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; READ];
    let mut received = 0;
    let mut limit = None;
    loop {
        poll.poll(&mut events, Some(Duration::from_millis(10)))?;
        for event in &events {
            loop {
                match streams[event.token().0].read(&mut buffer) {
                    Ok(0) => return Err(io::Error::other("a subscriber was closed")),
                    Ok(n) => received += n as u64,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        if publishing.load(Relaxed) == 0 {
            let all = published.load(Relaxed) * streams.len() as u64 * frame;
            if received == all {
                return Ok(());
            }
            if now() > *limit.get_or_insert_with(|| now() + ARRIVAL_LIMIT) {
                return Err(io::Error::other(format!("{received} of {all} bytes arrived")));
            }
        }
    }
}
