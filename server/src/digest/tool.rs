//! `tidegate digest`: the digest that `DEBUG DIGEST` answers, of files that no server has loaded and of servers, so that they
//! can be compared.

use super::Digest;
use super::files::{self, Limits};
use super::remote;
use crate::clock;
use crate::link::Credentials;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use tidegate_persistence::disk::os_text;

/// All sources were read and have the same content.
const EQUAL: u8 = 0;
/// They were read and differ.
const DIFFERENT: u8 = 1;
/// One of them could not be read, or the command line makes no sense.
const FAILED: u8 = 2;

/// Databases that the commands of an append-only file may select.
const DATABASES: usize = 16;

const USAGE: &str = "\
Usage: tidegate digest [options] <source> [<source> ...]

Prints the digest of each source, as DEBUG DIGEST answers it: it depends on the keys, their values
and whether they have a deadline, and on nothing else. A source is
       <file.rdb>                     an RDB file
       <appendonlydir>                the directory of an append-only file, or its manifest
       <appendonly.aof>               the single file that versions before Redis 7 had
       <host:port> or <socket>        a running server: DEBUG DIGEST if it allows that, or else SCAN
                                      and DUMP, which takes longer, and is of no single moment if
                                      somebody writes meanwhile
Files are read and never changed. Keys whose time has come are left out, as by a server that loads
them. An append-only file is replayed in memory.

Options:
       --at <unix-milliseconds>       leave out keys whose time has come by then, instead of now
       --databases <number>           databases that an append-only file may use, 16 by default
       --scan                         do not try DEBUG DIGEST
       --user <name>                  the user of running servers
       --pass <password>              the password, also taken from REDISCLI_AUTH
       -h or --help

The exit code is 0 if all sources were read and are the same, 1 if they differ, 2 if one of them
cannot be read.";

/// What the command line asks for.
#[derive(Debug, Default)]
struct Wanted {
    sources: Vec<OsString>,
    limits: Limits,
    scans: bool,
    credentials: Credentials,
}

/// Computes what the arguments ask for and prints it; complaints go to `complaints`. Returns the exit code.
pub fn run(arguments: &[OsString], out: &mut dyn Write, complaints: &mut dyn Write) -> u8 {
    if arguments.iter().any(|word| word == "-h" || word == "--help") {
        return if writeln!(out, "{USAGE}").is_ok() { EQUAL } else { FAILED };
    }
    let wanted = match parse(arguments) {
        Ok(wanted) => wanted,
        Err(reason) => {
            let _ = writeln!(complaints, "{reason}\n\n{USAGE}");
            return FAILED;
        }
    };
    let (mut first, mut code) = (None, EQUAL);
    for source in &wanted.sources {
        let mut note = |text: &str| {
            // Whoever does not listen has not missed the result.
            let _ = writeln!(complaints, "{}: {text}", source.display());
        };
        match digest_of(source, &wanted, &mut note) {
            Ok(digest) => {
                if writeln!(out, "{digest}  {}", source.display()).is_err() {
                    return FAILED;
                }
                if *first.get_or_insert(digest) != digest {
                    code = code.max(DIFFERENT);
                }
            }
            Err(reason) => {
                note(&reason);
                code = FAILED;
            }
        }
    }
    code
}

fn parse(arguments: &[OsString]) -> Result<Wanted, String> {
    let password = std::env::var_os("REDISCLI_AUTH").map(|word| word.as_bytes().to_vec());
    let mut wanted = Wanted {
        limits: Limits { at_ms: clock::unix_ms(), databases: DATABASES },
        credentials: Credentials { user: None, password },
        ..Wanted::default()
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{} wants a value", word.display()));
        match word.as_bytes() {
            b"--at" => wanted.limits.at_ms = number(value()?)?,
            b"--databases" => {
                let databases = number(value()?)?;
                // Redis and Tidegate have no more.
                wanted.limits.databases = usize::try_from(databases)
                    .ok()
                    .filter(|count| (1..=16_384).contains(count))
                    .ok_or("--databases is 1 to 16384")?;
            }
            b"--scan" => wanted.scans = true,
            b"--user" => wanted.credentials.user = Some(value()?.as_bytes().to_vec()),
            b"--pass" => wanted.credentials.password = Some(value()?.as_bytes().to_vec()),
            option if option.starts_with(b"-") => {
                return Err(format!("There is no option {}", word.display()));
            }
            _ => wanted.sources.push(word.clone()),
        }
    }
    if wanted.sources.is_empty() { Err("There is nothing to digest.".to_owned()) } else { Ok(wanted) }
}

fn number(word: &OsStr) -> Result<i64, String> {
    let number = word.to_str().and_then(|word| word.parse().ok());
    number.ok_or_else(|| format!("{} is no number", word.display()))
}

fn digest_of(source: &OsStr, wanted: &Wanted, note: &mut dyn FnMut(&str)) -> Result<Digest, String> {
    let path = Path::new(source);
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {
            remote::of_socket(path, &wanted.credentials, wanted.scans, note)
        }
        Ok(metadata) if metadata.is_dir() => files::of_directory(path, wanted.limits),
        Ok(_) => files::of_file(path, wanted.limits),
        Err(error) => match source.to_str().and_then(host_and_port) {
            Some((host, port)) => remote::of_server(host, port, &wanted.credentials, wanted.scans, note),
            None => Err(os_text(&error)),
        },
    }
}

/// `host:port`, `[::1]:6379`
fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(words: &[&str]) -> (u8, String, String) {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let (mut out, mut complaints) = (Vec::new(), Vec::new());
        let code = run(&words, &mut out, &mut complaints);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(complaints).unwrap())
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [&[][..], &["--at"], &["--at", "x", "f"], &["--nope", "f"], &["--databases", "0", "f"]] {
            let (code, out, complaints) = say(words);
            assert_eq!((code, out.as_str()), (FAILED, ""), "{words:?}");
            assert!(complaints.contains("Usage: tidegate digest"), "{words:?}");
        }
        let (code, out, complaints) = say(&["--help"]);
        assert_eq!((code, complaints.as_str()), (EQUAL, ""));
        assert!(out.contains("exit code"));
        let (code, out, complaints) = say(&["/nowhere/dump.rdb"]);
        assert_eq!((code, out.as_str()), (FAILED, ""));
        assert_eq!(complaints, "/nowhere/dump.rdb: No such file or directory\n");
    }

    #[test]
    fn servers_are_told_from_files() {
        assert_eq!(host_and_port("localhost:6379"), Some(("localhost", 6379)));
        assert_eq!(host_and_port("[::1]:1"), Some(("::1", 1)));
        for text in ["dump.rdb", "dump.rdb:x", ":6379", "a:70000"] {
            assert_eq!(host_and_port(text), None, "{text}");
        }
    }
}
