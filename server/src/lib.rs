//! The Tidegate server: from sockets to the keyspace and back.
//!
//! `ARCHITECTURE.md` in the repository follows a request on its way through these modules.
//!
//! # Where things are
//!
//! * [`config`]: the table of directives; files, command line, `CONFIG`. [`process`]: what surrounds a server: arguments,
//!   log, daemon, warnings at the start.
//! * [`net`]: listening, connections, the request decoder.
//! * [`dispatch`]: look up, gate, route, run. [`dispatch::Worker::process`] is the engine, and does no I/O.
//! * [`registry`]: all commands by name. [`control`]: commands about the connection or the process.
//! * [`shard`]: the sharded keyspace: locks, holds, running handlers and settling what they did, watched keys.
//! * [`dataset`]: saving the data set as a whole, and loading it. [`loading`]: that at the start. [`snapshot`]: saving it in
//!   the background.
//!   [`digest`]: its fingerprint.
//! * [`migrate`]: sending keys to other servers.
//! * [`session`]: what a connection remembers. [`shared`]: the only process-wide state, split by owner.
//! * [`metrics`]: figures for Prometheus.
//! * [`audit`]: the audit log.
//! * [`tls`]: encrypted connections.
//! * [`server`]: threads, timers, shutdown. [`memory`], [`usage`], [`clock`], [`version`]: measuring and naming.
//!
//! # Invariants
//!
//! * Handlers are plain functions, and no `.await` happens while a shard is held: holds are made in plain functions only.
//! * Only [`shard::exec`] journals, marks watchers and counts changes: it settles what a command did while its shards are
//!   still held.
//! * Only [`shard::hold`] gives access to two shards at once, locked in ascending order. A thread that holds one shard
//!   releases it before it takes several.
//! * No `static mut` and no global server object. Statics are constant, but for the counters of the allocator in
//!   [`memory`].
//! * What an ordinary command touches outside its shard is owned by its thread, is a relaxed atomic, or is the journal.
//! * No request bytes outlive their buffer: what must be kept (a queued or parked request) is copied.

pub mod acl;
pub mod aof;
pub mod audit;
pub mod clock;
pub mod config;
pub mod control;
pub mod dataset;
pub mod digest;
pub mod dispatch;
mod link;
pub mod loading;
pub mod memory;
pub mod metrics;
pub mod migrate;
pub mod native;
pub mod net;
pub mod process;
pub mod registry;
pub mod running;
pub mod script;
pub mod server;
pub mod session;
pub mod shard;
pub mod shared;
pub mod snapshot;
pub mod tls;
pub mod top;
pub mod usage;
pub mod version;

pub use server::{Handle, Server};

use config::{Command, Config, Found, LoadError, Located};
use process::Process;
use registry::Registry;

/// The `rename-command` lines of the configuration, old names and new ones.
///
/// # Errors
/// The first line that names no command, or takes a name that is in use.
pub fn renamed_commands(config: &Config) -> Result<Vec<(String, String)>, LoadError> {
    match wrong_renames(config).into_iter().next() {
        Some(found) => Err(found.error),
        None => Ok(rename_lines(config).map(|(names, _)| names).collect()),
    }
}

/// Every `rename-command` line that is wrong. What comes after it is looked at as if it were not there.
pub fn wrong_renames(config: &Config) -> Vec<Found> {
    let (renamed, lines): (Vec<_>, Vec<_>) = rename_lines(config).unzip();
    if renamed.is_empty() {
        return Vec::new();
    }
    Registry::wrong_renames(&renamed).into_iter().map(|(at, reason)| lines[at].found(reason)).collect()
}

fn rename_lines(config: &Config) -> impl Iterator<Item = ((String, String), &Located<Command>)> {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    config.commands().iter().filter_map(move |line| match &line.value {
        Command::Rename { from, to } => Some(((text(from), text(to)), line)),
        Command::User { .. } => None,
    })
}

/// Starts a server with this configuration, says that it is ready, and waits for its end.
///
/// # Errors
/// When the server cannot be reached on any of its addresses.
pub fn run(config: Config, renamed: &[(String, String)], process: &Process) -> std::io::Result<()> {
    let server = Server::start(config, renamed)?;
    let config = &server.shared().config;
    if server.shared().shutdown.is_requested() {
        server.join();
        return Ok(());
    }
    if config.port() != 0 || config.tls_port() != 0 {
        tracing::info!("Ready to accept connections");
    }
    if let Some(path) = config.path("unixsocket") {
        tracing::info!("The server is now ready to accept connections at {}", path.display());
    }
    process.ready(config.hot().replicaof.get());
    server.join();
    Ok(())
}
