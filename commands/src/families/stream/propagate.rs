//! What reading and claiming are replayed as: commands that give the same state whoever runs them, and when.

use super::ids::IdText;
use crate::model::Effects;
use tidegate_data::Key;
use tidegate_data::types::stream::{Group, StreamId};

/// The effects on one group of one key.
#[derive(Debug)]
pub(super) struct GroupEffects<'a> {
    key: Key<'a>,
    group: &'a [u8],
    effects: &'a mut Effects,
}

impl<'a> GroupEffects<'a> {
    pub(super) fn new(key: Key<'a>, group: &'a [u8], effects: &'a mut Effects) -> Self {
        GroupEffects { key, group, effects }
    }

    /// An entry is pending as the group says (or was before it was dropped), for a consumer, who exists from now on.
    pub(super) fn claim(
        &mut self,
        group: &Group,
        id: StreamId,
        owner: &[u8],
        delivered_ms: i64,
        deliveries: u64,
    ) {
        self.effects.push(&[
            b"XCLAIM",
            self.key.bytes(),
            self.group,
            owner,
            b"0",
            IdText::of(id).as_bytes(),
            b"TIME",
            delivered_ms.to_string().as_bytes(),
            b"RETRYCOUNT",
            deliveries.to_string().as_bytes(),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            IdText::of(group.last_id()).as_bytes(),
        ]);
    }

    /// An entry is not pending any more.
    pub(super) fn acknowledge(&mut self, id: StreamId) {
        self.effects.push(&[b"XACK", self.key.bytes(), self.group, IdText::of(id).as_bytes()]);
    }

    /// How far the group has read.
    pub(super) fn position(&mut self, group: &Group) {
        let read = group.entries_read().map_or(-1, |read| read as i64).to_string();
        self.effects.push(&[
            b"XGROUP",
            b"SETID",
            self.key.bytes(),
            self.group,
            IdText::of(group.last_id()).as_bytes(),
            b"ENTRIESREAD",
            read.as_bytes(),
        ]);
    }

    /// There is a consumer.
    pub(super) fn consumer(&mut self, name: &[u8]) {
        self.effects.push(&[b"XGROUP", b"CREATECONSUMER", self.key.bytes(), self.group, name]);
    }
}
