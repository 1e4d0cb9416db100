//! What a connection remembers between commands: plain state, no I/O.

mod client;

pub use client::{Client, ClientKind, Label, Mailbox, Unblock};

use crate::net::decode::Decoder;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tidegate_commands::model::Protocol;

pub use tidegate_commands::model::StoredRequest;

/// Raised when a watched key changes.
#[derive(Debug, Default)]
pub struct WatchFlag {
    raised: AtomicBool,
}

impl WatchFlag {
    /// A watched key changed.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Release);
    }

    /// True when a watched key changed.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }
}

/// A watched key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Its database.
    pub db: u16,
    /// Its shard.
    pub shard: u16,
    /// Its hash.
    pub hash: u64,
    /// Its name.
    pub key: Box<[u8]>,
    /// It was there when it was watched.
    pub existed: bool,
}

/// A transaction being collected.
#[derive(Debug, Default)]
pub struct Transaction {
    /// The queued requests, in order.
    pub queued: Vec<StoredRequest>,
    /// A queued command was refused: `EXEC` will only answer `EXECABORT`.
    pub broken: bool,
}

/// `CLIENT REPLY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyMode {
    /// Every command is answered.
    #[default]
    On,
    /// Nothing is answered.
    Off,
    /// The next command is not answered.
    SkipNext,
    /// This command is not answered.
    Skip,
}

/// A request that waits.
#[derive(Debug)]
pub struct Parked {
    /// When waiting ends by itself, Unix milliseconds; `i64::MAX` for never.
    pub until_ms: i64,
    /// What happens then.
    pub then: Then,
}

/// What happens at the end of waiting.
#[derive(Debug)]
pub enum Then {
    /// The request is tried again.
    Retry(StoredRequest),
    /// This is its reply.
    Answer(Vec<u8>),
}

impl Parked {
    /// The reply when time runs out.
    pub fn timed_out(self) -> Vec<u8> {
        match self.then {
            Then::Answer(answer) => answer,
            Then::Retry(_) => Vec::new(),
        }
    }
}

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    /// What the rest of the process may know and ask of this connection.
    pub client: Arc<Client>,
    /// Decoder state of a half-received request.
    pub decoder: Decoder,
    /// The selected database.
    pub db: usize,
    /// The protocol of replies.
    pub protocol: Protocol,
    /// May run commands.
    pub authenticated: bool,
    /// The transaction being collected.
    pub transaction: Option<Transaction>,
    /// Watched keys.
    pub watched: Vec<Watched>,
    /// Raised when one of them changes.
    pub watch_flag: Arc<WatchFlag>,
    /// Arguments of the running command that logs must not show, beyond those its declaration names.
    pub redacted: SmallVec<[usize; 2]>,
    /// `CLIENT REPLY`.
    pub reply_mode: ReplyMode,
    /// `CLIENT NO-TOUCH`.
    pub no_touch: bool,
    /// A request that waits for something (the end of a pause).
    pub parked: Option<Parked>,
    /// Bytes of replies that may gather until the connection is closed for not reading them.
    pub output_left: usize,
    /// The connection is closed once everything written so far was sent.
    pub close_after_reply: bool,
}

impl Session {
    /// The state of a new connection.
    pub fn new(client: Arc<Client>, authenticated: bool) -> Self {
        Session {
            client,
            decoder: Decoder::default(),
            db: 0,
            protocol: Protocol::Resp2,
            authenticated,
            transaction: None,
            watched: Vec::new(),
            watch_flag: Arc::default(),
            redacted: SmallVec::new(),
            reply_mode: ReplyMode::On,
            no_touch: false,
            parked: None,
            output_left: usize::MAX,
            close_after_reply: false,
        }
    }
}
