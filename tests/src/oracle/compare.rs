//! How two replies are judged. Equal bytes are always equal; only when they differ does a command's [`Compare`]
//! decide whether the difference is one that Redis itself shows between two runs (clock, hash order, ids).

use crate::resp::Reply;

/// The freedom a reply has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// None: the same bytes.
    Exact,
    /// Integers, anywhere in the reply, may differ by this much (clocks); everything else is exact.
    Near(i64),
    /// The elements of the reply may come in any order.
    AnyOrder,
    /// The same kind of reply; errors still need the same text.
    Kind,
    /// The same kinds of replies, as many of them, at every place: members chosen at random.
    Shape,
    /// HELLO: the id may differ.
    Hello,
    /// One cursor and some keys, of which neither the number nor the order is promised.
    ScanPage,
    /// `field=value` words as in CLIENT INFO: the same fields, and the same values where they are not measured.
    ClientInfo,
    /// COMMAND INFO: subcommands may come in any order, and notes, which are prose, may be missing.
    CommandTable,
}

/// Fields of CLIENT INFO which are measured or belong to the process.
const MEASURED: &[&str] = &[
    "id",
    "addr",
    "laddr",
    "fd",
    "age",
    "idle",
    "qbuf",
    "qbuf-free",
    "argv-mem",
    "multi-mem",
    "rbs",
    "rbp",
    "obl",
    "oll",
    "omem",
    "tot-mem",
    "events",
];

/// Fields which later versions of Redis added and which are therefore there for clients that set them.
const ADDED: &[&str] = &["lib-name", "lib-ver"];

impl Compare {
    /// Whether the target's reply `b` is acceptable where the reference said `a`.
    pub fn accepts(self, a: &[u8], b: &[u8]) -> bool {
        if a == b {
            return true;
        }
        if self == Self::Exact {
            return false;
        }
        match (Reply::decode(a), Reply::decode(b)) {
            (Ok(Some((left, _))), Ok(Some((right, _)))) => self.accepts_decoded(&left, &right),
            _ => false,
        }
    }

    /// [`Self::accepts`] for decoded replies, as the elements of EXEC's reply are.
    pub fn accepts_decoded(self, a: &Reply, b: &Reply) -> bool {
        if a == b {
            return true;
        }
        match self {
            Self::Exact => false,
            Self::Near(limit) => near(a, b, limit),
            Self::AnyOrder => sorted(a) == sorted(b),
            Self::Kind => a.kind() == b.kind() && a.kind() != "error",
            Self::Shape => same_shape(a, b),
            Self::Hello => without_id(a) == without_id(b),
            Self::ScanPage => {
                let is_page =
                    |reply: &Reply| matches!(reply.items(), Some([Reply::Bulk(_), Reply::Array(_)]));
                is_page(a) && is_page(b)
            }
            Self::ClientInfo => client_info(a, b),
            Self::CommandTable => command_table(a) == command_table(b),
        }
    }
}

/// Judges an EXEC reply by the comparisons of the commands that were queued.
pub fn accepts_exec(queued: &[Compare], a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    let (Ok(Some((left, _))), Ok(Some((right, _)))) = (Reply::decode(a), Reply::decode(b)) else {
        return false;
    };
    let (Some(left), Some(right)) = (left.items(), right.items()) else { return false };
    left.len() == right.len()
        && left.len() == queued.len()
        && queued.iter().zip(left.iter().zip(right)).all(|(compare, (a, b))| {
            // Exact needs equal bytes, which decoding no longer shows; equal structure is as near as it gets here.
            compare.accepts_decoded(a, b)
        })
}

fn near(a: &Reply, b: &Reply, limit: i64) -> bool {
    match (a, b) {
        // Negative answers (-1 no expiry, -2 no key) are codes, not measurements.
        (Reply::Int(left), Reply::Int(right)) => {
            left == right || (*left >= 0 && *right >= 0 && left.abs_diff(*right) <= limit.unsigned_abs())
        }
        (Reply::Array(left), Reply::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(a, b)| near(a, b, limit))
        }
        (Reply::Map(left), Reply::Map(right)) => {
            let both = |((key, a), (other_key, b)): (&(Reply, Reply), &(Reply, Reply))| {
                key == other_key && near(a, b, limit)
            };
            left.len() == right.len() && left.iter().zip(right).all(both)
        }
        _ => a == b,
    }
}

fn same_shape(a: &Reply, b: &Reply) -> bool {
    if a.kind() != b.kind() || a.kind() == "error" {
        return false;
    }
    match (a.items(), b.items()) {
        (Some(left), Some(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(a, b)| same_shape(a, b))
        }
        (left, right) => left.is_none() && right.is_none(),
    }
}

fn sorted(reply: &Reply) -> Reply {
    let sort = |items: &[Reply]| {
        let mut items = items.to_vec();
        items.sort_by_cached_key(|item| format!("{item:?}"));
        items
    };
    match reply {
        Reply::Array(items) => Reply::Array(sort(items)),
        Reply::Set(items) => Reply::Set(sort(items)),
        Reply::Map(pairs) => {
            let mut pairs = pairs.clone();
            pairs.sort_by_cached_key(|pair| format!("{pair:?}"));
            Reply::Map(pairs)
        }
        other => other.clone(),
    }
}

fn without_id(reply: &Reply) -> Reply {
    let id = Reply::Bulk(b"id".to_vec());
    match reply {
        Reply::Array(items) => {
            let mut items = items.clone();
            if let Some(at) = items.iter().position(|item| *item == id)
                && at + 1 < items.len()
            {
                items[at + 1] = Reply::Null;
            }
            Reply::Array(items)
        }
        Reply::Map(pairs) => Reply::Map(
            pairs.iter().map(|(k, v)| (k.clone(), if *k == id { Reply::Null } else { v.clone() })).collect(),
        ),
        other => other.clone(),
    }
}

fn client_info(a: &Reply, b: &Reply) -> bool {
    if a.kind() != b.kind() {
        return false;
    }
    let (Some(left), Some(right)) = (a.bytes(), b.bytes()) else { return false };
    let (left, right) =
        (String::from_utf8_lossy(left).into_owned(), String::from_utf8_lossy(right).into_owned());
    let fields = |text: &str| -> Vec<(String, String)> {
        text.split([' ', '\n'])
            .map(|word| word.split_once('=').unwrap_or((word, "")))
            .filter(|(field, _)| !ADDED.contains(field))
            .map(|(field, value)| {
                let value = if MEASURED.contains(&field) { "" } else { value };
                (field.to_owned(), value.to_owned())
            })
            .collect()
    };
    fields(&left) == fields(&right)
}

/// The reply with every list of subcommands (the tenth field of a command) sorted by name.
fn command_table(reply: &Reply) -> Reply {
    match reply {
        Reply::Array(items) => Reply::Array(items.iter().map(command_entry).collect()),
        other => other.clone(),
    }
}

/// Key specifications without their notes, which are prose.
fn without_notes(specs: &Reply) -> Reply {
    let notes = Reply::Bulk(b"notes".to_vec());
    let strip = |spec: &Reply| match spec {
        Reply::Map(pairs) => Reply::Map(pairs.iter().filter(|(key, _)| *key != notes).cloned().collect()),
        Reply::Array(flat) if flat.first() == Some(&notes) => Reply::Array(flat[2..].to_vec()),
        other => other.clone(),
    };
    match specs {
        Reply::Array(items) => Reply::Array(items.iter().map(strip).collect()),
        Reply::Set(items) => Reply::Set(items.iter().map(strip).collect()),
        other => other.clone(),
    }
}

fn command_entry(reply: &Reply) -> Reply {
    match reply {
        Reply::Array(fields) if fields.len() == 10 => {
            let mut fields = fields.clone();
            fields[8] = without_notes(&fields[8]);
            fields[9] = sorted(&command_table(&fields[9]));
            Reply::Array(fields)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_sees_the_difference_between_the_nulls() {
        assert!(!Compare::Exact.accepts(b"$-1\r\n", b"*-1\r\n"));
        assert!(Compare::Exact.accepts(b"$-1\r\n", b"$-1\r\n"));
    }

    #[test]
    fn a_clock_may_tick_but_codes_may_not_change() {
        assert!(Compare::Near(10).accepts(b":1000\r\n", b":1003\r\n"));
        assert!(!Compare::Near(10).accepts(b":1000\r\n", b":1011\r\n"));
        assert!(!Compare::Near(10).accepts(b":-1\r\n", b":-2\r\n"));
        assert!(!Compare::Near(10).accepts(b":1\r\n", b":-1\r\n"));
        assert!(Compare::Near(10).accepts(b"%1\r\n+a\r\n:1\r\n", b"%1\r\n+a\r\n:5\r\n"));
        assert!(!Compare::Near(10).accepts(b"%1\r\n+a\r\n:1\r\n", b"%1\r\n+b\r\n:1\r\n"));
    }

    #[test]
    fn errors_of_the_same_kind_still_need_the_same_text() {
        assert!(Compare::Kind.accepts(b":1\r\n", b":2\r\n"));
        assert!(!Compare::Kind.accepts(b"-ERR a\r\n", b"-ERR b\r\n"));
        assert!(!Compare::Kind.accepts(b":1\r\n", b"$1\r\n1\r\n"));
    }

    #[test]
    fn of_a_random_choice_the_shape_counts() {
        assert!(Compare::Shape.accepts(b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", b"*2\r\n$1\r\nc\r\n$2\r\ndd\r\n"));
        assert!(Compare::Shape.accepts(b"$1\r\na\r\n", b"$2\r\nbb\r\n"));
        assert!(!Compare::Shape.accepts(b"*1\r\n$1\r\na\r\n", b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"));
        assert!(!Compare::Shape.accepts(b"*1\r\n$1\r\na\r\n", b"*1\r\n:1\r\n"));
        assert!(!Compare::Shape.accepts(b"$1\r\na\r\n", b"$-1\r\n"));
    }

    #[test]
    fn exec_is_judged_command_by_command() {
        let queued = [Compare::Exact, Compare::Near(5)];
        assert!(accepts_exec(&queued, b"*2\r\n+OK\r\n:100\r\n", b"*2\r\n+OK\r\n:101\r\n"));
        assert!(!accepts_exec(&queued, b"*2\r\n:100\r\n:100\r\n", b"*2\r\n:101\r\n:100\r\n"));
        assert!(!accepts_exec(&queued, b"*2\r\n+OK\r\n:100\r\n", b"*-1\r\n"));
    }

    #[test]
    fn any_order_is_still_a_multiset() {
        assert!(Compare::AnyOrder.accepts(b"*2\r\n+a\r\n+b\r\n", b"*2\r\n+b\r\n+a\r\n"));
        assert!(!Compare::AnyOrder.accepts(b"*2\r\n+a\r\n+b\r\n", b"*2\r\n+a\r\n+a\r\n"));
    }
}
