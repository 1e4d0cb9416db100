//! Scripts that run for long: who is told, and how they are ended.

use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use tidegate_commands::model::Error;

/// A thread that attended to clients from within a script so long ago may still be there.
const STUCK_MS: i64 = 100;

/// What runs on a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A script of `EVAL`.
    Eval,
    /// A function.
    Function,
}

/// The script of one thread, as the others may know it.
#[derive(Debug, Default)]
struct Slot {
    /// It runs for longer than `busy-reply-threshold`.
    is_slow: AtomicBool,
    is_function: AtomicBool,
    /// It has called a command that writes.
    wrote: AtomicBool,
    /// It is to end.
    killed: AtomicBool,
    /// When the thread last answered clients from within a script, or while it waited for one. Unix milliseconds.
    attended_ms: AtomicI64,
}

/// The scripts that run now, by thread.
#[derive(Debug)]
pub struct Busy {
    slots: Box<[Slot]>,
    /// How many of them run for too long.
    slow: AtomicUsize,
    /// How many of those are functions.
    slow_functions: AtomicUsize,
}

impl Busy {
    /// No script runs on any of `threads` threads.
    pub fn new(threads: usize) -> Self {
        Busy {
            slots: (0..threads).map(|_| Slot::default()).collect(),
            slow: AtomicUsize::new(0),
            slow_functions: AtomicUsize::new(0),
        }
    }

    /// True while a script runs for longer than it should: most commands are refused.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.slow.load(Relaxed) > 0
    }

    /// What commands are refused with.
    pub fn refusal(&self) -> Error {
        refusal(if self.slow_functions.load(Relaxed) > 0 { Kind::Function } else { Kind::Eval })
    }

    /// A script begins on a thread.
    pub fn begin(&self, thread: usize, kind: Kind) {
        let slot = &self.slots[thread];
        slot.wrote.store(false, Relaxed);
        slot.killed.store(false, Relaxed);
        slot.is_function.store(kind == Kind::Function, Relaxed);
    }

    /// The script of a thread is about to write: it can be ended no more, unless it is to end already.
    pub fn note_write(&self, thread: usize) {
        self.slots[thread].wrote.store(true, Relaxed);
    }

    /// The script of a thread has run for too long.
    pub fn note_slow(&self, thread: usize) {
        let slot = &self.slots[thread];
        if !slot.is_slow.swap(true, Release) {
            self.slow.fetch_add(1, Relaxed);
            self.slow_functions.fetch_add(usize::from(slot.is_function.load(Relaxed)), Relaxed);
        }
    }

    /// A thread answers clients from within a script, or while it waits for one.
    pub fn note_attended(&self, thread: usize) {
        self.slots[thread].attended_ms.store(crate::clock::unix_ms(), Relaxed);
    }

    /// A thread cannot serve its connections because of a script.
    pub fn is_stuck(&self, thread: usize) -> bool {
        crate::clock::unix_ms() - self.slots[thread].attended_ms.load(Relaxed) < STUCK_MS
    }

    /// The script of a thread was asked to end.
    pub fn is_killed(&self, thread: usize) -> bool {
        self.slots[thread].killed.load(Relaxed)
    }

    /// The script of a thread is over. True when it ran for too long.
    pub fn end(&self, thread: usize) -> bool {
        let slot = &self.slots[thread];
        let was_slow = slot.is_slow.load(Relaxed);
        if was_slow {
            slot.attended_ms.store(0, Relaxed);
            slot.is_slow.store(false, Relaxed);
            self.slow.fetch_sub(1, Relaxed);
            self.slow_functions.fetch_sub(usize::from(slot.is_function.load(Relaxed)), Relaxed);
        }
        was_slow
    }

    /// `SCRIPT KILL` and `FUNCTION KILL`: ends every slow script of this kind that has not written.
    pub fn kill(&self, kind: Kind) -> Result<(), Error> {
        let mut failure = Error::new("NOTBUSY No scripts in execution right now.");
        let mut killed = false;
        for slot in self.slots.iter().filter(|slot| slot.is_slow.load(Acquire)) {
            let of = if slot.is_function.load(Relaxed) { Kind::Function } else { Kind::Eval };
            if slot.wrote.load(Relaxed) {
                failure = Error::new(
                    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can \
                     either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE \
                     command.",
                );
            } else if of != kind {
                failure = refusal(of);
            } else {
                slot.killed.store(true, Relaxed);
                killed = true;
            }
        }
        if killed { Ok(()) } else { Err(failure) }
    }
}

fn refusal(kind: Kind) -> Error {
    Error::new(match kind {
        Kind::Eval => {
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
        }
        Kind::Function => {
            "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<(), Error>) -> String {
        let text = String::from_utf8_lossy(&result.unwrap_err().message()).into_owned();
        text.split(' ').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn only_slow_scripts_without_writes_are_ended() {
        let busy = Busy::new(2);
        busy.begin(0, Kind::Eval);
        assert_eq!(code(busy.kill(Kind::Eval)), "NOTBUSY");
        busy.note_slow(0);
        assert!(busy.is_busy());
        assert_eq!(code(busy.kill(Kind::Function)), "BUSY");
        busy.kill(Kind::Eval).unwrap();
        assert!(busy.is_killed(0));
        assert!(busy.end(0));
        assert!(!busy.is_busy());
        busy.begin(1, Kind::Function);
        busy.note_write(1);
        busy.note_slow(1);
        assert_eq!(code(busy.kill(Kind::Function)), "UNKILLABLE");
        assert!(busy.end(1));
        assert!(!busy.is_busy());
    }
}
