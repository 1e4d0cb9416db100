//! What a connection remembers between commands: plain state, no I/O.

mod client;
mod describe;
mod gate;
mod mailbox;
mod subscriptions;
mod tracking;
mod waiting;
mod wake;

pub use client::{Client, ClientKind, Label};
pub use describe::{ClientMemory, NAME_SIZE, WATCHED_SIZE};
pub use gate::Gate;
pub use mailbox::{Delivery, Mailbox};
pub use subscriptions::{Names, Subscriptions};

pub use tracking::{TrackOptions, Tracking};
pub use waiting::{Claim, Ending, Waiting};
pub use wake::{Bells, ConnWaker, Notified, Wakeups};

use crate::acl::{User, Users};
use crate::dispatch::Moving;
use crate::net::decode::Decoder;
use crate::registry::Entry;
use crate::shard::block::Waiter;
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tidegate_commands::model::{Protocol, Reply};

pub use tidegate_commands::model::StoredRequest;
use tidegate_persistence::journal::Lsn;

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
    /// What for, and what happens then.
    pub then: Then,
    /// `CLIENT REPLY`: nobody wants the reply.
    pub is_silent: bool,
}

/// What a request waits for, and what happens then.
#[derive(Debug)]
pub enum Then {
    /// For the end of a pause: it is tried again.
    Retry(StoredRequest),
    /// For time to pass.
    Answer(Answer),
    /// For keys. Whoever touches one of them sends the reply; when time runs out it is a null array.
    Keys(Arc<Waiter>),
    /// For something to be freed that this command removed. Whoever frees it sends the reply.
    Freed(&'static Entry),
    /// For the append-only file to be synced up to here: `WAITAOF`.
    Synced(Sync),
    /// For keys to reach another server: `MIGRATE`.
    Moved(Box<Moving>),
    /// For the thread of a connection that got more messages than it could send so far. The reply was given already.
    Behind(Arc<Client>),
}

/// Nobody waits longer than this for messages to be sent, in milliseconds: a thread may be busy with something else.
const DELIVERY_MAX_MS: i64 = 50;

/// A request that waits for the disk.
#[derive(Debug)]
pub struct Sync {
    /// Position in the journal.
    pub lsn: Lsn,
    /// When it waits no longer, Unix milliseconds.
    pub deadline_ms: i64,
    /// The command.
    pub entry: &'static Entry,
}

/// How often whoever waits for the disk looks, in milliseconds.
const SYNC_LOOK_MS: i64 = 5;

/// A request that waits for nothing but time.
#[derive(Debug)]
pub struct Answer {
    /// Its reply.
    pub reply: Vec<u8>,
    /// The command.
    pub entry: &'static Entry,
}

impl Parked {
    /// Waits for the end of a pause.
    pub fn for_pause(until_ms: i64, request: StoredRequest) -> Self {
        Parked { until_ms, then: Then::Retry(request), is_silent: false }
    }

    /// Waits for time to pass: `None` for ever.
    pub fn for_time(deadline_ms: Option<i64>, reply: Vec<u8>, entry: &'static Entry) -> Self {
        let then = Then::Answer(Answer { reply, entry });
        Parked { until_ms: deadline_ms.unwrap_or(i64::MAX), then, is_silent: false }
    }

    /// Waits for keys, until `deadline_ms` or for ever.
    pub fn for_keys(deadline_ms: Option<i64>, waiter: Arc<Waiter>) -> Self {
        let is_silent = waiter.is_silent;
        Parked { until_ms: deadline_ms.unwrap_or(i64::MAX), then: Then::Keys(waiter), is_silent }
    }

    /// Waits until `client` was sent what it got, but not for long.
    pub fn for_delivery(client: Arc<Client>, now_ms: i64) -> Self {
        Parked { until_ms: now_ms + DELIVERY_MAX_MS, then: Then::Behind(client), is_silent: false }
    }

    /// Waits until the disk has the journal up to `lsn`.
    pub fn for_sync(lsn: Lsn, deadline_ms: Option<i64>, now_ms: i64, entry: &'static Entry) -> Self {
        let deadline_ms = deadline_ms.unwrap_or(i64::MAX);
        let then = Then::Synced(Sync { lsn, deadline_ms, entry });
        Parked { until_ms: deadline_ms.min(now_ms + SYNC_LOOK_MS), then, is_silent: false }
    }

    /// The disk has not done it yet.
    pub fn look_again(&mut self, now_ms: i64) {
        if let Then::Synced(sync) = &self.then {
            self.until_ms = sync.deadline_ms.min(now_ms + SYNC_LOOK_MS);
        }
    }

    /// Waits until keys have reached another server.
    pub fn for_move(moving: Moving) -> Self {
        Parked { until_ms: i64::MAX, then: Then::Moved(Box::new(moving)), is_silent: false }
    }

    /// Waits until something is freed.
    pub fn for_background(entry: &'static Entry) -> Self {
        Parked { until_ms: i64::MAX, then: Then::Freed(entry), is_silent: false }
    }

    /// Writes the reply when time has run out, or where nothing may wait for time.
    pub fn write_timed_out(&self, reply: &mut Reply<'_>) {
        match &self.then {
            Then::Answer(answer) => reply.raw(&answer.reply),
            Then::Keys(_) => reply.null_array(),
            Then::Synced(_) => crate::control::write_synced(reply, false),
            Then::Retry(_) | Then::Freed(_) | Then::Moved(_) | Then::Behind(_) => {}
        }
    }
}

/// The state of one connection.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is asked alone, on paths where a word of flags would cost"
)]
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
    /// There is something that its user may not do.
    pub is_limited: bool,
    /// Who it is; `None` for what is no connection, and may do everything.
    pub user: Option<Arc<User>>,
    /// The generation of users that `user` is of.
    pub users_seen: u64,
    /// The transaction being collected.
    pub transaction: Option<Transaction>,
    /// Watched keys.
    pub watched: Vec<Watched>,
    /// Raised when one of them changes.
    pub watch_flag: Arc<WatchFlag>,
    /// Arguments of the running command that logs must not show, beyond those its declaration names.
    pub redacted: SmallVec<[usize; 2]>,
    /// The running command is answered later: the client gave a wrong password too often. Unix milliseconds.
    pub answer_at_ms: Option<i64>,
    /// What it is subscribed to; `None` while that is nothing.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// What others sent it while it ran a transaction, and what has to be sent before the replies of that.
    pub before_exec: Vec<u8>,
    /// The prefixes `CLIENT TRACKING` was given; `None` while it is off. Its other options are the client's.
    pub tracking: Option<BTreeSet<Box<[u8]>>>,
    /// `CLIENT REPLY`.
    pub reply_mode: ReplyMode,
    /// `CLIENT NO-TOUCH`.
    pub no_touch: bool,
    /// A request that waits for something (the end of a pause).
    pub parked: Option<Parked>,
    /// Bytes of replies that may gather until the connection is closed for not reading them.
    pub output_left: usize,
    /// Reply bytes after which others have their turn, before more of its commands run.
    pub output_pause: usize,
    /// The connection is closed once everything written so far was sent.
    pub close_after_reply: bool,
}

impl Session {
    /// It is this user from now on. The generation must have been read before the user was.
    pub fn become_user(&mut self, user: Arc<User>, generation: u64) {
        self.client.user.set(&String::from_utf8_lossy(user.name()));
        self.is_limited = !user.is_unlimited();
        self.user = Some(user);
        self.users_seen = generation;
    }

    /// Its user is what others have made of it meanwhile. If they removed it, the connection is over.
    #[cold]
    pub fn follow_users(&mut self, users: &Users) {
        let generation = users.generation();
        let Some(user) = &self.user else {
            self.users_seen = generation;
            return;
        };
        match users.get(user.name()).filter(|present| present.serial() == user.serial()) {
            Some(present) => self.become_user(present, generation),
            None => self.lose_user(users),
        }
    }

    /// Its user is gone: whatever happens until it is closed, it may do nothing.
    pub fn lose_user(&mut self, users: &Users) {
        let generation = users.generation();
        self.become_user(users.default_user(), generation);
        self.is_limited = true;
        self.authenticated = false;
        self.client.authenticated.store(false, Ordering::Relaxed);
        self.close_after_reply = true;
    }
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
            is_limited: false,
            user: None,
            users_seen: 0,
            transaction: None,
            watched: Vec::new(),
            watch_flag: Arc::default(),
            redacted: SmallVec::new(),
            answer_at_ms: None,
            subscriptions: None,
            before_exec: Vec::new(),
            tracking: None,
            reply_mode: ReplyMode::On,
            no_touch: false,
            parked: None,
            output_left: usize::MAX,
            output_pause: usize::MAX,
            close_after_reply: false,
        }
    }
}
