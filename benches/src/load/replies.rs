//! Counts complete replies in a stream of bytes whose lengths are not known in advance, without keeping them.

/// Where a connection's stream of replies stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replies {
    /// Values still missing of the present reply; a reply that has not begun misses one.
    values: u64,
    /// Bytes of a bulk string that are still to come, its line end included.
    skip: usize,
    /// The type of the value whose first line is incomplete.
    kind: Option<u8>,
    /// The number in that line so far; negative for `-1`.
    number: i64,
    negative: bool,
}

impl Default for Replies {
    fn default() -> Self {
        Replies { values: 1, skip: 0, kind: None, number: 0, negative: false }
    }
}

/// A reply that begins with `-`: an error where none was asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct ErrorReply;

impl Replies {
    /// Takes the bytes of one read into account; the number of replies they completed.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, ErrorReply> {
        let mut complete = 0;
        let mut at = 0;
        while at < bytes.len() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len() - at);
                self.skip -= skipped;
                at += skipped;
                complete += self.finish_if(self.skip == 0);
                continue;
            }
            let byte = bytes[at];
            at += 1;
            let Some(kind) = self.kind else {
                if byte == b'-' {
                    return Err(ErrorReply);
                }
                (self.kind, self.number, self.negative) = (Some(byte), 0, false);
                continue;
            };
            match byte {
                b'\n' => {
                    self.kind = None;
                    complete += self.end_line(kind);
                }
                b'-' => self.negative = true,
                b'0'..=b'9' => {
                    self.number = self.number.wrapping_mul(10).wrapping_add(i64::from(byte - b'0'));
                }
                _ => {}
            }
        }
        Ok(complete)
    }

    fn end_line(&mut self, kind: u8) -> usize {
        let count = if self.negative { 0 } else { self.number.unsigned_abs() };
        match kind {
            b'$' if !self.negative => self.skip = count as usize + 2,
            b'*' => {
                self.values += count;
                return self.finish_if(true);
            }
            _ => return self.finish_if(true),
        }
        0
    }

    /// One value is complete; 1 if that completes the reply.
    fn finish_if(&mut self, complete: bool) -> usize {
        if !complete {
            return 0;
        }
        self.values -= 1;
        if self.values > 0 {
            return 0;
        }
        self.values = 1;
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_wherever_the_stream_is_cut() {
        let stream =
            b"+OK\r\n:12\r\n$-1\r\n$3\r\na\r\n\r\n*0\r\n*-1\r\n*2\r\n$1\r\nx\r\n*1\r\n:-5\r\n$0\r\n\r\n";
        for size in 1..=stream.len() {
            let mut replies = Replies::default();
            let counted: usize = stream.chunks(size).map(|part| replies.feed(part).unwrap()).sum();
            assert_eq!(counted, 8, "in parts of {size} bytes");
            assert_eq!(replies, Replies { number: 0, negative: false, kind: None, ..replies });
        }
    }

    #[test]
    fn an_error_is_no_reply() {
        assert_eq!(Replies::default().feed(b"+OK\r\n-ERR no\r\n"), Err(ErrorReply));
    }
}
