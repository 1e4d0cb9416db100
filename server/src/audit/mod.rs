//! The audit log (`audit-log`): who did what, one JSON object a line, names and keys but never values.
//!
//! Workers make the line and put it into a bounded queue; a thread of its own writes. A worker never waits for a disk: what does
//! not fit into the queue is dropped and counted (`audit_log_dropped`). Turned off it is one comparison per command, and nothing for
//! the short commands of the straight way.

mod line;
mod writer;

use crate::config::choices::AuditLevel;
use crate::registry::Entry;
use crate::session::Client;
use crate::shared::Shared;
pub(crate) use line::Audited;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tidegate_commands::model::{Acl, Flag};
use writer::Writer;

/// Lines that wait to be written at most. One is some 200 bytes, and never more than some 4 KiB.
const QUEUE_MAX: usize = 8192;

/// The audit log.
#[derive(Debug, Default)]
pub struct Audit {
    open: Mutex<Option<Open>>,
    figures: Arc<Figures>,
}

/// What is told of it.
#[derive(Debug, Default)]
pub struct Figures {
    /// Lines that are in the file.
    pub written: AtomicU64,
    /// Lines that are nowhere: the queue was full, or the file could not be written.
    pub dropped: AtomicU64,
    /// `audit-log-max-size` in bytes; 0 for no limit.
    size_max: AtomicU64,
    /// `audit-log-files`
    files: AtomicU64,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    queue: SyncSender<String>,
    thread: JoinHandle<()>,
}

impl Audit {
    /// Opens or closes the file as the configuration says now. Does nothing where that is so already.
    ///
    /// # Errors
    /// When the file cannot be opened; then everything stays as it was.
    pub fn follow(&self, shared: &Shared) -> io::Result<()> {
        let config = &shared.config;
        self.figures.size_max.store(config.number("audit-log-max-size") as u64, Relaxed);
        self.figures.files.store(config.number("audit-log-files") as u64, Relaxed);
        let level = config.hot().audit_log.get();
        let path = config.path("audit-log-file").unwrap_or_default();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if level == AuditLevel::Off {
            close(open.take());
            return Ok(());
        }
        if open.as_ref().is_some_and(|open| open.path == path) {
            return Ok(());
        }
        let writer = Writer::open(path.clone(), Arc::clone(&self.figures))?;
        let (queue, lines) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let thread = thread.spawn(move || writer.run(&lines))?;
        close(open.replace(Open { path, queue, thread }));
        Ok(())
    }

    /// Writes what is in the queue, and no more from then on.
    pub fn close(&self) {
        close(self.open.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// What is told of it.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Notes what a client did, or was not allowed to do.
    #[cold]
    pub(crate) fn note(&self, shared: &Shared, client: &Client, audited: &Audited<'_>) {
        let line = audited.line(client, !shared.config.hot().hide_user_data_from_log.get());
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_taken = open.as_ref().is_some_and(|open| open.queue.try_send(line).is_ok());
        if !is_taken {
            self.figures.dropped.fetch_add(1, Relaxed);
        }
    }
}

fn close(open: Option<Open>) {
    if let Some(Open { queue, thread, .. }) = open {
        drop(queue);
        // It ends when it has written what there is.
        let _ = thread.join();
    }
}

impl AuditLevel {
    /// True when what this command does is noted.
    pub(crate) fn notes(self, entry: &Entry) -> bool {
        match self {
            Self::Off => false,
            Self::Admin => is_administrative(entry),
            Self::Write => entry.writes() || entry.is_script || is_administrative(entry),
            Self::All => true,
        }
    }

    /// True when the commands of the straight way may be among what is noted.
    pub(crate) fn notes_data(self) -> bool {
        matches!(self, Self::Write | Self::All)
    }
}

/// What changes the server or who may use it, and logging in.
fn is_administrative(entry: &Entry) -> bool {
    entry.flags.has(Flag::Admin)
        || entry.acl.has(Acl::ADMIN)
        || entry.acl.has(Acl::DANGEROUS)
        || matches!(entry.name.as_str(), "auth" | "hello")
}

/// The reason of a refusal that is about rights, by the code of its error.
pub(crate) fn is_about_rights(code: &str) -> bool {
    matches!(code, "NOPERM" | "NOAUTH" | "WRONGPASS" | "DENIED")
}
