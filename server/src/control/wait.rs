//! `WAIT` and `WAITAOF`: for others, or a file, to have what this connection wrote.

use super::{Control, ControlCtx, Flow, control};
use crate::native::soft;
use crate::session::Parked;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{
    Acl, Args, Command, Error, Family, Flag, Reply, deadline_of_millis, family, parse_i64,
};

pub(super) static FAMILY: Family<Control> = family("generic", Acl::NONE, &[&WAIT, &WAITAOF]);

static WAIT: Command<Control> = control("WAIT", "numreplicas timeout(integer)", wait)
    .about("3.0.0", "O(1)", "Waits until so many replicas have all writes of the connection.")
    .arity(3)
    .flags(&[Flag::Noscript])
    .acl(Acl::CONNECTION)
    .tips(&["request_policy:all_shards", "response_policy:agg_min"]);

fn wait(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if cx.shared().config.hot().replicaof.get() {
        return Err(Error::new(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is \
             configured to be writable (which is not the default) writes to replicas are just local and are not \
             propagated.",
        ));
    }
    let wanted = args.integer()?;
    if !cx.in_transaction() {
        soft::flush_all(cx.shared());
    }
    let until_ms = deadline_of_millis(args.next()?, cx.now_ms())?;
    // Nobody replicates this server.
    let acknowledged = 0;
    if acknowledged >= wanted || cx.in_transaction() {
        reply.integer(acknowledged);
        return Ok(Flow::Done);
    }
    Ok(until(cx, until_ms, |reply| reply.integer(acknowledged)))
}

static WAITAOF: Command<Control> = control("WAITAOF", "numlocal(integer) numreplicas timeout(integer)", waitaof)
    .about(
        "7.2.0",
        "O(1)",
        "Waits until the append-only files of this server and of so many replicas have all writes of the connection.",
    )
    .arity(4)
    .flags(&[Flag::Blocking])
    .acl(Acl::CONNECTION)
    .tips(&["request_policy:all_shards", "response_policy:agg_min"]);

fn waitaof(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let local = args.integer()?;
    if !(0..=1).contains(&local) {
        return Err(Error::new("ERR value is out of range, value must between 0 and 1"));
    }
    let replicas = parse_i64(args.next()?).filter(|replicas| *replicas >= 0);
    let replicas = replicas.ok_or(Error::new("ERR value is out of range, must be positive"))?;
    let until_ms = deadline_of_millis(args.next()?, cx.now_ms())?;
    if cx.shared().config.hot().replicaof.get() {
        return Err(Error::new(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just \
             local and are not propagated.",
        ));
    }
    let shared = cx.shared();
    let log = shared.aof.as_ref().filter(|_| shared.journaled.load(Relaxed)).map(|aof| aof.log());
    if local > 0 && log.is_none() {
        return Err(Error::new(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    let flushed = if cx.in_transaction() { 0 } else { soft::flush_all(cx.shared()) };
    let shared = cx.shared();
    let log = shared.aof.as_ref().filter(|_| shared.journaled.load(Relaxed)).map(|aof| aof.log());
    // What it has written since its last reply is what came before in this very turn.
    let lsn = cx.session.client.sends_after().max(cx.worker.exec.need()).max(flushed);
    let is_synced = log.is_some_and(|log| log.synced() >= lsn);
    // Nobody replicates this server.
    if (is_synced || local == 0) && replicas == 0 || cx.in_transaction() {
        write_synced(reply, is_synced);
        return Ok(Flow::Done);
    }
    if replicas > 0 {
        return Ok(until(cx, until_ms, |reply| write_synced(reply, is_synced)));
    }
    Ok(Flow::Park(Parked::for_sync(lsn, until_ms, cx.now_ms(), cx.entry)))
}

/// What `WAITAOF` answers.
pub(crate) fn write_synced(reply: &mut Reply, is_synced: bool) {
    reply.array(2);
    reply.integer(is_synced.into());
    reply.integer(0);
}

/// Lets the connection wait until then, or for ever, and answers that.
fn until(cx: &ControlCtx, until_ms: Option<i64>, mut write: impl FnMut(&mut Reply)) -> Flow {
    let mut answer = Vec::new();
    write(&mut Reply::new(&mut answer, cx.session.protocol));
    Flow::Park(Parked::for_time(until_ms, answer, cx.entry))
}
