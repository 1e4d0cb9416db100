//! Commands about the connection or the process. They are declared like commands of the keyspace, but their
//! handlers see the worker, the session and everything that is shared.
#![expect(clippy::unnecessary_wraps, reason = "every handler has the one type of handlers")]

mod acl;
mod append;
mod auth;
mod client;
mod cluster;
mod command;
mod commandlog;
mod config;
mod connection;
mod debug;
mod functions;
mod help;
mod hotkeys;
pub(crate) mod info;
mod latency;
mod memory;
mod migrate;
mod monitor;
mod process;
mod pubsub;
mod readonly;
mod saving;
mod script;
mod slowlog;
mod transaction;
mod wait;

use crate::acl::{Access, User};
use crate::dispatch::Worker;
use crate::registry::Entry;
use crate::session::{Parked, Session};
use crate::shard::{Hold, Roam, ShardData};
use crate::shared::Shared;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{Args, Command, Error, Family, Reply};
use tidegate_data::{Record, Table};

/// What runs a command about the connection or the process.
pub type Control = fn(&mut ControlCtx<'_, '_>, &mut Args<'_>, &mut Reply<'_>) -> Result<Flow, Error>;

/// How the connection goes on.
#[derive(Debug)]
pub enum Flow {
    /// With the next command.
    Done,
    /// It is closed when everything was sent.
    Close,
    /// It waits.
    Park(Parked),
}

/// What a control handler gets besides its arguments and its reply.
#[derive(Debug)]
pub struct ControlCtx<'a, 's> {
    /// The executing thread.
    pub worker: &'a mut Worker,
    /// The connection.
    pub session: &'a mut Session,
    /// The command.
    pub entry: &'static Entry,
    /// The shards held by the transaction this runs in.
    pub(crate) hold: Option<&'a mut Hold<'s>>,
    /// The right to take more of them.
    pub(crate) roam: Option<&'a Roam<'s>>,
}

impl ControlCtx<'_, '_> {
    /// What all threads share.
    pub fn shared(&self) -> &Shared {
        &self.worker.shared
    }

    /// The clock of this turn, Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.worker.now_ms()
    }

    /// True inside `EXEC`.
    pub fn in_transaction(&self) -> bool {
        self.hold.is_some()
    }

    /// Looks at one shard after the other, each under a hold of its own unless this runs in a transaction. Only for
    /// commands declared `.whole_keyspace()`.
    pub fn each_shard(&mut self, mut look: impl FnMut(u16, &mut ShardData)) {
        if let Some(hold) = &mut self.hold {
            hold.each(look);
            return;
        }
        let shards = &self.worker.shared.shards;
        for shard in 0..shards.len() as u16 {
            look(shard, shards.hold_one(shard).data_mut());
        }
    }

    /// Looks at one shard. Only for shards of the command's declared keys, or with `.whole_keyspace()`.
    pub fn with_shard<R>(&mut self, shard: u16, look: impl FnOnce(&mut ShardData) -> R) -> R {
        match &mut self.hold {
            Some(hold) => look(hold.shard_mut(shard).expect("a transaction holds what its commands declare")),
            None => look(self.worker.shared.shards.hold_one(shard).data_mut()),
        }
    }

    /// Looks at a key of the selected database, whether its time has come or not; that it was touched is noted in debug builds.
    pub fn with_record<R>(
        &mut self,
        shard: u16,
        hash: u64,
        key: &[u8],
        look: impl FnOnce(&Table, Option<&Record>) -> R,
    ) -> R {
        let db = self.session.db;
        self.worker.exec.note_touch(db, key, false);
        self.with_shard(shard, |data| {
            let table = data.databases.table(db);
            look(table, table.get(hash, key))
        })
    }

    /// Asks access control about a key that no key spec declares.
    ///
    /// # Errors
    /// The user may not use it so.
    pub fn may_use(&self, key: &[u8], access: Access) -> Result<(), Error> {
        let db = self.session.db as u32;
        let may = |user: &Arc<User>| user.may_use(db, key, access);
        if !self.session.is_limited || self.session.user.as_ref().is_some_and(may) {
            return Ok(());
        }
        Err(Error::new("NOPERM this user has no permissions to access one of the keys used as arguments"))
    }

    /// Looks at the whole keyspace, under the transaction's hold or one of its own. Only for commands declared
    /// `.whole_keyspace()`.
    pub fn with_keyspace<R>(&mut self, look: impl FnOnce(&mut Hold<'_>) -> R) -> R {
        match &mut self.hold {
            Some(hold) => look(hold),
            None => look(&mut self.worker.shared.shards.hold_all()),
        }
    }
}

pub use process::Save;
pub(crate) use wait::write_synced;

/// Begins the declaration of a control command.
pub(crate) const fn control(name: &'static str, syntax: &'static str, handler: Control) -> Command<Control> {
    Command::new(name, syntax, handler)
}

/// Every family of control commands.
pub static ALL: &[&Family<Control>] = &[
    &transaction::FAMILY,
    &connection::FAMILY,
    &auth::FAMILY,
    &client::FAMILY,
    &server::FAMILY,
    &script::FAMILY,
    &cluster::FAMILY,
    &acl::FAMILY,
    &command::FAMILY,
    &commandlog::FAMILY,
    &hotkeys::FAMILY,
    &latency::FAMILY,
    &migrate::FAMILY,
    &monitor::FAMILY,
    &pubsub::FAMILY,
    &slowlog::FAMILY,
    &wait::FAMILY,
];

/// The commands about the server as a whole.
mod server {
    use super::{Control, append, config, debug, info, memory, process, saving};
    use tidegate_commands::model::{Acl, Family, family};

    pub(super) static FAMILY: Family<Control> = family(
        "server",
        Acl::NONE,
        &[
            &info::INFO,
            &config::CONFIG,
            &debug::DEBUG,
            &memory::MEMORY,
            &saving::SAVE,
            &saving::BGSAVE,
            &append::BGREWRITEAOF,
            &process::SHUTDOWN,
            &process::TIME,
            &saving::LASTSAVE,
            &process::ROLE,
            &process::LOLWUT,
            &process::MODULE,
        ],
    );
}

/// Housekeeping about ten times a second: clients that were idle for too long, figures that are sampled.
pub fn cron(shared: &Arc<Shared>) {
    if !shared.shutdown.is_requested()
        && let Some(words) = shared.shutdown.abort()
    {
        shut_down_on_signal(shared, words);
    }
    if !shared.loading.is_on() {
        crate::snapshot::save::cron(shared);
        crate::aof::cron(shared);
    }
    sample(shared);
    close_idle_clients(shared);
    close_strangers(shared);
}

/// On a thread of its own, because saving may take long, and who sends the signal again does not want to wait for it.
fn shut_down_on_signal(shared: &Arc<Shared>, words: i64) {
    let shared = Arc::clone(shared);
    let shut_down = move || {
        let (save, force) = Save::on_signal(words);
        if process::shut_down(&shared, save, force).is_err() {
            tracing::warn!(
                "SIGTERM received but errors trying to shut down the server, check the logs for more information"
            );
        }
    };
    if std::thread::Builder::new().name("shutdown".to_owned()).spawn(shut_down).is_err() {
        tracing::warn!("There is no thread to shut down the server with. Send the signal again");
    }
}

fn sample(shared: &Shared) {
    let (stats, now_ms) = (&shared.stats, crate::clock::unix_ms());
    stats.note_memory(crate::memory::used());
    stats.rates.commands.sample(stats.executed(), now_ms);
    stats.rates.received.sample(stats.sum(|thread| &thread.received), now_ms);
    stats.rates.sent.sample(stats.sum(|thread| &thread.sent), now_ms);
    shared.average_ttl.sample(&shared.shards, now_ms);
}

/// Whoever does not say in time who it is leaves its place to others.
fn close_strangers(shared: &Shared) {
    let timeout_s = shared.config.hot().preauth_timeout.get();
    if timeout_s > 0 && shared.users.needs_password() {
        let since_ms = crate::clock::unix_ms() - (timeout_s * 1000) as i64;
        shared.clients.each(|client| {
            if !client.authenticated.load(Relaxed)
                && client.stranger_since_ms.load(Relaxed) < since_ms
                && !client.is_blocked()
            {
                tracing::debug!(
                    "Closing client id={} addr={}: it did not authenticate",
                    client.id,
                    client.addr
                );
                client.kill();
            }
        });
    }
}

fn close_idle_clients(shared: &Shared) {
    let timeout_s = shared.config.hot().timeout.get();
    if timeout_s > 0 {
        let oldest_ms = crate::clock::unix_ms() - (timeout_s * 1000) as i64;
        shared.clients.each(|client| {
            if client.last_ms.load(Relaxed) < oldest_ms && !client.is_blocked() && !client.is_exempt() {
                tracing::debug!("Closing idle client id={} addr={}", client.id, client.addr);
                client.kill();
            }
        });
    }
}
