//! Who ends a wait: the server's `session/waiting.rs` as it is, and with one mistake each.

use super::explore;

macro_rules! variant {
    ($name:ident) => {
        #[expect(dead_code, reason = "the models use a part of the server's file")]
        pub mod $name {
            mod waiting {
                include!(concat!(env!("OUT_DIR"), "/", stringify!($name), "/waiting.rs"));
            }

            use super::explore;
            use loom::cell::UnsafeCell;
            use loom::sync::Arc;
            use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
            use loom::thread;
            use waiting::{Ending, Waiting};

            /// A connection that waits, and its mailbox: seen by loom, so that an access which does not happen after the
            /// last one is a failure.
            struct Setting {
                waiting: Waiting,
                killed: AtomicBool,
                mailbox: UnsafeCell<u64>,
                /// How often it was served.
                served: AtomicU64,
            }

            // SAFETY: only the one who ends the wait writes the mailbox, and only its connection reads it afterwards: that
            // is what the models prove; loom's cells check it.
            unsafe impl Sync for Setting {}

            impl Setting {
                fn new() -> Arc<Self> {
                    Arc::new(Setting {
                        waiting: Waiting::default(),
                        killed: AtomicBool::new(false),
                        mailbox: UnsafeCell::new(0),
                        served: AtomicU64::new(0),
                    })
                }

                /// What a thread does that touched a key: `helps` says whether that serves the request.
                fn serve(&self, wait: u64, helps: bool) {
                    let Some(claim) = self.waiting.claim(wait) else { return };
                    if helps {
                        // SAFETY: see above.
                        self.mailbox.with_mut(|reply| unsafe { *reply += 1 });
                        self.served.fetch_add(1, Relaxed);
                        claim.end(Ending::Served);
                    }
                }

                fn kill(&self) {
                    self.killed.store(true, Relaxed);
                    if let Some(claim) = self.waiting.claim_present() {
                        claim.end(Ending::Closed);
                    }
                }

                /// What the connection does when its time has run out: `true` when it was served instead.
                fn time_out(&self) -> bool {
                    match self.waiting.claim_present() {
                        Some(claim) => {
                            claim.end(Ending::TimedOut);
                            false
                        }
                        None => self.go_on(),
                    }
                }

                fn go_on(&self) -> bool {
                    let served = self.waiting.ending() == Ending::Served;
                    if served {
                        // SAFETY: see above.
                        self.mailbox
                            .with(|reply| assert_eq!(unsafe { *reply }, 1, "the reply was sent once"));
                    }
                    served
                }
            }

            /// A key of the request is touched while its time runs out: it is served or not, never both; served, its reply
            /// is complete.
            pub fn served_or_timed_out() {
                explore("served or timed out", None, || {
                    let setting = Setting::new();
                    let wait = setting.waiting.begin();
                    let touching = {
                        let setting = Arc::clone(&setting);
                        thread::spawn(move || setting.serve(wait, true))
                    };
                    let served = setting.time_out();
                    touching.join().unwrap();
                    assert_eq!(setting.served.load(Relaxed), u64::from(served));
                });
            }

            /// The connection looks while it is being served: either it sees the reply or it sees nothing.
            pub fn looked_at() {
                explore("looked at", None, || {
                    let setting = Setting::new();
                    let wait = setting.waiting.begin();
                    let touching = {
                        let setting = Arc::clone(&setting);
                        thread::spawn(move || setting.serve(wait, true))
                    };
                    setting.go_on();
                    touching.join().unwrap();
                    assert!(setting.go_on());
                });
            }

            /// Two threads touch keys of the request: it is served once.
            pub fn served_once() {
                explore("served once", None, || {
                    let setting = Setting::new();
                    let wait = setting.waiting.begin();
                    let touching = {
                        let setting = Arc::clone(&setting);
                        thread::spawn(move || setting.serve(wait, true))
                    };
                    setting.serve(wait, true);
                    assert!(setting.go_on(), "one of them served it, and it has the reply");
                    touching.join().unwrap();
                    assert_eq!(setting.served.load(Relaxed), 1);
                });
            }

            /// A key is touched in vain while another is touched to some purpose: the second must not be missed because the
            /// first is just being looked at.
            pub fn never_missed() {
                explore("never missed", None, || {
                    let setting = Setting::new();
                    let wait = setting.waiting.begin();
                    let touching = [false, true].map(|helps| {
                        let setting = Arc::clone(&setting);
                        thread::spawn(move || setting.serve(wait, helps))
                    });
                    for thread in touching {
                        thread.join().unwrap();
                    }
                    assert!(setting.go_on(), "a key that would have helped was passed over");
                });
            }

            /// A connection is killed while it begins to wait: once that is known, nothing is given to it any more.
            pub fn killed() {
                explore("killed", None, || {
                    let setting = Setting::new();
                    let killing = {
                        let setting = Arc::clone(&setting);
                        thread::spawn(move || setting.kill())
                    };
                    let wait = setting.waiting.begin();
                    if setting.killed.load(Relaxed)
                        && let Some(claim) = setting.waiting.claim(wait)
                    {
                        claim.end(Ending::Closed);
                    }
                    killing.join().unwrap();
                    setting.serve(wait, true);
                    assert_eq!(setting.served.load(Relaxed), 0, "an element is lost");
                });
            }

            /// Somebody remembers a wait that is over when the connection waits again.
            pub fn remembered() {
                explore("remembered", Some(3), || {
                    let setting = Setting::new();
                    let wait = setting.waiting.begin();
                    let late = {
                        let setting = Arc::clone(&setting);
                        thread::spawn(move || setting.serve(wait, true))
                    };
                    let served = setting.time_out();
                    setting.waiting.end();
                    let next = setting.waiting.begin();
                    late.join().unwrap();
                    assert_eq!(setting.served.load(Relaxed), u64::from(served), "the wrong wait was ended");
                    assert!(setting.waiting.claim(next).is_some());
                });
            }
        }
    };
}

variant!(faithful);
variant!(relaxed_end);
variant!(relaxed_look);
variant!(busy_is_over);
variant!(unfenced_begin);
variant!(unnumbered);

#[test]
fn a_wait_is_ended_by_one() {
    faithful::served_or_timed_out();
    faithful::served_once();
    faithful::looked_at();
}

#[test]
fn a_touched_key_is_never_missed() {
    faithful::never_missed();
}

#[test]
fn nothing_is_given_to_a_killed_connection() {
    faithful::killed();
}

#[test]
fn a_wait_that_is_over_is_not_the_next() {
    faithful::remembered();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn an_end_without_release_is_caught() {
    relaxed_end::served_or_timed_out();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn an_end_read_without_acquire_is_caught() {
    relaxed_look::looked_at();
}

#[test]
#[should_panic(expected = "passed over")]
fn taking_a_claimed_wait_for_ended_is_caught() {
    busy_is_over::never_missed();
}

#[test]
#[should_panic(expected = "an element is lost")]
fn beginning_without_a_fence_is_caught() {
    unfenced_begin::killed();
}

#[test]
#[should_panic(expected = "the wrong wait was ended")]
fn waits_without_numbers_are_caught() {
    unnumbered::remembered();
}
