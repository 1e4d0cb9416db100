//! The keyspace as a whole: its size, emptying it, exchanging databases.

use crate::model::{
    Acl, Args, Command, Ctx, Error, Family, Flag, Outcome, Reply, Tip, command, family, parse_i64,
};
use tidegate_data::Reclaim;

pub(super) static FAMILY: Family = family("server", Acl::KEYSPACE, &[&DBSIZE, &FLUSHALL, &FLUSHDB, &SWAPDB]);

/// Keys whose time has come count until they are deleted, as in Redis.
static DBSIZE: Command = command("DBSIZE", "", |cx, _, reply| {
    reply.integer(cx.keys.len() as i64);
    Ok(Outcome::Same)
})
.about("1.0.0", "O(1)", "Tells the number of keys in the selected database.")
.arity(1)
.flags(&[Flag::Readonly, Flag::Fast])
.tips(&["request_policy:all_shards", "response_policy:agg_sum"])
.whole_keyspace();

const FLUSH_TIPS: &[Tip] = &["request_policy:all_shards", "response_policy:all_succeeded"];
const FLUSH_HISTORY: &[(&str, &str)] = &[
    ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
    ("6.2.0", "Added the `SYNC` flushing mode modifier."),
];

static FLUSHALL: Command = command("FLUSHALL", "[async: ASYNC@4.0.0|SYNC@6.2.0]", flushall)
    .about("1.0.0", "O(N) where N is the total number of keys in all databases", "Empties all databases.")
    .arity(-1)
    .flags(&[Flag::Write])
    .acl(Acl::DANGEROUS)
    .tips(FLUSH_TIPS)
    .history(FLUSH_HISTORY)
    .whole_keyspace();

/// An empty keyspace is flushed as well: the command must reach replicas, which may not be empty.
fn flushall(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let reclaim = reclaim(cx, args)?;
    let selected = cx.keys.db();
    for db in 0..cx.env.limits().databases {
        cx.keys.select(db);
        cx.keys.flush(reclaim);
    }
    cx.keys.select(selected);
    // What was flushed must not come back at the next start.
    cx.keys.log().save_wanted = true;
    reply.ok();
    Ok(Outcome::Changed)
}

static FLUSHDB: Command = command("FLUSHDB", "[async: ASYNC@4.0.0|SYNC@6.2.0]", flushdb)
    .about(
        "1.0.0",
        "O(N) where N is the number of keys in the selected database",
        "Empties the selected database.",
    )
    .arity(-1)
    .flags(&[Flag::Write])
    .acl(Acl::DANGEROUS)
    .tips(FLUSH_TIPS)
    .history(FLUSH_HISTORY)
    .whole_keyspace();

fn flushdb(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let reclaim = reclaim(cx, args)?;
    cx.keys.flush(reclaim);
    reply.ok();
    Ok(Outcome::Changed)
}

fn reclaim(cx: &Ctx, args: &mut Args) -> Result<Reclaim, Error> {
    let reclaim = if args.is_done() {
        if cx.env.limits().lazy_flush { Reclaim::Later } else { Reclaim::BeforeReply }
    } else if args.take_word("SYNC") {
        Reclaim::BeforeReply
    } else if args.take_word("ASYNC") {
        Reclaim::Later
    } else {
        return Err(Error::Syntax);
    };
    args.end()?;
    Ok(reclaim)
}

static SWAPDB: Command = command("SWAPDB", "index1 index2", swapdb)
    .about(
        "4.0.0",
        "O(N) where N is the count of clients watching or blocking on keys from both databases.",
        "Exchanges the contents of two databases.",
    )
    .arity(3)
    .flags(&[Flag::Write, Flag::Fast])
    .acl(Acl::DANGEROUS)
    .whole_keyspace();

fn swapdb(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    if cx.env.limits().cluster {
        return Err(Error::new("ERR SWAPDB is not allowed in cluster mode"));
    }
    let mut index = |invalid| {
        let index = parse_i64(args.next()?).and_then(|index| i32::try_from(index).ok());
        index.ok_or(Error::new(invalid))
    };
    let first = index("ERR invalid first DB index")?;
    let second = index("ERR invalid second DB index")?;
    let databases = cx.env.limits().databases;
    let existing = |index| usize::try_from(index).ok().filter(|index| *index < databases);
    let (Some(first), Some(second)) = (existing(first), existing(second)) else {
        return Err(Error::new("ERR DB index is out of range"));
    };
    cx.keys.swap(first, second);
    reply.ok();
    Ok(Outcome::Changed)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    #[test]
    fn dbsize_counts_one_database() {
        check(&["DBSIZE"], ":0");
        check(&["SET a 1", "SET b 1", "COPY a a DB 1", "DBSIZE"], ":2");
        check_effects(&["DBSIZE"], &[]);
        check_events(&["SET a 1", "DBSIZE"], &[]);
    }

    #[test]
    fn flushdb_empties_the_selected_database() {
        check(&["SET a 1", "FLUSHDB"], "+OK");
        check(&["SET a 1", "FLUSHDB", "DBSIZE"], ":0");
        check(&["SET a 1", "MOVE a 1", "FLUSHDB sync", "SWAPDB 0 1", "DBSIZE"], ":1");
        check(&["FLUSHDB async"], "+OK");
        check(&["FLUSHDB now"], "-ERR syntax error");
        check(&["FLUSHDB SYNC ASYNC"], "-ERR syntax error");
        check_effects(&["FLUSHDB"], &["FLUSHDB"]);
        check_effects(&["SET a 1", "FLUSHDB ASYNC"], &["FLUSHDB ASYNC"]);
        check_events(&["SET a 1", "FLUSHDB"], &[]);
    }

    #[test]
    fn flushall_empties_every_database() {
        check(&["SET a 1", "MOVE a 1", "SET b 1", "FLUSHALL", "DBSIZE"], ":0");
        check(&["SET a 1", "MOVE a 1", "FLUSHALL SYNC", "SWAPDB 0 1", "DBSIZE"], ":0");
        check(&["FLUSHALL x"], "-ERR syntax error");
        check_effects(&["FLUSHALL"], &["FLUSHALL"]);
        check_events(&["SET a 1", "FLUSHALL"], &[]);
        let mut bench = Bench::default();
        bench.db = 5;
        bench.run("SET a 1");
        bench.run("FLUSHALL");
        assert_eq!(bench.run("DBSIZE").text(), ":0");
    }

    #[test]
    fn swapdb_exchanges_contents() {
        check(&["SET a x", "SWAPDB 0 1", "EXISTS a"], ":0");
        check(&["SET a x", "SWAPDB 0 1", "SWAPDB 1 0", "GET a"], "$1 x");
        check(&["SET a x", "SWAPDB 0 0", "GET a"], "$1 x");
        check(&["SWAPDB x 1"], "-ERR invalid first DB index");
        check(&["SWAPDB 0 x"], "-ERR invalid second DB index");
        check(&["SWAPDB 0 3000000000"], "-ERR invalid second DB index");
        check(&["SWAPDB 0 16"], "-ERR DB index is out of range");
        check(&["SWAPDB -1 0"], "-ERR DB index is out of range");
        check_effects(&["SWAPDB 0 1"], &["SWAPDB 0 1"]);
        check_effects(&["SWAPDB 0 0"], &["SWAPDB 0 0"]);
        check_events(&["SET a x", "SWAPDB 0 1"], &[]);
        let mut bench = Bench::default();
        bench.limits.cluster = true;
        assert_eq!(bench.run("SWAPDB x 1").text(), "-ERR SWAPDB is not allowed in cluster mode");
    }
}
