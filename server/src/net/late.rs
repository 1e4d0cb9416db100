//! Replies that wait for the end of the round of their thread, where they can be sent from the midst of it.
//!
//! A reply waits until all connections that are ready were read ([`super::conn`]). One of them may call a script that
//! runs for long, or wait for a shard that such a script holds. So these replies lie here, and not in their connections,
//! which nobody can get at then.
#![expect(unsafe_code, reason = "sockets are written to by their numbers")]

use crate::session::Client;
use crate::shared::{Shared, add};
use slab::Slab;
use socket2::SockRef;
use std::cell::RefCell;
use std::os::fd::BorrowedFd;

/// A reply that waits.
#[derive(Debug)]
struct Late {
    client: u64,
    bytes: Vec<u8>,
    /// How much of it was sent from here.
    sent: usize,
}

thread_local! {
    static LATE: RefCell<Slab<Late>> = const { RefCell::new(Slab::new()) };
}

/// Keeps a reply to the client with this id; [`take`] gives it back.
#[inline]
pub(super) fn keep(client: u64, bytes: Vec<u8>) -> usize {
    LATE.with_borrow_mut(|late| late.insert(Late { client, bytes, sent: 0 }))
}

/// What [`keep`] kept, and how much of it was sent.
#[inline]
pub(super) fn take(slot: usize) -> (Vec<u8>, usize) {
    LATE.with_borrow_mut(|late| {
        let late = late.remove(slot);
        (late.bytes, late.sent)
    })
}

/// True if a reply to this client waits.
pub fn is_owed(client: u64) -> bool {
    LATE.with_borrow(|late| {
        late.iter().any(|(_, late)| late.client == client && late.sent < late.bytes.len())
    })
}

/// Sends the replies of this thread that wait, as far as their sockets take them and the journal lets them go.
pub fn send_now(shared: &Shared) {
    LATE.with_borrow_mut(|late| {
        for (_, late) in late.iter_mut().filter(|(_, late)| late.sent < late.bytes.len()) {
            if let Some(client) = shared.clients.get(late.client) {
                late.sent += send(shared, &client, &late.bytes[late.sent..]);
            }
        }
    });
}

/// Sends one of the replies of this thread that were not sent at all; false when there is none that could be.
pub fn send_one(shared: &Shared) -> bool {
    LATE.with_borrow_mut(|late| {
        late.iter_mut().filter(|(_, late)| late.sent == 0).any(|(_, late)| {
            if let Some(client) = shared.clients.get(late.client) {
                late.sent = send(shared, &client, &late.bytes);
            }
            late.sent > 0
        })
    })
}

fn send(shared: &Shared, client: &Client, bytes: &[u8]) -> usize {
    let lsn = client.sends_after();
    if client.fd < 0 || client.is_encrypted || lsn > 0 && shared.journal.open_to() < lsn {
        return 0;
    }
    // SAFETY: the socket is closed only by its connection, which belongs to this thread, and this thread is here; until
    // then the client is registered with this number.
    let fd = unsafe { BorrowedFd::borrow_raw(client.fd) };
    let sent = SockRef::from(&fd).send_with_flags(bytes, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT);
    let sent = sent.unwrap_or_default();
    add(&client.sent, sent as u64);
    sent
}
