//! Circuit breakers: whether calls of something that fails should be made at all.
//!
//! A breaker counts calls in a window of time, of ten buckets. It opens when too many of them failed or were slow, lets a few
//! probes through after a while, and closes when these succeed. Nothing here knows a clock: times and tokens are arguments.
//! What a breaker becomes is told as a whole (`codec`), so the last such record is enough.

mod codec;
mod settings;
#[cfg(test)]
mod tests;
mod window;

pub use settings::{OPTIONS, OptionRange, Settings};
pub use window::Calls;

use crate::keyspace::size_class;
use crate::types::collection::AlwaysBoxed;
use crate::value::TypeCode;
use window::Window;

/// How long a probe may be out before its permit returns by itself, in ms.
pub const PROBE_MS: i64 = 10_000;
/// When to try again where all permits are out, in ms.
const FULL_RETRY_MS: i64 = 1000;

/// What a breaker makes of calls, by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open,
    HalfOpen,
}

/// What it was told to make of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Force {
    #[default]
    Auto,
    Open,
    Closed,
}

impl Force {
    /// What is shown of it: nothing where a breaker decides for itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// What clients are told of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Closed,
    Open,
    HalfOpen,
    ForcedOpen,
    ForcedClosed,
}

impl Shown {
    /// As replies say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::ForcedOpen => "forced-open",
            Self::ForcedClosed => "forced-closed",
        }
    }

    /// The event that tells of this state.
    pub const fn event(self) -> &'static str {
        match self {
            Self::Closed | Self::ForcedClosed => "cb.closed",
            Self::Open | Self::ForcedOpen => "cb.open",
            Self::HalfOpen => "cb.half-open",
        }
    }
}

/// A call that may be made to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    token: i64,
    /// When its permit returns by itself.
    until_ms: i64,
}

/// The answer to whether a call should be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub allowed: bool,
    pub shown: Shown,
    /// When to try again, in ms; -1 if that is not known.
    pub retry_ms: i64,
    /// What names a probe when its outcome is reported.
    pub token: Option<i64>,
}

/// What an act did to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// It counts something else, but is shown the same.
    Counted,
    /// It is in another state now.
    State,
}

/// A circuit breaker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Breaker {
    parts: Box<Parts>,
}

#[derive(Clone, Debug, Default)]
struct Parts {
    settings: Settings,
    /// Somebody chose its settings: it stays for good.
    is_kept: bool,
    state: State,
    force: Force,
    /// When it may be tried again, if it is open.
    until_ms: i64,
    /// When it opened last; 0 if it never did.
    opened_ms: i64,
    /// How often it opened since it was closed.
    opens: i64,
    /// Failures since the last success.
    in_a_row: i64,
    window: Window,
    probes: Vec<Probe>,
    probes_ok: i64,
    probes_failed: i64,
    /// The journal has not heard of the present state.
    unflushed: bool,
}

impl PartialEq for Parts {
    fn eq(&self, other: &Self) -> bool {
        self.numbers() == other.numbers()
    }
}

impl Breaker {
    pub fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    /// True if it stays whether it is used or not: somebody chose its settings, or its state.
    pub fn stays(&self) -> bool {
        self.parts.is_kept || self.parts.force != Force::Auto
    }

    pub fn force(&self) -> Force {
        self.parts.force
    }

    /// When it opened last, Unix milliseconds; 0 if it never did.
    pub fn opened_ms(&self) -> i64 {
        self.parts.opened_ms
    }

    /// How often it opened since it was closed.
    pub fn opens(&self) -> i64 {
        self.parts.opens
    }

    /// What clients are told of its state.
    pub fn shown(&self) -> Shown {
        match (self.parts.force, self.parts.state) {
            (Force::Open, _) => Shown::ForcedOpen,
            (Force::Closed, _) => Shown::ForcedClosed,
            (Force::Auto, State::Closed) => Shown::Closed,
            (Force::Auto, State::Open) => Shown::Open,
            (Force::Auto, State::HalfOpen) => Shown::HalfOpen,
        }
    }

    /// The calls of the window that ends now.
    pub fn calls(&self, now_ms: i64) -> Calls {
        self.parts.window.calls(self.parts.settings.bucket_ms(), now_ms)
    }

    /// When it is worth a try, in ms from now; 0: at once, -1: nobody knows.
    pub fn retry_ms(&self, now_ms: i64) -> i64 {
        let parts = &self.parts;
        match self.shown() {
            Shown::Closed | Shown::ForcedClosed => 0,
            Shown::ForcedOpen => -1,
            Shown::Open => parts.left_ms(now_ms),
            Shown::HalfOpen if parts.permits_left(now_ms) > 0 => 0,
            Shown::HalfOpen => FULL_RETRY_MS,
        }
    }

    /// How much longer it can be of use to somebody if nobody uses it from now on, in ms, except for what it counted.
    pub fn matters_ms(&self, now_ms: i64) -> i64 {
        if self.parts.state == State::Open { self.parts.left_ms(now_ms) } else { 0 }
    }

    /// True once the journal has to hear of it, until [`set_unflushed`](Self::set_unflushed) says otherwise.
    pub fn is_unflushed(&self) -> bool {
        self.parts.unflushed
    }

    /// Notes whether the journal has yet to hear of the present state.
    pub fn set_unflushed(&mut self, unflushed: bool) {
        self.parts.unflushed = unflushed;
    }

    /// Takes settings, and stays for good from now on. What was counted in a window of another width is forgotten. True if that
    /// changed anything.
    pub fn configure(&mut self, settings: Settings) -> bool {
        let parts = &mut *self.parts;
        if parts.is_kept && parts.settings == settings {
            return false;
        }
        if settings.bucket_ms() != parts.settings.bucket_ms() {
            parts.window = Window::default();
        }
        parts.settings = settings;
        parts.is_kept = true;
        true
    }

    /// Has it open or closed whatever happens, or decide for itself again. Whoever says that it is closed says that all is well:
    /// it begins anew.
    pub fn set_force(&mut self, force: Force) -> Change {
        let before = self.shown();
        let parts = &mut *self.parts;
        if parts.force == force {
            return Change::Nothing;
        }
        parts.force = force;
        if force == Force::Closed {
            parts.close();
        }
        if self.shown() == before { Change::Counted } else { Change::State }
    }

    /// Whether a call should be made. `token` names it if it is a probe. O(probes that are out).
    pub fn allow(&mut self, now_ms: i64, token: impl FnOnce() -> i64) -> (Verdict, Change) {
        let mut change = Change::Nothing;
        let parts = &mut *self.parts;
        if parts.force == Force::Auto && parts.state == State::Open {
            // No deadline is farther away than it can have been set.
            let latest_ms = now_ms.saturating_add(parts.open_ms());
            if parts.until_ms > latest_ms {
                parts.until_ms = latest_ms;
                change = Change::Counted;
            }
            if now_ms >= parts.until_ms {
                parts.half_open();
                change = Change::State;
            }
        }
        let shown = self.shown();
        let parts = &mut *self.parts;
        let mut verdict = Verdict { allowed: true, shown, retry_ms: 0, token: None };
        match shown {
            Shown::Closed | Shown::ForcedClosed => {}
            Shown::ForcedOpen | Shown::Open => verdict.allowed = false,
            Shown::HalfOpen if parts.permits_left(now_ms) == 0 => verdict.allowed = false,
            Shown::HalfOpen => {
                parts.probes.retain(|probe| probe.is_out(now_ms));
                let token = token();
                parts.probes.push(Probe { token, until_ms: now_ms.saturating_add(PROBE_MS) });
                verdict.token = Some(token);
                if change != Change::State {
                    change = Change::Counted;
                }
            }
        }
        if !verdict.allowed {
            verdict.retry_ms = self.retry_ms(now_ms);
        }
        (verdict, change)
    }

    /// Counts calls that ended, and how many of them were slow. With a token it is one probe, which failed if anything did; one
    /// of which nothing is said was not made. O(probes that are out).
    pub fn report(&mut self, calls: Calls, token: Option<i64>, now_ms: i64) -> Change {
        let parts = &mut *self.parts;
        match (parts.force, parts.state) {
            // Calls that began before it opened say nothing new.
            (Force::Open, _) | (Force::Auto, State::Open) => Change::Nothing,
            (Force::Auto, State::HalfOpen) => parts.report_probe(calls, token, now_ms),
            (Force::Closed, _) | (Force::Auto, State::Closed) => parts.count(calls, now_ms),
        }
    }
}

impl Probe {
    fn is_out(&self, now_ms: i64) -> bool {
        now_ms < self.until_ms && self.until_ms <= now_ms.saturating_add(PROBE_MS)
    }
}

impl Parts {
    /// How long it is open, given how often it has opened.
    fn open_ms(&self) -> i64 {
        let Settings { open_for_ms, max_open_ms, .. } = self.settings;
        let doublings = (self.opens - 1).clamp(0, 62);
        open_for_ms.saturating_mul(1 << doublings).min(max_open_ms)
    }

    fn left_ms(&self, now_ms: i64) -> i64 {
        self.until_ms.saturating_sub(now_ms).clamp(0, self.open_ms())
    }

    fn permits_left(&self, now_ms: i64) -> i64 {
        let out = self.probes.iter().filter(|probe| probe.is_out(now_ms)).count() as i64;
        (self.settings.probes - out - self.probes_ok - self.probes_failed).max(0)
    }

    fn open(&mut self, now_ms: i64) {
        self.state = State::Open;
        self.opens = self.opens.saturating_add(1);
        self.opened_ms = now_ms;
        self.until_ms = now_ms.saturating_add(self.open_ms());
        self.forget_probes();
    }

    fn half_open(&mut self) {
        self.state = State::HalfOpen;
        self.forget_probes();
    }

    fn close(&mut self) {
        self.state = State::Closed;
        (self.opens, self.in_a_row, self.until_ms) = (0, 0, 0);
        self.window = Window::default();
        self.forget_probes();
    }

    fn forget_probes(&mut self) {
        self.probes = Vec::new();
        (self.probes_ok, self.probes_failed) = (0, 0);
    }

    fn count(&mut self, calls: Calls, now_ms: i64) -> Change {
        if calls == Calls::default() {
            return Change::Nothing;
        }
        let bucket_ms = self.settings.bucket_ms();
        self.window.add(calls, bucket_ms, now_ms);
        // In which order they ended nobody knows: the successes count first.
        if calls.ok > 0 {
            self.in_a_row = 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(calls.fail);
        if self.force != Force::Auto {
            return Change::Counted;
        }
        let Settings { min_calls, fail_rate, slow_rate, consecutive, .. } = self.settings;
        let sums = self.window.calls(bucket_ms, now_ms);
        let reaches = |part: i64, percent: i64| {
            i128::from(part) * 100 >= i128::from(percent) * i128::from(sums.total())
        };
        let is_bad =
            sums.total() >= min_calls && (reaches(sums.fail, fail_rate) || reaches(sums.slow, slow_rate));
        if is_bad || consecutive > 0 && self.in_a_row >= consecutive {
            self.open(now_ms);
            return Change::State;
        }
        Change::Counted
    }

    fn report_probe(&mut self, calls: Calls, token: Option<i64>, now_ms: i64) -> Change {
        let is_this = |probe: &Probe| Some(probe.token) == token && probe.is_out(now_ms);
        let Some(at) = self.probes.iter().position(is_this) else { return Change::Nothing };
        self.probes.swap_remove(at);
        if calls.fail > 0 {
            self.probes_failed += 1;
        } else if calls.ok > 0 {
            self.probes_ok += 1;
        }
        let Settings { fail_rate, probes, .. } = self.settings;
        if self.probes_failed > 0 && self.probes_failed * 100 >= fail_rate * probes {
            self.open(now_ms);
            return Change::State;
        }
        if self.probes_ok + self.probes_failed >= probes {
            self.close();
            return Change::State;
        }
        Change::Counted
    }
}

impl AlwaysBoxed for Breaker {
    const CODE: TypeCode = TypeCode::Breaker;
    const ENCODING: &'static str = "breaker";

    fn size_behind(&self) -> usize {
        size_class(size_of::<Parts>()) + size_class(self.parts.probes.capacity() * size_of::<Probe>())
    }
}
