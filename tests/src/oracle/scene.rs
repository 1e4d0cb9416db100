//! What comes to a connection in a scene, and how two accounts of it are judged.

use super::compare::Compare;
use super::step::Op;
use crate::resp::Reply;

/// True for the answer to `PING marker`, whatever the connection speaks and listens to.
pub fn is_echo(frame: &[u8], marker: &[u8]) -> bool {
    let echo = [format!("${}\r\n", marker.len()).as_bytes(), marker, b"\r\n"].concat();
    frame == echo || frame == [&b"*2\r\n$4\r\npong\r\n"[..], &echo].concat()
}

/// Whether what came from the target is what came from the reference, as far as the commands promise it.
pub fn accepts(ops: &[Op], a: &[Vec<u8>], b: &[Vec<u8>]) -> bool {
    if a == b {
        return true;
    }
    let is_ordered = !ops.iter().any(|op| op.compare == Compare::AnyOrder);
    let (Some(mut a), Some(mut b)) = (decoded(a), decoded(b)) else { return false };
    if !is_ordered {
        a.iter_mut().chain(&mut b).for_each(without_count);
        a.sort_by_cached_key(|reply| format!("{reply:?}"));
        b.sort_by_cached_key(|reply| format!("{reply:?}"));
    }
    for frames in [&mut a, &mut b] {
        for run in frames.chunk_by_mut(is_unordered) {
            run.sort_by_cached_key(|reply| format!("{reply:?}"));
        }
    }
    let looser = ops.iter().map(|op| op.compare).find(|compare| *compare != Compare::Exact);
    a.len() == b.len()
        && a.iter()
            .zip(&b)
            .all(|(a, b)| a == b || looser.is_some_and(|compare| compare.accepts_decoded(a, b)))
}

/// How many channels are left depends on the order in which they go.
fn without_count(reply: &mut Reply) {
    if let Reply::Array(items) | Reply::Push(items) = reply
        && items.first().and_then(Reply::bytes).is_some_and(|kind| kind.ends_with(b"unsubscribe"))
    {
        items.pop();
    }
}

fn decoded(frames: &[Vec<u8>]) -> Option<Vec<Reply>> {
    frames
        .iter()
        .map(|frame| Reply::decode(frame).ok().flatten().map(|(reply, _)| with_sorted_keys(reply)))
        .collect()
}

/// Two that came one after the other might have come the other way round: keys that one command made stale, and one
/// message by two patterns, which Redis has in a hash table with a seed of its own.
fn is_unordered(one: &Reply, other: &Reply) -> bool {
    let by_pattern = |reply: &Reply| match reply {
        Reply::Push(items) | Reply::Array(items)
            if items.first().and_then(Reply::bytes) == Some(b"pmessage") =>
        {
            items.get(2..).map(<[Reply]>::to_vec)
        }
        _ => None,
    };
    is_news(one) && is_news(other)
        || by_pattern(one).is_some_and(|message| Some(message) == by_pattern(other))
}

/// A key, or several, went stale.
fn is_news(reply: &Reply) -> bool {
    matches!(reply, Reply::Push(items) | Reply::Array(items)
        if matches!(items.first().and_then(Reply::bytes), Some(b"invalidate"))
            || matches!(items.get(1).and_then(Reply::bytes), Some(b"__redis__:invalidate")))
}

/// Keys that a cache hears of together may come in any order.
fn with_sorted_keys(mut reply: Reply) -> Reply {
    if is_news(&reply)
        && let Reply::Push(items) | Reply::Array(items) = &mut reply
        && let Some(Reply::Array(keys)) = items.last_mut()
    {
        keys.sort_by_cached_key(|key| format!("{key:?}"));
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_judged_in_order_unless_the_command_promises_none() {
        let frames =
            |text: &str| text.split('|').map(|frame| frame.replace('_', "\r\n").into_bytes()).collect();
        let (one, other): (Vec<_>, Vec<_>) = (frames("+a_|:1_"), frames(":1_|+a_"));
        assert!(!accepts(&[Op::line("PUBLISH c m")], &one, &other));
        assert!(accepts(&[Op::line_with("UNSUBSCRIBE", Compare::AnyOrder)], &one, &other));
        let keys =
            |keys: &str| vec![format!(">2_$10_invalidate_*2_{keys}").replace('_', "\r\n").into_bytes()];
        assert!(accepts(&[], &keys("$1_a_$1_b_"), &keys("$1_b_$1_a_")));
        assert!(!accepts(&[], &keys("$1_a_$1_b_"), &keys("$1_a_$1_a_")));
    }

    #[test]
    fn an_echo_is_known_in_both_protocols() {
        assert!(is_echo(b"$1\r\nm\r\n", b"m"));
        assert!(is_echo(b"*2\r\n$4\r\npong\r\n$1\r\nm\r\n", b"m"));
        assert!(!is_echo(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n", b"m"));
    }
}
