//! Client-side caching: remembering what a client reads, telling clients that what they hold is stale, and keeping the
//! table of keys that were read within its bounds.

use super::{Lookup, Request, Worker};
use crate::registry::Entry;
use crate::session::{Client, NAME_SIZE, Session, TrackOptions};
use crate::shard::exec::Grip;
use crate::shard::news::OwnStale;
use crate::shared::tell_self;
use tidegate_commands::model::Flag;

/// Keys that are forgotten at once when there are too many; a command must not pay for more.
const FORGOTTEN_MAX: usize = 1000;
/// Keys of one shard that are looked at in one visit for readers that are gone.
const LOOKED_AT_MAX: usize = 128;

impl Worker {
    /// True when the keys of this command count as read by the client. Of scripts it is what they call that counts.
    pub(crate) fn remembers(session: &Session, entry: &Entry) -> bool {
        session.tracking.is_some()
            && entry.flags.has(Flag::Readonly)
            && !entry.is_script
            && session.client.tracking.options().remembers()
    }

    /// The client read the keys of a request, whose shards are still held.
    pub(super) fn remember(&mut self, grip: &mut Grip<'_, '_>, request: &Request<'_>, id: u64) {
        self.exec.remember(grip, request.keys, &|arg| request.arg(arg), id);
    }

    /// The client is about to read the keys of a request in another way than through the executor.
    #[cold]
    pub(super) fn remember_first(&mut self, request: &Request<'_>, id: u64) {
        let shared = self.eternal;
        let mut hold = super::route::hold(shared, request, None);
        self.remember(&mut Grip::Many(&mut hold), request, id);
    }

    /// What is stale because of the client's own command is told behind its reply.
    #[cold]
    pub(super) fn tell_self(&self, client: &Client, own: Vec<OwnStale>, out: &mut Vec<u8>) {
        let options = client.tracking.options();
        // Who tracks by prefix now hears of what it read before in that way, or not at all.
        let is_wanted = |stale: &OwnStale| match stale.key {
            None => true,
            Some(_) if options.has(TrackOptions::BCAST) => false,
            Some(_) => !(stale.is_own_change && options.has(TrackOptions::NOLOOP)),
        };
        for stale in own {
            if is_wanted(&stale) {
                tell_self(client, &self.shared.clients, stale.key.as_deref(), out);
            }
        }
    }

    /// Tells everybody else what is stale. It has to happen before a reply is sent from which anybody could know that
    /// something changed. Call it with no shard held.
    #[inline]
    pub(super) fn finish_news(&mut self) {
        if self.exec.news.is_waiting() {
            self.finish_news_now();
        }
    }

    #[cold]
    fn finish_news_now(&mut self) {
        self.exec.news.ring();
        self.tell_others();
        if self.exec.rest() {
            self.limit_tracked(FORGOTTEN_MAX);
        }
    }

    /// The same in the middle of a unit, because somebody is about to get a reply that tells of it.
    #[cold]
    pub(super) fn tell_others(&mut self) {
        self.shared.tracking.tell(&mut self.exec.news, &self.shared.clients);
    }

    /// `CLIENT CACHING` is about the next command, or the whole transaction if that is `MULTI`.
    #[cold]
    pub(super) fn end_caching(session: &Session, lookup: Lookup) {
        let is_client = matches!(lookup, Lookup::Found(entry) if entry.name.starts_with("client"));
        if session.transaction.is_none() && !is_client {
            session.client.tracking.remove(TrackOptions::CACHING);
        }
    }

    /// Forgets keys that were read when there are more than the settings allow, at most `budget` of them. Call it with no
    /// shard held.
    #[cold]
    pub fn limit_tracked(&mut self, budget: usize) {
        let shared = self.eternal;
        let most = shared.config.hot().tracking_table_max_keys.get();
        if most == 0 {
            return;
        }
        let count = shared.shards.len() as u64;
        let first = self.exec.rng().below(count);
        let mut left = shared.tracking.keys().saturating_sub(most).min(budget);
        // Once around for an even share of each, once more for what some had not.
        for visit in 0..2 * count {
            if left == 0 {
                break;
            }
            let share = left.div_ceil((count - visit % count) as usize);
            let mut hold = shared.shards.hold_one(((first + visit) % count) as u16);
            left -= self.exec.forget_read(&mut hold, share);
        }
        self.tell_others();
    }

    /// The same at the end of the turn, as far as a command may be made to wait for it.
    pub fn limit_tracked_soon(&mut self) {
        self.exec.news.exceed();
    }

    /// Housekeeping for one shard: readers that are gone are forgotten, a little at a time, and leases that nobody used.
    pub fn tend_tracked(&mut self, shard: u16) {
        let shared = self.eternal;
        let Some(mut hold) = shared.shards.try_hold_one(shard) else { return };
        if !hold.data().databases.leases().is_empty() {
            let (now_ms, _) = shared.native.clock.readings();
            hold.data_mut().databases.leases_mut().tidy(now_ms);
        }
        if hold.data().tracked.is_empty() {
            return;
        }
        self.exec.forget_gone(&mut hold, LOOKED_AT_MAX);
        drop(hold);
        self.finish_news();
    }

    /// The client tracks no keys any more.
    pub fn stop_tracking(&mut self, session: &mut Session) {
        let Some(prefixes) = session.tracking.take() else { return };
        let by_prefix = session.client.tracking.options().has(TrackOptions::BCAST);
        self.shared.tracking.stop(&session.client, by_prefix, prefixes.iter().map(|prefix| &**prefix));
        session.client.tracking.set(TrackOptions::default(), 0);
        session.client.let_go(prefixes.iter().map(|prefix| NAME_SIZE + prefix.len()).sum());
    }
}
