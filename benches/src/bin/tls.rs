//! Encrypted connections: requests a second over those that stay, and how many new ones a second are served.
//!
//! The clients are rustls', several to a thread, because redis-benchmark needs more of a core than the servers it
//! measures. While connections come and go, somebody else on the plain port asks for PING every millisecond: what it waits
//! is what they cost others.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{fs, thread};

use mio::{Events, Interest, Poll, Token};
use rcgen::{CertificateParams, KeyPair};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tidegate_benches::cores::{self, Division};
use tidegate_benches::flags::{self, Flags};
use tidegate_benches::histogram::Histogram;
use tidegate_benches::process::{Recipe, Server, ping_on};
use tidegate_benches::{machine, now};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
Measures encrypted connections: requests a second, and new connections a second.

  --tidegate PATH         Tidegate's binary [target/release/tidegate]
  --io-threads N          threads of Tidegate [2]
  --other NAME=PATH[:ARGS]  one more server, may be repeated [redis-server]
  --connections N         connections at a time [64]
  --pipeline N,...        GETs sent together [1,16]
  --size N                bytes of a value [64]
  --seconds N             of each measurement [3]
  --rounds N              the median of so many [3]
";

/// Read at once, in bytes.
const READ: usize = 64 * 1024;
/// How often somebody else asks for something.
const PROBE_PERIOD: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    flags::program("tls", HELP, Settings::read, run)
}

struct Settings {
    recipes: Vec<Recipe>,
    division: Division,
    connections: usize,
    pipelines: Vec<usize>,
    size: usize,
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
            connections: flags.value("--connections")?.unwrap_or(64),
            pipelines: flags.values("--pipeline")?.unwrap_or_else(|| vec![1, 16]),
            size: flags.value("--size")?.unwrap_or(64),
            seconds: flags.value("--seconds")?.unwrap_or(3),
            rounds: flags.value("--rounds")?.unwrap_or(3),
        };
        flags.finish()?;
        Ok(settings)
    }
}

/// A server, and where it speaks TLS.
struct Secured {
    server: Server,
    address: SocketAddr,
}

fn run(settings: &Settings) -> io::Result<bool> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let names = CertificateParams::new(vec!["localhost".to_owned()]).map_err(io::Error::other)?;
    let certificate = names.self_signed(&key).map_err(io::Error::other)?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).map_err(io::Error::other)?;
    let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    // A session that is resumed costs less than one of somebody new.
    client.resumption = Resumption::disabled();
    let client = Arc::new(client);
    let mut servers = Vec::new();
    for recipe in &settings.recipes {
        let server = Server::start(recipe)?;
        let address = serve_tls(&server, &certificate.pem(), &key.serialize_pem())?;
        command(&server, &["SET", "key", &"x".repeat(settings.size)])?;
        server.pause()?;
        servers.push(Secured { server, address });
    }
    cores::pin(&settings.division.generator)?;
    for pipeline in &settings.pipelines {
        compare(settings, &servers, &format!("GET/s at pipeline {pipeline}"), |secured| {
            requests(settings, secured, &client, *pipeline)
        })?;
    }
    compare(settings, &servers, "connections/s", |secured| connections(settings, secured, &client))?;
    Ok(true)
}

/// Measures one server after the other, several times, and prints the medians.
fn compare(
    settings: &Settings,
    servers: &[Secured],
    what: &str,
    measure: impl Fn(&Secured) -> io::Result<Figures>,
) -> io::Result<()> {
    let mut all: Vec<Vec<(Figures, f64)>> = servers.iter().map(|_| Vec::new()).collect();
    for _ in 0..settings.rounds {
        for (secured, figures) in servers.iter().zip(&mut all) {
            secured.server.resume()?;
            let before = secured.server.cpu_time()?;
            let measured = measure(secured)?;
            let busy = secured.server.cpu_time()?.saturating_sub(before).as_secs_f64() * 1e6;
            let cost = busy / measured.count;
            figures.push((measured, cost));
            secured.server.pause()?;
        }
    }
    println!(
        "| server | {what} | CPU us each | others wait, p99 us | at most | ratio |\n|---|---|---|---|---|---|"
    );
    let of = |figures: &[(Figures, f64)], get: fn(&(Figures, f64)) -> f64| {
        median(figures.iter().map(get).collect())
    };
    let own = of(&all[0], |(figures, _)| figures.rate);
    for (secured, figures) in servers.iter().zip(&all) {
        let rate = of(figures, |(figures, _)| figures.rate);
        let cost = of(figures, |(_, cost)| *cost);
        let (p99, most) =
            (of(figures, |(figures, _)| figures.p99_us), of(figures, |(figures, _)| figures.max_us));
        let name = &secured.server.name;
        println!("| {name} | {rate:.0} | {cost:.2} | {p99:.0} | {most:.0} | {:.2} |", own / rate);
    }
    println!();
    Ok(())
}

struct Figures {
    count: f64,
    rate: f64,
    p99_us: f64,
    max_us: f64,
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn encoded(words: &[&str]) -> Vec<u8> {
    let mut text = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        text.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    text
}

/// Runs a command that answers `+OK` on the plain port.
fn command(server: &Server, words: &[&str]) -> io::Result<()> {
    let mut stream = TcpStream::connect(server.address)?;
    stream.write_all(&encoded(words))?;
    let mut reply = [0; 512];
    let read = stream.read(&mut reply)?;
    if reply.starts_with(b"+OK") {
        return Ok(());
    }
    Err(io::Error::other(format!("{}: {}", words[0], reply[..read].escape_ascii())))
}

/// Has a server speak TLS, too.
fn serve_tls(server: &Server, certificate: &str, key: &str) -> io::Result<SocketAddr> {
    let (certificate_path, key_path) = (server.directory.join("crt"), server.directory.join("key"));
    fs::write(&certificate_path, certificate)?;
    fs::write(&key_path, key)?;
    // Free until somebody takes it.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let (certificate, key) = (certificate_path.display().to_string(), key_path.display().to_string());
    let settings = ["tls-auth-clients", "no", "tls-cert-file", &certificate, "tls-key-file", &key];
    command(server, &[&["CONFIG", "SET", "tls-port", &port.to_string()][..], &settings].concat())?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Calls `work` on a thread for each core of the generator, with its share of the connections; the sum of what they count.
fn on_threads(
    settings: &Settings,
    work: impl Fn(usize, Instant) -> io::Result<u64> + Sync,
) -> io::Result<(f64, f64)> {
    let threads = settings.division.generator.len();
    let share = settings.connections.div_ceil(threads);
    let started = now();
    let end = started + Duration::from_secs(settings.seconds);
    let count = thread::scope(|scope| {
        let working: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(share, end))).collect();
        working.into_iter().map(|thread| thread.join().expect("a thread ends")).sum::<io::Result<u64>>()
    })?;
    Ok((count as f64, count as f64 / started.elapsed().as_secs_f64()))
}

fn requests(
    settings: &Settings,
    secured: &Secured,
    client: &Arc<ClientConfig>,
    pipeline: usize,
) -> io::Result<Figures> {
    let request = encoded(&["GET", "key"]).repeat(pipeline);
    let reply = format!("${}\r\n{}\r\n", settings.size, "x".repeat(settings.size)).len() * pipeline;
    let work = |share: usize, end| Load::new(secured.address, client, &request, reply, true, share)?.run(end);
    let (batches, rate) = on_threads(settings, work)?;
    let pipeline = pipeline as f64;
    Ok(Figures { count: batches * pipeline, rate: rate * pipeline, p99_us: 0.0, max_us: 0.0 })
}

fn connections(settings: &Settings, secured: &Secured, client: &Arc<ClientConfig>) -> io::Result<Figures> {
    let (request, over) = (encoded(&["PING"]), AtomicBool::new(false));
    thread::scope(|scope| {
        let probing = scope.spawn(|| probe(secured.server.address, &over));
        let work =
            |share: usize, end| Load::new(secured.address, client, &request, 7, false, share)?.run(end);
        let counted = on_threads(settings, work);
        over.store(true, Relaxed);
        let waited = probing.join().expect("a thread ends")?;
        let (count, rate) = counted?;
        Ok(Figures { count, rate, p99_us: waited.percentile_us(99.0), max_us: waited.max_us() })
    })
}

/// What somebody waits who asks for little on the plain port.
fn probe(address: SocketAddr, over: &AtomicBool) -> io::Result<Histogram> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut waited = Histogram::default();
    while !over.load(Relaxed) {
        let asked = now();
        ping_on(&mut stream)?;
        waited.record(asked.elapsed());
        thread::sleep(PROBE_PERIOD);
    }
    Ok(waited)
}

/// One encrypted connection.
struct Client {
    socket: mio::net::TcpStream,
    tls: ClientConnection,
    /// Bytes of replies that are still to come.
    missing: usize,
}

/// The connections of one thread, each with one batch of requests under way.
struct Load<'a> {
    address: SocketAddr,
    config: &'a Arc<ClientConfig>,
    request: &'a [u8],
    reply: usize,
    /// Connections go on; otherwise each ends with its first batch, and another takes its place.
    stays: bool,
    poll: Poll,
    clients: Vec<Client>,
}

impl<'a> Load<'a> {
    fn new(
        address: SocketAddr,
        config: &'a Arc<ClientConfig>,
        request: &'a [u8],
        reply: usize,
        stays: bool,
        share: usize,
    ) -> io::Result<Self> {
        let mut load =
            Load { address, config, request, reply, stays, poll: Poll::new()?, clients: Vec::new() };
        for index in 0..share {
            let client = load.connect(index)?;
            load.clients.push(client);
        }
        Ok(load)
    }

    fn connect(&self, index: usize) -> io::Result<Client> {
        // A connection that waits to be accepted would be refused by no server here.
        let socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut socket = mio::net::TcpStream::from_std(socket);
        self.poll.registry().register(&mut socket, Token(index), Interest::READABLE)?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::clone(self.config), name).map_err(io::Error::other)?;
        let mut client = Client { socket, tls, missing: self.reply };
        client.tls.writer().write_all(self.request)?;
        client.push()?;
        Ok(client)
    }

    /// Counts the batches that are answered until then.
    fn run(mut self, end: Instant) -> io::Result<u64> {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; READ];
        let mut batches = 0;
        while now() < end {
            self.poll.poll(&mut events, Some(Duration::from_millis(10)))?;
            for event in &events {
                let index = event.token().0;
                if !self.clients[index].take(&mut buffer)? {
                    continue;
                }
                batches += 1;
                if self.stays {
                    let client = &mut self.clients[index];
                    client.missing = self.reply;
                    client.tls.writer().write_all(self.request)?;
                    client.push()?;
                } else {
                    self.clients[index] = self.connect(index)?;
                }
            }
        }
        Ok(batches)
    }
}

impl Client {
    /// Reads what has come; true when that was the last of the batch.
    fn take(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            let read = match self.socket.read(buffer) {
                Ok(0) => return Err(io::Error::other("a connection was closed")),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(self.missing == 0),
                Err(error) => return Err(error),
            };
            let mut ciphertext = &buffer[..read];
            while !ciphertext.is_empty() {
                self.tls.read_tls(&mut ciphertext)?;
                let state = self.tls.process_new_packets().map_err(io::Error::other)?;
                let mut plain = vec![0; state.plaintext_bytes_to_read()];
                self.tls.reader().read_exact(&mut plain)?;
                self.missing -= plain.len();
            }
            self.push()?;
            // Another look would only say that there is nothing.
            if read < buffer.len() && self.missing == 0 {
                return Ok(true);
            }
        }
    }

    /// Sends what is to be sent: little enough for any socket.
    fn push(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                result => _ = result?,
            }
        }
        Ok(())
    }
}
