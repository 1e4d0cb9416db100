//! What is noted of single commands besides their figures: large requests and replies (`COMMANDLOG`), and who did what
//! (`audit-log`), slow ones and what monitors see.

use super::{Lookup, Request, Worker, monitor_line};
use crate::audit::{Audited, is_about_rights};
use crate::clock;
use crate::config::choices::AuditLevel;
use crate::registry::Entry;
use crate::session::{Client, Session};
use crate::shard::block::Waiter;
use crate::shared::Slowlog;
use tidegate_commands::model::{Error, Flag};

impl Worker {
    #[cold]
    pub(super) fn note_slowness(&self, session: &Session, request: &Request<'_>, entry: &Entry, nanos: u64) {
        let micros = (nanos / 1000) as i64;
        if nanos >= self.turn.slow_nanos {
            self.log_slow(session, request, entry, micros);
        }
        if nanos >= self.turn.spike_nanos {
            let event = if entry.flags.has(Flag::Fast) { "fast-command" } else { "command" };
            self.shared.latency.add(event, micros / 1000, self.exec.now_ms / 1000);
        }
    }

    #[cold]
    pub(super) fn log_slow(&self, session: &Session, request: &Request<'_>, entry: &Entry, micros: i64) {
        let words = request.visible_words(entry, &session.redacted);
        let words: Vec<&[u8]> = words.iter().map(|word| &**word).collect();
        self.log_slow_words(&session.client, entry, &words, micros);
    }

    pub(super) fn log_slow_words(&self, client: &Client, entry: &Entry, words: &[&[u8]], micros: i64) {
        let max = self.shared.config.hot().slowlog_max_len.get();
        if entry.flags.has(Flag::SkipSlowlog) || max == 0 {
            return;
        }
        let time_s = clock::unix_ms() / 1000;
        self.shared.slowlog.add(words.iter().copied(), micros, time_s, &client.addr, &client.name.get(), max);
    }

    #[cold]
    pub(super) fn feed_monitors(&self, session: &Session, request: &Request<'_>, entry: &Entry) {
        if self.replayed.is_some() || entry.flags.has(Flag::SkipMonitor) || entry.flags.has(Flag::Admin) {
            return;
        }
        let line = monitor_line(session, &request.visible_words(entry, &session.redacted));
        self.shared.feed_monitors(&line);
    }

    /// The request, or its reply, is larger than `COMMANDLOG` lets pass.
    #[inline]
    pub(super) fn is_large(&self, request: &Request<'_>, reply_len: usize) -> bool {
        let (request_max, reply_max) = self.turn.large;
        // What is around the arguments is about as large as the first of them.
        (reply_len >= reply_max) | (request.size() + WIRE >= request_max)
    }

    /// Logs a command that is large.
    #[cold]
    pub(super) fn log_large(
        &self,
        session: &Session,
        request: &Request<'_>,
        entry: &Entry,
        reply_len: usize,
    ) {
        let words = request.visible_words(entry, &session.redacted);
        let words: Vec<&[u8]> = words.iter().map(|word| &**word).collect();
        let sizes = (wire_size(request.spans.iter().map(|span| span.len as usize)), reply_len);
        self.log_large_words(&session.client, entry, &words, sizes);
    }

    fn log_large_words(&self, client: &Client, entry: &Entry, words: &[&[u8]], sizes: (usize, usize)) {
        if entry.flags.has(Flag::SkipSlowlog) {
            return;
        }
        let (hot, time_s) = (self.shared.config.hot(), clock::unix_ms() / 1000);
        let log = |log: &Slowlog, size: usize, limit: usize, max: usize| {
            if size >= limit && max > 0 {
                log.add(words.iter().copied(), size as i64, time_s, &client.addr, &client.name.get(), max);
            }
        };
        let (request_max, reply_max) = self.turn.large;
        log(&self.shared.large_requests, sizes.0, request_max, hot.commandlog_large_request_max_len.get());
        log(&self.shared.large_replies, sizes.1, reply_max, hot.commandlog_large_reply_max_len.get());
    }

    /// Counts what a command took for its keys.
    #[cold]
    pub(super) fn follow_keys(&self, request: &Request<'_>, nanos: u64, reply_len: usize) {
        let keys: Vec<&[u8]> = request.keys.iter().map(|key| request.arg(key.arg as usize)).collect();
        let bytes = wire_size(request.spans.iter().map(|span| span.len as usize)) + reply_len;
        self.shared.hotkeys.note(&keys, nanos, bytes as u64, clock::unix_ms());
    }

    /// Notes a request in the audit log.
    #[cold]
    pub(super) fn audit(
        &self,
        session: &Session,
        request: &Request<'_>,
        command: &str,
        micros: u64,
        error: Option<&Error>,
        is_denied: bool,
    ) {
        let keys: Vec<&[u8]> = request.keys.iter().map(|key| request.arg(key.arg as usize)).collect();
        let code = error.map(code);
        let audited = Audited {
            at_ms: clock::unix_ms(),
            command,
            db: session.db as u32,
            keys: &keys,
            micros,
            error: code.as_deref(),
            is_denied,
        };
        self.shared.audit.note(&self.shared, &session.client, &audited);
    }

    /// Notes what a client may not do. Other refusals are no concern of who reads the log.
    #[cold]
    pub(super) fn audit_refusal(&self, session: &Session, request: &Request<'_>, error: &Error) {
        if let Lookup::Found(entry) = request.lookup
            && is_about_rights(&code(error))
        {
            self.audit(session, request, &entry.name, 0, Some(error), true);
        }
    }

    /// The same for a request that has waited.
    pub(super) fn look_closer_at_served(
        &self,
        waiter: &Waiter,
        micros: u64,
        error: Option<&Error>,
        reply_len: usize,
    ) {
        let words: Vec<&[u8]> = waiter.request.words().collect();
        if reply_len >= self.turn.large.1 {
            self.log_large_words(&waiter.client, waiter.entry, &words, (0, reply_len));
        }
        if self.turn.audit != AuditLevel::Off && self.turn.audit.notes(waiter.entry) {
            let keys = crate::acl::keys_of(waiter.entry, &words);
            let keys: Vec<&[u8]> = keys.iter().map(|key| words[key.arg]).collect();
            let code = error.map(code);
            let audited = Audited {
                at_ms: clock::unix_ms(),
                command: &waiter.entry.name,
                db: waiter.db.into(),
                keys: &keys,
                micros,
                error: code.as_deref(),
                is_denied: false,
            };
            self.shared.audit.note(&self.shared, &waiter.client, &audited);
        }
    }
}

/// At most so many bytes are around the arguments of a short request.
const WIRE: usize = 64;

/// Bytes of a request on the wire.
fn wire_size(args: impl ExactSizeIterator<Item = usize>) -> usize {
    let digits = |number: usize| number.checked_ilog10().unwrap_or(0) as usize + 1;
    let head = 1 + digits(args.len()) + 2;
    head + args.map(|len| 1 + digits(len) + 2 + len + 2).sum::<usize>()
}

/// The first word of an error.
fn code(error: &Error) -> String {
    let text = error.message();
    let word = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    String::from_utf8_lossy(word).into_owned()
}

#[cfg(test)]
mod tests {
    use super::wire_size;

    #[test]
    fn sizes_are_those_of_the_bytes_that_came() {
        let request = b"*3\r\n$3\r\nSET\r\n$10\r\n0123456789\r\n$0\r\n\r\n";
        assert_eq!(wire_size([3, 10, 0].into_iter()), request.len());
    }
}
