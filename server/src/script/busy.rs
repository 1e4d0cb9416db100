//! Scripts that run for long: who is told, and how they are ended.

use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, PoisonError};
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

/// A function that runs for too long.
#[derive(Debug)]
pub struct Running {
    /// Its name.
    pub name: Vec<u8>,
    /// The request that called it.
    pub command: Vec<Vec<u8>>,
    /// When it began, Unix milliseconds.
    pub began_ms: i64,
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
    /// What is known of it, if it is a slow function.
    running: Mutex<Option<Arc<Running>>>,
}

impl Slot {
    fn set_running(&self, running: Option<Arc<Running>>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }
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

    /// The script of a thread has run for too long. If it is a function, `running` tells which.
    pub fn note_slow(&self, thread: usize, running: impl FnOnce() -> Option<Running>) {
        let slot = &self.slots[thread];
        if !slot.is_slow.load(Relaxed) {
            slot.set_running(running().map(Arc::new));
            slot.is_slow.store(true, Release);
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
            slot.set_running(None);
            self.slow.fetch_sub(1, Relaxed);
            self.slow_functions.fetch_sub(usize::from(slot.is_function.load(Relaxed)), Relaxed);
        }
        was_slow
    }

    /// The function that runs for too long, if there is one. Where there are only scripts of `EVAL`, nobody is told.
    pub fn running(&self) -> Result<Option<Arc<Running>>, Error> {
        let mut evals = 0;
        for slot in self.slots.iter().filter(|slot| slot.is_slow.load(Acquire)) {
            evals += usize::from(!slot.is_function.load(Relaxed));
            let running = slot.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if running.is_some() {
                return Ok(running);
            }
        }
        if evals > 0 { Err(refusal(Kind::Eval)) } else { Ok(None) }
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
        busy.note_slow(0, || None);
        assert!(busy.is_busy());
        assert_eq!(code(busy.running().map(|_| ())), "BUSY");
        assert_eq!(code(busy.kill(Kind::Function)), "BUSY");
        busy.kill(Kind::Eval).unwrap();
        assert!(busy.is_killed(0));
        assert!(busy.end(0));
        assert!(!busy.is_busy());
        busy.begin(1, Kind::Function);
        busy.note_write(1);
        let running = || Running { name: b"f".to_vec(), command: Vec::new(), began_ms: 0 };
        busy.note_slow(1, || Some(running()));
        assert_eq!(busy.running().unwrap().map(|running| running.name.clone()), Some(b"f".to_vec()));
        assert_eq!(code(busy.kill(Kind::Function)), "UNKILLABLE");
        assert!(busy.end(1));
        assert!(busy.running().unwrap().is_none());
        assert!(!busy.is_busy());
    }
}
