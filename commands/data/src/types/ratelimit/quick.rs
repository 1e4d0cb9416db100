//! The common case, decided on the bytes of a record: a limiter of fixed size that nothing blocks and nobody waits for, asked by
//! the algorithm it is of, at a time that goes with it. It follows the same rules as [`decide`](super::decide), which has everything else, but takes no limiter
//! apart and puts none together.

use super::MS;
use super::codec::{self, Head, Image};
use super::decide::{self, Spec, Verdict, Window};

/// What became of a call in the common case.
#[derive(Clone, Copy, Debug)]
pub struct Quick {
    /// What the caller is told.
    pub verdict: Verdict,
    /// The journal had not heard of the state before.
    pub was_unflushed: bool,
    /// The new form of the record, if the cost was taken, and [when](super::Limiter::expires_ms) it is as new.
    pub taken: Option<(Image, i64)>,
}

impl Spec {
    /// Decides about a call as [`Limiter::take`](super::Limiter::take) would, on the limiter of this form (`None`: a fresh one)
    /// after it [adopted](super::Limiter::adopt) these parameters, and gives it this policy when something is taken. `None`
    /// where it is no common case. O(1).
    #[inline]
    pub fn quick(&self, form: Option<&[u8]>, cost: i64, policy: Option<u16>, now_ns: i64) -> Option<Quick> {
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
                    return Some(Quick::told(
                        &head,
                        decide::bucket_verdict(capacity, unit_ns, used_ns, cost),
                    ));
                }
                let used_ns = used_ns + cost * unit_ns;
                let verdict = decide::bucket_verdict(capacity, unit_ns, used_ns, 0);
                let tat_ns = now_ns + used_ns;
                Some(Quick::took(
                    &head,
                    verdict,
                    Image::of_bucket(&head, unit_ns, tat_ns),
                    decide::up(tat_ns),
                ))
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
                    return Some(Quick::told(
                        &head,
                        decide::fixed_verdict(limit, end_ms, count, cost, now_ms),
                    ));
                }
                let count = count + cost;
                let verdict = decide::fixed_verdict(limit, end_ms, count, 0, now_ms);
                Some(Quick::took(&head, verdict, Image::of_fixed(&head, window_ms, start_ms, count), end_ms))
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
                    return Some(Quick::told(&head, window.judge_used(used, limit, cost)));
                }
                counts[1] += cost;
                let window = Window::of_buckets(window_ms, newest, &counts, now_ms);
                let verdict = window.judge_used(used + cost, limit, 0);
                let expires_ms = now_ms + verdict.reset_ms;
                Some(Quick::took(
                    &head,
                    verdict,
                    Image::of_sliding(&head, window_ms, newest, counts),
                    expires_ms,
                ))
            }
            _ => None,
        }
    }
}

/// The head with the limit and the policy of a call, unless it is no common case.
#[inline]
fn open(head: Head, limit: i64, policy: Option<u16>, cost: i64, now_ms: i64) -> Option<Head> {
    let is_common = !head.reserved && head.blocked_ms <= now_ms && cost <= limit;
    is_common.then_some(Head { limit, policy: policy.unwrap_or(head.policy), ..head })
}

impl Quick {
    #[inline]
    fn told(head: &Head, verdict: Verdict) -> Self {
        let verdict = Verdict { limit: head.limit, ..verdict };
        Quick { verdict, was_unflushed: head.unflushed, taken: None }
    }

    #[inline]
    fn took(head: &Head, verdict: Verdict, image: Image, expires_ms: i64) -> Self {
        let verdict = Verdict { allowed: true, limit: head.limit, retry_ms: 0, ..verdict };
        let taken = Some((image, expires_ms.max(head.blocked_ms)));
        Quick { verdict, was_unflushed: head.unflushed, taken }
    }
}
