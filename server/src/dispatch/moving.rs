//! Keys on their way to another server: `MIGRATE` around what [`crate::migrate`] does.
//!
//! Redis does nothing else until the other server has answered. Here only what names one of the keys waits until then, be
//! it to change or to read it: whoever is not waiting sees the key here before it is there, and nobody sees it here
//! afterwards. Some things cannot wait: commands of a script that did not declare the key, or of a transaction that began
//! at the same moment, expiry, FLUSHALL. So the key is watched as well, and one that was changed all the same is not
//! deleted: no write is lost, and `MIGRATE` says that the key is on both sides.

use super::{Progress, Request, Worker};
use crate::control::Flow;
use crate::migrate::{Order, Parcel, Transfer};
use crate::registry::{Body, Entry};
use crate::session::{Parked, Session, Then, WatchFlag};
use crate::shard::exec::{Call, Grip};
use crate::shard::{Hold, HoldOne};
use crate::shared::{PauseKind, Shared};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::families::{UNLIMITED_MS, del, pack};
use tidegate_commands::model::{Args, Error, Handler, Protocol, Reply, RoutedKey, StoredRequest};
use tidegate_data::{Access, Key};

/// Who asks for a key on its way tries again after this time.
const TRY_AGAIN_MS: i64 = 2;

const CHANGED: Error = Error::new(
    "ERR A key changed while it was sent: it was not deleted, and the other server has it as it was before",
);

/// A key that was there when it was asked for.
#[derive(Debug)]
struct Sent {
    name: Box<[u8]>,
    shard: u16,
    hash: u64,
    /// Raised when it changes.
    flag: Arc<WatchFlag>,
}

/// Keys on their way, and what is to be done when they have arrived.
#[derive(Debug)]
pub struct Moving {
    transfer: Arc<Transfer>,
    entry: &'static Entry,
    db: u16,
    /// They stay here as well.
    is_copy: bool,
    /// In the order of the parcels.
    keys: Vec<Sent>,
    /// Bytes that are kept for it.
    size: usize,
}

impl Moving {
    /// Bytes that are kept until they have arrived.
    pub fn size(&self) -> usize {
        self.size
    }
}

/// What became of the attempt to send keys.
#[derive(Debug)]
pub(crate) enum Begun {
    /// There is none of them.
    NoKey,
    /// One of them is on its way already.
    GaveWay,
    /// They are on their way.
    Sent(Moving),
}

impl Worker {
    /// Sends the keys of a request that are there, and lets nobody near them until they have arrived.
    pub(crate) fn begin_move(
        &mut self,
        session: &Session,
        entry: &'static Entry,
        keys: &[Key<'_>],
        mut order: Order,
        is_copy: bool,
    ) -> Result<Begun, Error> {
        let shared = self.eternal;
        let shards = keys.iter().map(|key| key.shard()).chain(self.exec.stream_shard());
        let mut hold = shared.shards.hold(shards.collect());
        self.note_sent(session, keys, is_copy);
        let sent = self.pack(&mut hold, session, keys, &mut order.parcels);
        let begun = match sent {
            None => Ok(Begun::GaveWay),
            Some(keys) if keys.is_empty() => Ok(Begun::NoKey),
            Some(keys) => {
                let size = order.parcels.iter().map(|parcel| parcel.payload.len()).sum();
                let transfer = shared.mover.send(order, Some(Arc::clone(&session.client)));
                transfer.map_err(|error| no_thread(&error)).map(|transfer| {
                    let db = session.db as u16;
                    let moving = Moving { transfer, entry, db, is_copy, keys, size };
                    if !is_copy {
                        Self::keep_others_away(shared, &mut hold, &moving);
                    }
                    Begun::Sent(moving)
                })
            }
        };
        self.release(hold);
        begun
    }

    /// The same under the hold of a transaction or of a script, where nothing can wait. True when there were keys.
    pub(crate) fn move_at_once(
        &mut self,
        hold: &mut Hold<'_>,
        session: &Session,
        entry: &'static Entry,
        keys: &[Key<'_>],
        mut order: Order,
        is_copy: bool,
    ) -> Result<bool, Error> {
        self.note_sent(session, keys, is_copy);
        let Some(keys) = self.pack(hold, session, keys, &mut order.parcels).filter(|keys| !keys.is_empty())
        else {
            return Ok(false);
        };
        let transfer = self.shared.mover.send(order, None).map_err(|error| no_thread(&error))?;
        let report = transfer.wait();
        let moving = Moving { transfer, entry, db: session.db as u16, is_copy, keys, size: 0 };
        if !is_copy {
            self.delete_taken(hold, &moving, &report.taken);
        }
        report.error.map_or(Ok(true), |text| Err(Error::text(text)))
    }

    /// For the proof that access control has been asked: keys that do not stay are changed, now or when they have arrived.
    fn note_sent(&mut self, session: &Session, keys: &[Key<'_>], is_copy: bool) {
        for key in keys {
            self.exec.note_touch(session.db, key.bytes(), !is_copy);
        }
    }

    /// Copies the keys that are there. `None` when one of them is on its way already.
    fn pack(
        &mut self,
        hold: &mut Hold<'_>,
        session: &Session,
        keys: &[Key<'_>],
        parcels: &mut Vec<Parcel>,
    ) -> Option<Vec<Sent>> {
        let access = self.access(session);
        let mut sent = Vec::new();
        for key in keys {
            let routed = RoutedKey { arg: 1, shard: key.shard(), hash: key.hash() };
            let mut packed = Vec::new();
            self.run_on(hold, session.db, access, pack, &[b"DUMP", key.bytes()], &[routed], &mut packed);
            if self.exec.take_way_given() {
                return None;
            }
            let Some((deadline_ms, _)) = packed.split_first_chunk() else { continue };
            let deadline_ms = i64::from_le_bytes(*deadline_ms);
            packed.drain(..size_of::<i64>());
            parcels.push(Parcel {
                key: key.bytes().into(),
                deadline_ms: Some(deadline_ms).filter(|deadline_ms| *deadline_ms != UNLIMITED_MS),
                payload: packed,
            });
            let name = key.bytes().into();
            sent.push(Sent { name, shard: key.shard(), hash: key.hash(), flag: Arc::default() });
        }
        Some(sent)
    }

    /// Runs a handler for its effect or its result, as part of what the present command does.
    #[expect(clippy::too_many_arguments, reason = "a call, and where it runs")]
    fn run_on(
        &mut self,
        hold: &mut Hold<'_>,
        db: usize,
        access: Access,
        handler: Handler,
        words: &[&[u8]],
        keys: &[RoutedKey],
        out: &mut Vec<u8>,
    ) {
        let request = StoredRequest::of_words(words);
        let args = Args::new(&request.bytes, &request.args, keys, 1);
        let mut call = Call { handler, args, db, access, is_retry: false };
        let mut reply = Reply::new(out, Protocol::Resp2);
        // Neither of the two handlers can fail.
        let _ = self.exec.run(&mut Grip::Many(hold), &mut call, &mut reply);
    }

    fn keep_others_away(shared: &Shared, hold: &mut Hold<'_>, moving: &Moving) {
        shared.mover.add_moving(moving.keys.len());
        for key in &moving.keys {
            if let Some(data) = hold.shard_mut(key.shard) {
                data.watched.add_move(moving.db, &key.name, &key.flag);
            }
        }
    }

    /// The end of that.
    fn let_others_in(shared: &Shared, hold: &mut Hold<'_>, moving: &Moving) {
        for key in &moving.keys {
            if let Some(data) = hold.shard_mut(key.shard) {
                data.watched.remove(moving.db, &key.name, &key.flag);
            }
        }
        shared.mover.remove_moving(moving.keys.len());
    }

    /// Deletes what the other server has, unless it is not the same any more: false when there is such a key.
    fn delete_taken(&mut self, hold: &mut Hold<'_>, moving: &Moving, taken: &[usize]) -> bool {
        let (mut words, mut routed) = (vec![&b"DEL"[..]], Vec::new());
        let mut all_same = true;
        for key in taken.iter().filter_map(|index| moving.keys.get(*index)) {
            if key.flag.is_raised() {
                // One that is gone as well was here until it was there.
                let table = hold.shard_mut(key.shard).map(|data| data.databases.table(moving.db.into()));
                all_same &= table.is_none_or(|table| table.get(key.hash, &key.name).is_none());
                continue;
            }
            routed.push(RoutedKey { arg: words.len() as u32, shard: key.shard, hash: key.hash });
            words.push(&key.name);
        }
        if !routed.is_empty() {
            let db = usize::from(moving.db);
            self.run_on(hold, db, Access::NONE, del, &words, &routed, &mut Vec::new());
        }
        all_same
    }

    /// What was done is one unit; who waited for it is served.
    fn release(&mut self, mut hold: Hold<'_>) {
        let mut grip = Grip::Many(&mut hold);
        self.exec.finish_unit(&mut grip);
        if self.exec.needs_attention {
            self.serve_ready(&mut grip);
        }
        drop(hold);
        self.serve_postponed();
        self.exec.free_garbage();
    }

    /// The keys have arrived, or not.
    fn end_move(&mut self, moving: &Moving) -> Result<(), Error> {
        let report = moving.transfer.take_report().unwrap_or_default();
        let mut all_same = true;
        if !moving.is_copy {
            let shared = self.eternal;
            let mut hold = shared.shards.hold(self.shards_of(moving));
            Self::let_others_in(shared, &mut hold, moving);
            all_same = self.delete_taken(&mut hold, moving, &report.taken);
            self.release(hold);
        }
        match report.error {
            Some(text) => Err(Error::text(text)),
            None if all_same => Ok(()),
            None => Err(CHANGED),
        }
    }

    fn shards_of(&self, moving: &Moving) -> SmallVec<[u16; 16]> {
        moving.keys.iter().map(|key| key.shard).chain(self.exec.stream_shard()).collect()
    }

    /// Nothing may be deleted at this moment: a pause, or a snapshot that has not taken a large value yet. When to look again.
    fn looks_again_ms(&self, moving: &Moving) -> Option<i64> {
        let shared = self.eternal;
        if moving.is_copy {
            return None;
        }
        if shared.pause.kind(self.exec.now_ms) != PauseKind::None {
            return Some(shared.pause.until_ms());
        }
        let is_lagging = |key: &Sent| {
            let mut hold = shared.shards.hold_one(key.shard);
            let table = hold.data_mut().databases.table_mut(moving.db.into());
            table.is_being_taken() && table.is_lagging(key.hash, &key.name)
        };
        (self.snapshotting && moving.keys.iter().any(is_lagging)).then(|| self.exec.now_ms + 1)
    }

    /// Goes on with a connection whose keys are on their way. `None` while they are.
    pub(super) fn go_on_moving(&mut self, session: &mut Session, out: &mut Vec<u8>) -> Option<Progress> {
        let Some(Parked { then: Then::Moved(moving), .. }) = &session.parked else { return None };
        if !moving.transfer.is_done() {
            return None;
        }
        let again_ms = self.looks_again_ms(moving);
        let parked = session.parked.as_mut()?;
        if let Some(again_ms) = again_ms {
            parked.until_ms = again_ms;
            return None;
        }
        let Parked { then: Then::Moved(moving), is_silent, .. } = session.parked.take()? else { return None };
        session.client.paused.store(false, Relaxed);
        session.client.parked_args.store(0, Relaxed);
        let mark = out.len();
        let mut reply = Reply::new(out, session.protocol);
        match self.end_move(&moving) {
            Ok(()) => reply.ok(),
            Err(error) => {
                self.count_failure(moving.entry, &error);
                reply.error(&error);
            }
        }
        if is_silent {
            out.truncate(mark);
        }
        Some(Progress::NeedInput(1))
    }

    /// Ends the moves whose clients did not wait for them: call it every now and then.
    pub fn end_orphans(&mut self) {
        if self.orphans.is_empty() {
            return;
        }
        self.begin_turn();
        let is_over = |worker: &Worker, moving: &Moving| {
            moving.transfer.is_done() && worker.looks_again_ms(moving).is_none()
        };
        let orphans = std::mem::take(&mut self.orphans);
        let (over, orphans) = orphans.into_iter().partition(|moving| is_over(self, moving));
        self.orphans = orphans;
        for moving in over {
            let moving: Moving = moving;
            if let Err(error) = self.end_move(&moving) {
                let text = error.message();
                tracing::warn!("MIGRATE, whose client is gone: {}", self.eternal.shown_in_log(&text));
            }
        }
        self.finish_news();
        self.finish_journal(None);
    }

    /// A transaction, a script or another command of this kind names a key that is on its way. Commands of the keyspace
    /// find out themselves, under the hold they run in.
    #[cold]
    pub(super) fn names_moving<'s>(
        &self,
        shared: &'s Shared,
        session: &Session,
        request: &Request<'_>,
        entry: &Entry,
        held: &mut Option<HoldOne<'s>>,
    ) -> bool {
        let is_moving = |request: &Request<'_>| {
            request.keys.iter().any(|key| {
                let hold = shared.shards.hold_one(key.shard);
                hold.data().watched.is_moving(session.db as u16, request.arg(key.arg as usize))
            })
        };
        if entry.name == "exec" {
            *held = None;
            return self.any_queued(session, |_, stored| {
                is_moving(&Request::of_stored(shared, stored, &mut Vec::new()))
            });
        }
        if session.transaction.is_some() || !matches!(entry.body, Body::Control(_)) {
            return false;
        }
        *held = None;
        is_moving(request)
    }

    /// Tries the request again a little later.
    #[cold]
    pub(super) fn give_way(&self, request: &Request<'_>) -> Flow {
        Flow::Park(Parked::for_pause(self.exec.now_ms + TRY_AGAIN_MS, request.to_stored()))
    }
}

#[cold]
fn no_thread(error: &std::io::Error) -> Error {
    tracing::warn!("Keys cannot be sent: {error}");
    Error::new("ERR There is no thread to send keys with")
}
