//! How a connection is served: `REPLY`, `NO-EVICT`, `NO-TOUCH`.

use super::super::ControlCtx;
use super::{Control, Flow, ok, on_off, sub};
use crate::session::ReplyMode;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{Args, Command, Error, Flag, Reply};

pub(super) static REPLY: Command<Control> = sub("REPLY", "<on_off_skip: ON|OFF|SKIP>", set_reply_mode)
    .about("3.2.0", "O(1)", "Says whether the server answers commands.")
    .arity(3);

fn set_reply_mode(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let mode = &mut cx.session.reply_mode;
    if args.take_word("on") {
        *mode = ReplyMode::On;
        reply.ok();
    } else if args.take_word("off") {
        *mode = ReplyMode::Off;
    } else if args.take_word("skip") {
        if *mode != ReplyMode::Off {
            *mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(Error::Syntax);
    }
    Ok(Flow::Done)
}

pub(super) static NO_EVICT: Command<Control> = sub("NO-EVICT", "<enabled: ON|OFF>", |cx, args, reply| {
    cx.session.client.no_evict.store(on_off(args)?, Relaxed);
    cx.shared().charge_client(&cx.session.client);
    ok(reply)
})
.about("7.0.0", "O(1)", "Exempts the connection from being closed for the memory it uses.")
.arity(3)
.flags(&[Flag::Admin]);

pub(super) static NO_TOUCH: Command<Control> = sub("NO-TOUCH", "<enabled: ON|OFF>", |cx, args, reply| {
    let on = on_off(args)?;
    cx.session.no_touch = on;
    cx.session.client.no_touch.store(on, Relaxed);
    ok(reply)
})
.about("7.2.0", "O(1)", "Lets the connection read keys without marking them as used.")
.arity(3);
