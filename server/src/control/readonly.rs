//! What cluster clients send to every node before they read from it: `READONLY`, `READWRITE`.

use super::{Control, ControlCtx, Flow, control};
use tidegate_commands::model::{Acl, Command, Error, Flag, Reply};

pub(super) static READONLY: Command<Control> = control("READONLY", "", |cx, _, reply| set(cx, true, reply))
    .about("3.0.0", "O(1)", "Lets a replica of a cluster answer reads of this connection.")
    .arity(1)
    .flags(&[Flag::Fast, Flag::Loading, Flag::Stale])
    .acl(Acl::CONNECTION);

pub(super) static READWRITE: Command<Control> =
    control("READWRITE", "", |cx, _, reply| set(cx, false, reply))
        .about("3.0.0", "O(1)", "Sends reads of this connection to the primary again.")
        .arity(1)
        .flags(&[Flag::Fast, Flag::Loading, Flag::Stale])
        .acl(Acl::CONNECTION);

fn set(cx: &mut ControlCtx, readonly: bool, reply: &mut Reply) -> Result<Flow, Error> {
    if !cx.shared().config.hot().cluster_enabled.get() {
        return Err(Error::new("ERR This instance has cluster support disabled"));
    }
    cx.session.client.readonly.store(readonly, std::sync::atomic::Ordering::Relaxed);
    reply.ok();
    Ok(Flow::Done)
}
