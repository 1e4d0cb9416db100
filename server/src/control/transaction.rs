//! `MULTI`, `EXEC`, `DISCARD`, `WATCH`, `UNWATCH`.

use super::{Control, ControlCtx, Flow, control};
use crate::session::{Transaction, WATCHED_SIZE, Watched};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{Acl, Args, Command, Error, Family, Flag, KeySpec, Reply, family};

pub(super) static FAMILY: Family<Control> =
    family("transactions", Acl::TRANSACTION, &[&MULTI, &EXEC, &DISCARD, &WATCH, &UNWATCH]);

static MULTI: Command<Control> = control("MULTI", "", multi)
    .about("1.2.0", "O(1)", "Starts collecting commands of a transaction.")
    .arity(1)
    .flags(&[Flag::Noscript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::AllowBusy, Flag::Unqueued]);

fn multi(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if cx.session.transaction.is_some() {
        return Err(Error::new("ERR MULTI calls can not be nested"));
    }
    cx.session.transaction = Some(Transaction::default());
    cx.session.client.multi.store(0, Relaxed);
    reply.ok();
    Ok(Flow::Done)
}

static EXEC: Command<Control> = control("EXEC", "", exec)
    .about(
        "1.2.0",
        "Depends on commands in the transaction",
        "Runs the commands of a transaction as one step.",
    )
    .arity(1)
    .flags(&[Flag::Noscript, Flag::Loading, Flag::Stale, Flag::SkipSlowlog, Flag::Unqueued]);

fn exec(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    cx.worker.exec(cx.session, reply)
}

static DISCARD: Command<Control> = control("DISCARD", "", discard)
    .about("2.0.0", "O(N), when N is the number of queued commands", "Forgets the commands of a transaction.")
    .arity(1)
    .flags(&[Flag::Noscript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::AllowBusy, Flag::Unqueued]);

fn discard(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if cx.session.transaction.is_none() {
        return Err(Error::new("ERR DISCARD without MULTI"));
    }
    cx.worker.discard(cx.session);
    reply.ok();
    Ok(Flow::Done)
}

static WATCH: Command<Control> = control("WATCH", "key [key ...]", watch)
    .about(
        "2.2.0",
        "O(1) for every key.",
        "Lets the next transaction fail when one of the keys changes before it.",
    )
    .arity(-2)
    .keys(KeySpec::all().ro())
    .flags(&[Flag::Noscript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::AllowBusy, Flag::Unqueued]);

fn watch(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if cx.session.transaction.is_some() {
        return Err(Error::new("ERR WATCH inside MULTI is not allowed"));
    }
    let (db, now_ms) = (cx.session.db as u16, cx.now_ms());
    for key in args.keys() {
        if cx.session.watch_flag.is_raised() {
            break;
        }
        cx.worker.exec.note_touch(cx.session.db, key.bytes(), false);
        let shared = Arc::clone(&cx.worker.shared);
        let mut hold = shared.shards.hold_one(key.shard());
        let data = hold.data_mut();
        if data.watched.contains(db, key.bytes(), &cx.session.watch_flag) {
            continue;
        }
        let existed = data
            .databases
            .table(db as usize)
            .get(key.hash(), key.bytes())
            .is_some_and(|record| record.expiry_ms().is_none_or(|deadline| now_ms <= deadline));
        data.watched.add(db, key.bytes(), &cx.session.watch_flag, existed);
        cx.session.client.hold(WATCHED_SIZE + key.bytes().len());
        cx.session.watched.push(Watched {
            db,
            shard: key.shard(),
            hash: key.hash(),
            key: key.bytes().into(),
            existed,
        });
    }
    cx.session.client.set_watch_flag(Some(Arc::clone(&cx.session.watch_flag)));
    cx.session.client.watch.store(cx.session.watched.len() as u32, Relaxed);
    reply.ok();
    Ok(Flow::Done)
}

static UNWATCH: Command<Control> = control("UNWATCH", "", unwatch)
    .about("2.2.0", "O(1)", "Forgets all watched keys.")
    .arity(1)
    .flags(&[Flag::Noscript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::AllowBusy]);

fn unwatch(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    // Inside EXEC the watched keys were compared already and are forgotten at its end, when no shard is held.
    if !cx.in_transaction() {
        cx.worker.unwatch(cx.session);
    }
    reply.ok();
    Ok(Flow::Done)
}
