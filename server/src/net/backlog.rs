//! Output that a connection's socket did not take yet.
//!
//! Almost always there is none, or a buffer that is sent in the same round. What a slow reader leaves is kept in chunks:
//! one buffer that grows would be copied over and over, have up to twice the room it needs while it is, and give nothing
//! back before its reader has taken all of it.

use crate::memory;
use std::collections::VecDeque;
use std::io::IoSlice;

/// Room of a chunk, in bytes.
const CHUNK: usize = 128 * 1024;
/// Room of the first chunk after the buffer that was there already, at least.
const CHUNK_MIN: usize = 16 * 1024;
/// Chunks sent by one call.
const SENT_AT_ONCE: usize = 16;
/// Sent output is dropped from the front of the first buffer once there is this much of it, in bytes.
const SENT_KEPT: usize = 64 * 1024;

/// Bytes in the order in which they are sent.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// What is sent next.
    first: Vec<u8>,
    /// How much of it was sent.
    sent: usize,
    /// What comes behind it.
    more: VecDeque<Vec<u8>>,
    /// Bytes in `more`.
    more_len: usize,
    /// Bytes allocated for it.
    more_room: usize,
}

impl Backlog {
    /// Bytes to be sent.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.first.len() - self.sent + self.more_len
    }

    /// Bytes allocated.
    pub(super) fn room(&self) -> usize {
        self.first.capacity() + self.more_room
    }

    /// A buffer of which so much was sent takes the place of what is here, which is nothing.
    #[inline]
    pub(super) fn put(&mut self, buffer: Vec<u8>, sent: usize) {
        debug_assert_eq!(self.len(), 0, "what waits is sent first");
        (self.first, self.sent) = (buffer, sent);
    }

    /// The buffer that has room for what others add, if nothing waits.
    pub(super) fn buffer(&mut self) -> Option<&mut Vec<u8>> {
        if self.len() > 0 {
            return None;
        }
        self.first.clear();
        self.sent = 0;
        Some(&mut self.first)
    }

    /// Appends bytes. O(bytes).
    pub(super) fn append(&mut self, mut bytes: &[u8]) {
        self.forget_sent();
        if self.more.is_empty() && self.first.len() + bytes.len() <= CHUNK {
            return self.first.extend_from_slice(bytes);
        }
        while !bytes.is_empty() {
            let is_in_more = !self.more.is_empty();
            let last = self.more.back_mut().unwrap_or(&mut self.first);
            let fitting = bytes.len().min(last.capacity() - last.len());
            last.extend_from_slice(&bytes[..fitting]);
            self.more_len += if is_in_more { fitting } else { 0 };
            bytes = &bytes[fitting..];
            if !bytes.is_empty() {
                let least = if is_in_more { CHUNK } else { CHUNK_MIN };
                let chunk = Vec::with_capacity(bytes.len().clamp(least, CHUNK));
                self.more_room += chunk.capacity();
                self.more.push_back(chunk);
            }
        }
    }

    /// What is sent next, in one call.
    pub(super) fn front(&self) -> ([IoSlice<'_>; SENT_AT_ONCE], usize) {
        let mut slices = [IoSlice::new(&[]); SENT_AT_ONCE];
        slices[0] = IoSlice::new(&self.first[self.sent..]);
        let mut count = 1;
        for (slice, chunk) in slices[1..].iter_mut().zip(&self.more) {
            *slice = IoSlice::new(chunk);
            count += 1;
        }
        (slices, count)
    }

    /// What is sent next if it is all there is.
    #[inline]
    pub(super) fn alone(&self) -> Option<&[u8]> {
        if self.more.is_empty() { Some(&self.first[self.sent..]) } else { None }
    }

    /// So many bytes were sent.
    #[inline]
    pub(super) fn advance(&mut self, mut n: usize) {
        while n > self.first.len() - self.sent {
            n -= self.first.len() - self.sent;
            self.next_chunk();
        }
        self.sent += n;
        if self.sent == self.first.len() && !self.more.is_empty() {
            self.next_chunk();
        }
    }

    fn next_chunk(&mut self) {
        let next = self.more.pop_front().unwrap_or_default();
        self.more_len -= next.len();
        self.more_room -= next.capacity();
        memory::discard(std::mem::replace(&mut self.first, next));
        self.sent = 0;
        if self.more.is_empty() {
            self.more = VecDeque::new();
        }
    }

    /// Takes the buffer of what was sent.
    #[inline]
    pub(super) fn take_sent(&mut self) -> Vec<u8> {
        debug_assert_eq!(self.len(), 0, "all of it");
        self.sent = 0;
        std::mem::take(&mut self.first)
    }

    /// Frees everything, so that the memory is there for others.
    pub(super) fn drop_all(&mut self) {
        let dropped = std::mem::take(self);
        memory::discard(dropped.first);
        dropped.more.into_iter().for_each(memory::discard_chunk);
    }

    /// Gives room back that sent output occupies in a large first buffer, when it is most of it: a slow reader may never
    /// take everything.
    pub(super) fn forget_sent(&mut self) {
        if self.sent == self.first.len() {
            self.first.clear();
            self.sent = 0;
        } else if self.sent > SENT_KEPT.max(self.first.len() - self.sent) {
            self.first.drain(..self.sent);
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(backlog: &mut Backlog, most: usize) -> Vec<u8> {
        let (slices, count) = backlog.front();
        let mut bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        bytes.truncate(most);
        backlog.advance(bytes.len());
        bytes
    }

    #[test]
    fn bytes_come_out_as_they_went_in_whatever_is_taken_at_once() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        for at_once in [1 + CHUNK / 3, CHUNK, 5 * CHUNK + 7] {
            let (mut backlog, mut out, mut at) = (Backlog::default(), Vec::new(), 0);
            for (step, len) in
                [10, 200, 100_000, CHUNK, 1, 500_000, 3 * CHUNK].into_iter().cycle().enumerate()
            {
                let end = (at + len).min(bytes.len());
                backlog.append(&bytes[at..end]);
                at = end;
                if step % 3 == 0 {
                    out.extend(sent(&mut backlog, at_once));
                }
                assert_eq!(backlog.len() + out.len(), at);
                assert!(backlog.room() <= backlog.len() + 3 * CHUNK, "{} {}", backlog.room(), backlog.len());
                if at == bytes.len() {
                    break;
                }
            }
            while backlog.len() > 0 {
                out.extend(sent(&mut backlog, at_once));
            }
            assert!(out == bytes);
            assert!(backlog.more.is_empty() && backlog.more_room == 0 && backlog.more_len == 0);
            assert!(backlog.alone().is_some_and(<[u8]>::is_empty));
            backlog.take_sent();
            assert_eq!(backlog.room(), 0);
        }
    }

    #[test]
    fn a_reply_that_was_kept_goes_first() {
        let mut backlog = Backlog::default();
        backlog.put(b"abc".to_vec(), 1);
        assert!(backlog.buffer().is_none());
        backlog.append(b"d");
        assert_eq!(sent(&mut backlog, 10), b"bcd");
        backlog.buffer().expect("nothing waits").extend_from_slice(b"e");
        assert_eq!(backlog.len(), 1);
        backlog.append(&vec![0; 2 * CHUNK]);
        backlog.drop_all();
        assert_eq!((backlog.len(), backlog.room()), (0, 0));
    }
}
