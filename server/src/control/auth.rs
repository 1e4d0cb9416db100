//! Who may use a connection: `AUTH`, and the check of passwords that `HELLO` shares with it.

use super::{Control, ControlCtx, Flow, control};
use crate::acl::{Context, DEFAULT_USER, PasswordHash, What};
use std::hint::black_box;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{Acl, Args, Command, Error, Family, Flag, Reply, family};

pub(super) static FAMILY: Family<Control> = family("connection", Acl::CONNECTION, &[&AUTH]);

const WRONG_PASSWORD: Error = Error::new("WRONGPASS invalid username-password pair or user is disabled.");

static AUTH: Command<Control> = control("AUTH", "[username]@6.0.0 password", auth)
    .about(
        "1.0.0",
        "O(N) where N is the number of passwords defined for the user",
        "Authenticates the connection.",
    )
    .arity(-2)
    .flags(&[Flag::Noscript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::NoAuth, Flag::AllowBusy])
    .history(&[("6.0.0", "Added ACL style (username and password).")])
    .secret_from(1);

fn auth(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    match args.remaining() {
        1 if !cx.shared().users.is_protected() => Err(Error::new(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        )),
        1 => log_in(cx, args.get(0), DEFAULT_USER, args.next()?),
        2 => {
            let user = args.next()?;
            log_in(cx, args.get(0), user, args.next()?)
        }
        _ => Err(Error::Syntax),
    }?;
    reply.ok();
    Ok(Flow::Done)
}

/// Makes the connection one of the user of this name. `command` is how the client calls what it tries that with.
pub(super) fn log_in(cx: &mut ControlCtx, command: &[u8], name: &[u8], password: &[u8]) -> Result<(), Error> {
    let shared = cx.worker.eternal;
    let generation = shared.users.generation();
    let user = shared.users.get(name);
    // It takes as long to say no whether there is such a user or not.
    let opens = user.as_ref().map_or_else(
        || {
            black_box(PasswordHash::of(black_box(password)));
            false
        },
        |user| user.opens_with(password),
    );
    let Some(user) = user.filter(|_| opens) else {
        let in_multi = cx.session.transaction.is_some() || cx.in_transaction();
        let context = if in_multi { Context::Multi } else { Context::TopLevel };
        shared.note_denied(&cx.session.client, name, What::Auth, context, command);
        let hot = shared.config.hot();
        let (now_ms, delay_ms) = (crate::clock::unix_ms(), hot.auth_failure_delay.get());
        if delay_ms > 0 && shared.attempts.fail(&cx.session.client.addr, hot.auth_failure_burst.get(), now_ms)
        {
            cx.session.answer_at_ms = Some(now_ms + delay_ms);
        }
        return Err(WRONG_PASSWORD);
    };
    cx.session.authenticated = true;
    cx.session.client.authenticated.store(true, Relaxed);
    cx.session.become_user(user, generation);
    Ok(())
}
