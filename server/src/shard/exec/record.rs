//! Reliable events: `notify-stream` names a stream to which keyspace events are appended.
//!
//! An event becomes an entry in the very unit that made it: in memory under the same hold, in the journal as part of the
//! same record. So the order of the entries is that of what happened, and neither a crash nor a slow consumer loses one.
//! The shard of the stream therefore belongs to the shards of every unit that may make events; whoever takes a hold for
//! one asks [`Executor::stream_shard`]. A unit without it removes nothing that is due, and so makes no events.

use super::{Call, Executor, Grip};
use crate::dispatch::routed;
use crate::registry::{Body, Entry};
use crate::shard::news::NOBODY;
use crate::shared::Shared;
use smallvec::SmallVec;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, PoisonError, RwLock};
use tidegate_commands::model::{Args, Protocol, Reply, RoutedKey, Span, StoredRequest};
use tidegate_data::{Access, Event, EventClass};

/// The stream that events are appended to, as it is configured.
#[derive(Debug, Default)]
pub struct EventStream {
    /// Counts changes, so that threads see them without the lock.
    version: AtomicU64,
    target: RwLock<Option<Arc<Target>>>,
    /// Events that could not be appended, because the key holds something else.
    pub lost: AtomicU64,
}

/// Where events go.
#[derive(Debug)]
struct Target {
    db: u16,
    key: RoutedKey,
    name: Box<[u8]>,
    /// Entries the stream is trimmed to, roughly; 0 for no limit.
    len_max: i64,
    /// `XADD`
    entry: &'static Entry,
}

impl EventStream {
    /// Records where the configuration says from now on.
    ///
    /// # Errors
    /// There is no such database.
    pub fn follow(&self, shared: &Shared) -> Result<(), String> {
        let target = Target::configured(shared)?;
        *self.target.write().unwrap_or_else(PoisonError::into_inner) = target.map(Arc::new);
        self.version.fetch_add(1, Release);
        Ok(())
    }

    fn target(&self) -> Option<Arc<Target>> {
        self.target.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An event is not in the stream. Said in the log now and then, and in `INFO` always.
    #[cold]
    fn lose(&self, event: &Event) {
        let lost = self.lost.fetch_add(1, Relaxed) + 1;
        if lost.is_power_of_two() {
            tracing::warn!(
                "notify-stream: {lost} events could not be appended, the last a {}: its key must hold a stream",
                event.name
            );
        }
    }
}

impl Target {
    fn configured(shared: &Shared) -> Result<Option<Self>, String> {
        let config = &shared.config;
        let Some(name) = config.text("notify-stream") else { return Ok(None) };
        let db = config.number("notify-stream-db");
        if db >= config.databases() as i64 {
            return Err("notify-stream-db is out of range".to_owned());
        }
        // Under whatever name it answers.
        let entry = shared.registry.entries().iter().find(|entry| entry.name == "xadd");
        Ok(Some(Target {
            db: db as u16,
            // The second word of the request.
            key: routed(shared, 1, &name),
            name: name.into(),
            len_max: config.number("notify-stream-maxlen"),
            entry: entry.expect("XADD is a command"),
        }))
    }

    /// Changes of the stream itself are not recorded: there would be no end.
    fn is_about(&self, event: &Event) -> bool {
        event.db == self.db && event.key == self.name
    }

    /// The request that appends an event.
    fn request(&self, event: &Event) -> StoredRequest {
        let (len_max, db) = (self.len_max.to_string(), event.db.to_string());
        let mut words: SmallVec<[&[u8]; 12]> = SmallVec::new();
        words.extend([b"XADD", &*self.name]);
        if self.len_max > 0 {
            words.extend([b"MAXLEN".as_slice(), b"~", len_max.as_bytes()]);
        }
        words.extend([b"*".as_slice(), b"event", event.name.as_bytes()]);
        words.extend([b"key".as_slice(), &event.key, b"db", db.as_bytes()]);
        let mut request = StoredRequest::default();
        for word in words {
            request.args.push(Span { start: request.bytes.len() as u32, len: word.len() as u32 });
            request.bytes.extend_from_slice(word);
        }
        request
    }
}

/// What an executor knows of the stream.
#[derive(Debug, Default)]
pub(super) struct Recording {
    version: u64,
    target: Option<Arc<Target>>,
}

impl Recording {
    /// Events are appended to a stream.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.target.is_some()
    }

    /// A unit under this hold may make events.
    #[inline]
    pub(super) fn permits(&self, grip: &Grip<'_, '_>) -> bool {
        self.target.as_ref().is_none_or(|target| grip.has(target.key.shard))
    }
}

impl Executor {
    /// Reads where events are to be appended: at the start of a turn, with no shard held. In between it stays as it is.
    #[inline]
    pub fn read_stream(&mut self) {
        if self.shared.event_stream.version.load(Acquire) != self.recording.version {
            self.read_stream_now();
        }
    }

    #[cold]
    fn read_stream_now(&mut self) {
        // In this order: a change in between is seen at the next look.
        self.recording.version = self.shared.event_stream.version.load(Acquire);
        self.recording.target = self.shared.event_stream.target();
    }

    /// What is replayed was recorded when it happened.
    pub fn stop_recording(&mut self) {
        self.recording.target = None;
    }

    /// The shard that units which may make events need besides their own.
    #[inline]
    pub fn stream_shard(&self) -> Option<u16> {
        self.recording.target.as_ref().map(|target| target.key.shard)
    }

    /// The same for a unit of this command alone. What only reads makes no events, unless misses are wanted.
    #[inline]
    pub fn stream_shard_for(&self, entry: &Entry) -> Option<u16> {
        let is_silent = !entry.writes() && !self.event_classes.has(EventClass::KeyMiss);
        self.stream_shard().filter(|_| !is_silent)
    }

    /// Appends what happened to the stream, as part of the present unit.
    #[cold]
    pub(super) fn record(&mut self, grip: &mut Grip<'_, '_>, events: &[Event]) {
        let Some(target) = self.recording.target.clone() else { return };
        let Body::Data(handler) = target.entry.body else { return };
        let wanted = std::mem::take(&mut self.log.record_events);
        let actor = std::mem::replace(&mut self.actor, NOBODY);
        let keys = [target.key];
        let mut out = Vec::new();
        for event in events.iter().filter(|event| !target.is_about(event)) {
            let request = target.request(event);
            let result = grip.part(target.key.shard).map(|mut grip| {
                let mut call = Call {
                    handler,
                    args: Args::new(&request.bytes, &request.args, &keys, target.entry.words),
                    db: target.db.into(),
                    access: Access::lru(self.now_ms),
                    is_retry: true,
                };
                out.clear();
                self.run(&mut grip, &mut call, &mut Reply::new(&mut out, Protocol::Resp2))
            });
            if !matches!(result, Some(Ok(()))) {
                self.shared.event_stream.lose(event);
            }
        }
        self.actor = actor;
        self.log.record_events = wanted;
    }
}
