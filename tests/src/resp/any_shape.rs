//! Reads the replies which `redis-protocol` refuses although Redis sends them: sets whose elements are maps (the key
//! specifications of COMMAND INFO), and arrays which mix both protocol versions (HELLO inside MULTI).

use std::io;

use super::{Escaped, Reply};

/// Like [`Reply::decode`], for any nesting of any types of either version.
pub(super) fn decode(bytes: &[u8]) -> io::Result<Option<(Reply, usize)>> {
    let mut reader = Reader { bytes, at: 0 };
    match reader.reply() {
        Ok(reply) => Ok(Some((reply, reader.at))),
        Err(Stop::Incomplete) => Ok(None),
        Err(Stop::Invalid) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("not a reply: {}", Escaped(&bytes[..bytes.len().min(200)])),
        )),
    }
}

enum Stop {
    Incomplete,
    Invalid,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn reply(&mut self) -> Result<Reply, Stop> {
        let kind = *self.bytes.get(self.at).ok_or(Stop::Incomplete)?;
        self.at += 1;
        let line = self.line()?;
        let text = std::str::from_utf8(&line).unwrap_or_default();
        Ok(match kind {
            b'+' => Reply::Simple(line),
            b'-' => Reply::Error(line),
            b'(' => Reply::BigNumber(line),
            b'_' => Reply::Null,
            b':' => Reply::Int(text.parse().map_err(|_| Stop::Invalid)?),
            b',' => Reply::Double(text.parse().map_err(|_| Stop::Invalid)?),
            b'#' => Reply::Bool(text == "t"),
            b'$' | b'*' if text == "-1" => Reply::Null,
            b'$' => Reply::Bulk(self.blob(text)?),
            b'!' => Reply::Error(self.blob(text)?),
            b'=' => Reply::Verbatim(self.blob(text)?.split_off(4)),
            b'*' => Reply::Array(self.list(text, 1)?),
            b'~' => Reply::Set(self.list(text, 1)?),
            b'>' => Reply::Push(self.list(text, 1)?),
            b'%' => {
                let mut flat = self.list(text, 2)?.into_iter();
                let mut pairs = Vec::new();
                while let (Some(key), Some(value)) = (flat.next(), flat.next()) {
                    pairs.push((key, value));
                }
                Reply::Map(pairs)
            }
            _ => return Err(Stop::Invalid),
        })
    }

    fn line(&mut self) -> Result<Vec<u8>, Stop> {
        let rest = &self.bytes[self.at..];
        let len = rest.windows(2).position(|pair| pair == b"\r\n").ok_or(Stop::Incomplete)?;
        self.at += len + 2;
        Ok(rest[..len].to_vec())
    }

    fn blob(&mut self, len: &str) -> Result<Vec<u8>, Stop> {
        let len: usize = len.parse().map_err(|_| Stop::Invalid)?;
        let data = self.bytes.get(self.at..self.at + len + 2).ok_or(Stop::Incomplete)?;
        self.at += len + 2;
        if data.ends_with(b"\r\n") { Ok(data[..len].to_vec()) } else { Err(Stop::Invalid) }
    }

    fn list(&mut self, count: &str, factor: usize) -> Result<Vec<Reply>, Stop> {
        let count: usize = count.parse().map_err(|_| Stop::Invalid)?;
        (0..count * factor).map(|_| self.reply()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_maps_and_mixed_versions_decode() {
        let (reply, used) = decode(b"*2\r\n$-1\r\n~1\r\n%1\r\n+a\r\n_\r\n").unwrap().unwrap();
        assert_eq!(used, 24);
        let map = Reply::Map(vec![(Reply::Simple(b"a".to_vec()), Reply::Null)]);
        assert_eq!(reply, Reply::Array(vec![Reply::Null, Reply::Set(vec![map])]));
        assert!(decode(b"~2\r\n:1\r\n").unwrap().is_none());
        assert!(decode(b"?\r\n").is_err());
    }
}
