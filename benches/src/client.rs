//! One connection that waits for each reply, or sends many requests at once and then reads all replies.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Requests of a pipeline.
const TOGETHER: u64 = 1_000;

/// A connection.
pub struct Client {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
    line: Vec<u8>,
    bulk: Vec<u8>,
}

impl Client {
    pub fn connect(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), request: Vec::new(), line: Vec::new(), bulk: Vec::new() })
    }

    /// Sends a command and reads its reply, which must be no array; an error reply is an error.
    pub fn call(&mut self, words: &[&str]) -> io::Result<()> {
        self.request.clear();
        write_command(&mut self.request, words);
        self.stream.get_mut().write_all(&self.request)?;
        self.read()
    }

    /// The same where the reply is a number.
    pub fn integer(&mut self, words: &[&str]) -> io::Result<i64> {
        self.call(words)?;
        let text = String::from_utf8_lossy(self.line.get(1..).unwrap_or_default()).into_owned();
        text.trim().parse().map_err(|_| io::Error::other(format!("{} answers {text}", words.join(" "))))
    }

    /// The value of a field of `INFO`.
    pub fn info(&mut self, section: &str, field: &str) -> io::Result<String> {
        self.call(&["INFO", section])?;
        let text = String::from_utf8_lossy(&self.bulk);
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value
            .map(|value| value.trim().to_owned())
            .ok_or_else(|| io::Error::other(format!("INFO names no {field}")))
    }

    /// Sends `count` requests in pipelines.
    pub fn pipeline(&mut self, count: u64, mut write: impl FnMut(u64, &mut Vec<u8>)) -> io::Result<()> {
        for first in (0..count).step_by(TOGETHER as usize) {
            let batch = first..(first + TOGETHER).min(count);
            self.request.clear();
            for number in batch.clone() {
                write(number, &mut self.request);
            }
            self.stream.get_mut().write_all(&self.request)?;
            for _ in batch {
                self.read()?;
            }
        }
        Ok(())
    }

    /// Reads one reply that is no array; a bulk string is left in `bulk`.
    fn read(&mut self) -> io::Result<()> {
        self.line.clear();
        self.stream.read_until(b'\n', &mut self.line)?;
        match self.line.first() {
            Some(b'+' | b':') => Ok(()),
            Some(b'$') => {
                let len = String::from_utf8_lossy(&self.line[1..]).trim().parse::<i64>().unwrap_or(-1);
                if len >= 0 {
                    self.bulk.resize(len as usize + 2, 0);
                    self.stream.read_exact(&mut self.bulk)?;
                }
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Err(io::Error::other(String::from_utf8_lossy(&self.line).into_owned())),
        }
    }
}

/// Appends a command as clients send it.
pub fn write_command(request: &mut Vec<u8>, words: &[&str]) {
    request.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        request.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

/// A value of so many printable bytes that does not compress to nothing, another one for each number.
pub fn value(number: u64, size: usize) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b' ' + (state >> 33) as u8 % 95)
    };
    (0..size).map(|_| next()).collect()
}
