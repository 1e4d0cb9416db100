//! A small client, for the tools that ask running servers.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;
use tidegate_commands::model::parse_i64;
use tidegate_persistence::disk::os_text;

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A reply of more elements, or a longer one, is none.
const REPLY_MAX: usize = 1 << 32;
/// Nor does it have more levels.
const DEPTH_MAX: usize = 4;

/// How to make oneself known.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) password: Option<Vec<u8>>,
}

/// A reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Text(Vec<u8>),
    Error(String),
    Null,
    Array(Vec<Reply>),
}

/// A connection that the tools of the command line use: they talk to servers as any client does, in RESP2.
pub(crate) struct Link<S> {
    reader: BufReader<S>,
    writer: S,
    /// Requests that go out before the next reply is read.
    out: Vec<u8>,
}

impl<S: Read> Link<S> {
    pub(crate) fn new(reader: S, writer: S) -> Self {
        Link { reader: BufReader::new(reader), writer, out: Vec::new() }
    }
}

/// A connection to an address, over which a reply may take so long. An error says why there is none.
pub(crate) fn connect(host: &str, port: u16, reply_limit: Duration) -> Result<Link<TcpStream>, String> {
    let failed = |error: &io::Error| format!("Could not connect: {}", os_text(error));
    let mut last = "Could not connect: the name has no address".to_owned();
    for addr in (host, port).to_socket_addrs().map_err(|error| failed(&error))? {
        match TcpStream::connect_timeout(&addr, CONNECT_LIMIT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(reply_limit)).map_err(|error| failed(&error))?;
                let reader = stream.try_clone().map_err(|error| failed(&error))?;
                return Ok(Link::new(reader, stream));
            }
            Err(error) => last = failed(&error),
        }
    }
    Err(last)
}

/// What is said of a reply that makes no sense.
pub(crate) const UNEXPECTED: &str = "The server answers what is not understood";

/// Why a reply is not what was asked for.
pub(crate) fn complaint(reply: Reply) -> String {
    if let Reply::Error(error) = reply { error } else { UNEXPECTED.to_owned() }
}

impl<S: Read + Write> Link<S> {
    /// Makes oneself known, if there is a password.
    pub(crate) fn log_in(&mut self, credentials: &Credentials) -> Result<(), String> {
        let Some(password) = &credentials.password else { return Ok(()) };
        let request: &[&[u8]] = match &credentials.user {
            Some(user) => &[b"AUTH", user, password],
            None => &[b"AUTH", password],
        };
        self.text(request).map(drop)
    }

    /// Sends a request and reads a reply that is a text.
    pub(crate) fn text(&mut self, words: &[&[u8]]) -> Result<Vec<u8>, String> {
        match self.call(words)? {
            Reply::Text(text) => Ok(text),
            other => Err(complaint(other)),
        }
    }

    /// Sends a request and reads its reply.
    pub(crate) fn call(&mut self, words: &[&[u8]]) -> Result<Reply, String> {
        self.send(words);
        self.read(0)
    }

    /// Puts a request behind those that go out before the next reply is read.
    pub(crate) fn send(&mut self, words: &[&[u8]]) {
        self.out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.out.extend_from_slice(word);
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// Reads a reply, `depth` levels within another one.
    pub(crate) fn read(&mut self, depth: usize) -> Result<Reply, String> {
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
