//! `BGREWRITEAOF`.

use super::{Control, ControlCtx, Flow, control};
use crate::aof::{self, Begun};
use std::sync::Arc;
use tidegate_commands::model::{Args, Command, Error, Flag, Reply};

pub(super) static BGREWRITEAOF: Command<Control> = control("BGREWRITEAOF", "", bgrewriteaof)
    .about("1.0.0", "O(1)", "Rewrites the append-only file in the background.")
    .arity(1)
    .flags(&[Flag::Admin, Flag::Noscript, Flag::NoAsyncLoading])
    .whole_keyspace();

fn bgrewriteaof(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let shared = Arc::clone(&cx.worker.shared);
    let begun = if cx.in_transaction() {
        aof::rewrite_later(&shared)
    } else {
        cx.with_keyspace(|hold| aof::rewrite(&shared, hold))
    };
    reply.simple(match begun.map_err(Error::new)? {
        Begun::Now => "Background append only file rewriting started",
        Begun::Later => "Background append only file rewriting scheduled",
    });
    Ok(Flow::Done)
}
