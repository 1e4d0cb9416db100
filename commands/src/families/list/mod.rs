//! Lists: items pushed to and popped from both ends, at once or as soon as there are some.

mod batch;
mod blocking;
mod edit;
mod moving;
mod pop;
mod push;
mod read;

use crate::model::{Acl, Args, Env, Error, Family, Reply, family, parse_i64};
use std::ops::Range;
use tidegate_data::{EventClass, Item, Key, List, NodeLimit, Write};

pub(super) static FAMILY: Family = family(
    "list",
    Acl::LIST,
    &[
        &push::LPUSH,
        &push::RPUSH,
        &push::LPUSHX,
        &push::RPUSHX,
        &pop::LPOP,
        &pop::RPOP,
        &pop::LMPOP,
        &read::LLEN,
        &read::LINDEX,
        &read::LRANGE,
        &read::LPOS,
        &edit::LSET,
        &edit::LINSERT,
        &edit::LREM,
        &edit::LTRIM,
        &moving::LMOVE,
        &moving::RPOPLPUSH,
        &batch::LMOVEM,
        &blocking::BLPOP,
        &blocking::BRPOP,
        &blocking::BLMPOP,
        &blocking::BLMOVE,
        &blocking::BRPOPLPUSH,
        &batch::BLMOVEM,
    ],
);

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Left,
    Right,
}

impl End {
    /// Reads `LEFT` or `RIGHT`.
    fn read(args: &mut Args) -> Result<Self, Error> {
        if args.take_word("LEFT") {
            Ok(End::Left)
        } else if args.take_word("RIGHT") {
            Ok(End::Right)
        } else {
            Err(Error::Syntax)
        }
    }

    const fn word(self) -> &'static [u8] {
        match self {
            End::Left => b"LEFT",
            End::Right => b"RIGHT",
        }
    }

    /// The command that pops here.
    const fn pop_command(self) -> &'static [u8] {
        match self {
            End::Left => b"LPOP",
            End::Right => b"RPOP",
        }
    }

    const fn pop_event(self) -> &'static str {
        match self {
            End::Left => "lpop",
            End::Right => "rpop",
        }
    }

    const fn push_event(self) -> &'static str {
        match self {
            End::Left => "lpush",
            End::Right => "rpush",
        }
    }
}

/// Adds an item at an end.
#[expect(clippy::inline_always, reason = "a call per step costs as much as the steps: see ARCHITECTURE.md")]
#[inline(always)]
fn push(list: &mut List, end: End, item: &[u8], limit: NodeLimit) {
    match end {
        End::Left => list.push_front(item, limit),
        End::Right => list.push_back(item, limit),
    }
}

/// Removes items at an end.
fn remove(list: &mut List, end: End, count: usize) {
    match end {
        End::Left => list.remove_front(count),
        End::Right => list.remove_back(count),
    }
}

/// Pops `count` items (there must be one at least, and `count` must not be 0) and answers them as an array, the one at
/// the end first. Returns how many there were.
fn pop_several(mut list: Write<'_, '_, '_, List>, end: End, count: usize, reply: &mut Reply) -> usize {
    let view = list.view();
    let count = count.min(view.len());
    reply.array(count);
    match end {
        End::Left => view.range(0, count).for_each(|item| reply_item(reply, item)),
        End::Right => view.range(view.len() - count, count).rev().for_each(|item| reply_item(reply, item)),
    }
    list.count_changes(count as u64 - 1);
    remove(list.change(), end, count);
    list.event(EventClass::List, end.pop_event());
    count
}

/// Pops the item at an end (there must be one) and answers it.
fn pop_one(mut list: Write<'_, '_, '_, List>, end: End, reply: &mut Reply) {
    let view = list.view();
    let index = match end {
        End::Left => 0,
        End::Right => view.len() - 1,
    };
    reply_item(reply, view.get(index).expect("a list in the keyspace is never empty"));
    remove(list.change(), end, 1);
    list.event(EventClass::List, end.pop_event());
}

#[inline]
fn reply_item(reply: &mut Reply, item: Item) {
    match item {
        Item::Int(value) => reply.bulk_integer(value),
        Item::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// How much a node of a list takes, by the configuration.
fn node_limit(env: &Env) -> NodeLimit {
    env.limits().encodings.list_limit()
}

/// Reads a number that must not be below `min`, refused with one text whatever is wrong with it.
fn number_from(min: i64, args: &mut Args, refusal: &'static str) -> Result<usize, Error> {
    let number = parse_i64(args.next()?).filter(|number| *number >= min);
    number.map(|number| number as usize).ok_or(Error::new(refusal))
}

/// The indices from `start` to `stop`, both inclusive, both counted from the end if negative, that a list of `len`
/// items has.
fn indices(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from_front = |index: i64| if index < 0 { index + len } else { index };
    let start = from_front(start).max(0);
    let stop = from_front(stop).min(len - 1);
    if start > stop { 0..0 } else { start as usize..stop as usize + 1 }
}

/// What several keys are popped from: `numkeys key [key ...] <where: LEFT|RIGHT> [COUNT count]`.
struct FromFirst<'a> {
    keys: Vec<Key<'a>>,
    end: End,
    count: usize,
}

impl<'a> FromFirst<'a> {
    fn read(args: &mut Args<'a>) -> Result<Self, Error> {
        let number = number_from(1, args, "ERR numkeys should be greater than 0")?;
        if number >= args.remaining() {
            return Err(Error::Syntax);
        }
        let keys = (0..number).map(|_| args.key()).collect::<Result<_, _>>()?;
        let end = End::read(args)?;
        let mut count = None;
        while !args.is_done() {
            if count.is_some() || !args.take_word("COUNT") || args.is_done() {
                return Err(Error::Syntax);
            }
            count = Some(number_from(1, args, "ERR count should be greater than 0")?);
        }
        Ok(FromFirst { keys, end, count: count.unwrap_or(1) })
    }
}
