//! Collections to weigh: what to write, and what one element may cost.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::load::{LoadError, Replies};
use crate::workload::tests_of_redis::write_request;

/// Requests of one pipelined batch while filling.
const BATCH: u32 = 1_000;

/// A kind of collection with elements of a fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Many hashes of five fields: names and values of 8 bytes, keys of 16.
    Hashes,
    /// One sorted set; members of 16 bytes, distinct scores.
    Zset,
    /// One set; members of 16 bytes.
    Set,
    /// One list; elements of 16 bytes.
    List,
    /// One stream; entries with one field of 16 bytes.
    Stream,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Hashes, Kind::Zset, Kind::Set, Kind::List, Kind::Stream];

    /// What is counted.
    pub fn what(self) -> &'static str {
        match self {
            Kind::Hashes => "hash of 5 fields of 8 bytes",
            Kind::Zset => "member of 16 bytes of a sorted set",
            Kind::Set => "member of 16 bytes of a set",
            Kind::List => "element of 16 bytes of a list",
            Kind::Stream => "stream entry of one 16-byte field",
        }
    }

    /// Bytes of resident memory one of them may take.
    pub fn target(self) -> f64 {
        match self {
            Kind::Hashes => 150.0,
            Kind::Zset => 75.0,
            Kind::Set => 46.0,
            Kind::List => 22.0,
            Kind::Stream => 34.0,
        }
    }

    /// Appends the request that adds element `number`.
    fn write(self, out: &mut Vec<u8>, number: u32) {
        let element = format!("elem{number:012}");
        match self {
            Kind::Hashes => {
                let key = format!("hash{number:012}");
                let fields: Vec<String> = (0..5).map(|field| format!("field-{field:02}")).collect();
                let value = format!("{:08x}", number.wrapping_mul(0x9e37_79b1));
                let mut words = vec!["HSET", &key];
                words.extend(fields.iter().flat_map(|field| [field.as_str(), value.as_str()]));
                write_request(out, &words);
            }
            Kind::Zset => write_request(out, &["ZADD", "weighed", &number.to_string(), &element]),
            Kind::Set => write_request(out, &["SADD", "weighed", &element]),
            Kind::List => write_request(out, &["RPUSH", "weighed", &element]),
            Kind::Stream => write_request(out, &["XADD", "weighed", "*", "f", &element]),
        }
    }

    /// Adds `count` elements to a server over one connection.
    pub fn fill(self, server: SocketAddr, count: u32) -> Result<(), LoadError> {
        let mut connection = TcpStream::connect(server)?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(Duration::from_secs(30)))?;
        let (mut requests, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
        let mut replies = Replies::default();
        for first in (0..count).step_by(BATCH as usize) {
            let last = count.min(first + BATCH);
            requests.clear();
            (first..last).for_each(|number| self.write(&mut requests, number));
            connection.write_all(&requests)?;
            let mut answered = 0;
            while answered < (last - first) as usize {
                let read = connection.read(&mut chunk)?;
                if read == 0 {
                    return Err(LoadError::Closed);
                }
                let text = || LoadError::WrongReply(chunk[..read.min(120)].escape_ascii().to_string());
                answered += replies.feed(&chunk[..read]).map_err(|_| text())?;
            }
        }
        Ok(())
    }
}
