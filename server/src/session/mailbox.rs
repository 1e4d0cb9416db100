//! What other threads want a connection to send.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidegate_commands::model::Protocol;

/// Bytes that other threads want sent, in order. On cache lines of its own: whoever fills it would otherwise slow down
/// the connection, which counts what it does right beside it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Mailbox {
    content: Mutex<Content>,
    /// There is something in it, to be asked without the lock.
    waiting: AtomicBool,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// How pushes are written.
    protocol: Protocol,
    /// Nobody will read it any more.
    is_closed: bool,
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Bytes that wait from now on.
    pub waiting: usize,
    /// Nothing waited before: the connection has to be woken.
    pub is_first: bool,
}

impl Mailbox {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends bytes; returns the number of those waiting.
    pub fn put(&self, message: &[u8]) -> usize {
        let mut content = self.content();
        if !content.is_closed {
            content.bytes.extend_from_slice(message);
            self.waiting.store(true, Relaxed);
        }
        content.bytes.len()
    }

    /// Appends a push, which is given as RESP2 writes it: `*` and so on. `None` when the connection is closed.
    pub fn push(&self, push: &[u8]) -> Option<Delivery> {
        debug_assert_eq!(push.first(), Some(&b'*'), "in RESP2 a push is an array");
        let mut content = self.content();
        if content.is_closed {
            return None;
        }
        let before = content.bytes.len();
        content.bytes.extend_from_slice(push);
        if content.protocol == Protocol::Resp3 {
            content.bytes[before] = b'>';
        }
        self.waiting.store(true, Relaxed);
        Some(Delivery { waiting: content.bytes.len(), is_first: before == 0 })
    }

    /// Appends what has a form of its own in each protocol, or none. As [`Mailbox::push`] otherwise.
    pub fn push_either(&self, resp2: Option<&[u8]>, resp3: Option<&[u8]>) -> Option<Delivery> {
        let mut content = self.content();
        let push = match content.protocol {
            Protocol::Resp2 => resp2,
            Protocol::Resp3 => resp3,
        }?;
        if content.is_closed {
            return None;
        }
        let before = content.bytes.len();
        content.bytes.extend_from_slice(push);
        self.waiting.store(true, Relaxed);
        Some(Delivery { waiting: content.bytes.len(), is_first: before == 0 })
    }

    /// Pushes are written in this protocol from now on.
    pub fn speak(&self, protocol: Protocol) {
        self.content().protocol = protocol;
    }

    /// The same; what was written in another one is moved to the end of `out`.
    pub fn change_protocol(&self, protocol: Protocol, out: &mut Vec<u8>) {
        let mut content = self.content();
        if content.protocol != protocol {
            content.protocol = protocol;
            self.waiting.store(false, Relaxed);
            out.append(&mut content.bytes);
        }
    }

    /// Nothing is taken any more, and what is there is dropped.
    pub fn close(&self) {
        let mut content = self.content();
        content.is_closed = true;
        content.bytes = Vec::new();
        self.waiting.store(false, Relaxed);
    }

    /// Bytes waiting.
    pub fn len(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        self.content().bytes.len()
    }

    /// Bytes waiting, and bytes allocated for them.
    pub fn sizes(&self) -> (usize, usize) {
        let content = self.content();
        (content.bytes.len(), content.bytes.capacity())
    }

    /// True when nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        !self.waiting.load(Relaxed)
    }

    /// Moves everything to the end of `out`.
    pub fn take_into(&self, out: &mut Vec<u8>) {
        if self.is_empty() {
            return;
        }
        let mut content = self.content();
        self.waiting.store(false, Relaxed);
        if out.is_empty() {
            std::mem::swap(out, &mut content.bytes);
            content.bytes.clear();
        } else {
            out.append(&mut content.bytes);
        }
        if content.bytes.capacity() > CAPACITY_KEPT {
            content.bytes = Vec::new();
        }
    }
}

/// Room that is kept for the next messages, in bytes.
const CAPACITY_KEPT: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(mailbox: &Mailbox) -> Vec<u8> {
        let mut out = Vec::new();
        mailbox.take_into(&mut out);
        out
    }

    #[test]
    fn pushes_are_written_in_the_protocol_of_the_moment() {
        let mailbox = Mailbox::default();
        assert_eq!(mailbox.push(b"*1\r\n:1\r\n"), Some(Delivery { waiting: 8, is_first: true }));
        mailbox.speak(Protocol::Resp3);
        assert_eq!(mailbox.push(b"*1\r\n:2\r\n"), Some(Delivery { waiting: 16, is_first: false }));
        assert_eq!(taken(&mailbox), b"*1\r\n:1\r\n>1\r\n:2\r\n");
        assert!(mailbox.is_empty());
        assert!(mailbox.push(b"*0\r\n").is_some_and(|delivery| delivery.is_first));
    }

    #[test]
    fn what_has_no_form_in_a_protocol_is_not_sent_there() {
        let mailbox = Mailbox::default();
        assert_eq!(mailbox.push_either(None, Some(b"3")), None);
        assert_eq!(mailbox.push_either(Some(b"2"), None).map(|delivery| delivery.waiting), Some(1));
        mailbox.speak(Protocol::Resp3);
        assert_eq!(mailbox.push_either(Some(b"2"), None), None);
        assert!(mailbox.push_either(None, Some(b"3")).is_some_and(|delivery| !delivery.is_first));
        assert_eq!(taken(&mailbox), b"23");
    }

    #[test]
    fn what_waits_comes_behind_what_was_there() {
        let mailbox = Mailbox::default();
        mailbox.put(b"b");
        mailbox.put(b"c");
        let mut out = b"a".to_vec();
        mailbox.take_into(&mut out);
        assert_eq!(out, b"abc");
        assert_eq!(mailbox.len(), 0);
    }

    #[test]
    fn a_closed_one_keeps_nothing() {
        let mailbox = Mailbox::default();
        mailbox.put(b"a");
        mailbox.close();
        assert_eq!(mailbox.push(b"*0\r\n"), None);
        assert_eq!(mailbox.put(b"b"), 0);
        assert_eq!(taken(&mailbox), b"");
    }
}
