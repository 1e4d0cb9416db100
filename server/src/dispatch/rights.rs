//! What the user of a connection may do: asked before every request of a user that may not do everything, before every
//! command of its transactions and scripts, and again when a request that has waited is served.

use super::gate::Refusal;
use super::{Request, Worker};
use crate::acl::{Access, Asked, Context, Denied, Logged, REACHING, Reason, User, What};
use crate::clock;
use crate::registry::Entry;
use crate::session::{Client, Session};
use crate::shard::block::Waiter;
use crate::shared::{Shared, add};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{Error, Protocol, Reply, Span};

impl Request<'_> {
    fn asked<'r>(&'r self, entry: &'r Entry, db: usize) -> Asked<'r> {
        Asked { entry, buf: self.buf, spans: self.spans, is_real: true, db: db as u32 }
    }
}

impl Shared {
    /// Writes to the log of what was denied.
    #[cold]
    pub fn note_denied(&self, client: &Client, user: &[u8], what: What, context: Context, object: &[u8]) {
        let entry = Logged {
            count: 1,
            what,
            context,
            object: object.to_vec(),
            username: user.to_vec(),
            at_ms: clock::unix_ms(),
            client: self.describe_client(client),
        };
        self.users.log.add(entry, self.config.hot().acllog_max_len.get());
    }

    fn note_denied_request(
        &self,
        client: &Client,
        user: &User,
        asked: &Asked<'_>,
        denied: Denied,
        context: Context,
    ) {
        let object = match denied.reason {
            Reason::Command => asked.entry.name.as_bytes(),
            Reason::Database => b"",
            Reason::Key | Reason::Channel => asked.arg(denied.arg),
        };
        self.note_denied(client, user.name(), What::Request(denied.reason), context, object);
    }
}

/// What a client is told.
fn refusal(denied: Denied, entry: &Entry) -> Error {
    match denied.reason {
        Reason::Command => {
            Error::text(format!("NOPERM this user has no permissions to run the '{}' command", entry.name))
        }
        Reason::Database => {
            Error::new("NOPERM this user has no permissions to access one of the databases used")
        }
        Reason::Key => {
            Error::new("NOPERM this user has no permissions to access one of the keys used as arguments")
        }
        Reason::Channel => {
            Error::new("NOPERM this user has no permissions to access one of the channels used as arguments")
        }
    }
}

impl Worker {
    /// The session's user is as others have left it.
    #[inline]
    pub(super) fn follow_users(&self, session: &mut Session) {
        if session.users_seen != self.eternal.users.generation() {
            session.follow_users(&self.eternal.users);
        }
    }

    /// Refuses what the session's user may not do, and notes that.
    pub(super) fn check_rights(
        &self,
        session: &Session,
        request: &Request<'_>,
        entry: &Entry,
    ) -> Result<(), Refusal> {
        let Some(user) = &session.user else { return Ok(()) };
        let asked = request.asked(entry, session.db);
        let Err(denied) = user.check(&asked) else { return Ok(()) };
        let context = if session.transaction.is_some() { Context::Multi } else { Context::TopLevel };
        self.shared.note_denied_request(&session.client, user, &asked, denied, context);
        Err(refusal(denied, entry).into())
    }

    /// Why a queued command is not run: rights have changed since.
    #[cold]
    pub(super) fn denied_in_exec(
        &self,
        session: &Session,
        request: &Request<'_>,
        entry: &Entry,
    ) -> Option<Error> {
        let user = session.user.as_ref()?;
        let asked = request.asked(entry, session.db);
        let denied = user.check(&asked).err()?;
        self.shared.note_denied_request(&session.client, user, &asked, denied, Context::Multi);
        let reason = match denied.reason {
            Reason::Command => "no permission to execute the command or subcommand",
            Reason::Database => "no permission to use the database",
            Reason::Key => "no permission to touch the specified keys",
            Reason::Channel => "no permission to access one of the channels used as arguments to the command",
        };
        add(&self.stats.commands[entry.id].rejected, 1);
        self.count_error("NOPERM");
        Some(Error::text(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command \
             is no longer allowed for the following reason: {reason}"
        )))
    }

    /// Why a script may not call this.
    #[cold]
    pub(crate) fn denied_in_script(&self, caller: &Session, asked: &Asked<'_>) -> Option<&'static str> {
        let user = caller.user.as_ref()?;
        let denied = user.check(asked).err()?;
        self.shared.note_denied_request(&caller.client, user, asked, denied, Context::Lua);
        Some(match denied.reason {
            Reason::Command => "ERR The user executing the script can't run this command or subcommand",
            Reason::Database => "ERR The user executing the script can't access the database",
            Reason::Key => {
                "ERR The user executing the script can't access at least one of the keys mentioned in the command \
                 arguments"
            }
            Reason::Channel => {
                "ERR The user executing the script can't publish to the channel mentioned in the command"
            }
        })
    }

    /// A request that has waited is not served if its user may not send it any more.
    pub(super) fn lost_right(&self, waiter: &Waiter) -> Option<Error> {
        let (user, seen) = waiter.user.as_ref()?;
        let users = &self.eternal.users;
        if *seen == users.generation() {
            return None;
        }
        // Who has lost its user has lost its connection, too.
        let user = users.get(user.name()).filter(|present| present.serial() == user.serial())?;
        let stored = &waiter.request;
        let asked = Asked {
            entry: waiter.entry,
            buf: &stored.bytes,
            spans: &stored.args,
            is_real: true,
            db: waiter.db.into(),
        };
        let denied = user.check(&asked).err()?;
        self.shared.note_denied_request(&waiter.client, &user, &asked, denied, Context::TopLevel);
        Some(refusal(denied, waiter.entry))
    }
}

/// True when the session's user may send this request.
pub(super) fn is_allowed(session: &Session, request: &Request<'_>, entry: &Entry) -> bool {
    session.user.as_ref().is_none_or(|user| user.check(&request.asked(entry, session.db)).is_ok())
}

/// The session's user may read any key by this command, those that no argument names included.
#[cold]
pub(super) fn reads_all_keys(session: &Session, request: &Request<'_>, entry: &Entry) -> bool {
    may_read_all(session, &request.asked(entry, session.db))
}

/// The session's user may do this, and read any key by it.
pub(crate) fn may_read_all(session: &Session, asked: &Asked<'_>) -> bool {
    let reaches = REACHING.contains(&asked.entry.name.as_str());
    let user = session.user.as_ref().filter(|_| reaches);
    user.is_none_or(|user| user.allows_with_all_keys(asked, Access::READ))
}

/// A request is answered by a thread that is busy with a script: may its user send it? If not it is told so.
pub(crate) fn may_while_busy(
    shared: &Shared,
    client: &Client,
    entry: &Entry,
    buf: &[u8],
    spans: &[Span],
    out: &mut Vec<u8>,
) -> bool {
    let asked = Asked { entry, buf, spans, is_real: true, db: client.db.load(Relaxed).into() };
    let user: Option<Arc<User>> = shared.users.get(client.user.get().as_bytes());
    let Some(user) = user.filter(|user| !user.is_unlimited()) else { return true };
    let Err(denied) = user.check(&asked) else { return true };
    shared.note_denied_request(client, &user, &asked, denied, Context::TopLevel);
    shared.stats.errors.count("NOPERM");
    let protocol = if client.resp.load(Relaxed) == 3 { Protocol::Resp3 } else { Protocol::Resp2 };
    Reply::new(out, protocol).error(&refusal(denied, entry));
    false
}
