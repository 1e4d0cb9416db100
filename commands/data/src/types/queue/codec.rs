//! The form of a queue in files.
//!
//! ```text
//! lease u64   max deliveries u32   backoff kind u8   n u8   delay u64 * n   jitter u32   aging u64   group max u32
//! in flight max u32   consumer max u32   rate text   group rate text   ttl u64   flags u8   len max u64   body max u64
//! dead ttl u64   dead max u64   dead letters text   history u32
//! last id   pause flags u8   pause until u64   totals u64 * 7   meter
//! lines u32   (class u8, 255 with a name   name text   meter)*                in the order of their turns
//! messages u64   message*                                                    in the order of their ids
//! names u32   (name text   id   until u64)*
//!
//! message: id   place u64   since u64   when u64   token u64   line u32   deliveries u32   priority u8   state u8
//!          body text   has more u8   [headers text   dedup text   ttl u64   expires u64   max deliveries + 1 u64
//!          redrives u32   first u64   taken u64   consumer text   reason text
//!          attempts u32   (time u64   consumer text   reason text)*]
//! id: ms u64   seq u64      text: length u32   bytes      meter: there u8   [open u64   reset u64   limiter text]
//! flags: 1 expired die, 2 drops old; of a pause: 1 input, 2 output
//! ```

use super::dedup::Known;
use super::lines::{CLASSES, Meter, Place};
use super::message::{Attempt, Extra, Headers, Id, Message, State};
use super::options::{Backoff, DELAYS_MAX, HISTORY_MAX, Options};
use super::{Pause, Queue, Totals, XQueue};
use crate::rdb::Error;
use crate::types::fields::Fields;
use crate::types::native::Native;
use crate::types::ratelimit::Limiter;
use std::collections::BTreeSet;

const WRONG: Error = Error::Corrupt("no queue has such a form");

/// The class of a line that has a name.
const NAMED: u8 = 255;

fn put(out: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn put_small(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_small(out, text.len() as u32);
    out.extend_from_slice(text);
}

fn put_meter(out: &mut Vec<u8>, meter: Option<&Meter>) {
    out.push(u8::from(meter.is_some()));
    if let Some(meter) = meter {
        put(out, &[meter.open_ms, meter.reset_ms]);
        let mut form = Vec::new();
        meter.limiter.write(&mut form);
        put_text(out, &form);
    }
}

fn text<'a>(fields: &mut Fields<'a>) -> Option<&'a [u8]> {
    let len = fields.u32()? as usize;
    fields.bytes(len)
}

fn id(fields: &mut Fields<'_>) -> Option<Id> {
    Some(Id { ms: fields.u64()?, seq: fields.u64()? })
}

fn word(fields: &mut Fields<'_>) -> Option<Box<str>> {
    std::str::from_utf8(text(fields)?).ok().map(Into::into)
}

fn meter(fields: &mut Fields<'_>) -> Option<Meter> {
    let (open_ms, reset_ms) = (fields.u64()?, fields.u64()?);
    let limiter = Limiter::read(text(fields)?).ok()?;
    Some(Meter { limiter, open_ms, reset_ms })
}

impl Options {
    fn write(&self, out: &mut Vec<u8>) {
        put(out, &[self.lease_ms]);
        put_small(out, self.max_deliver);
        let (kind, delays): (u8, &[u64]) = match &self.backoff {
            Backoff::Fixed { base_ms, max_ms } => (0, &[*base_ms, *max_ms]),
            Backoff::Linear { base_ms, max_ms } => (1, &[*base_ms, *max_ms]),
            Backoff::Exponential { base_ms, max_ms } => (2, &[*base_ms, *max_ms]),
            Backoff::List(delays) => (3, delays),
        };
        out.extend_from_slice(&[kind, delays.len() as u8]);
        put(out, delays);
        put_small(out, self.jitter);
        put(out, &[self.aging_ms]);
        for number in [self.group_max, self.max_in_flight, self.consumer_max] {
            put_small(out, number);
        }
        put_text(out, self.rate.as_bytes());
        put_text(out, self.group_rate.as_bytes());
        put(out, &[self.ttl_ms]);
        out.push(u8::from(self.expired_die) | u8::from(self.drops_old) << 1);
        put(out, &[self.max_len, self.max_body, self.dead_ttl_ms, self.dead_max]);
        put_text(out, &self.dead_letters);
        put_small(out, self.history);
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (lease_ms, max_deliver) = (fields.u64()?, fields.u32()?);
        let (kind, len) = (fields.u8()?, usize::from(fields.u8()?));
        if len > DELAYS_MAX || kind < 3 && len != 2 {
            return None;
        }
        let delays: Vec<u64> = (0..len).map(|_| fields.u64()).collect::<Option<_>>()?;
        let backoff = match kind {
            0 => Backoff::Fixed { base_ms: delays[0], max_ms: delays[1] },
            1 => Backoff::Linear { base_ms: delays[0], max_ms: delays[1] },
            2 => Backoff::Exponential { base_ms: delays[0], max_ms: delays[1] },
            3 => Backoff::List(delays.into()),
            _ => return None,
        };
        let (jitter, aging_ms) = (fields.u32()?, fields.u64()?);
        let (group_max, max_in_flight, consumer_max) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (rate, group_rate) = (word(fields)?, word(fields)?);
        let (ttl_ms, flags) = (fields.u64()?, fields.u8()?);
        let (max_len, max_body) = (fields.u64()?, fields.u64()?);
        let (dead_ttl_ms, dead_max) = (fields.u64()?, fields.u64()?);
        let options = Options {
            lease_ms,
            max_deliver,
            backoff,
            jitter,
            aging_ms,
            group_max,
            max_in_flight,
            consumer_max,
            rate,
            group_rate,
            ttl_ms,
            expired_die: flags & 1 != 0,
            max_len,
            drops_old: flags & 2 != 0,
            max_body,
            dead_ttl_ms,
            dead_max,
            dead_letters: text(fields)?.into(),
            history: fields.u32()?,
        };
        options.is_sound().then_some(options)
    }
}

impl Message {
    fn write(&self, line: u32, out: &mut Vec<u8>) {
        put(out, &[self.id.ms, self.id.seq, self.place_ms, self.since_ms, self.when_ms, self.token]);
        put_small(out, line);
        put_small(out, self.deliveries);
        out.extend_from_slice(&[self.priority, self.state as u8]);
        put_text(out, &self.body);
        out.push(u8::from(self.extra.is_some()));
        if let Some(extra) = &self.extra {
            put_text(out, extra.headers.as_bytes());
            put_text(out, &extra.dedup);
            let max_deliver = extra.max_deliver.map_or(0, |max| u64::from(max) + 1);
            put(out, &[extra.ttl_ms, extra.expires_ms, max_deliver]);
            put_small(out, extra.redrives);
            put(out, &[extra.first_ms, extra.taken_ms]);
            put_text(out, &extra.consumer);
            put_text(out, &extra.reason);
            put_small(out, extra.history.len() as u32);
            for Attempt { ms, consumer, reason } in &extra.history {
                put(out, &[*ms]);
                put_text(out, consumer);
                put_text(out, reason);
            }
        }
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let id = id(fields)?;
        let (place_ms, since_ms, when_ms) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (token, line, deliveries) = (fields.u64()?, fields.u32()?, fields.u32()?);
        let (priority, state) = (fields.u8()?, fields.u8()?);
        let state = *State::ALL.get(usize::from(state))?;
        let body = text(fields)?.into();
        let extra = if fields.u8()? == 0 { None } else { Some(Box::new(Extra::read(fields)?)) };
        let message = Message {
            id,
            place_ms,
            since_ms,
            when_ms,
            token,
            body,
            extra,
            line,
            deliveries,
            priority,
            state,
        };
        (u32::from(priority) < CLASSES).then_some(message)
    }
}

impl Extra {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (headers, dedup) = (Headers::of_bytes(text(fields)?)?, text(fields)?.into());
        let (ttl_ms, expires_ms, max_deliver) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let max_deliver = max_deliver.checked_sub(1).map(u32::try_from).transpose().ok()?;
        let redrives = fields.u32()?;
        let (first_ms, taken_ms) = (fields.u64()?, fields.u64()?);
        let (consumer, reason) = (text(fields)?.into(), text(fields)?.into());
        let len = fields.u32()?;
        if len > HISTORY_MAX {
            return None;
        }
        let mut history = Vec::new();
        for _ in 0..len {
            let ms = fields.u64()?;
            history.reserve_exact(1);
            history.push(Attempt { ms, consumer: text(fields)?.into(), reason: text(fields)?.into() });
        }
        Some(Extra {
            headers,
            dedup,
            ttl_ms,
            expires_ms,
            max_deliver,
            redrives,
            first_ms,
            taken_ms,
            consumer,
            reason,
            history,
        })
    }
}

impl Queue {
    /// Appends its form. O(size).
    pub fn write(&self, out: &mut Vec<u8>) {
        self.options.write(out);
        put(out, &[self.last.ms, self.last.seq]);
        out.push(u8::from(self.pause.input) | u8::from(self.pause.output) << 1);
        let Totals { pushed, delivered, acked, nacked, expired, dead, outlived } = self.totals;
        put(out, &[self.pause.until_ms, pushed, delivered, acked, nacked, expired, dead, outlived]);
        put_meter(out, self.meter.as_deref());
        let lines = self.lines.in_order();
        let numbers = lines.iter().copied().max().map_or(0, |max| max as usize + 1);
        let mut places = vec![0u32; numbers];
        put_small(out, lines.len() as u32);
        for (at, number) in lines.iter().enumerate() {
            places[*number as usize] = at as u32;
            out.push(if *number < CLASSES { *number as u8 } else { NAMED });
            put_text(out, self.lines.name(*number));
            put_meter(out, self.lines.meter(*number));
        }
        put(out, &[self.messages.len() as u64]);
        for message in self.messages.iter() {
            message.write(places[message.line as usize], out);
        }
        put_small(out, self.dedup.len() as u32);
        for (name, Known { id, until_ms }) in self.dedup.iter() {
            put_text(out, name);
            put(out, &[id.ms, id.seq, until_ms]);
        }
    }

    /// The queue of a form that anybody may have written. O(size · log size).
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut fields = Fields::new(bytes);
        let queue = Self::read_fields(&mut fields).ok_or(WRONG)?;
        if fields.is_done() { Ok(queue) } else { Err(WRONG) }
    }

    fn read_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let mut queue = Queue { options: Options::read(fields)?, last: id(fields)?, ..Queue::default() };
        queue.lines.set_group_max(queue.options.group_max);
        let (pause, until_ms) = (fields.u8()?, fields.u64()?);
        if pause & 3 != 0 {
            queue.pause = Pause { input: pause & 1 != 0, output: pause & 2 != 0, until_ms };
        }
        queue.totals = Totals {
            pushed: fields.u64()?,
            delivered: fields.u64()?,
            acked: fields.u64()?,
            nacked: fields.u64()?,
            expired: fields.u64()?,
            dead: fields.u64()?,
            outlived: fields.u64()?,
        };
        queue.meter = if fields.u8()? == 0 { None } else { Some(Box::new(meter(fields)?)) };
        let (mut lines, mut told) = (Vec::new(), BTreeSet::new());
        for _ in 0..fields.u32()? {
            let (class, name) = (fields.u8()?, text(fields)?);
            let is_named = class == NAMED;
            if is_named == name.is_empty() || !is_named && u32::from(class) >= CLASSES {
                return None;
            }
            let number = queue.lines.open(name, if is_named { 0 } else { class });
            // A line told of twice is a lie; one that nothing keeps is dropped below.
            if !told.insert(number) {
                return None;
            }
            if fields.u8()? != 0 {
                queue.lines.set_meter(number, meter(fields)?);
            }
            lines.push(number);
        }
        let mut before = None;
        for _ in 0..fields.u64()? {
            let mut message = Message::read(fields)?;
            message.line = *lines.get(message.line as usize)?;
            let fits = message.line >= CLASSES || message.line == u32::from(message.priority);
            if !fits || message.id > queue.last || before.is_some_and(|before| before >= message.id) {
                return None;
            }
            before = Some(message.id);
            queue.load(message);
        }
        queue.lines.seat_in_order(&lines);
        queue.lines.drop_all_unused(&lines);
        for _ in 0..fields.u32()? {
            let name = text(fields)?;
            let known = Known { id: id(fields)?, until_ms: fields.u64()? };
            queue.dedup.put(name, known);
        }
        queue.oldest_waiting = Id::default();
        Some(queue)
    }

    /// Takes in a message that is read from a file, in the state it has there.
    fn load(&mut self, message: Message) {
        let (id, line, when_ms) = (message.id, message.line, message.when_ms);
        self.lines.add_member(line);
        self.bytes += message.heap_size();
        let expires_ms = message.expires_ms();
        if expires_ms > 0 && matches!(message.state, State::Ready | State::Delayed) {
            self.mortal.insert((expires_ms, id));
        }
        match message.state {
            State::Ready => {
                self.lines.put(line, Place { ms: message.place_ms, id, priority: message.priority });
                self.ready += 1;
            }
            State::Delayed => {
                self.delayed.insert((when_ms, id));
                if message.deliveries > 0 {
                    self.lines.retry(line, true);
                }
            }
            State::Leased => {
                self.lines.begin_out(line);
                self.leased.insert((when_ms, id));
                self.count_consumer(message.consumer());
            }
            State::Dead => {
                self.dead.insert((message.since_ms, id));
            }
        }
        self.messages.insert(message);
    }
}

impl Native for XQueue {
    const MODULE: &'static [u8; 9] = b"natXQ----";

    fn save(queue: &XQueue, payload: &mut Vec<u8>) {
        queue.0.write(payload);
    }

    fn load(payload: &[u8], _version: u32) -> Result<Self, Error> {
        Queue::read(payload).map(|queue| XQueue(Box::new(queue)))
    }

    fn token_max(queue: &XQueue) -> i64 {
        i64::try_from(queue.0.newest_token()).unwrap_or(0)
    }
}
