//! Compares the directives of Tidegate with those of a real Redis: names, defaults, and the refusals of bad values.
//! Run it by hand, with `redis-server` installed:
//!
//!     cargo run --example compare_config [/path/to/redis-server]

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tidegate::config::{Caller, Config, Flags, NotRunning, directives};

/// Values that most directives refuse, each for another reason.
const BAD: [&str; 9] =
    ["", "x", "-1", "1 2", "200%", "99999999999999999999", "1.5", "-9223372036854775808", "01"];

fn main() -> io::Result<()> {
    let program = std::env::args().nth(1).unwrap_or_else(|| "redis-server".to_owned());
    let mut redis = Redis::start(&program)?;
    let differences = compare(&mut redis);
    redis.process.kill()?;
    redis.process.wait()?;
    let differences = differences?;
    println!("{differences} differences");
    Ok(())
}

fn compare(redis: &mut Redis) -> io::Result<usize> {
    let tidegate = Config::new(1, Path::new("/tmp"));
    let pairs = |list: Vec<String>| -> BTreeMap<String, String> {
        list.as_chunks::<2>().0.iter().map(|[name, value]| (name.clone(), value.clone())).collect()
    };
    let theirs = pairs(redis.ask(&["CONFIG", "GET", "*"])?.unwrap_or_default());
    let ours = tidegate.get(&[b"*"]);
    let ours: BTreeMap<String, String> =
        ours.into_iter().map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())).collect();
    let mut differences = 0;
    for name in theirs.keys().chain(ours.keys()).collect::<std::collections::BTreeSet<_>>() {
        let [theirs, ours] = [theirs.get(name), ours.get(name)];
        // These two are what the comparison starts Redis with.
        if theirs != ours && name != "port" && name != "unixsocket" {
            println!("CONFIG GET {name}: Redis {theirs:?}, Tidegate {ours:?}");
            differences += 1;
        }
    }
    for name in theirs.keys() {
        let Some(directive) = directives::lookup(name.as_bytes()) else { continue };
        if directive.has(Flags::IMMUTABLE) || ["port", "bind", "tls-port"].contains(&name.as_str()) {
            continue;
        }
        for value in BAD {
            // With no certificate Redis refuses every change that concerns TLS for this reason.
            if name.starts_with("tls-") {
                continue;
            }
            let theirs = redis.ask(&["CONFIG", "SET", name, value])?.map(|_| ());
            let caller = Caller { local: true, loading: false };
            let ours = tidegate.set(&[name.as_bytes(), value.as_bytes()], caller, &NotRunning);
            let ours = ours.map_err(|error| format!("ERR {error}"));
            let read = redis.ask(&["CONFIG", "GET", name])?.unwrap_or_default().pop();
            let ours_read = tidegate.get_one(name).map(|value| String::from_utf8_lossy(&value).into_owned());
            if theirs != ours || read != ours_read {
                println!(
                    "CONFIG SET {name} {value:?}: Redis {theirs:?} {read:?}, Tidegate {ours:?} {ours_read:?}"
                );
                differences += 1;
            }
        }
    }
    Ok(differences)
}

struct Redis {
    process: Child,
    stream: BufReader<UnixStream>,
}

impl Redis {
    fn start(program: &str) -> io::Result<Self> {
        let socket = std::env::temp_dir().join(format!("tidegate-compare-{}.sock", std::process::id()));
        let mut process = Command::new(program)
            .args(["--port", "0", "--dir", "/tmp", "--enable-protected-configs", "no"])
            .arg("--dir")
            .arg(std::env::temp_dir())
            .arg("--unixsocket")
            .arg(&socket)
            .stdout(Stdio::piped())
            .spawn()?;
        let log = process.stdout.take().expect("it is piped");
        let mut log = BufReader::new(log).lines();
        log.find(|line| line.as_ref().is_ok_and(|line| line.contains("ready to accept")));
        let stream = BufReader::new(UnixStream::connect(socket)?);
        // Nobody reads the log any more, but the pipe must stay open.
        std::thread::spawn(move || log.for_each(drop));
        Ok(Self { process, stream })
    }

    /// The reply as a list of texts, or the error.
    fn ask(&mut self, args: &[&str]) -> io::Result<Result<Vec<String>, String>> {
        let mut request = Vec::new();
        write!(request, "*{}\r\n", args.len())?;
        for arg in args {
            write!(request, "${}\r\n{arg}\r\n", arg.len())?;
        }
        self.stream.get_mut().write_all(&request)?;
        let first = self.line()?;
        let (kind, rest) = first.split_at(1);
        match kind {
            "-" => Ok(Err(rest.to_owned())),
            "*" => {
                let mut list = Vec::new();
                for _ in 0..rest.parse::<usize>().map_err(io::Error::other)? {
                    self.line()?;
                    list.push(self.line()?);
                }
                Ok(Ok(list))
            }
            _ => Ok(Ok(vec![rest.to_owned()])),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end_matches("\r\n").to_owned())
    }
}
