//! `tidegate queue top`: what work queues of a running server are doing, again and again or once.

mod view;

use crate::clock;
use crate::link::{self, Credentials, Link, Reply, UNEXPECTED, complaint};
use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal as _, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt as _;
use std::thread;
use std::time::Duration;
use view::{Row, Totals};

const DONE: u8 = 0;
/// The server could not be asked, or the command line makes no sense.
const FAILED: u8 = 1;

/// How long the server may take to answer.
const REPLY_LIMIT: Duration = Duration::from_secs(30);
/// Keys looked at with each `SCAN`.
const BATCH: &[u8] = b"1000";
/// Lines of queues when there is a screen to fill.
const SHOWN: usize = 40;

const USAGE: &str = "\
Usage: tidegate queue top [options] [<queue> ...]

Shows the work queues (XQUEUE) of a running server, those with most messages first: how many
messages are ready, delayed, leased and dead, pushes and acknowledgements per second, the age of
the oldest message that is ready, and how many clients wait. Without names all queues of the
database are shown. Rates are those of the last minute at first, and then those since the view
before.

Options:
       --host <name>                  the server, 127.0.0.1 by default
       --port <port>                  its port, 6379 by default
       --user <name>                  the user
       --pass <password>              the password, also taken from REDISCLI_AUTH
       --db <number>                  the database, 0 by default
       --interval <seconds>           between two views, 1 by default
       --once                         show all of them once and end
       -h or --help

The exit code is 0, or 1 if the server cannot be asked.";

/// What the command line asks for.
struct Wanted {
    host: String,
    port: u16,
    credentials: Credentials,
    db: u32,
    interval: Duration,
    is_once: bool,
    queues: Vec<Vec<u8>>,
}

/// Shows queues as the arguments, those after `queue`, say; complaints go to `complaints`. Returns the exit code.
pub fn run(arguments: &[OsString], out: &mut dyn Write, complaints: &mut dyn Write) -> u8 {
    if arguments.iter().any(|word| word == "-h" || word == "--help") {
        return if writeln!(out, "{USAGE}").is_ok() { DONE } else { FAILED };
    }
    let wanted = match parse(arguments) {
        Ok(wanted) => wanted,
        Err(reason) => {
            let _ = writeln!(complaints, "{reason}\n\n{USAGE}");
            return FAILED;
        }
    };
    if wanted.is_once {
        return match Seen::default().look(&wanted) {
            Ok(rows) if out.write_all(view::table(&rows, usize::MAX).as_bytes()).is_ok() => DONE,
            Ok(_) => FAILED,
            Err(reason) => {
                let _ = writeln!(complaints, "{reason}");
                FAILED
            }
        };
    }
    watch(&wanted, out)
}

/// Shows one view after the other until nobody reads them any more. A server that is gone may come back.
fn watch(wanted: &Wanted, out: &mut dyn Write) -> u8 {
    // To the top left, and nothing behind what is written there.
    let begin = if std::io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
    let mut seen = Seen::default();
    loop {
        let text = match seen.look(wanted) {
            Ok(rows) => view::table(&rows, SHOWN),
            Err(reason) => {
                seen = Seen::default();
                format!("{reason}\n")
            }
        };
        let written = write!(out, "{begin}{}:{}\n\n{text}", wanted.host, wanted.port);
        if written.and_then(|()| out.flush()).is_err() {
            return DONE;
        }
        thread::sleep(wanted.interval);
    }
}

fn parse(arguments: &[OsString]) -> Result<Wanted, String> {
    let mut words = arguments.iter();
    if words.next().is_none_or(|word| word != "top") {
        return Err("There is only one view: top".to_owned());
    }
    let password = std::env::var_os("REDISCLI_AUTH").map(|word| word.as_bytes().to_vec());
    let mut wanted = Wanted {
        host: "127.0.0.1".to_owned(),
        port: 6379,
        credentials: Credentials { user: None, password },
        db: 0,
        interval: Duration::from_secs(1),
        is_once: false,
        queues: Vec::new(),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{} wants a value", word.display()));
        match word.as_bytes() {
            b"--host" => wanted.host = value()?.to_string_lossy().into_owned(),
            b"--port" => wanted.port = number(value()?)?,
            b"--user" => wanted.credentials.user = Some(value()?.as_bytes().to_vec()),
            b"--pass" => wanted.credentials.password = Some(value()?.as_bytes().to_vec()),
            b"--db" => wanted.db = number(value()?)?,
            b"--interval" => {
                let seconds: f64 = number(value()?)?;
                let interval = Duration::try_from_secs_f64(seconds).ok();
                let fits = |interval: &Duration| (100..=3_600_000).contains(&interval.as_millis());
                wanted.interval = interval.filter(fits).ok_or("--interval is 0.1 to 3600")?;
            }
            b"--once" => wanted.is_once = true,
            option if option.starts_with(b"-") => {
                return Err(format!("There is no option {}", word.display()));
            }
            name => wanted.queues.push(name.to_vec()),
        }
    }
    Ok(wanted)
}

fn number<N: std::str::FromStr>(word: &OsStr) -> Result<N, String> {
    let number = word.to_str().and_then(|word| word.parse().ok());
    number.ok_or_else(|| format!("{} is not what is expected here", word.display()))
}

/// What was read for a view.
struct Before {
    /// When, on the clock of [`clock::uptime_ns`].
    at_ns: i64,
    /// Sorted by name.
    totals: Vec<(Vec<u8>, Totals)>,
}

/// The connection, and what the view before showed.
#[derive(Default)]
struct Seen {
    link: Option<Link<TcpStream>>,
    before: Option<Before>,
}

impl Seen {
    /// Asks for all queues, those with most messages first.
    fn look(&mut self, wanted: &Wanted) -> Result<Vec<Row>, String> {
        let link = match &mut self.link {
            Some(link) => link,
            none => none.insert(connect(wanted)?),
        };
        let mut names = wanted.queues.clone();
        if names.is_empty() {
            names = queues(link)?;
        }
        for name in &names {
            link.send(&[b"XQUEUE.INFO", name]);
        }
        let mut rows = Vec::new();
        let mut failed = None;
        for name in &names {
            match link.read(0)? {
                Reply::Array(fields) => rows.push(Row::read(name, fields)),
                // It is empty, and so it is gone.
                Reply::Null => {}
                other => failed = Some(format!("{}: {}", view::printed(name), complaint(other))),
            }
        }
        if let Some(reason) = failed {
            return Err(reason);
        }
        let now_ns = clock::uptime_ns();
        if let Some(before) = &self.before {
            let seconds = (now_ns - before.at_ns) as f64 / 1e9;
            for row in &mut rows {
                let known = before.totals.binary_search_by(|(name, _)| name.cmp(&row.name));
                if let Ok(at) = known {
                    row.measure(before.totals[at].1, seconds);
                }
            }
        }
        let mut totals: Vec<_> = rows.iter().map(|row| (row.name.clone(), row.totals)).collect();
        totals.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.before = Some(Before { at_ns: now_ns, totals });
        rows.sort_by(|a, b| b.messages().cmp(&a.messages()).then_with(|| a.name.cmp(&b.name)));
        Ok(rows)
    }
}

fn connect(wanted: &Wanted) -> Result<Link<TcpStream>, String> {
    let mut link = link::connect(&wanted.host, wanted.port, REPLY_LIMIT)?;
    link.log_in(&wanted.credentials)?;
    if wanted.db != 0 {
        link.text(&[b"SELECT", wanted.db.to_string().as_bytes()])?;
    }
    Ok(link)
}

/// The names of all queues of the database.
fn queues(link: &mut Link<TcpStream>) -> Result<Vec<Vec<u8>>, String> {
    let mut names = Vec::new();
    let mut cursor = b"0".to_vec();
    loop {
        let found = match link.call(&[b"SCAN", &cursor, b"TYPE", b"xqueue", b"COUNT", BATCH])? {
            Reply::Array(found) => found,
            other => return Err(complaint(other)),
        };
        let Ok([Reply::Text(next), Reply::Array(keys)]) = <[Reply; 2]>::try_from(found) else {
            return Err(UNEXPECTED.to_owned());
        };
        names.extend(
            keys.into_iter().filter_map(|key| if let Reply::Text(key) = key { Some(key) } else { None }),
        );
        if next == b"0" {
            break;
        }
        cursor = next;
    }
    // A key may be met twice.
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Wanted, String> {
        parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_line_says_which_server_and_which_queues() {
        let line = "top --host h --port 7 --user u --pass p --db 3 --interval 0.5 --once a b";
        let wanted = parsed(&line.split(' ').collect::<Vec<_>>()).unwrap();
        assert_eq!((&*wanted.host, wanted.port, wanted.db), ("h", 7, 3));
        assert_eq!(wanted.credentials.user.as_deref(), Some(&b"u"[..]));
        assert_eq!(wanted.credentials.password.as_deref(), Some(&b"p"[..]));
        assert_eq!(wanted.interval, Duration::from_millis(500));
        assert!(wanted.is_once);
        assert_eq!(wanted.queues, [b"a", b"b"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let cases: [&[&str]; 8] = [
            &[],
            &["bottom"],
            &["top", "--port"],
            &["top", "--port", "70000"],
            &["top", "--interval", "0"],
            &["top", "--interval", "NaN"],
            &["top", "--db", "-1"],
            &["top", "--twice"],
        ];
        for words in cases {
            assert!(parsed(words).is_err(), "{words:?}");
        }
    }
}
