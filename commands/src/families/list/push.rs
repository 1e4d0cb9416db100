//! Adding at the ends: `LPUSH`, `RPUSH`, and `LPUSHX`, `RPUSHX`, which create no list.

use super::{End, node_limit};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::{EventClass, List, NodeLimit, Write};

const COMPLEXITY: &str = "O(1) for each element added, so O(N) to add N elements with one command.";

pub(super) static LPUSH: Command =
    command("LPUSH", "key element [element ...]", |cx, args, reply| push(cx, args, reply, End::Left))
        .about("1.0.0", COMPLEXITY, "Adds elements at the head of a list, which is created when missing.")
        .arity(-3)
        .keys(KeySpec::first().rw().insert())
        .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast])
        .history(&[("2.4.0", "Accepts several elements.")]);

pub(super) static RPUSH: Command =
    command("RPUSH", "key element [element ...]", |cx, args, reply| push(cx, args, reply, End::Right))
        .about("1.0.0", COMPLEXITY, "Adds elements at the tail of a list, which is created when missing.")
        .arity(-3)
        .keys(KeySpec::first().rw().insert())
        .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast])
        .history(&[("2.4.0", "Accepts several elements.")]);

pub(super) static LPUSHX: Command = command("LPUSHX", "key element [element ...]", |cx, args, reply| {
    push_present(cx, args, reply, End::Left)
})
.about("2.2.0", COMPLEXITY, "Adds elements at the head of a list if there is one.")
.arity(-3)
.keys(KeySpec::first().rw().insert())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast])
.history(&[("4.0.0", "Accepts several elements.")]);

pub(super) static RPUSHX: Command = command("RPUSHX", "key element [element ...]", |cx, args, reply| {
    push_present(cx, args, reply, End::Right)
})
.about("2.2.0", COMPLEXITY, "Adds elements at the tail of a list if there is one.")
.arity(-3)
.keys(KeySpec::first().rw().insert())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast])
.history(&[("4.0.0", "Accepts several elements.")]);

fn push(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, end: End) -> Result<Outcome, Error> {
    let key = args.key()?;
    let list = cx.keys.write_or_create::<List>(key)?;
    push_all(list, node_limit(&cx.env), args, reply, end);
    Ok(Outcome::Changed)
}

fn push_present(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, end: End) -> Result<Outcome, Error> {
    let key = args.key()?;
    let Some(list) = cx.keys.write_as::<List>(key)? else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    push_all(list, node_limit(&cx.env), args, reply, end);
    Ok(Outcome::Changed)
}

#[expect(clippy::inline_always, reason = "a call per step costs as much as the steps: see ARCHITECTURE.md")]
#[inline(always)]
fn push_all(
    mut list: Write<'_, '_, '_, List>,
    limit: NodeLimit,
    args: &mut Args,
    reply: &mut Reply,
    end: End,
) {
    let items = args.rest();
    list.count_changes(items.len() as u64 - 1);
    let content = list.change();
    for item in items {
        super::push(content, end, item, limit);
    }
    reply.integer(content.view().len() as i64);
    list.event(EventClass::List, end.push_event());
}

#[cfg(test)]
mod tests {
    use crate::model::check::{check, check_effects, check_events, check_lookups};

    #[test]
    fn lpush() {
        check(&["LPUSH l a"], ":1");
        check(&["LPUSH l a b c"], ":3");
        check(&["LPUSH l a b c", "LRANGE l 0 -1"], "*3 $1 c $1 b $1 a");
        check(&["LPUSH l a", "LPUSH l 1 \"\"", "LRANGE l 0 -1"], "*3 $0  $1 1 $1 a");
        check(&["LPUSH l"], "-ERR wrong number of arguments for 'lpush' command");
        check(
            &["SET l x", "LPUSH l a"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check_effects(&["LPUSH l a b"], &["LPUSH l a b"]);
        check_events(&["LPUSH l a b"], &["new l", "lpush l"]);
        check_events(&["LPUSH l a", "LPUSH l b"], &["lpush l"]);
        check_lookups(&["LPUSH l a", "LPUSH l b"], 0, 0);
    }

    #[test]
    fn rpush() {
        check(&["RPUSH l a b c"], ":3");
        check(&["RPUSH l a b c", "LRANGE l 0 -1"], "*3 $1 a $1 b $1 c");
        check(&["RPUSH l a", "LPUSH l b", "RPUSH l c", "LRANGE l 0 -1"], "*3 $1 b $1 a $1 c");
        check(&["RPUSH l a", "TYPE l"], "+list");
        check(&["RPUSH l a", "OBJECT ENCODING l"], "$9 quicklist");
        check(&["RPUSH l"], "-ERR wrong number of arguments for 'rpush' command");
        check_effects(&["RPUSH l a"], &["RPUSH l a"]);
        check_events(&["RPUSH l a b"], &["new l", "rpush l"]);
    }

    #[test]
    fn lpushx() {
        check(&["LPUSHX l a"], ":0");
        check(&["LPUSHX l a", "EXISTS l"], ":0");
        check(&["RPUSH l a", "LPUSHX l b c"], ":3");
        check(&["RPUSH l a", "LPUSHX l b c", "LRANGE l 0 -1"], "*3 $1 c $1 b $1 a");
        check(
            &["SET l x", "LPUSHX l a"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check_effects(&["LPUSHX l a"], &[]);
        check_effects(&["RPUSH l a", "LPUSHX l b"], &["LPUSHX l b"]);
        check_events(&["RPUSH l a", "LPUSHX l b"], &["lpush l"]);
        check_events(&["LPUSHX l b"], &[]);
    }

    #[test]
    fn rpushx() {
        check(&["RPUSHX l a"], ":0");
        check(&["RPUSH l a", "RPUSHX l b c", "LRANGE l 0 -1"], "*3 $1 a $1 b $1 c");
        check_effects(&["RPUSH l a", "RPUSHX l b"], &["RPUSHX l b"]);
        check_events(&["RPUSH l a", "RPUSHX l b"], &["rpush l"]);
    }

    #[test]
    fn a_list_keeps_its_deadline_when_it_grows() {
        check(&["RPUSH l a", "PEXPIRE l 500", "RPUSH l b", "PTTL l"], ":500");
    }
}
