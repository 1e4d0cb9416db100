//! Whether a connection waits for something, and who ends that.
//!
//! A waiting connection may be served by whoever touches one of its keys, let go by `CLIENT UNBLOCK`, closed by
//! `CLIENT KILL`, run out of time, or lose its peer, all at once and on different threads. Exactly one of them ends the
//! waiting: it claims the connection first, and what it then does is seen by the connection before it goes on.
//!
//! A claim is held for the time of one command at most, by a thread that waits for nothing meanwhile (it has every shard
//! it needs already), so others may wait for it whatever they hold. tests/loom proves the above.

#[cfg(loom)]
use loom::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
    fence,
};
#[cfg(not(loom))]
use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
    fence,
};

/// Attempts that only look, with a pause instruction between.
#[cfg(not(loom))]
const SPINS: u32 = 128;
/// Attempts that give the core away, before those that sleep.
#[cfg(not(loom))]
const YIELDS: u32 = 32;

/// What became of the waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Ending {
    /// It goes on, or there is none.
    None = 0,
    /// The reply is in the connection's mailbox.
    Served = 3,
    /// `CLIENT UNBLOCK TIMEOUT`: it goes on as if its time had run out.
    TimedOut = 4,
    /// `CLIENT UNBLOCK ERROR`.
    Failed = 5,
    /// Nobody is there any more to be answered.
    Closed = 6,
}

/// Nobody waits.
const IDLE: u64 = 0;
/// The connection waits, and anybody may end that.
const WAITING: u64 = 1;
/// Somebody is about to end it, or to find out that it goes on.
const CLAIMED: u64 = 2;
/// The bits of these and of [`Ending`]; above them is the number of the wait.
const STATE: u64 = 7;
const STATE_BITS: u32 = 3;

/// The present wait of a connection, or none.
///
/// Waits are numbered, so that whoever remembers one that is over leaves the next one alone.
#[derive(Debug, Default)]
pub struct Waiting {
    word: AtomicU64,
}

impl Waiting {
    /// The connection waits from now on; the number of this wait is returned. Only its own thread may call this, and
    /// only when the last wait is over.
    pub fn begin(&self) -> u64 {
        let number = (self.word.load(Relaxed) >> STATE_BITS) + 1;
        self.word.store(number << STATE_BITS | WAITING, Release);
        // Pairs with the one in `claim_present`: of two threads, one of which marks the connection and then looks for a
        // wait to end, while the other begins to wait and then looks for a mark, at least one finds something.
        fence(SeqCst);
        number
    }

    /// The present wait is over and was taken note of. Only the connection's own thread may call this.
    pub fn end(&self) {
        let number = self.word.load(Relaxed) >> STATE_BITS;
        self.word.store(number << STATE_BITS | IDLE, Relaxed);
    }

    /// True while nobody has ended the present wait.
    pub fn is_waiting(&self) -> bool {
        matches!(self.word.load(Relaxed) & STATE, WAITING | CLAIMED)
    }

    /// True while nobody has ended wait `number`.
    pub fn is_in(&self, number: u64) -> bool {
        let word = self.word.load(Relaxed);
        word >> STATE_BITS == number && matches!(word & STATE, WAITING | CLAIMED)
    }

    /// What became of the present wait. Everything its ender did is seen after this.
    pub fn ending(&self) -> Ending {
        match self.word.load(Acquire) & STATE {
            3 => Ending::Served,
            4 => Ending::TimedOut,
            5 => Ending::Failed,
            6 => Ending::Closed,
            _ => Ending::None,
        }
    }

    /// The right to end wait `number`; `None` if it is over. While somebody else has that right, this waits.
    pub fn claim(&self, number: u64) -> Option<Claim<'_>> {
        let waiting = number << STATE_BITS | WAITING;
        let claimed = number << STATE_BITS | CLAIMED;
        let mut tries = 0;
        loop {
            match self.word.compare_exchange(waiting, claimed, AcqRel, Acquire) {
                Ok(_) => return Some(Claim { waiting: self, number }),
                Err(word) if word == claimed => pause(&mut tries),
                Err(_) => return None,
            }
        }
    }

    /// As [`Waiting::claim`], for the present wait, whichever that is.
    pub fn claim_present(&self) -> Option<Claim<'_>> {
        fence(SeqCst);
        let word = self.word.load(Acquire);
        match word & STATE {
            WAITING | CLAIMED => self.claim(word >> STATE_BITS),
            _ => None,
        }
    }
}

/// The right to end a wait. Dropped without doing so, the wait goes on.
#[derive(Debug)]
pub struct Claim<'w> {
    waiting: &'w Waiting,
    number: u64,
}

impl Claim<'_> {
    /// Ends the wait. The connection still has to be woken.
    pub fn end(self, how: Ending) {
        debug_assert!(how != Ending::None, "a wait that goes on has no end");
        self.waiting.word.store(self.number << STATE_BITS | how as u64, Release);
        std::mem::forget(self);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.waiting.word.store(self.number << STATE_BITS | WAITING, Release);
    }
}

#[cfg(not(loom))]
#[cold]
fn pause(tries: &mut u32) {
    *tries += 1;
    if *tries < SPINS {
        std::hint::spin_loop();
    } else if *tries < SPINS + YIELDS {
        std::thread::yield_now();
    } else {
        std::thread::sleep(std::time::Duration::from_micros(50));
    }
}

#[cfg(loom)]
fn pause(_: &mut u32) {
    loom::thread::yield_now();
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_ended_once() {
        let waiting = Waiting::default();
        assert!(waiting.claim_present().is_none() && !waiting.is_waiting());
        let number = waiting.begin();
        assert!(waiting.is_waiting());
        drop(waiting.claim(number));
        assert_eq!(
            (waiting.is_waiting(), waiting.ending()),
            (true, Ending::None),
            "a dropped claim changes nothing"
        );
        waiting.claim(number).expect("it still waits").end(Ending::Served);
        assert_eq!((waiting.is_waiting(), waiting.ending()), (false, Ending::Served));
        assert!(waiting.claim(number).is_none() && waiting.claim_present().is_none());
    }

    #[test]
    fn a_wait_that_is_over_is_not_taken_for_the_next() {
        let waiting = Waiting::default();
        let first = waiting.begin();
        waiting.claim(first).expect("it waits").end(Ending::TimedOut);
        waiting.end();
        let second = waiting.begin();
        assert!(waiting.claim(first).is_none());
        waiting.claim(second).expect("it waits").end(Ending::Served);
        assert_eq!(waiting.ending(), Ending::Served);
    }

    #[test]
    fn many_try_and_one_succeeds() {
        let waiting = Waiting::default();
        for _ in 0..if cfg!(miri) { 5 } else { 500 } {
            let number = waiting.begin();
            let ended = std::sync::atomic::AtomicU64::new(0);
            std::thread::scope(|scope| {
                for hesitant in [false, false, true, true] {
                    let (waiting, ended) = (&waiting, &ended);
                    scope.spawn(move || match waiting.claim(number) {
                        Some(claim) if !hesitant => {
                            ended.fetch_add(1, Relaxed);
                            claim.end(Ending::Served);
                        }
                        _ => {}
                    });
                }
            });
            assert_eq!(ended.into_inner(), 1);
            waiting.end();
        }
    }
}
