//! Which shards a request needs: the only maker of keys.

use super::Request;
use crate::registry::Entry;
use crate::shard::Hold;
use crate::shared::Shared;
use smallvec::SmallVec;
use tidegate_commands::model::{RoutedKey, Scope, Span};
use tidegate_data::slot;

/// Which shards a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// None.
    None,
    /// One.
    One(u16),
    /// Those of its keys.
    Many,
    /// All.
    All,
}

/// Finds the keys of a request by its command's key specs and appends them to `keys`.
#[inline]
pub(crate) fn route(
    shared: &Shared,
    entry: &Entry,
    buf: &[u8],
    spans: &[Span],
    keys: &mut Vec<RoutedKey>,
) -> Route {
    if let Some(at) = entry.single_key {
        let Some(span) = spans.get(at) else { return Route::None };
        let key = routed(shared, at, span.slice(buf));
        keys.push(key);
        return if entry.scope == Scope::Keyspace { Route::All } else { Route::One(key.shard) };
    }
    route_any(shared, entry, buf, spans, keys)
}

fn route_any(shared: &Shared, entry: &Entry, buf: &[u8], spans: &[Span], keys: &mut Vec<RoutedKey>) -> Route {
    let first = keys.len();
    let mut scope = entry.scope;
    if let Some(finder) = entry.router_finder {
        // The gate has not looked at the request yet; a finder relies on the arguments that must be there.
        if !entry.accepts(spans.len()) {
            return Route::None;
        }
        let args: Vec<&[u8]> = spans.iter().map(|span| span.slice(buf)).collect();
        finder(&args, &mut |position| keys.push(routed(shared, position.arg, args[position.arg])));
        if entry.whole_if.is_some_and(|is_whole| is_whole(&args)) {
            scope = Scope::Keyspace;
        }
    } else {
        for spec in &entry.key_specs {
            spec.positions(spans.len(), |i| spans[i].slice(buf), &mut |position| {
                keys.push(routed(shared, position.arg, spans[position.arg].slice(buf)));
            });
        }
    }
    if scope == Scope::Keyspace {
        return Route::All;
    }
    match keys[first..] {
        [] => Route::None,
        [only] => Route::One(only.shard),
        [head, ref rest @ ..] if rest.iter().all(|key| key.shard == head.shard) => Route::One(head.shard),
        _ => Route::Many,
    }
}

#[expect(clippy::inline_always, reason = "a call per step costs as much as the steps: see ARCHITECTURE.md")]
#[inline(always)]
pub(crate) fn routed(shared: &Shared, arg: usize, key: &[u8]) -> RoutedKey {
    let shard = shared.shards.of_slot(slot(key));
    RoutedKey { arg: arg as u32, shard, hash: shared.hasher.hash(key) }
}

/// Holds all shards of a request, and the one where its events are recorded.
pub(crate) fn hold<'s>(shared: &'s Shared, request: &Request<'_>, recorded: Option<u16>) -> Hold<'s> {
    if request.route == Route::All {
        return shared.shards.hold_all();
    }
    let wanted: SmallVec<[u16; 16]> = request.keys.iter().map(|key| key.shard).chain(recorded).collect();
    shared.shards.hold(wanted)
}
