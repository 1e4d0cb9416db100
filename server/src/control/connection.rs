//! The connection: `PING`, `ECHO`, `SELECT`, `QUIT`.

use super::{Control, ControlCtx, Flow, control};
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{Acl, Args, Command, Error, Family, Flag, Reply, family, parse_i64};

pub(super) static FAMILY: Family<Control> =
    family("connection", Acl::CONNECTION, &[&PING, &ECHO, &SELECT, &QUIT]);

static PING: Command<Control> = control("PING", "[message]", ping)
    .about("1.0.0", "O(1)", "Answers PONG, or the message.")
    .arity(-1)
    .flags(&[Flag::Fast])
    .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]);

fn ping(_: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if args.remaining() > 1 {
        return Err(Error::Arity("ping".into()));
    }
    match args.peek() {
        None => reply.simple("PONG"),
        Some(message) => reply.bulk(message),
    }
    Ok(Flow::Done)
}

static ECHO: Command<Control> = control("ECHO", "message", echo)
    .about("1.0.0", "O(1)", "Returns its argument.")
    .arity(2)
    .flags(&[Flag::Loading, Flag::Stale, Flag::Fast]);

fn echo(_: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    reply.bulk(args.next()?);
    Ok(Flow::Done)
}

static SELECT: Command<Control> = control("SELECT", "index", select)
    .about("1.0.0", "O(1)", "Changes the selected database.")
    .arity(2)
    .flags(&[Flag::Loading, Flag::Stale, Flag::Fast]);

fn select(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let index = parse_i64(args.next()?).filter(|n| i32::try_from(*n).is_ok());
    let index = index.ok_or(Error::NotInteger)?;
    let databases = cx.worker.exec.limits.databases;
    let db = usize::try_from(index).ok().filter(|db| *db < databases);
    cx.session.db = db.ok_or(Error::new("ERR DB index is out of range"))?;
    cx.session.client.db.store(cx.session.db as u16, Relaxed);
    reply.ok();
    Ok(Flow::Done)
}

static QUIT: Command<Control> =
    control("QUIT", "", quit).about("1.0.0", "O(1)", "Closes the connection.").arity(-1).flags(&[
        Flag::Noscript,
        Flag::Loading,
        Flag::Stale,
        Flag::Fast,
        Flag::NoAuth,
        Flag::AllowBusy,
        Flag::Unqueued,
    ]);

fn quit(_: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    reply.ok();
    Ok(Flow::Close)
}
