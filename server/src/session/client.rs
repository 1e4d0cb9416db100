//! The public face of a connection: what `CLIENT LIST` shows and what other threads may ask of it.

use atomic_waker::AtomicWaker;
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed,
};
use std::sync::{Mutex, PoisonError};

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

/// Bytes that other threads want sent, in order.
#[derive(Debug, Default)]
pub struct Mailbox {
    bytes: Mutex<Vec<u8>>,
    waiting: AtomicBool,
}

impl Mailbox {
    /// Appends a message; returns the number of bytes waiting.
    pub fn put(&self, message: &[u8]) -> usize {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend_from_slice(message);
        self.waiting.store(true, Relaxed);
        bytes.len()
    }

    /// Moves everything to the end of `out`.
    pub fn take_into(&self, out: &mut Vec<u8>) {
        if !self.waiting.load(Relaxed) {
            return;
        }
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.store(false, Relaxed);
        if out.is_empty() {
            std::mem::swap(out, &mut bytes);
        } else {
            out.append(&mut bytes);
        }
    }
}

/// How a waiting client is let go by `CLIENT UNBLOCK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Unblock {
    /// It is not.
    No = 0,
    /// As if its time had run out.
    Timeout = 1,
    /// With an `UNBLOCKED` error.
    Error = 2,
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
    /// The peer is on this machine.
    pub is_local: bool,
    /// It came over the Unix socket.
    pub is_unix: bool,
    /// `CLIENT SETNAME`
    pub name: Mutex<String>,
    /// `CLIENT SETINFO LIB-NAME`
    pub lib_name: Mutex<String>,
    /// `CLIENT SETINFO LIB-VER`
    pub lib_ver: Mutex<String>,
    /// The user it authenticated as.
    pub user: Mutex<String>,
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
    /// Bytes of queued commands.
    pub multi_memory: AtomicUsize,
    /// Undecoded input, in bytes.
    pub input: AtomicUsize,
    /// Capacity of its own input buffer beyond that, in bytes.
    pub input_free: AtomicUsize,
    /// Output waiting to be sent, in bytes.
    pub output: AtomicUsize,
    /// Highest `output` lately.
    pub output_peak: AtomicUsize,
    /// Bytes received.
    pub received: AtomicU64,
    /// Bytes sent.
    pub sent: AtomicU64,
    /// [`ClientKind`].
    pub kind: AtomicU8,
    /// `MONITOR`
    pub monitoring: AtomicBool,
    /// `CLIENT NO-EVICT`
    pub no_evict: AtomicBool,
    /// `CLIENT NO-TOUCH`
    pub no_touch: AtomicBool,
    /// A request is parked or waits for keys.
    pub blocked: AtomicBool,
    /// It waits in a way that `CLIENT UNBLOCK` may end.
    pub unblockable: AtomicBool,
    /// [`Unblock`].
    pub unblock: AtomicU8,
    /// It is closed at the next chance.
    pub killed: AtomicBool,
    /// A watched key changed: EXEC will fail.
    pub dirty: AtomicBool,
    /// Its transaction is broken or it closes after the reply.
    pub closing: AtomicBool,
    /// Messages from other threads.
    pub mailbox: Mailbox,
    /// Wakes its task.
    pub waker: AtomicWaker,
}

impl Client {
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
            is_local,
            is_unix,
            name: Mutex::default(),
            lib_name: Mutex::default(),
            lib_ver: Mutex::default(),
            user: Mutex::new("default".into()),
            last_ms: AtomicI64::new(now_ms),
            db: AtomicU16::new(0),
            resp: AtomicU8::new(2),
            last_command: AtomicU32::new(0),
            multi: AtomicI64::new(-1),
            watch: AtomicU32::new(0),
            multi_memory: AtomicUsize::new(0),
            input: AtomicUsize::new(0),
            input_free: AtomicUsize::new(0),
            output: AtomicUsize::new(0),
            output_peak: AtomicUsize::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            kind: AtomicU8::new(ClientKind::Normal as u8),
            monitoring: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            unblockable: AtomicBool::new(false),
            unblock: AtomicU8::new(Unblock::No as u8),
            killed: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            mailbox: Mailbox::default(),
            waker: AtomicWaker::new(),
        }
    }

    /// Closes the connection from any thread.
    pub fn kill(&self) {
        self.killed.store(true, Relaxed);
        self.waker.wake();
    }

    /// Sends bytes from any thread.
    pub fn send(&self, message: &[u8]) {
        self.mailbox.put(message);
        self.waker.wake();
    }

    /// Replicas, monitors and subscribers may be silent for as long as they like.
    pub fn is_exempt(&self) -> bool {
        self.kind.load(Relaxed) != ClientKind::Normal as u8 || self.monitoring.load(Relaxed)
    }
}
