//! `PAUSE` and `UNPAUSE`.

use super::super::ControlCtx;
use super::{Control, Flow, ok, sub, unknown_form};
use crate::shared::PauseKind;
use tidegate_commands::model::{Args, Command, Error, Flag, Reply, deadline_of_millis};

pub(super) static PAUSE: Command<Control> = sub("PAUSE", "timeout(integer) [mode: WRITE|ALL]@6.2.0", pause)
    .about("2.9.50", "O(1)", "Lets commands wait for some time.")
    .arity(-3)
    .flags(&[Flag::Admin])
    .history(&[("6.2.0", "`CLIENT PAUSE WRITE` mode added along with the `mode` option.")]);

fn pause(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if args.remaining() > 2 {
        return Err(unknown_form(args));
    }
    let timeout = args.next()?;
    let kind = match args.peek() {
        None => PauseKind::All,
        Some(word) if word.eq_ignore_ascii_case(b"write") => PauseKind::Write,
        Some(word) if word.eq_ignore_ascii_case(b"all") => PauseKind::All,
        Some(_) => return Err(Error::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let until_ms = deadline_of_millis(timeout, cx.now_ms())?.unwrap_or(0);
    cx.shared().pause.begin(kind, until_ms, cx.now_ms());
    ok(reply)
}

pub(super) static UNPAUSE: Command<Control> = sub("UNPAUSE", "", |cx, _, reply| {
    let shared = cx.shared();
    shared.pause.end();
    // Whoever is about to wait sees the end of the pause when it looks once more; who waits already is woken.
    shared.clients.each(|client| client.waker.wake());
    ok(reply)
})
.about("6.2.0", "O(N) Where N is the number of paused clients", "Ends the pause.")
.arity(2)
.flags(&[Flag::Admin]);
