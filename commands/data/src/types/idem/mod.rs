//! Idempotency keys: a request that is run once, and whose answer is kept for whoever repeats it.
//!
//! Nothing here knows a clock: the time is an argument, and so are tokens. Whoever begins has a lease; if that ends without an
//! answer the request was never begun, whether or not anybody has taken note. A change is an [`Effect`], the same here, in a
//! copy and when the journal is replayed.

mod codec;
#[cfg(test)]
mod tests;

use crate::keyspace::size_class;
use crate::types::collection::AlwaysBoxed;
use crate::types::native::LINGER_MS;
use crate::value::TypeCode;

/// Longest fingerprint of a request.
pub const FINGERPRINT_LEN_MAX: usize = 256;

/// How far a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Somebody runs it, and has until then, ms of the native clock.
    Pending { end_ms: i64 },
    /// This is its answer, which is kept until then.
    Done { response: Box<[u8]>, until_ms: i64 },
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Idem {
    parts: Option<Box<Parts>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Parts {
    token: i64,
    fingerprint: Option<Box<[u8]>>,
    progress: Progress,
}

/// A change of a request: the only things that change one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Somebody runs it under this token, and has until `end_ms`.
    Begin { token: i64, end_ms: i64, fingerprint: Option<Box<[u8]>> },
    /// This is its answer.
    Done { token: i64, response: Box<[u8]>, until_ms: i64 },
    /// It was never begun.
    Fail,
}

impl Idem {
    /// How far it is; `None` if nobody runs it and there is no answer.
    pub fn progress(&self, now_ms: i64) -> Option<&Progress> {
        let progress = &self.parts.as_ref()?.progress;
        (progress.until_ms() > now_ms).then_some(progress)
    }

    /// True while it is run under this token.
    pub fn is_run_under(&self, token: i64, now_ms: i64) -> bool {
        matches!(self.progress(now_ms), Some(Progress::Pending { .. })) && self.token() == token
    }

    fn token(&self) -> i64 {
        self.parts.as_ref().map_or(0, |parts| parts.token)
    }

    /// What distinguishes it from other requests, if anything was said.
    pub fn fingerprint(&self) -> Option<&[u8]> {
        self.parts.as_ref()?.fingerprint.as_deref()
    }

    /// When the lease of whoever runs it ends.
    pub fn next_timer(&self, now_ms: i64) -> Option<i64> {
        self.progress(now_ms).map(Progress::until_ms)
    }

    /// When the key may go: the time of day has passed its end then, whatever the clocks do.
    pub fn key_deadline_ms(&self) -> Option<i64> {
        self.parts.as_ref().map(|parts| parts.progress.until_ms().saturating_add(LINGER_MS))
    }

    /// Makes a change. O(1)
    pub fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Begin { token, end_ms, fingerprint } => {
                let progress = Progress::Pending { end_ms };
                self.parts = Some(Box::new(Parts { token, fingerprint, progress }));
            }
            Effect::Done { token, response, until_ms } => {
                let progress = Progress::Done { response, until_ms };
                let fingerprint = self.parts.take().and_then(|parts| parts.fingerprint);
                self.parts = Some(Box::new(Parts { token, fingerprint, progress }));
            }
            Effect::Fail => self.parts = None,
        }
    }
}

impl Progress {
    /// Until when it is so, ms of the native clock.
    pub fn until_ms(&self) -> i64 {
        match self {
            Progress::Pending { end_ms } => *end_ms,
            Progress::Done { until_ms, .. } => *until_ms,
        }
    }
}

impl AlwaysBoxed for Idem {
    const CODE: TypeCode = TypeCode::Idem;
    const ENCODING: &'static str = "idem";

    fn size_behind(&self) -> usize {
        let Some(parts) = &self.parts else { return 0 };
        let response = match &parts.progress {
            Progress::Pending { .. } => 0,
            Progress::Done { response, .. } => size_class(response.len()),
        };
        let fingerprint = parts.fingerprint.as_ref().map_or(0, |fingerprint| size_class(fingerprint.len()));
        size_class(size_of::<Parts>()) + fingerprint + response
    }

    fn is_over(&self) -> bool {
        self.parts.is_none()
    }
}
