//! The shard locks, and who ends a wait, under every interleaving and every reordering the memory model allows, as far as
//! loom models it.
//!
//! The server's `shard/lock.rs`, `shard/hold.rs` and `session/waiting.rs` are compiled here as they are, with loom's
//! atomics, beside copies with one mistake each (see `build.rs`): the models must pass with the former and fail with each
//! of the latter.
#![cfg(all(test, loom))]

mod waiting;

use loom::cell::UnsafeCell;

/// Loom's atomics, but for one thing: loom forgets that a read-modify-write follows at once upon what it read, so a swap
/// that finds `true` and writes it again could hide a later unlock for ever. Such a swap changes nothing; here it is a
/// failed compare-and-exchange with the same orderings, which writes nothing either.
mod modelled {
    pub use loom::sync::atomic::Ordering;

    #[derive(Debug, Default)]
    pub struct AtomicBool(loom::sync::atomic::AtomicBool);

    impl AtomicBool {
        pub fn new(value: bool) -> Self {
            AtomicBool(loom::sync::atomic::AtomicBool::new(value))
        }

        pub fn load(&self, order: Ordering) -> bool {
            self.0.load(order)
        }

        pub fn store(&self, value: bool, order: Ordering) {
            self.0.store(value, order);
        }

        pub fn swap(&self, value: bool, order: Ordering) -> bool {
            assert!(value, "a lock is only ever swapped to taken");
            self.0.compare_exchange(false, true, order, Ordering::Relaxed).is_err()
        }
    }
}

/// What the held shards guard, seen by loom: an access that does not happen after the last one is a failure.
struct Guarded(Vec<UnsafeCell<i64>>);

// SAFETY: that accesses exclude each other is what the models prove; loom's cells check it.
unsafe impl Sync for Guarded {}

impl Guarded {
    fn new(values: &[i64]) -> Self {
        Guarded(values.iter().map(|value| UnsafeCell::new(*value)).collect())
    }

    fn get(&self, shard: u16) -> i64 {
        // SAFETY: the caller holds the shard; loom panics if that does not exclude others.
        self.0[shard as usize].with(|value| unsafe { *value })
    }

    fn add(&self, shard: u16, amount: i64) {
        // SAFETY: as in `get`.
        self.0[shard as usize].with_mut(|value| unsafe { *value += amount });
    }
}

/// Explores `model`; prints how many executions that took.
fn explore(name: &str, preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&count);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    println!("{name}: {} executions", count.load(std::sync::atomic::Ordering::Relaxed));
}

macro_rules! variant {
    ($name:ident) => {
        #[expect(dead_code, reason = "the models use a part of the server's files")]
        mod $name {
            mod lock {
                include!(concat!(env!("OUT_DIR"), "/", stringify!($name), "/lock.rs"));
            }
            mod hold {
                include!(concat!(env!("OUT_DIR"), "/", stringify!($name), "/hold.rs"));
            }
            /// Stands for the server's, which names its sessions.
            mod watch {
                #[derive(Debug, Default)]
                pub struct WatchTable;

                impl WatchTable {
                    pub fn is_empty(&self) -> bool {
                        true
                    }
                }
            }
            mod block {
                pub use super::watch::WatchTable as WaitTable;
            }
            mod track {
                pub use super::watch::WatchTable as TrackTable;
            }

            use super::{Guarded, explore};
            use hold::Shards;
            use loom::sync::Arc;
            use loom::thread;
            use tidegate_data::KeyHasher;

            fn setting(values: &[i64]) -> (Arc<Shards>, Arc<Guarded>) {
                (Arc::new(Shards::new(values.len(), 1, &KeyHasher::new(1))), Arc::new(Guarded::new(values)))
            }

            /// Two threads add under the lock; who joins them sees both.
            pub fn exclusion() {
                explore("exclusion", None, || {
                    let (shards, guarded) = setting(&[0]);
                    let add = {
                        let (shards, guarded) = (Arc::clone(&shards), Arc::clone(&guarded));
                        move || {
                            let hold = shards.hold_one(0);
                            guarded.add(0, 1);
                            drop(hold);
                        }
                    };
                    let other = thread::spawn(add.clone());
                    add();
                    other.join().unwrap();
                    let hold = shards.hold_one(0);
                    assert_eq!(guarded.get(0), 2);
                    drop(hold);
                });
            }

            /// Two threads change the same shard and journal what they made of it: within the hold the journal says in which
            /// order that was.
            pub fn journaling(is_late: bool) {
                explore("journaling", None, move || {
                    let (shards, guarded) = setting(&[0]);
                    let journal = Arc::new(loom::sync::Mutex::new(Vec::new()));
                    let change = {
                        let (shards, guarded, journal) =
                            (Arc::clone(&shards), Arc::clone(&guarded), Arc::clone(&journal));
                        move || {
                            let hold = shards.hold_one(0);
                            guarded.add(0, 1);
                            let made = guarded.get(0);
                            let mut hold = Some(hold);
                            if is_late {
                                hold = None;
                            }
                            journal.lock().unwrap().push(made);
                            drop(hold);
                        }
                    };
                    let other = thread::spawn(change.clone());
                    change();
                    other.join().unwrap();
                    assert_eq!(*journal.lock().unwrap(), [1, 2], "the journal has another order");
                });
            }

            /// Two threads try while a third holds: who gets the shard sees all of what was done, who does not leaves it
            /// held.
            pub fn attempts() {
                explore("attempts", Some(3), || {
                    let (shards, guarded) = setting(&[0]);
                    let attempt = {
                        let (shards, guarded) = (Arc::clone(&shards), Arc::clone(&guarded));
                        move || {
                            let hold = shards.try_hold_one(0);
                            let got = i64::from(hold.is_some());
                            guarded_if(&guarded, got);
                            drop(hold);
                            got
                        }
                    };
                    let others = [thread::spawn(attempt.clone()), thread::spawn(attempt)];
                    let hold = shards.hold_one(0);
                    guarded.add(0, 1);
                    let seen = guarded.get(0);
                    thread::yield_now();
                    assert_eq!(guarded.get(0), seen, "a failed attempt let somebody in");
                    drop(hold);
                    let got: i64 = others.into_iter().map(|other| other.join().unwrap()).sum();
                    let hold = shards.hold_one(0);
                    assert_eq!(guarded.get(0), 1 + got);
                    drop(hold);
                });
            }

            fn guarded_if(guarded: &Guarded, got: i64) {
                if got == 1 {
                    guarded.add(0, 1);
                }
            }

            /// Two transfers that name their shards in opposite order, and one of them twice: nobody waits forever, and
            /// nobody sees half a transfer.
            pub fn transfers() {
                explore("transfers", None, || {
                    let (shards, guarded) = setting(&[10, 10]);
                    let transfer = |wanted: &'static [u16]| {
                        let (shards, guarded) = (Arc::clone(&shards), Arc::clone(&guarded));
                        move || {
                            let hold = shards.hold(wanted.iter().copied().collect());
                            assert_eq!(guarded.get(0) + guarded.get(1), 20, "half a transfer");
                            guarded.add(wanted[0], -3);
                            guarded.add(wanted[1], 3);
                            drop(hold);
                        }
                    };
                    let other = thread::spawn(transfer(&[1, 0, 1]));
                    transfer(&[0, 1])();
                    other.join().unwrap();
                    let hold = shards.hold_all();
                    assert_eq!((guarded.get(0), guarded.get(1)), (10, 10));
                    drop(hold);
                });
            }

            /// One who roams takes a lower shard while it holds a higher one, against one who takes both in order: a
            /// script on undeclared keys against one that is known to touch declared keys only.
            pub fn roaming() {
                explore("roaming", Some(3), || {
                    let (shards, guarded) = setting(&[10, 10]);
                    let other = {
                        let (shards, guarded) = (Arc::clone(&shards), Arc::clone(&guarded));
                        move || {
                            let hold = shards.hold([0, 1].into_iter().collect());
                            assert_eq!(guarded.get(0) + guarded.get(1), 20, "half a transfer");
                            guarded.add(0, -3);
                            guarded.add(1, 3);
                            drop(hold);
                        }
                    };
                    let other = thread::spawn(other);
                    let roam = shards.roam();
                    let mut hold = shards.hold([1].into_iter().collect());
                    guarded.add(1, -5);
                    roam.extend(&mut hold, [0]);
                    guarded.add(0, 5);
                    drop(hold);
                    drop(roam);
                    other.join().unwrap();
                    let hold = shards.hold_all();
                    assert_eq!((guarded.get(0), guarded.get(1)), (12, 8));
                    drop(hold);
                });
            }

            /// Two scripts of which nobody knows what they touch, each of which wants what the other one has.
            pub fn crossing() {
                explore("crossing", Some(2), || {
                    let (shards, guarded) = setting(&[10, 10]);
                    let script = |first: u16, then: u16| {
                        let (shards, guarded) = (Arc::clone(&shards), Arc::clone(&guarded));
                        move || {
                            let roam = shards.roam();
                            let mut hold = shards.hold([first].into_iter().collect());
                            guarded.add(first, -5);
                            roam.extend(&mut hold, [then]);
                            guarded.add(then, 5);
                            assert_eq!(guarded.get(0) + guarded.get(1), 20, "half a transfer");
                            drop(hold);
                            drop(roam);
                        }
                    };
                    let other = thread::spawn(script(0, 1));
                    script(1, 0)();
                    other.join().unwrap();
                });
            }
        }
    };
}

variant!(faithful);
variant!(relaxed_lock);
variant!(relaxed_unlock);
variant!(checked_then_taken);
variant!(guard_before_attempt);
variant!(unordered);
variant!(released_early);
variant!(no_right);
variant!(no_way_asked);
variant!(no_way_given);

#[test]
fn a_shard_is_held_by_one_thread() {
    faithful::exclusion();
}

#[test]
fn the_journal_has_the_order_of_the_holds() {
    faithful::journaling(false);
}

#[test]
#[should_panic(expected = "the journal has another order")]
fn journaling_after_the_release_is_caught() {
    faithful::journaling(true);
}

#[test]
fn an_attempt_gets_the_shard_or_leaves_it() {
    faithful::attempts();
}

#[test]
fn transfers_are_atomic_and_never_wait_for_each_other() {
    faithful::transfers();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_lock_without_acquire_is_caught() {
    relaxed_lock::exclusion();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn an_unlock_without_release_is_caught() {
    relaxed_unlock::exclusion();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_lock_taken_in_two_steps_is_caught() {
    checked_then_taken::attempts();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_guard_made_before_the_attempt_is_caught() {
    guard_before_attempt::attempts();
}

#[test]
#[should_panic(expected = "Model exceeded maximum number of branches")] // each spins for the other's shard
fn locks_in_the_order_of_the_request_are_caught() {
    unordered::transfers();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn shards_released_before_their_time_are_caught() {
    released_early::transfers();
}

#[test]
fn scripts_that_cross_run_one_by_one() {
    faithful::crossing();
}

#[test]
#[should_panic(expected = "Model exceeded maximum number of branches")] // each spins for the other's shard
fn taking_further_shards_without_the_right_is_caught() {
    no_right::crossing();
}

#[test]
fn who_roams_is_given_way() {
    faithful::roaming();
}

#[test]
#[should_panic(expected = "Model exceeded maximum number of branches")] // each spins for the other's shard
fn not_asking_for_a_way_is_caught() {
    no_way_asked::roaming();
}

#[test]
#[should_panic(expected = "Model exceeded maximum number of branches")] // the shard is held for ever
fn giving_no_way_is_caught() {
    no_way_given::roaming();
}
