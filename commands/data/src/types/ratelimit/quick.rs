//! The common case, decided on the bytes of a record: a limiter of fixed size that nothing blocks and nobody waits for, asked by
//! the algorithm it is of, at a time that goes with it. It follows the same rules as [`decide`](super::decide), which has everything else, but takes no limiter
//! apart and puts none together.

use super::MS;
use super::codec::{self, Head, Image};
use super::decide::{self, Spec, Verdict, Window};

/// What became of a call in the common case.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quick {
    /// What the caller is told.
    pub verdict: Verdict,
    /// The journal had not heard of the state before.
    pub was_unflushed: bool,
    is_taken: bool,
    image: Image,
    expires_ms: i64,
}

impl Quick {
    /// The new form of the record, if the cost was taken, and [when](super::Limiter::expires_ms) it is as new.
    #[inline]
    pub fn taken(&mut self) -> Option<(&mut Image, i64)> {
        self.is_taken.then_some((&mut self.image, self.expires_ms))
    }

    /// The answer, about a limiter with this head.
    #[inline]
    fn tell(&mut self, head: &Head, verdict: Verdict) {
        self.verdict = verdict;
        self.was_unflushed = head.unflushed;
        self.is_taken = false;
    }

    /// The answer where the cost was taken, and when the limiter is as new. The record gets the form that is returned, once it
    /// is set.
    #[inline]
    fn take(&mut self, head: &Head, verdict: Verdict, expires_ms: i64) -> &mut Image {
        self.verdict = Verdict { allowed: true, retry_ms: 0, ..verdict };
        self.was_unflushed = head.unflushed;
        self.is_taken = true;
        self.expires_ms = expires_ms.max(head.blocked_ms);
        &mut self.image
    }
}

impl Spec {
    /// Decides about a call as [`Limiter::take`](super::Limiter::take) would, on the limiter of this form (`None`: a fresh one)
    /// after it [adopted](super::Limiter::adopt) these parameters, and gives it this policy when something is taken: `quick`
    /// tells of it. False where it is no common case. O(1).
    #[inline]
    pub fn quick(
        &self,
        form: Option<&[u8]>,
        cost: i64,
        policy: Option<u16>,
        now_ns: i64,
        quick: &mut Quick,
    ) -> bool {
        self.decide(form, cost, policy, now_ns, quick).is_some()
    }

    #[inline]
    fn decide(
        &self,
        form: Option<&[u8]>,
        cost: i64,
        policy: Option<u16>,
        now_ns: i64,
        quick: &mut Quick,
    ) -> Option<()> {
        let now_ms = now_ns / MS;
        match *self {
            Spec::Bucket { capacity, unit_ns } => {
                let (head, [was_ns, tat_ns]) =
                    form.map_or(Some((Head::default(), [0, 0])), codec::bucket_of)?;
                if decide::is_absurd(tat_ns, head.limit * was_ns, now_ns) {
                    return None;
                }
                let head = open(head, capacity, policy, cost, now_ms)?;
                let used_ns = decide::ahead_ns(tat_ns, capacity * unit_ns, now_ns);
                if cost == 0 || cost * unit_ns > capacity * unit_ns - used_ns {
                    quick.tell(&head, decide::bucket_verdict(capacity, unit_ns, used_ns, cost));
                    return Some(());
                }
                let used_ns = used_ns + cost * unit_ns;
                let verdict = decide::bucket_verdict(capacity, unit_ns, used_ns, 0);
                let tat_ns = now_ns + used_ns;
                quick.take(&head, verdict, decide::up(tat_ns)).set_bucket(&head, unit_ns, tat_ns);
            }
            Spec::Fixed { limit, window_ms, align_ms } => {
                let (head, window) = match form {
                    Some(form) => {
                        let (head, [length_ms, start_ms, count]) = codec::fixed_of(form)?;
                        (head, if length_ms == window_ms { (start_ms, count) } else { (now_ms, 0) })
                    }
                    None => (Head::default(), (now_ms, 0)),
                };
                let head = open(head, limit, policy, cost, now_ms)?;
                let (start_ms, count) = decide::opened_by(window, window_ms, align_ms, now_ms);
                if start_ms < window.0 {
                    return None;
                }
                let end_ms = start_ms + window_ms;
                if cost == 0 || count + cost > limit {
                    quick.tell(&head, decide::fixed_verdict(limit, end_ms, count, cost, now_ms));
                    return Some(());
                }
                let count = count + cost;
                let verdict = decide::fixed_verdict(limit, end_ms, count, 0, now_ms);
                quick.take(&head, verdict, end_ms).set_fixed(&head, window_ms, start_ms, count);
            }
            Spec::Sliding { limit, window_ms, buckets: 1 } => {
                let present = now_ms / window_ms;
                let fresh = (present, [0, 0]);
                let (head, (mut newest, mut counts)) = match form {
                    Some(form) => {
                        let (head, [length_ms, newest], counts) = codec::sliding_of(form)?;
                        (head, if length_ms == window_ms { (newest, counts) } else { fresh })
                    }
                    None => (Head::default(), fresh),
                };
                let head = open(head, limit, policy, cost, now_ms)?;
                let before = newest;
                decide::slide(&mut newest, &mut counts, present);
                if newest < before {
                    return None;
                }
                let window = Window::of_buckets(window_ms, newest, &counts, now_ms);
                let used = window.used();
                if cost == 0 || used + cost > limit {
                    quick.tell(&head, window.judge_used(used, limit, cost));
                    return Some(());
                }
                counts[1] += cost;
                let window = Window::of_buckets(window_ms, newest, &counts, now_ms);
                let verdict = window.judge_used(used + cost, limit, 0);
                let expires_ms = now_ms + verdict.reset_ms;
                quick.take(&head, verdict, expires_ms).set_sliding(&head, window_ms, newest, counts);
            }
            _ => return None,
        }
        Some(())
    }
}

/// The head with the limit and the policy of a call, unless it is no common case.
#[inline]
fn open(head: Head, limit: i64, policy: Option<u16>, cost: i64, now_ms: i64) -> Option<Head> {
    let is_common = !head.reserved && head.blocked_ms <= now_ms && cost <= limit;
    is_common.then_some(Head { limit, policy: policy.unwrap_or(head.policy), ..head })
}
