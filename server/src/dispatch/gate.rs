//! Every check before a command runs, one line each, in Redis' order.

use super::{Lookup, Request, Worker, lookup};
use crate::registry::Entry;
use crate::script::{Permits, Script, parse_sha};
use crate::session::{Session, StoredRequest};
use crate::shared::PauseKind;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{Error, Flag, Span};

/// Why a command does not run now.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is answered with an error.
    Error(Error),
    /// It waits.
    Park,
    /// The connection is closed without an answer.
    Close,
}

/// The answer to nearly everything while the data set is loaded.
pub(crate) const LOADING: &str = "LOADING Redis is loading the dataset in memory";

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Error(error)
    }
}

impl Worker {
    /// The entry of a command that may run now.
    #[inline]
    pub(super) fn gate(&self, session: &Session, request: &Request<'_>) -> Result<&'static Entry, Refusal> {
        let entry = match request.lookup {
            Lookup::Found(entry) => entry,
            other => return Err(not_found(other, request)),
        };
        if !entry.accepts(request.spans.len()) || entry.is_container() {
            return Err(entry
                .usage
                .map_or_else(|| Error::Arity(entry.name.clone().into()), Error::new)
                .into());
        }
        if self.replayed.is_some() {
            // Nothing stands in the way of what was done already.
            return Ok(entry);
        }
        if entry.flags.has(Flag::Protected) {
            self.check_protected(session, entry)?;
        }
        if !session.authenticated && !entry.flags.has(Flag::NoAuth) && self.shared.users.needs_password() {
            return Err(Error::new("NOAUTH Authentication required.").into());
        }
        if session.transaction.is_some() && entry.flags.has(Flag::NoMulti) {
            return Err(Error::new("ERR Command not allowed inside a transaction").into());
        }
        if session.is_limited {
            self.check_rights(session, request, entry)?;
        }
        if self.out_of_memory {
            self.check_memory(session, request, entry)?;
        }
        if self.disk_trouble {
            self.check_disk(session, request, entry)?;
        }
        if session.subscriptions.is_some() {
            check_subscriber(session, entry)?;
        }
        if self.is_loading_elsewhere {
            self.check_loading(session, entry)?;
        }
        if self.shared.scripts.busy.is_busy() && !entry.flags.has(Flag::AllowBusy) {
            return Err(self.shared.scripts.busy.refusal().into());
        }
        if self.shared.clients.is_monitored() {
            self.check_monitor(session, entry)?;
        }
        match self.shared.pause.kind(self.exec.now_ms) {
            PauseKind::None => Ok(entry),
            // Who watches is not part of what is paused.
            _ if session.client.monitoring.load(Relaxed) => Ok(entry),
            kind => self.check_pause(session, request, entry, kind),
        }
    }

    #[cold]
    fn check_protected(&self, session: &Session, entry: &Entry) -> Result<(), Refusal> {
        let hot = self.shared.config.hot();
        let container = entry.name.split('|').next().unwrap_or_default();
        let (action, directive) = match container {
            "debug" => (hot.enable_debug_command.get(), "enable-debug-command"),
            _ => (hot.enable_module_command.get(), "enable-module-command"),
        };
        if action.allows(session.client.is_local) {
            return Ok(());
        }
        Err(Error::text(format!(
            "ERR {} command not allowed. If the {directive} option is set to \"local\", you can run it from a local \
             connection, otherwise you need to set this option in the configuration file, and then restart the server.",
            container.to_ascii_uppercase()
        ))
        .into())
    }

    /// What needs memory is refused; in a transaction, queueing itself does, and `EXEC` is judged by what it queued.
    #[cold]
    fn check_memory(&self, session: &Session, request: &Request<'_>, entry: &Entry) -> Result<(), Refusal> {
        let needs = |entry: &Entry, buf: &[u8], spans: &[Span]| {
            entry.flags.has(Flag::DenyOom)
                || self.declared(entry, buf, spans).is_some_and(Permits::needs_memory)
        };
        let refused = match &session.transaction {
            _ if entry.name == "exec" => {
                self.any_queued(session, |entry, stored| needs(entry, &stored.bytes, &stored.args))
            }
            Some(_) => !matches!(entry.name.as_str(), "discard" | "quit" | "reset"),
            None => needs(entry, request.buf, request.spans),
        };
        if refused {
            return Err(Error::new("OOM command not allowed when used memory > 'maxmemory'.").into());
        }
        Ok(())
    }

    /// Nothing is changed that cannot be saved. Who asks whether the server is well hears that it is not.
    #[cold]
    fn check_disk(&self, session: &Session, request: &Request<'_>, entry: &Entry) -> Result<(), Refusal> {
        let declared = self.declared(entry, request.buf, request.spans);
        let refused = declared.map_or(entry.writes(), Permits::may_write)
            || entry.name == "ping"
            || entry.name == "exec" && self.any_queued(session, |entry, _| entry.writes());
        if refused {
            // It may have ended a moment ago.
            if let Some(trouble) = self.shared.disk_trouble() {
                return Err(trouble.refusal().into());
            }
        }
        Ok(())
    }

    /// While the data set is loaded, only what has nothing to do with it is allowed.
    #[cold]
    fn check_loading(&self, session: &Session, entry: &Entry) -> Result<(), Refusal> {
        let is_refused = |entry: &Entry| !entry.flags.has(Flag::Loading);
        if is_refused(entry) || entry.name == "exec" && self.any_queued(session, |entry, _| is_refused(entry))
        {
            return Err(Error::new(LOADING).into());
        }
        Ok(())
    }

    /// Who watches every command is exempt from pauses, and may not use that to change what is paused. Redis counts
    /// monitors among replicas, and says so.
    #[cold]
    fn check_monitor(&self, session: &Session, entry: &Entry) -> Result<(), Refusal> {
        let touches = |entry: &Entry| {
            [Flag::Write, Flag::Readonly, Flag::MayReplicate].iter().any(|flag| entry.flags.has(*flag))
        };
        let queued = || entry.name == "exec" && self.any_queued(session, |entry, _| touches(entry));
        if session.client.monitoring.load(Relaxed) && (touches(entry) || queued()) {
            return Err(Error::new("ERR Replica can't interact with the keyspace").into());
        }
        Ok(())
    }

    pub(super) fn any_queued(
        &self,
        session: &Session,
        mut wanted: impl FnMut(&Entry, &StoredRequest) -> bool,
    ) -> bool {
        session.transaction.iter().flat_map(|transaction| &transaction.queued).any(|stored| {
            let found = Lookup::of(self.shared.registry, &stored.bytes, &stored.args);
            matches!(found, Lookup::Found(entry) if wanted(entry, stored))
        })
    }

    /// What the script or the function of a request says it does, if it does say.
    pub(super) fn declared(&self, entry: &Entry, buf: &[u8], spans: &[Span]) -> Option<Permits> {
        if !entry.is_script {
            return None;
        }
        let text = spans.get(1)?.slice(buf);
        let permits = if entry.name.starts_with("fcall") {
            self.shared.libraries.get().function(text)?.1.flags.permits()
        } else if entry.name.starts_with("evalsha") {
            self.shared.scripts.get(&parse_sha(text)?)?.shebang.permits
        } else {
            Script::new(text).ok()?.shebang.permits
        };
        permits.declared.then_some(permits)
    }

    /// A request may change something, as far as its command tells, or its script where that does.
    pub(super) fn may_change(&self, entry: &Entry, buf: &[u8], spans: &[Span]) -> bool {
        match self.declared(entry, buf, spans) {
            Some(permits) => permits.may_write(),
            None => entry.flags.has(Flag::Write) || entry.flags.has(Flag::MayReplicate),
        }
    }

    /// During a pause, commands that may change something wait; during a full one all do. `EXEC` is judged by what
    /// it queued.
    #[cold]
    fn check_pause(
        &self,
        session: &Session,
        request: &Request<'_>,
        entry: &'static Entry,
        kind: PauseKind,
    ) -> Result<&'static Entry, Refusal> {
        let waits = match kind {
            PauseKind::None => false,
            PauseKind::All => true,
            PauseKind::Write if entry.name == "exec" => {
                self.any_queued(session, |entry, stored| self.may_change(entry, &stored.bytes, &stored.args))
            }
            PauseKind::Write => self.may_change(entry, request.buf, request.spans),
        };
        if waits { Err(Refusal::Park) } else { Ok(entry) }
    }
}

/// Who is subscribed in RESP2 takes everything it receives for a message.
#[cold]
fn check_subscriber(session: &Session, entry: &Entry) -> Result<(), Refusal> {
    const ALLOWED: [&str; 9] = [
        "ping",
        "subscribe",
        "ssubscribe",
        "unsubscribe",
        "sunsubscribe",
        "psubscribe",
        "punsubscribe",
        "quit",
        "reset",
    ];
    if !session.is_subscriber() || ALLOWED.contains(&entry.name.as_str()) {
        return Ok(());
    }
    Err(Error::text(format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
         context",
        entry.name
    ))
    .into())
}

#[cold]
fn not_found(lookup: Lookup, request: &Request<'_>) -> Refusal {
    let (buf, spans) = (request.buf, request.spans);
    if let Lookup::UnknownSubcommand = lookup {
        return lookup::unknown_subcommand(buf, spans).into();
    }
    // Browsers and the like that were lured to this port.
    let name = request.arg(0);
    if name.eq_ignore_ascii_case(b"host:") || name.eq_ignore_ascii_case(b"post") {
        tracing::warn!(
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to \
             Redis. This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise \
             your Redis instance. Connection aborted."
        );
        return Refusal::Close;
    }
    lookup::unknown_command(buf, spans).into()
}
