//! The public face of a connection: what `CLIENT LIST` shows and what other threads may ask of it.

use super::WatchFlag;
use super::mailbox::{Delivery, Mailbox};
use super::tracking::Tracking;
use super::waiting::{Ending, Waiting};
use super::wake::{Bells, ConnWaker};
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed,
};
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_persistence::journal::Lsn;

/// The kind of client, for output-buffer limits and `CLIENT LIST TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ClientKind {
    /// An ordinary client.
    Normal = 0,
    /// A replica.
    Replica = 1,
    /// A subscriber.
    Pubsub = 2,
}

/// A short text that its connection sets and anybody reads.
#[derive(Debug, Default)]
pub struct Label(Mutex<String>);

impl Label {
    /// A copy of the text.
    pub fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes of the text.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Replaces the text.
    pub fn set(&self, text: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }
}

/// A connection as the rest of the process sees it. The owning thread writes the figures, anybody reads them.
#[derive(Debug)]
pub struct Client {
    /// Unique, ascending.
    pub id: u64,
    /// The peer: `127.0.0.1:1234` or `path:0`.
    pub addr: String,
    /// Our end.
    pub laddr: String,
    /// The socket's descriptor.
    pub fd: i32,
    /// When it connected, Unix milliseconds.
    pub created_ms: i64,
    /// Since when it may be somebody unknown, Unix milliseconds: its begin, or its last `RESET`.
    pub stranger_since_ms: AtomicI64,
    /// The peer is on this machine.
    pub is_local: bool,
    /// It came over the Unix socket.
    pub is_unix: bool,
    /// What goes over its descriptor is encrypted: only its connection can read and write.
    pub is_encrypted: bool,
    /// `CLIENT SETNAME`
    pub name: Label,
    /// `CLIENT SETINFO LIB-NAME`
    pub lib_name: Label,
    /// `CLIENT SETINFO LIB-VER`
    pub lib_ver: Label,
    /// The user it authenticated as.
    pub user: Label,
    /// Last request, Unix milliseconds.
    pub last_ms: AtomicI64,
    /// The selected database.
    pub db: AtomicU16,
    /// RESP version.
    pub resp: AtomicU8,
    /// The registry id of the last command plus one; 0 for none.
    pub last_command: AtomicU32,
    /// Commands in its transaction, -1 outside of one.
    pub multi: AtomicI64,
    /// Watched keys.
    pub watch: AtomicU32,
    /// Raised when one of them changes; `None` while there are none.
    watch_flag: Mutex<Option<Arc<WatchFlag>>>,
    /// `CLIENT TRACKING`
    pub tracking: Tracking,
    /// Channels it is subscribed to.
    pub channels: AtomicU32,
    /// Patterns it is subscribed to.
    pub patterns: AtomicU32,
    /// Shard channels it is subscribed to.
    pub shard_channels: AtomicU32,
    /// Bytes of queued commands.
    pub multi_memory: AtomicUsize,
    /// Bytes of the request that waits.
    pub parked_args: AtomicUsize,
    /// Undecoded input, in bytes.
    pub input: AtomicUsize,
    /// What was decoded of a request that has not arrived as a whole, in bytes.
    pub input_args: AtomicUsize,
    /// Capacity of its own input buffer, in bytes; 0 while its input is in that of the thread.
    pub input_room: AtomicUsize,
    /// Output waiting to be sent, in bytes.
    pub output: AtomicUsize,
    /// Capacity of its own output buffer, in bytes.
    pub output_room: AtomicUsize,
    /// What its encryption occupies, in bytes: keys and text that waits; 0 without.
    pub encryption: AtomicUsize,
    /// Highest `output` so far.
    pub output_peak: AtomicUsize,
    /// What its watched keys, subscriptions and prefixes occupy, in bytes.
    pub held: AtomicUsize,
    /// What it counts for in [`Sizes`](crate::shared::Sizes), in bytes.
    pub charged: AtomicUsize,
    /// What it counted for when it was killed, until that is free, in bytes.
    pub dying: AtomicUsize,
    /// In which of the buckets there it is.
    pub bucket: AtomicU8,
    /// Bytes received.
    pub received: AtomicU64,
    /// Bytes sent.
    pub sent: AtomicU64,
    /// [`ClientKind`].
    pub kind: AtomicU8,
    /// `MONITOR`
    pub monitoring: AtomicBool,
    /// `READONLY`
    pub readonly: AtomicBool,
    /// `CLIENT NO-EVICT`
    pub no_evict: AtomicBool,
    /// `CLIENT NO-TOUCH`
    pub no_touch: AtomicBool,
    /// Its request is put off by `CLIENT PAUSE`.
    pub paused: AtomicBool,
    /// Its request waits for keys, or for replicas.
    pub waiting: Waiting,
    /// It waits for something that cannot be called off: `CLIENT UNBLOCK` does not end that.
    pub is_needed: AtomicBool,
    /// It waits for a limited time.
    pub waits_limited: AtomicBool,
    /// It is closed at the next chance.
    pub killed: AtomicBool,
    /// It closes after the reply.
    pub closing: AtomicBool,
    /// The thread that serves it; `usize::MAX` for none.
    pub thread: AtomicUsize,
    /// It may run commands.
    pub authenticated: AtomicBool,
    /// Its requests are being executed now: the thread is busy with it.
    pub is_serving: AtomicBool,
    /// A command of its transaction was refused while nobody had its session at hand.
    pub was_refused: AtomicBool,
    /// What is to be sent waits until the journal is safe up to here.
    send_after: AtomicU64,
    /// Messages from other threads.
    pub mailbox: Mailbox,
    /// Has its thread look at it.
    pub waker: ConnWaker,
}

impl Client {
    /// What is sent from now on waits until the journal is safe up to `lsn`. From any thread; call it before the client
    /// gets what has to wait.
    #[inline]
    pub fn send_after(&self, lsn: Lsn) {
        // Its own thread does so with every write, and others rarely: look before touching the line.
        if self.send_after.load(Relaxed) < lsn {
            self.send_after.fetch_max(lsn, Relaxed);
        }
    }

    /// Position up to which the journal has to be safe before anything is sent; 0 when nothing has to wait.
    #[inline]
    pub fn sends_after(&self) -> Lsn {
        self.send_after.load(Relaxed)
    }

    /// A new client; `addr` and `laddr` as `CLIENT LIST` shows them.
    pub fn new(
        id: u64,
        addr: String,
        laddr: String,
        fd: i32,
        now_ms: i64,
        is_unix: bool,
        is_local: bool,
    ) -> Self {
        Client {
            id,
            addr,
            laddr,
            fd,
            created_ms: now_ms,
            stranger_since_ms: AtomicI64::new(now_ms),
            is_local,
            is_unix,
            is_encrypted: false,
            name: Label::default(),
            lib_name: Label::default(),
            lib_ver: Label::default(),
            user: Label(Mutex::new("default".into())),
            last_ms: AtomicI64::new(now_ms),
            db: AtomicU16::new(0),
            resp: AtomicU8::new(2),
            last_command: AtomicU32::new(0),
            multi: AtomicI64::new(-1),
            watch: AtomicU32::new(0),
            watch_flag: Mutex::default(),
            tracking: Tracking::default(),
            channels: AtomicU32::new(0),
            patterns: AtomicU32::new(0),
            shard_channels: AtomicU32::new(0),
            multi_memory: AtomicUsize::new(0),
            parked_args: AtomicUsize::new(0),
            input: AtomicUsize::new(0),
            input_args: AtomicUsize::new(0),
            input_room: AtomicUsize::new(0),
            output: AtomicUsize::new(0),
            output_room: AtomicUsize::new(0),
            encryption: AtomicUsize::new(0),
            output_peak: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            charged: AtomicUsize::new(0),
            dying: AtomicUsize::new(0),
            bucket: AtomicU8::new(crate::shared::NO_BUCKET),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            kind: AtomicU8::new(ClientKind::Normal as u8),
            monitoring: AtomicBool::new(false),
            readonly: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            waiting: Waiting::default(),
            is_needed: AtomicBool::new(false),
            waits_limited: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            thread: AtomicUsize::new(usize::MAX),
            authenticated: AtomicBool::new(false),
            is_serving: AtomicBool::new(false),
            was_refused: AtomicBool::new(false),
            send_after: AtomicU64::new(0),
            mailbox: Mailbox::default(),
            waker: ConnWaker::default(),
        }
    }

    /// Closes the connection from any thread. False when somebody else did already. A request of it that waits is not
    /// served any more.
    pub fn kill(&self) -> bool {
        let first = !self.killed.swap(true, Relaxed);
        self.mailbox.close();
        if let Some(claim) = self.waiting.claim_present() {
            claim.end(Ending::Closed);
        }
        self.waker.wake();
        first
    }

    /// The connection waits from now on: see [`Waiting::begin`]. One that is being killed does not wait.
    pub fn begin_wait(&self) -> u64 {
        let wait = self.waiting.begin();
        // Either this sees the mark, or whoever set it sees the wait.
        if self.killed.load(Relaxed)
            && let Some(claim) = self.waiting.claim(wait)
        {
            claim.end(Ending::Closed);
        }
        wait
    }

    /// Lets a waiting connection go on, from any thread: `CLIENT UNBLOCK`. False when it does not wait, or not for
    /// something that may be given up.
    pub fn unblock(&self, how: Ending) -> bool {
        if self.is_needed.load(Relaxed) {
            return false;
        }
        let Some(claim) = self.waiting.claim_present() else { return false };
        claim.end(how);
        self.waker.wake();
        true
    }

    /// True while a request of it waits for anything.
    pub fn is_blocked(&self) -> bool {
        self.paused.load(Relaxed) || self.waiting.is_waiting()
    }

    /// The flag that a change of its watched keys raises.
    pub fn set_watch_flag(&self, flag: Option<Arc<WatchFlag>>) {
        *self.watch_flag.lock().unwrap_or_else(PoisonError::into_inner) = flag;
    }

    /// A watched key changed: EXEC will fail.
    pub fn is_dirty(&self) -> bool {
        let flag = self.watch_flag.lock().unwrap_or_else(PoisonError::into_inner);
        flag.as_ref().is_some_and(|flag| flag.is_raised())
    }

    /// Output that waits, in its own buffer or sent by other threads, in bytes.
    pub fn output_memory(&self) -> usize {
        self.output.load(Relaxed) + self.mailbox.len()
    }

    /// Sends bytes from any thread; returns how many others have left for it to send.
    pub fn send(&self, message: &[u8]) -> usize {
        let waiting = self.mailbox.put(message);
        self.waker.wake();
        waiting
    }

    /// It watches, listens to or tracks something that occupies so many bytes.
    pub fn hold(&self, bytes: usize) {
        self.held.fetch_add(bytes, Relaxed);
    }

    /// It does not any more.
    pub fn let_go(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
    }

    /// Sends a push from any thread, given as RESP2 writes it; `None` when the connection is closed. It goes out once
    /// `bells` are rung. Whoever finds the connection asleep sees to that: a wake-up for each message would cost more than
    /// the message.
    #[inline]
    pub fn push(&self, push: &[u8], bells: &mut Bells) -> Option<Delivery> {
        let delivery = self.mailbox.push(push)?;
        if delivery.is_first {
            self.waker.wake_later(bells);
        }
        Some(delivery)
    }

    /// The same where the protocols differ in more than that, or one has no form for it.
    pub fn push_either(&self, resp2: Option<&[u8]>, resp3: Option<&[u8]>) {
        if self.mailbox.push_either(resp2, resp3).is_some_and(|delivery| delivery.is_first) {
            self.waker.wake();
        }
    }

    /// Number of channels, patterns and shard channels it is subscribed to.
    pub fn subscriptions(&self) -> u32 {
        [&self.channels, &self.patterns, &self.shard_channels].iter().map(|count| count.load(Relaxed)).sum()
    }

    /// Replicas, monitors and subscribers may be silent for as long as they like.
    pub fn is_exempt(&self) -> bool {
        self.kind.load(Relaxed) != ClientKind::Normal as u8 || self.monitoring.load(Relaxed)
    }
}
