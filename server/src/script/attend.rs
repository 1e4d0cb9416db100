//! Clients of a thread that cannot serve them, because a script runs on it for too long, or a shard it needs is held by
//! such a script on another one.
//!
//! Deep inside of that, the event loop cannot turn. So the thread looks at the sockets of its connections itself, without
//! taking anything from them but whole requests that it can answer here: most are refused with `-BUSY`, and those that
//! end the script are done. Everything else stays where it is until the connection is served again.
#![expect(unsafe_code, reason = "sockets are looked at by their numbers")]

use super::busy::Kind;
use super::functions::write_stats;
use crate::clock;
use crate::dispatch::Lookup;
use crate::net::decode::{Decoder, Limits, Step};
use crate::net::late;
use crate::net::listen::{self, Arrival};
use crate::net::stream::Accepted;
use crate::session::Client;
use crate::shard::{set_meanwhile, set_send};
use crate::shared::Shared;
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{Error, Flag, Protocol, Reply, Span};

/// Bytes of a connection that are looked at.
const LOOKED_AT: usize = 16 * 1024;
/// Time between two looks, in milliseconds.
const PERIOD_MS: i64 = 5;

thread_local! {
    /// The server and the index of the thread, on a thread that serves connections.
    static HERE: Cell<Option<(&'static Shared, usize)>> = const { Cell::new(None) };
    /// Connections that no thread serves yet, and what is known of them where they may be answered.
    static GUESTS: RefCell<Vec<(Option<Client>, Arrival)>> = const { RefCell::new(Vec::new()) };
    /// When the connections were looked at last, Unix milliseconds.
    static LAST_MS: Cell<i64> = const { Cell::new(0) };
}

/// This thread serves connections from now on. While it waits for a shard for long, it attends to them.
pub fn begin(shared: &'static Shared, thread: usize) {
    HERE.set(Some((shared, thread)));
    set_meanwhile(|| {
        let Some((shared, thread)) = HERE.get() else { return };
        late::send_now(shared);
        if shared.scripts.busy.is_busy() {
            serve(shared, thread);
        }
    });
    set_send(|| HERE.get().is_some_and(|(shared, _)| late::send_one(shared)));
}

/// Answers what the connections of this thread have sent, as far as it can be answered here.
pub fn serve(shared: &'static Shared, thread: usize) {
    let now_ms = clock::unix_ms();
    if now_ms - LAST_MS.get() < PERIOD_MS {
        return;
    }
    LAST_MS.set(now_ms);
    shared.scripts.busy.note_attended(thread);
    if thread == 0 {
        // This thread accepts for all.
        accept(shared);
    }
    GUESTS.with_borrow(|guests| {
        guests.iter().filter_map(|(client, _)| client.as_ref()).for_each(|client| attend(shared, client));
    });
    for client in shared.clients.all() {
        if client.thread.load(Relaxed) == thread {
            attend(shared, &client);
        }
    }
}

/// Accepts who wants to come in. Where no thread can serve anybody, they are guests until one can.
fn accept(shared: &'static Shared) {
    let threads = shared.listening.threads();
    let plain = shared.listening.accept_now(&shared.tls);
    for arrival in plain.into_iter().chain(shared.tls_listening.accept_now(&shared.tls)) {
        if (0..threads.len()).any(|thread| !shared.scripts.busy.is_stuck(thread)) {
            listen::admit(shared, threads, arrival);
            continue;
        }
        let fd = match &arrival.socket {
            Accepted::Tcp(stream) => stream.as_raw_fd(),
            Accepted::Unix(stream) => stream.as_raw_fd(),
            // Nothing can be told it before a handshake.
            Accepted::Tls(..) => {
                GUESTS.with_borrow_mut(|guests| guests.push((None, arrival)));
                continue;
            }
        };
        // Whoever is not at home here has to wait for the checks at the door.
        if !arrival.is_local || shared.users.needs_password() {
            GUESTS.with_borrow_mut(|guests| guests.push((None, arrival)));
            continue;
        }
        let client = Client::new(0, arrival.addr.clone(), arrival.laddr.clone(), fd, 0, false, true);
        GUESTS.with_borrow_mut(|guests| guests.push((Some(client), arrival)));
    }
}

/// The thread goes on: its guests are let in.
pub fn end(shared: &'static Shared) {
    for (_, arrival) in GUESTS.take() {
        listen::admit(shared, shared.listening.threads(), arrival);
    }
}

/// Answers the requests at the front of a connection's input.
fn attend(shared: &'static Shared, client: &Client) {
    // What it has sent before comes first, and so does what it is owed.
    let is_owed = client.output_memory() > 0 || late::is_owed(client.id);
    let is_amidst = client.input.load(Relaxed) > 0 || is_owed || client.is_blocked();
    if is_amidst
        || client.is_serving.load(Relaxed)
        || client.killed.load(Relaxed)
        || client.fd < 0
        || client.is_encrypted
    {
        return;
    }
    if shared.users.needs_password() && !client.authenticated.load(Relaxed) {
        return;
    }
    // SAFETY: the socket is closed only by the task of its connection, which belongs to this thread, and this thread is
    // here; until then it is registered under this number. A guest's is in its arrival.
    let fd = unsafe { BorrowedFd::borrow_raw(client.fd) };
    let socket = SockRef::from(&fd);
    let mut room = [MaybeUninit::<u8>::uninit(); LOOKED_AT];
    let Ok(len @ 1..) = socket.peek(&mut room) else { return };
    let mut input: Vec<u8> = room[..len.min(LOOKED_AT)]
        .iter()
        // SAFETY: the kernel has written so many bytes.
        .map(|byte| unsafe { byte.assume_init() })
        .collect();
    let limits = Limits { authenticated: true, max_bulk_len: 512 << 20 };
    let (mut done, mut out) = (0, Vec::new());
    loop {
        let (mut decoder, mut spans) = (Decoder::default(), Vec::new());
        // An inline request is changed when it is decoded; it is not needed again.
        let Ok(Step::Command { end, .. }) = decoder.decode(&mut input, done, &limits, &mut spans) else {
            break;
        };
        if !answer(shared, client, &input, &spans, &mut out) {
            break;
        }
        done = end;
    }
    let mut taken = 0;
    while taken < done {
        match socket.recv(&mut room[..done - taken]) {
            Ok(n @ 1..) => taken += n,
            _ => break,
        }
    }
    if !out.is_empty() {
        // What the socket does not take at once is sent when the connection is served again.
        let sent = socket.send_with_flags(&out, libc::MSG_NOSIGNAL).unwrap_or_default();
        if sent < out.len() {
            client.mailbox.put(&out[sent..]);
        }
    }
}

/// Answers one request; false when it has to wait.
fn answer(shared: &'static Shared, client: &Client, input: &[u8], spans: &[Span], out: &mut Vec<u8>) -> bool {
    let Lookup::Found(entry) = Lookup::of(shared.registry, input, spans) else { return false };
    if !entry.accepts(spans.len()) || entry.is_container() {
        return false;
    }
    if !crate::dispatch::may_while_busy(shared, client, entry, input, spans, out) {
        return true;
    }
    let busy = &shared.scripts.busy;
    let protocol = if client.resp.load(Relaxed) == 3 { Protocol::Resp3 } else { Protocol::Resp2 };
    let mut reply = Reply::new(out, protocol);
    let outcome = match entry.name.as_str() {
        _ if !busy.is_busy() => return false,
        "script|kill" => busy.kill(Kind::Eval),
        "function|kill" => busy.kill(Kind::Function),
        "function|stats" => match write_stats(shared, &mut reply) {
            Ok(()) => return true,
            Err(error) => Err(error),
        },
        "shutdown" => {
            let words = spans[1..].iter().map(|span| span.slice(input));
            if words.clone().count() != 1 || !words.clone().all(|word| word.eq_ignore_ascii_case(b"nosave")) {
                return false;
            }
            tracing::warn!("User requested shutdown...");
            shared.shutdown.request();
            return true;
        }
        _ if entry.flags.has(Flag::AllowBusy) => return false,
        // EXEC would have to end its transaction here.
        "exec" => return false,
        _ => {
            if client.multi.load(Relaxed) >= 0 {
                client.was_refused.store(true, Relaxed);
            }
            Err(busy.refusal())
        }
    };
    match outcome {
        Ok(()) => reply.ok(),
        Err(error) => {
            count(shared, &error);
            reply.error(&error);
        }
    }
    true
}

fn count(shared: &Shared, error: &Error) {
    let message = error.message();
    let code = message.split(|byte| *byte == b' ').next().unwrap_or_default();
    shared.stats.errors.count(&String::from_utf8_lossy(code));
}
