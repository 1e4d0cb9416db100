//! `MONITOR`: every command as it runs.

use super::{Control, ControlCtx, Flow, control};
use tidegate_commands::model::{Acl, Args, Command, Error, Family, Flag, Reply, family};

pub(super) static FAMILY: Family<Control> = family("server", Acl::NONE, &[&MONITOR]);

static MONITOR: Command<Control> = control("MONITOR", "", monitor)
    .about("1.0.0", "", "Shows every command that the server executes.")
    .arity(1)
    .flags(&[Flag::Admin, Flag::Noscript, Flag::Loading, Flag::Stale]);

fn monitor(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if cx.in_transaction() {
        return Err(Error::new("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    if cx.shared().clients.set_monitoring(&cx.session.client, true) {
        reply.ok();
    }
    Ok(Flow::Done)
}
