//! A blocking raw RESP client: sends bytes exactly as told and hands back each reply both as bytes and as a decoded
//! [`Reply`]. Decoding is done by the `redis-protocol` crate, so the server's own codec never judges itself.

mod any_shape;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use redis_protocol::resp2::{decode as resp2, types::RangeFrame as Frame2};
use redis_protocol::resp3::{decode::complete as resp3, types::RangeFrame as Frame3};

/// How long a reply may take before reading fails.
pub const REPLY_LIMIT: Duration = Duration::from_secs(20);

/// A decoded reply of either protocol version. RESP2's two nulls and RESP3's are one here: the raw bytes tell them
/// apart where that matters.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Null,
    Simple(Vec<u8>),
    Error(Vec<u8>),
    Bulk(Vec<u8>),
    Int(i64),
    Double(f64),
    Bool(bool),
    BigNumber(Vec<u8>),
    Verbatim(Vec<u8>),
    Array(Vec<Reply>),
    Set(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    Push(Vec<Reply>),
}

impl Reply {
    /// Decodes the first complete reply in `bytes` and says how long it is; `None` when more bytes are needed.
    ///
    /// RESP3 is tried first: it reads everything but RESP2's nulls, on which it fails, and then RESP2 does it.
    /// So no state about the connection's protocol is needed. [`any_shape`] takes what neither reads.
    pub fn decode(bytes: &[u8]) -> io::Result<Option<(Self, usize)>> {
        match resp3::decode_range(bytes) {
            Ok(Some((frame, used))) => return Ok(Some((from_resp3(bytes, &frame), used))),
            Ok(None) => return Ok(None),
            Err(_) => {}
        }
        match resp2::decode_range(bytes) {
            Ok(Some((frame, used))) => Ok(Some((from_resp2(bytes, &frame), used))),
            Ok(None) => Ok(None),
            Err(_) => any_shape::decode(bytes),
        }
    }

    /// Length in bytes of the first complete reply.
    pub fn frame_len(bytes: &[u8]) -> io::Result<Option<usize>> {
        // The common small replies end at their first CRLF; everything else goes through the decoder.
        if let Some(b'+' | b'-' | b':') = bytes.first() {
            return Ok(bytes.windows(2).position(|pair| pair == b"\r\n").map(|at| at + 2));
        }
        Ok(Self::decode(bytes)?.map(|(_, used)| used))
    }

    /// The text of an error reply.
    pub fn error(&self) -> Option<String> {
        match self {
            Self::Error(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        }
    }

    /// The bytes of a simple, bulk or verbatim string.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(data) | Self::Bulk(data) | Self::Verbatim(data) => Some(data),
            _ => None,
        }
    }

    /// The string as text; empty for anything that is not a string.
    pub fn text(&self) -> String {
        self.bytes().map(|data| String::from_utf8_lossy(data).into_owned()).unwrap_or_default()
    }

    /// The integer, if it is one.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements of an array, set or push.
    pub fn items(&self) -> Option<&[Reply]> {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => Some(items),
            _ => None,
        }
    }

    /// A name for the kind of reply, the same for every value of that kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Simple(_) => "simple",
            Self::Error(_) => "error",
            Self::Bulk(_) => "bulk",
            Self::Int(_) => "integer",
            Self::Double(_) => "double",
            Self::Bool(_) => "boolean",
            Self::BigNumber(_) => "bignumber",
            Self::Verbatim(_) => "verbatim",
            Self::Array(_) => "array",
            Self::Set(_) => "set",
            Self::Map(_) => "map",
            Self::Push(_) => "push",
        }
    }
}

/// A bulk reply, for comparisons in tests.
pub fn bulk(data: impl AsRef<[u8]>) -> Reply {
    Reply::Bulk(data.as_ref().to_vec())
}

/// A simple string reply, for comparisons in tests.
pub fn simple(data: &str) -> Reply {
    Reply::Simple(data.as_bytes().to_vec())
}

/// An error reply, for comparisons in tests.
pub fn error(data: &str) -> Reply {
    Reply::Error(data.as_bytes().to_vec())
}

fn from_resp2(bytes: &[u8], frame: &Frame2) -> Reply {
    let slice = |range: &(usize, usize)| bytes[range.0..range.1].to_vec();
    match frame {
        Frame2::SimpleString(data) => Reply::Simple(slice(data)),
        Frame2::Error(data) => Reply::Error(slice(data)),
        Frame2::Integer(value) => Reply::Int(*value),
        Frame2::BulkString(data) => Reply::Bulk(slice(data)),
        Frame2::Array(items) => Reply::Array(items.iter().map(|item| from_resp2(bytes, item)).collect()),
        Frame2::Null => Reply::Null,
    }
}

fn from_resp3(bytes: &[u8], frame: &Frame3) -> Reply {
    let slice = |range: &(usize, usize)| bytes[range.0..range.1].to_vec();
    let list = |items: &[Frame3]| items.iter().map(|item| from_resp3(bytes, item)).collect();
    match frame {
        Frame3::BlobString { data, .. } | Frame3::ChunkedString(data) => Reply::Bulk(slice(data)),
        Frame3::BlobError { data, .. } | Frame3::SimpleError { data, .. } => Reply::Error(slice(data)),
        Frame3::SimpleString { data, .. } => Reply::Simple(slice(data)),
        Frame3::Boolean { data, .. } => Reply::Bool(*data),
        Frame3::Number { data, .. } => Reply::Int(*data),
        Frame3::Double { data, .. } => Reply::Double(*data),
        Frame3::BigNumber { data, .. } => Reply::BigNumber(slice(data)),
        Frame3::VerbatimString { data, .. } => Reply::Verbatim(slice(data)),
        Frame3::Array { data, .. } => Reply::Array(list(data)),
        Frame3::Push { data, .. } => Reply::Push(list(data)),
        Frame3::Set { data, .. } => {
            let mut items: Vec<&Frame3> = data.iter().collect();
            items.sort_by_key(|item| position(item));
            Reply::Set(items.into_iter().map(|item| from_resp3(bytes, item)).collect())
        }
        Frame3::Map { data, .. } => {
            let mut pairs: Vec<(&Frame3, &Frame3)> = data.iter().collect();
            pairs.sort_by_key(|(key, _)| position(key));
            Reply::Map(pairs.into_iter().map(|(k, v)| (from_resp3(bytes, k), from_resp3(bytes, v))).collect())
        }
        // A server never sends HELLO itself.
        Frame3::Null | Frame3::Hello { .. } => Reply::Null,
    }
}

/// The decoder keeps maps and sets in hash tables; the offset of each element restores the order on the wire.
fn position(frame: &Frame3) -> (usize, i64) {
    match frame {
        Frame3::BlobString { data, .. }
        | Frame3::SimpleString { data, .. }
        | Frame3::VerbatimString { data, .. }
        | Frame3::BigNumber { data, .. } => (data.0, 0),
        Frame3::Number { data, .. } => (usize::MAX, *data),
        _ => (usize::MAX, 0),
    }
}

/// Appends one command as an array of bulk strings.
pub fn encode_command<A: AsRef<[u8]>>(args: &[A], output: &mut Vec<u8>) {
    output.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        output.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        output.extend_from_slice(arg);
        output.extend_from_slice(b"\r\n");
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One blocking connection.
pub struct RespClient {
    stream: Stream,
    input: Vec<u8>,
    start: usize,
}

impl RespClient {
    /// Connects over TCP, without Nagle's delay.
    pub fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Self::over(Stream::Tcp(stream))
    }

    /// Connects to a unix socket.
    pub fn connect_unix(path: &Path) -> io::Result<Self> {
        Self::over(Stream::Unix(UnixStream::connect(path)?))
    }

    fn over(stream: Stream) -> io::Result<Self> {
        let mut client = Self { stream, input: Vec::new(), start: 0 };
        client.set_reply_limit(REPLY_LIMIT)?;
        Ok(client)
    }

    /// How long reading one reply may take.
    pub fn set_reply_limit(&mut self, limit: Duration) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(limit)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(limit)),
        }
    }

    /// How long writing may block, for a server that has stopped reading.
    pub fn set_write_limit(&mut self, limit: Duration) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_write_timeout(Some(limit)),
            Stream::Unix(stream) => stream.set_write_timeout(Some(limit)),
        }
    }

    /// Sends one command as an array of bulk strings.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<()> {
        let mut output = Vec::new();
        encode_command(args, &mut output);
        self.send_raw(&output)
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }

    /// Tells the server that nothing more will be sent, while replies can still be read.
    pub fn close_sending(&mut self) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Reads one reply and decodes it.
    pub fn read(&mut self) -> io::Result<Reply> {
        let raw = self.read_raw()?;
        match Reply::decode(raw)? {
            Some((reply, _)) => Ok(reply),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "a framed reply does not decode")),
        }
    }

    /// Reads one reply and returns exactly its bytes, valid until the next read.
    pub fn read_raw(&mut self) -> io::Result<&[u8]> {
        let mut tried = 0;
        loop {
            let pending = self.input.len() - self.start;
            // A long reply arrives in many pieces: decoding again only after it doubled keeps that linear.
            if pending > 0 && (pending < 65_536 || pending >= tried * 2 || self.input.ends_with(b"\r\n")) {
                if let Some(len) = Reply::frame_len(&self.input[self.start..])? {
                    let start = self.start;
                    self.start += len;
                    return Ok(&self.input[start..start + len]);
                }
                tried = pending;
            }
            self.fill()?;
        }
    }

    /// Sends one command and returns its decoded reply; panics when the connection fails (for tests).
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Reply {
        self.send(args).expect("the connection takes a command");
        self.read().expect("the command is answered")
    }

    /// [`Self::call`] with the words of a line as arguments.
    pub fn line(&mut self, line: &str) -> Reply {
        self.call(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Sends one command and returns the bytes of its reply; panics when the connection fails (for tests).
    pub fn call_raw<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Vec<u8> {
        self.send(args).expect("the connection takes a command");
        self.read_raw().expect("the command is answered").to_vec()
    }

    /// Reads until the server closes the connection; the bytes which came before that.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::UnexpectedEof
                            | io::ErrorKind::ConnectionReset
                            | io::ErrorKind::BrokenPipe
                    ) =>
                {
                    return Ok(self.input.split_off(self.start));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start == self.input.len() {
            self.input.clear();
            self.start = 0;
        } else if self.start > 1 << 20 {
            self.input.drain(..self.start);
            self.start = 0;
        }
        let mut chunk = [0; 16_384];
        let count = loop {
            let result = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(&mut chunk),
                Stream::Unix(stream) => stream.read(&mut chunk),
            };
            match result {
                // This process was stopped and goes on.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        self.input.extend_from_slice(&chunk[..count]);
        Ok(())
    }
}

/// Shows bytes as text with `\r\n` and everything unprintable escaped.
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
                b'\r' => write!(f, "\\r")?,
                b'\n' => write!(f, "\\n")?,
                0x20..=0x7e => write!(f, "{}", char::from(*byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Reply {
        let (reply, used) = Reply::decode(bytes).unwrap().unwrap();
        assert_eq!(used, bytes.len());
        reply
    }

    #[test]
    fn both_protocols_decode_without_knowing_which_one_it_is() {
        assert_eq!(decoded(b"$-1\r\n"), Reply::Null);
        assert_eq!(decoded(b"*-1\r\n"), Reply::Null);
        assert_eq!(decoded(b"_\r\n"), Reply::Null);
        assert_eq!(decoded(b"*2\r\n$-1\r\n:5\r\n"), Reply::Array(vec![Reply::Null, Reply::Int(5)]));
        assert_eq!(decoded(b"%1\r\n+a\r\n,1.5\r\n"), Reply::Map(vec![(simple("a"), Reply::Double(1.5))]));
        assert_eq!(decoded(b"=7\r\ntxt:abc\r\n"), Reply::Verbatim(b"abc".to_vec()));
    }

    #[test]
    fn maps_keep_the_order_of_the_wire() {
        let names = |reply: Reply| match reply {
            Reply::Map(pairs) => pairs.iter().map(|(key, _)| key.text()).collect::<String>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(names(decoded(b"%3\r\n+z\r\n:1\r\n+a\r\n:2\r\n+m\r\n:3\r\n")), "zam");
    }

    #[test]
    fn an_incomplete_reply_asks_for_more() {
        for part in [&b"*2\r\n$-1\r\n"[..], b"$5\r\nhel", b":1", b"%1\r\n+a\r\n"] {
            assert_eq!(Reply::decode(part).unwrap(), None, "{}", Escaped(part));
            assert_eq!(Reply::frame_len(part).unwrap(), None, "{}", Escaped(part));
        }
    }
}
