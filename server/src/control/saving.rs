//! Saving the data set: at once, in the background, and when it was done.

use super::{Control, ControlCtx, Flow, control};
use crate::dataset;
use crate::snapshot::{self, Kind, Refusal};
use std::sync::Arc;
use tidegate_commands::model::{Acl, Args, Command, Error, Flag, Reply};

pub(super) static SAVE: Command<Control> = control("SAVE", "", save)
    .about(
        "1.0.0",
        "O(N) where N is the total number of keys in all databases",
        "Saves the data set to disk before it answers.",
    )
    .arity(1)
    .flags(&[Flag::Admin, Flag::Noscript, Flag::NoAsyncLoading, Flag::NoMulti])
    .whole_keyspace();

fn save(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let shared = Arc::clone(&cx.worker.shared);
    if matches!(shared.snapshots.running(), Some((Kind::Save, _))) {
        return Err(Error::new("ERR Background save already in progress"));
    }
    shared.saving.count_save();
    // The log says why; so does Redis.
    cx.with_keyspace(|hold| dataset::save(&shared, hold)).map_err(|_| Error::new("ERR"))?;
    reply.ok();
    Ok(Flow::Done)
}

pub(super) static BGSAVE: Command<Control> = control("BGSAVE", "[SCHEDULE]@3.2.2", bgsave)
    .about("1.0.0", "O(1)", "Saves the data set to disk in the background.")
    .arity(-1)
    .flags(&[Flag::Admin, Flag::Noscript, Flag::NoAsyncLoading])
    .history(&[("3.2.2", "Added the `SCHEDULE` option.")])
    .whole_keyspace();

fn bgsave(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let schedule = args.remaining() == 1 && args.take_word("SCHEDULE");
    if !args.is_done() {
        return Err(Error::Syntax);
    }
    let shared = Arc::clone(&cx.worker.shared);
    let running = shared.snapshots.running().map(|(kind, _)| kind);
    if running != Some(Kind::Save) && cx.in_transaction() {
        // The cut would lie in the midst of the transaction.
        shared.saving.schedule();
        reply.status(b"Background saving scheduled");
        return Ok(Flow::Done);
    }
    if running.is_none() {
        snapshot::save::wait_for_cancelled(&shared);
    }
    match cx.with_keyspace(|hold| snapshot::save::begin(&shared, hold)) {
        Ok(()) => reply.status(b"Background saving started"),
        Err(Refusal::Busy(Kind::Save)) => {
            return Err(Error::new("ERR Background save already in progress"));
        }
        Err(Refusal::Busy(Kind::Rewrite)) if schedule => {
            shared.saving.schedule();
            reply.status(b"Background saving scheduled");
        }
        Err(Refusal::Busy(Kind::Rewrite)) => {
            return Err(Error::new(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to \
                 schedule a BGSAVE whenever possible.",
            ));
        }
        // The log says why; so does Redis.
        Err(Refusal::Thread(_)) => return Err(Error::new("ERR")),
    }
    Ok(Flow::Done)
}

pub(super) static LASTSAVE: Command<Control> = control("LASTSAVE", "", lastsave)
    .about("1.0.0", "O(1)", "Answers when the data set was last saved, in Unix seconds.")
    .arity(1)
    .flags(&[Flag::Loading, Flag::Stale, Flag::Fast])
    .acl(Acl::ADMIN.with(Acl::DANGEROUS))
    .tips(&["nondeterministic_output"]);

fn lastsave(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    reply.integer(cx.shared().saving.last_save_s());
    Ok(Flow::Done)
}
