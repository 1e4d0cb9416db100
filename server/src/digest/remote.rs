//! The digest of a running server. Where `DEBUG DIGEST` is not allowed it is computed here from what `DUMP` answers.

use super::{Digest, Digests};
use hashbrown::HashSet;
use sha1::{Digest as _, Sha1};
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use tidegate_commands::model::parse_i64;
use tidegate_data::Encodings;
use tidegate_data::rdb::{self, PayloadError};
use tidegate_persistence::disk::os_text;

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long the server may think. Digesting everything takes its time.
const REPLY_LIMIT: Duration = Duration::from_secs(3600);
/// Keys asked for at once.
const BATCH: &str = "500";
/// A reply of more elements, or a longer one, is none.
const REPLY_MAX: usize = 1 << 32;
/// Nor does it have more levels.
const DEPTH_MAX: usize = 4;

/// How to make oneself known.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    pub(super) user: Option<Vec<u8>>,
    pub(super) password: Option<Vec<u8>>,
}

/// The digest of a server at an address.
pub(super) fn of_server(
    host: &str,
    port: u16,
    credentials: &Credentials,
    scans: bool,
    note: &mut dyn FnMut(&str),
) -> Result<Digest, String> {
    let failed = |error: &io::Error| format!("Could not connect: {}", os_text(error));
    let mut last = "Could not connect: the name has no address".to_owned();
    for addr in (host, port).to_socket_addrs().map_err(|error| failed(&error))? {
        match TcpStream::connect_timeout(&addr, CONNECT_LIMIT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(REPLY_LIMIT)).map_err(|error| failed(&error))?;
                let reader = stream.try_clone().map_err(|error| failed(&error))?;
                return digest(Link::new(reader, stream), credentials, scans, note);
            }
            Err(error) => last = failed(&error),
        }
    }
    Err(last)
}

/// The digest of a server at a socket.
pub(super) fn of_socket(
    path: &Path,
    credentials: &Credentials,
    scans: bool,
    note: &mut dyn FnMut(&str),
) -> Result<Digest, String> {
    let link = || {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        Ok(Link::new(stream.try_clone()?, stream))
    };
    let link = link().map_err(|error: io::Error| format!("Could not connect: {}", os_text(&error)))?;
    digest(link, credentials, scans, note)
}

/// A reply.
#[derive(Debug)]
enum Reply {
    Text(Vec<u8>),
    Error(String),
    Null,
    Array(Vec<Reply>),
}

/// A connection.
struct Link<S> {
    reader: BufReader<S>,
    writer: S,
    /// Requests that go out before the next reply is read.
    out: Vec<u8>,
}

impl<S: Read> Link<S> {
    fn new(reader: S, writer: S) -> Self {
        Link { reader: BufReader::new(reader), writer, out: Vec::new() }
    }
}

fn digest<S: Read + Write>(
    mut link: Link<S>,
    credentials: &Credentials,
    scans: bool,
    note: &mut dyn FnMut(&str),
) -> Result<Digest, String> {
    if let Some(password) = &credentials.password {
        let request: &[&[u8]] = match &credentials.user {
            Some(user) => &[b"AUTH", user, password],
            None => &[b"AUTH", password],
        };
        link.text(request)?;
    }
    if scans {
        return scan(&mut link);
    }
    match link.call(&[b"DEBUG", b"DIGEST"])? {
        Reply::Text(text) => Digest::parse(&text).ok_or_else(|| "This is no digest".to_owned()),
        Reply::Error(error) if error.starts_with("NOAUTH") => Err(error),
        _ => {
            note("DEBUG DIGEST is not allowed there; reading every key instead");
            scan(&mut link)
        }
    }
}

/// Asks for every key of every database.
fn scan<S: Read + Write>(link: &mut Link<S>) -> Result<Digest, String> {
    let info = link.text(&[b"INFO", b"keyspace"])?;
    let info = String::from_utf8_lossy(&info).into_owned();
    let databases =
        info.lines().filter_map(|line| line.strip_prefix("db")?.split(':').next()?.parse::<usize>().ok());
    let mut digests = Digests::default();
    for db in databases {
        link.text(&[b"SELECT", db.to_string().as_bytes()])?;
        scan_database(link, db, &mut digests)?;
    }
    Ok(digests.total())
}

fn scan_database<S: Read + Write>(
    link: &mut Link<S>,
    db: usize,
    digests: &mut Digests,
) -> Result<(), String> {
    // A key may be met twice.
    let mut seen: HashSet<[u8; 20]> = HashSet::new();
    let mut cursor = b"0".to_vec();
    loop {
        let found = link.call(&[b"SCAN", &cursor, b"COUNT", BATCH.as_bytes()])?;
        let (next, keys) = match found {
            Reply::Array(mut found) if found.len() == 2 => match (found.remove(0), found.remove(0)) {
                (Reply::Text(next), Reply::Array(keys)) => (next, keys),
                _ => return Err(UNEXPECTED.to_owned()),
            },
            other => return Err(complaint(other)),
        };
        let keys: Vec<Vec<u8>> = keys
            .into_iter()
            .filter_map(|key| if let Reply::Text(key) = key { Some(key) } else { None })
            .filter(|key| seen.insert(Sha1::digest(key).into()))
            .collect();
        for key in &keys {
            link.send(&[b"DUMP", key]);
            link.send(&[b"PTTL", key]);
        }
        for key in &keys {
            let (payload, ttl) = (link.read(0)?, link.read(0)?);
            let (Reply::Text(payload), Reply::Text(ttl)) = (payload, ttl) else { continue };
            // What the deadline is does not matter, only that there is one.
            let deadline_ms = parse_i64(&ttl).filter(|ttl| *ttl != -1);
            let record = rdb::restore(&payload, key, deadline_ms, Encodings::default(), true);
            let record = record.map_err(|error| match error {
                PayloadError::Footer => {
                    format!("{}: a payload of an unknown version", String::from_utf8_lossy(key))
                }
                PayloadError::Value(error) => format!("{}: {error}", String::from_utf8_lossy(key)),
            })?;
            digests.add(db, &record);
        }
        if next == b"0" {
            return Ok(());
        }
        cursor = next;
    }
}

const UNEXPECTED: &str = "The server answers what is not understood";

fn complaint(reply: Reply) -> String {
    if let Reply::Error(error) = reply { error } else { UNEXPECTED.to_owned() }
}

impl<S: Read + Write> Link<S> {
    /// Sends a request and reads a reply that is a text.
    fn text(&mut self, words: &[&[u8]]) -> Result<Vec<u8>, String> {
        match self.call(words)? {
            Reply::Text(text) => Ok(text),
            other => Err(complaint(other)),
        }
    }

    fn call(&mut self, words: &[&[u8]]) -> Result<Reply, String> {
        self.send(words);
        self.read(0)
    }

    fn send(&mut self, words: &[&[u8]]) {
        self.out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.out.extend_from_slice(word);
            self.out.extend_from_slice(b"\r\n");
        }
    }

    fn read(&mut self, depth: usize) -> Result<Reply, String> {
        if !self.out.is_empty() {
            self.writer.write_all(&self.out).map_err(|error| lost(&error))?;
            self.out.clear();
        }
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).map_err(|error| lost(&error))?;
        let Some((kind, rest)) = line.strip_suffix(b"\r\n").and_then(<[u8]>::split_first) else {
            return Err("The server closed the connection".to_owned());
        };
        let len = || {
            let len = parse_i64(rest).ok_or(UNEXPECTED)?;
            Ok::<_, String>(usize::try_from(len).ok().filter(|len| *len < REPLY_MAX))
        };
        Ok(match kind {
            b'+' | b':' => Reply::Text(rest.to_vec()),
            b'-' => Reply::Error(String::from_utf8_lossy(rest).into_owned()),
            b'$' => match len()? {
                None => Reply::Null,
                Some(len) => {
                    let mut text = Vec::new();
                    let read = (&mut self.reader).take(len as u64 + 2).read_to_end(&mut text);
                    if read.map_err(|error| lost(&error))? != len + 2 {
                        return Err("The server closed the connection".to_owned());
                    }
                    text.truncate(len);
                    Reply::Text(text)
                }
            },
            b'*' if depth < DEPTH_MAX => match len()? {
                None => Reply::Null,
                Some(len) => Reply::Array((0..len).map(|_| self.read(depth + 1)).collect::<Result<_, _>>()?),
            },
            _ => return Err(UNEXPECTED.to_owned()),
        })
    }
}

fn lost(error: &io::Error) -> String {
    format!("The connection is lost: {}", os_text(error))
}
