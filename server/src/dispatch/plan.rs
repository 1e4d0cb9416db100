//! The first phase: requests are decoded, looked up and routed as a group, and their memory brought nearer, before the
//! first of them is executed.

use super::{Lookup, Request, Route, Worker, route};
use crate::net::decode::{self, Decoder, Head, Step};
use crate::registry::Entry;
use crate::session::Session;
use tidegate_commands::model::{RoutedKey, Scope, Span};

/// Commands decoded and prefetched together.
const GROUP: usize = 32;
/// Groups kept for later use.
const SPARE_GROUPS_MAX: usize = 64;
/// Only one of them may have more room for arguments than this.
const SPARE_SPANS_MAX: usize = 512;
/// Room for this many arguments is kept from one group to the next.
const SPANS_KEPT: usize = 64 * 1024;

/// A command that was decoded and looked up.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) lookup: Lookup,
    pub(super) route: Route,
    /// Its arguments among the group's spans.
    first_span: u32,
    pub(super) args: u32,
    /// Where its bytes end in the buffer.
    pub(super) end: u32,
    /// Its keys among the group's keys.
    first_key: u32,
    keys: u32,
}

const _: () = assert!(size_of::<Planned>() <= 40);

/// Commands that were decoded and looked up together, and the scratch memory for that.
#[derive(Debug, Default)]
pub struct Group {
    spans: Vec<Span>,
    keys: Vec<RoutedKey>,
    pub(super) commands: Vec<Planned>,
    /// The last of its keys if that is the only one of its command; empty otherwise.
    last_key: Span,
}

impl Group {
    /// One of its commands.
    #[inline]
    pub(super) fn request<'r>(&'r self, planned: &Planned, buf: &'r [u8]) -> Request<'r> {
        let spans = &self.spans[planned.first_span as usize..][..planned.args as usize];
        let keys = &self.keys[planned.first_key as usize..][..planned.keys as usize];
        Request { buf, spans, keys, lookup: planned.lookup, route: planned.route }
    }

    /// True when nothing was decoded.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// How many keys its commands name.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Forgets the group; memory that only a huge request needed is given back.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.spans.clear();
        self.keys.clear();
        self.commands.clear();
        self.last_key = Span::default();
        if self.spans.capacity() > SPANS_KEPT {
            self.spans = Vec::new();
            self.keys = Vec::new();
        }
    }
}

/// What decoding a group ended with.
#[derive(Debug)]
pub(super) enum Decoded {
    /// The group is full (or one inline request).
    Group,
    /// The input ends here.
    Incomplete { end: usize, need: usize },
    /// The input is no request.
    Broken(decode::ProtocolError),
}

impl Worker {
    /// Decodes the next requests, looks each of them up and routes it.
    pub(super) fn decode_group(
        &self,
        session: &mut Session,
        buf: &mut [u8],
        at: usize,
        group: &mut Group,
    ) -> Decoded {
        let limits = self.limits_of(session);
        // Before authentication one command may change the limits of the next.
        let most = if limits.authenticated { GROUP } else { 1 };
        let db = session.db;
        let mut at = self.decode_plain(session, &limits, buf, at, most, group);
        while group.commands.len() < most {
            let first_span = group.spans.len();
            let inline = buf.get(at).is_some_and(|byte| *byte != b'*');
            // An inline request is un-escaped in place, so it must not be decoded twice: it runs alone.
            if inline && !group.commands.is_empty() {
                return Decoded::Group;
            }
            match session.decoder.decode(buf, at, &limits, &mut group.spans) {
                Ok(Step::Command { end, .. }) => {
                    self.plan(db, None, buf, first_span, end, group);
                    at = end;
                    if inline {
                        return Decoded::Group;
                    }
                }
                Ok(Step::Incomplete { end, need }) => return Decoded::Incomplete { end, need },
                Err(error) => return Decoded::Broken(error),
            }
            at = self.decode_plain(session, &limits, buf, at, most, group);
        }
        Decoded::Group
    }

    /// The same as long as requests are plain, which leaves no trace in the decoder; returns where it stopped.
    #[inline]
    fn decode_plain(
        &self,
        session: &mut Session,
        limits: &decode::Limits,
        buf: &[u8],
        mut at: usize,
        most: usize,
        group: &mut Group,
    ) -> usize {
        let db = session.db;
        let mut head = Head::default();
        while group.commands.len() < most {
            let first_span = group.spans.len();
            if let Some(end) = Decoder::decode_alike(buf, at, &head, limits, &mut group.spans) {
                let lookup = group.commands.last().map(|before| before.lookup);
                self.plan(db, lookup, buf, first_span, end, group);
                at = end;
                continue;
            }
            let Some(end) = session.decoder.decode_plain(buf, at, limits, &mut group.spans) else { break };
            let lookup = self.plan(db, None, buf, first_span, end, group);
            // Where the first argument is a key the name alone says which command it is.
            head = match lookup {
                Lookup::Found(Entry { single_key: Some(1), .. }) => Head::of(at, &group.spans[first_span..]),
                _ => Head::default(),
            };
            at = end;
        }
        at
    }

    #[inline]
    fn limits_of(&self, session: &Session) -> decode::Limits {
        let authenticated = session.authenticated || !self.shared.users.needs_password();
        decode::Limits { authenticated, max_bulk_len: self.exec.limits.max_bulk_len }
    }

    /// Decodes what is plain at the start of an input and will be executed soon, so that its memory can be brought nearer
    /// together with that of others: see [`Worker::bring_nearer`] and [`Worker::process_foreseen`]. True when that is all
    /// of the input, and soon done with: others may be read before it is executed.
    pub fn foresee(&mut self, session: &mut Session, buf: &[u8]) -> (Group, bool) {
        let mut group = self.spare_groups.pop().unwrap_or_default();
        let limits = self.limits_of(session);
        let mut end = 0;
        if limits.authenticated {
            end = self.decode_plain(session, &limits, buf, 0, GROUP, &mut group);
        }
        let is_short = |planned: &Planned| match planned.lookup {
            Lookup::Found(entry) => entry.short.is_some_and(|short| short.accepts(planned.args)),
            Lookup::UnknownSubcommand | Lookup::Unknown => false,
        };
        let others_may_wait = end == buf.len() && group.commands.iter().all(is_short);
        (group, others_may_wait)
    }

    /// Looks a command up that was decoded, unless that was done, routes it, and asks for the first part of what finds its
    /// keys. Returns which command it is.
    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    fn plan(
        &self,
        db: usize,
        lookup: Option<Lookup>,
        buf: &[u8],
        first_span: usize,
        end: usize,
        group: &mut Group,
    ) -> Lookup {
        let shared = self.eternal;
        let spans = &group.spans[first_span..];
        let first_key = group.keys.len();
        let lookup = lookup.unwrap_or_else(|| {
            let lookup = Lookup::of(shared.registry, buf, spans);
            if self.replayed.is_some() { lookup.or_effect(shared.registry, buf, spans) } else { lookup }
        });
        let route = match lookup {
            Lookup::Found(entry) => {
                if let Some((at, span)) = only_key(entry, spans) {
                    let key = match group.keys.last() {
                        Some(&key) if is_same(buf, span, group.last_key) => {
                            RoutedKey { arg: at as u32, ..key }
                        }
                        _ => route::routed(shared, at, span.slice(buf)),
                    };
                    group.keys.push(key);
                    group.last_key = span;
                    Route::One(key.shard)
                } else {
                    group.last_key = Span::default();
                    route::route(shared, entry, buf, spans, &mut group.keys)
                }
            }
            Lookup::UnknownSubcommand | Lookup::Unknown => Route::None,
        };
        let keys = &group.keys[first_key..];
        for key in keys {
            shared.shards.prefetch_entry(key.shard, db, key.hash);
        }
        // All of these are less than the bytes of the buffer, which the decoder has seen to be less than 2^32.
        group.commands.push(Planned {
            lookup,
            route,
            first_span: first_span as u32,
            args: spans.len() as u32,
            end: end as u32,
            first_key: first_key as u32,
            keys: keys.len() as u32,
        });
        lookup
    }

    /// Brings the memory of groups nearer that are executed next, each for a client with this database selected.
    ///
    /// A key's memory is a chain of three: entry of the directory, bucket, record. Each is asked for for all keys before the
    /// next is: short loops, so that the processor waits for many of them at once.
    pub fn bring_nearer<'g>(&self, groups: impl Iterator<Item = (usize, &'g Group)> + Clone) {
        let shards = &self.eternal.shards;
        for (db, group) in groups.clone() {
            group.keys.iter().for_each(|key| shards.prefetch_bucket(key.shard, db, key.hash));
        }
        for (db, group) in groups {
            group.keys.iter().for_each(|key| shards.prefetch_record(key.shard, db, key.hash));
        }
    }

    /// Takes back what is not needed any more.
    #[inline]
    pub(super) fn give_back(&mut self, mut group: Group) {
        group.clear();
        let is_small = group.spans.capacity() <= SPARE_SPANS_MAX && group.keys.capacity() <= SPARE_SPANS_MAX;
        if self.spare_groups.is_empty() || is_small && self.spare_groups.len() < SPARE_GROUPS_MAX {
            self.spare_groups.push(group);
        }
    }
}

/// True when two keys, one of which may be none, have the same bytes. Pipelines often work on one key; others mostly differ
/// from the one before in their last byte.
#[inline]
fn is_same(buf: &[u8], one: Span, other: Span) -> bool {
    let ([.., last], [.., other_last]) = (one.slice(buf), other.slice(buf)) else { return false };
    last == other_last && one.slice(buf) == other.slice(buf)
}

/// The argument that is the only key of such a command, whichever its arguments are.
#[inline]
fn only_key(entry: &Entry, spans: &[Span]) -> Option<(usize, Span)> {
    let at = entry.single_key.filter(|_| entry.scope != Scope::Keyspace)?;
    spans.get(at).map(|span| (at, *span))
}
