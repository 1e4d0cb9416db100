//! How many messages a second go through a work queue that nobody loses: push, take, acknowledge.
//!
//! Each worker pushes a pipeline of messages, takes as many and acknowledges them, all on one queue, with the append-only
//! file on and synced once a second. The workers of a thread do so side by side, all of them before the first is answered:
//! one that sleeps and wakes for each answer would measure that. On Tidegate that is `XQUEUE.PUSH`, `XQUEUE.POP` and `XQUEUE.ACK`; on a server without
//! them the reliable queue that is made of lists: `LPUSH`, `BLMOVE` to a list of what the worker has, `LREM` from that.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use tidegate_benches::client::write_command;
use tidegate_benches::cores::{self, Division};
use tidegate_benches::flags::{self, Flags};
use tidegate_benches::process::{Recipe, Server};
use tidegate_benches::{machine, now, report};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
Measures how many messages a second are pushed, taken and acknowledged, appendfsync everysec.

  --tidegate PATH         Tidegate's binary [target/release/tidegate]
  --redis PATH            redis-server's [/usr/bin/redis-server]
  --io-threads N          threads of Tidegate [2]
  --workers N             connections [50]
  --pipelines N,N         messages sent together [1,16]
  --waiting N             messages that wait in the queue all the time [1000]
  --size N                bytes of a message [64]
  --seconds N             of each measurement [3]
  --rounds N              the median of so many [3]
";

fn main() -> ExitCode {
    flags::program("queue", HELP, Settings::read, run)
}

struct Settings {
    recipes: [Recipe; 2],
    division: Division,
    workers: usize,
    pipelines: Vec<usize>,
    waiting: u64,
    size: usize,
    seconds: f64,
    rounds: usize,
}

impl Settings {
    fn read(mut flags: Flags) -> Result<Self, String> {
        let threads: usize = flags.value("--io-threads")?.unwrap_or(2);
        let allowed = cores::allowed().map_err(|error| error.to_string())?;
        let division = cores::divide(&allowed, threads);
        let program = |flags: &mut Flags, name: &str, usual: &str| -> Result<PathBuf, String> {
            let given: Option<PathBuf> = flags.value(name)?;
            Ok(machine::absolute(&given.unwrap_or_else(|| usual.into())))
        };
        let tidegate = program(&mut flags, "--tidegate", "target/release/tidegate")?;
        let redis = program(&mut flags, "--redis", "/usr/bin/redis-server")?;
        let threads = threads.to_string();
        let append = ["--appendonly", "yes", "--appendfsync", "everysec"];
        let with_threads = [&append[..], &["--io-threads", &threads]].concat();
        let settings = Self {
            recipes: [
                Recipe::redis_like("tidegate", &tidegate, &division.servers, &with_threads),
                Recipe::redis_like("redis", &redis, &division.servers, &append),
            ],
            division,
            workers: flags.value("--workers")?.unwrap_or(50),
            pipelines: flags.values("--pipelines")?.unwrap_or_else(|| vec![1, 16]),
            waiting: flags.value("--waiting")?.unwrap_or(1000),
            size: flags.value("--size")?.unwrap_or(64),
            seconds: flags.value("--seconds")?.unwrap_or(3.0),
            rounds: flags.value("--rounds")?.unwrap_or(3),
        };
        flags.finish()?;
        Ok(settings)
    }
}

/// What the queue is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Native,
    Lists,
}

fn run(settings: &Settings) -> io::Result<bool> {
    println!("{}", machine::describe());
    println!("{} workers, {} bytes, {} waiting", settings.workers, settings.size, settings.waiting);
    for &pipeline in &settings.pipelines {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..settings.rounds {
            let [tidegate, redis] = &settings.recipes;
            let cases = [(tidegate, Kind::Native), (redis, Kind::Lists), (tidegate, Kind::Lists)];
            for ((recipe, kind), rates) in cases.into_iter().zip(&mut rates) {
                rates.push(measure(settings, recipe, kind, pipeline)?);
            }
        }
        let [native, redis, lists] = rates.map(|rates| report::median(rates).unwrap_or(0.0));
        println!(
            "pipeline {pipeline}: XQUEUE {native:.0}/s, lists on redis-server {redis:.0}/s (x{:.2}), lists on Tidegate {lists:.0}/s",
            native / redis
        );
    }
    Ok(true)
}

/// Cycles per second.
fn measure(settings: &Settings, recipe: &Recipe, kind: Kind, pipeline: usize) -> io::Result<f64> {
    let server = Server::start(recipe)?;
    let address = server.address;
    let body = "x".repeat(settings.size);
    let mut filler = Worker::connect(address, 0, kind, &body)?;
    for _ in 0..settings.waiting.div_ceil(100) {
        filler.push(100)?;
        filler.hear_pushed(100)?;
    }
    let (start, limit) = (now(), Duration::from_secs_f64(settings.seconds));
    let threads = settings.division.generator.len().clamp(1, settings.workers.max(1));
    let cycles = thread::scope(|scope| {
        let threads = (0..threads).map(|thread| {
            let body = &body;
            scope.spawn(move || -> io::Result<u64> {
                cores::pin(&settings.division.generator)?;
                let numbers = (1..=settings.workers).skip(thread).step_by(threads);
                let workers = numbers.map(|number| Worker::connect(address, number, kind, body));
                let mut workers = workers.collect::<io::Result<Vec<_>>>()?;
                let mut cycles = 0;
                while start.elapsed() < limit {
                    for (ask, hear) in Worker::STEPS {
                        workers.iter_mut().try_for_each(|worker| ask(worker, pipeline))?;
                        workers.iter_mut().try_for_each(|worker| hear(worker, pipeline))?;
                    }
                    cycles += (pipeline * workers.len()) as u64;
                }
                Ok(cycles)
            })
        });
        let threads: Vec<_> = threads.collect();
        let ended = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread has failed"))));
        ended.sum::<io::Result<u64>>()
    })?;
    Ok(cycles as f64 / start.elapsed().as_secs_f64())
}

type Step<'b> = fn(&mut Worker<'b>, usize) -> io::Result<()>;

struct Worker<'b> {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
    line: String,
    kind: Kind,
    /// The list of what this worker has.
    own: String,
    body: &'b str,
    receipts: Vec<String>,
}

impl<'b> Worker<'b> {
    fn connect(address: SocketAddr, number: usize, kind: Kind, body: &'b str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Worker {
            stream: BufReader::new(stream),
            request: Vec::new(),
            line: String::new(),
            kind,
            own: format!("own:{number}"),
            body,
            receipts: Vec::new(),
        })
    }

    fn send(&mut self) -> io::Result<()> {
        self.stream.get_mut().write_all(&self.request)?;
        self.request.clear();
        Ok(())
    }

    fn read_line(&mut self) -> io::Result<&str> {
        self.line.clear();
        self.stream.read_line(&mut self.line)?;
        if self.line.starts_with('-') || self.line.is_empty() {
            return Err(io::Error::other(format!("the server answers {:?}", self.line)));
        }
        Ok(self.line.trim_end())
    }

    /// What a cycle consists of: what is asked, and how the answers are read.
    const STEPS: [(Step<'b>, Step<'b>); 3] = [
        (Self::push, Self::hear_pushed),
        (Self::pop, Self::hear_popped),
        (Self::acknowledge, Self::hear_acknowledged),
    ];

    fn push(&mut self, count: usize) -> io::Result<()> {
        let words: &[&str] = match self.kind {
            Kind::Native => &["XQUEUE.PUSH", "queue", "BODY", self.body],
            Kind::Lists => &["LPUSH", "queue", self.body],
        };
        for _ in 0..count {
            write_command(&mut self.request, words);
        }
        self.send()
    }

    fn hear_pushed(&mut self, count: usize) -> io::Result<()> {
        let lines = if self.kind == Kind::Native { 2 } else { 1 };
        (0..count * lines).try_for_each(|_| self.read_line().map(|_| ()))
    }

    fn pop(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            match self.kind {
                Kind::Native => write_command(&mut self.request, &["XQUEUE.POP", "1", "queue", "BLOCK", "0"]),
                Kind::Lists => {
                    write_command(&mut self.request, &["BLMOVE", "queue", &self.own, "RIGHT", "LEFT", "0"]);
                }
            }
        }
        self.send()
    }

    fn hear_popped(&mut self, count: usize) -> io::Result<()> {
        /// Lines of the reply to a pop of one message, and which of them is the receipt.
        const LINES: usize = 12;
        const RECEIPT: usize = 7;
        self.receipts.clear();
        for _ in 0..count {
            for line in 0..if self.kind == Kind::Native { LINES } else { 2 } {
                let text = self.read_line()?;
                if line == RECEIPT {
                    let receipt = text.to_owned();
                    self.receipts.push(receipt);
                }
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, count: usize) -> io::Result<()> {
        for at in 0..count {
            match self.kind {
                Kind::Native => {
                    write_command(&mut self.request, &["XQUEUE.ACK", "queue", &self.receipts[at]]);
                }
                Kind::Lists => write_command(&mut self.request, &["LREM", &self.own, "1", self.body]),
            }
        }
        self.send()
    }

    fn hear_acknowledged(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            if self.read_line()? != ":1" {
                return Err(io::Error::other("a message was not there to be acknowledged"));
            }
        }
        Ok(())
    }
}
