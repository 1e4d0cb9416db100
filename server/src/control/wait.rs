//! `WAIT`: for the replicas to have what this connection wrote.

use super::{Control, ControlCtx, Flow, control};
use crate::session::Parked;
use tidegate_commands::model::{Acl, Args, Command, Error, Family, Flag, Reply, deadline_of_millis, family};

pub(super) static FAMILY: Family<Control> = family("generic", Acl::NONE, &[&WAIT]);

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
    let until_ms = deadline_of_millis(args.next()?, cx.now_ms())?;
    // Nobody replicates this server.
    let acknowledged = 0;
    if acknowledged >= wanted || cx.in_transaction() {
        reply.integer(acknowledged);
        return Ok(Flow::Done);
    }
    let mut answer = Vec::new();
    Reply::new(&mut answer, cx.session.protocol).integer(acknowledged);
    Ok(Flow::Park(Parked::for_time(until_ms, answer, cx.entry)))
}
