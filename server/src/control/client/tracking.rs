//! Client-side caching: the truth about a connection that does not use it.

use super::super::ControlCtx;
use super::{Control, Flow, ok, sub};
use tidegate_commands::model::{Args, Command, Error, Reply, parse_i64};

pub(super) static TRACKING: Command<Control> = sub(
    "TRACKING",
    "<status: ON|OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
    tracking,
)
.about(
    "6.0.0",
    "O(1). Some options may introduce additional complexity.",
    "Turns invalidation messages for client-side caching on or off.",
)
.arity(-3);

fn tracking(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let status = args.next()?;
    check_options(cx, args)?;
    if status.eq_ignore_ascii_case(b"on") {
        return Err(Error::new("ERR this server does not track keys: client-side caching is not available"));
    }
    if status.eq_ignore_ascii_case(b"off") { ok(reply) } else { Err(Error::Syntax) }
}

/// Options are checked before the status is looked at, and whether they go together only after it.
fn check_options(cx: &ControlCtx, args: &mut Args) -> Result<(), Error> {
    let mut redirected = false;
    while !args.is_done() {
        let option = args.next()?;
        let is = |word: &str| option.eq_ignore_ascii_case(word.as_bytes());
        if is("redirect") && !args.is_done() {
            if redirected {
                return Err(Error::new("ERR A client can only redirect to a single other client"));
            }
            let id = parse_i64(args.next()?).ok_or(Error::NotInteger)?;
            redirected = id != 0;
            if cx.shared().clients.get(id as u64).is_none() {
                return Err(Error::new("ERR The client ID you want redirect to does not exist"));
            }
        } else if is("prefix") && !args.is_done() {
            args.next()?;
        } else if !["bcast", "optin", "optout", "noloop"].into_iter().any(is) {
            return Err(Error::Syntax);
        }
    }
    Ok(())
}

pub(super) static CACHING: Command<Control> = sub("CACHING", "<mode: YES|NO>", |_, _, _| {
    Err(Error::new(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
    ))
})
.about("6.0.0", "O(1)", "Says whether the keys of the next command are tracked.")
.arity(3);

pub(super) static GETREDIR: Command<Control> = sub("GETREDIR", "", |_, _, reply| {
    reply.integer(-1);
    Ok(Flow::Done)
})
.about("6.0.0", "O(1)", "Returns the ID of the connection that receives the invalidations of this one.")
.arity(2);

pub(super) static TRACKINGINFO: Command<Control> = sub("TRACKINGINFO", "", |_, _, reply| {
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(1);
    reply.bulk(b"off");
    reply.bulk(b"redirect");
    reply.integer(-1);
    reply.bulk(b"prefixes");
    reply.array(0);
    Ok(Flow::Done)
})
.about("6.2.0", "O(1)", "Returns what CLIENT TRACKING was set to.")
.arity(2);
