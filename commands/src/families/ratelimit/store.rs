//! How the state of a limiter is changed and told to the journal.

use super::effect;
use crate::model::{Ctx, Effects, Error, Outcome};
use tidegate_data::types::ratelimit::{Limiter, MS, Quick, RateLimit, RateLimitRef, Spec, Verdict};
use tidegate_data::{Collection, Key, Place, Put, TypeCode};

/// What a change of a limiter comes to.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing changed.
    Same,
    /// It is as it was given now.
    Changed,
    /// The same, and the journal has to hear of it before the client gets its reply.
    ChangedHard,
}

impl Step {
    /// Something changed if that did.
    fn at_least(self, changed: bool) -> Self {
        if changed && matches!(self, Step::Same) { Step::Changed } else { self }
    }
}

/// The clocks of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// That of limiters, nanoseconds.
    pub(super) ns: i64,
    /// That of deadlines of keys, Unix milliseconds.
    pub(super) wall_ms: i64,
}

impl Now {
    #[inline]
    pub(super) fn of(cx: &Ctx) -> Self {
        Now { ns: cx.env.native_ns(), wall_ms: cx.env.now_ms() }
    }

    /// Milliseconds of the clock of limiters.
    pub(super) fn ms(self) -> i64 {
        self.ns / MS
    }

    /// The same whole second for all that is counted.
    #[inline]
    pub(super) fn s(self) -> u32 {
        (self.ns / (1000 * MS)) as u32
    }

    /// The deadline of the key of a limiter: when it is as new.
    #[inline]
    fn deadline_ms(self, limiter: &Limiter) -> i64 {
        self.wall_of(limiter.expires_ms(self.ns))
    }

    /// The deadline of a key for this moment of the clock of limiters.
    #[inline]
    pub(super) fn wall_of(self, at_ms: i64) -> i64 {
        self.wall_ms.saturating_add(at_ms - self.ms())
    }
}

fn other_algorithm(name: &str) -> Error {
    Error::text(format!("ERR key holds a '{name}' limiter"))
}

/// The limiter of a key, up to date, and whether that must be kept even if nothing comes of the call; a fresh one if there is
/// none.
#[inline]
fn present(bytes: Option<&[u8]>, spec: &Spec, now: Now) -> Result<(Limiter, bool), Error> {
    let Some(bytes) = bytes else { return Ok((spec.fresh(now.ns), false)) };
    let mut limiter = Limiter::of_image(bytes);
    let is_back = limiter.adopt(spec, now.ns).map_err(|other| other_algorithm(other.0))?;
    Ok((limiter, is_back))
}

/// Takes units of the limiter at `key` where that is the common case, as [`Spec::quick`]; `None` where it is not, or the
/// limiter is of another algorithm: nothing happened then. `policy` is noted. O(1).
#[inline]
pub(super) fn take_quick(
    cx: &mut Ctx,
    key: Key,
    spec: &Spec,
    cost: i64,
    policy: Option<u16>,
    now: Now,
) -> Result<Option<(Verdict, Outcome)>, Error> {
    let is_soft = cx.env.coalesces();
    let mut quick = Quick::default();
    let (found, mut is_quick) = (&mut quick, false);
    let is_found = &mut is_quick;
    cx.keys.update_packed(key, TypeCode::RateLimit, move |form| {
        *is_found = spec.quick(form, cost, policy, now.ns, found);
        let Some((image, expires_ms)) = found.taken() else { return Ok(((), Put::Nothing)) };
        image.set_unflushed(is_soft);
        Ok::<_, Error>(((), Put::Value(&*image, Some(now.wall_of(expires_ms)))))
    })?;
    if !is_quick {
        return Ok(None);
    }
    Ok(Some((quick.verdict, told(cx, key, &mut quick, now))))
}

/// The same without a change, which [`put`] makes: `quick` tells what would become of it, and what is returned whether it is the
/// common case and where the key stands.
#[inline]
pub(super) fn judge_quick(
    cx: &mut Ctx,
    key: Key,
    spec: &Spec,
    cost: i64,
    policy: u16,
    now: Now,
    quick: &mut Quick,
) -> Result<(bool, Option<Place>), Error> {
    let mut is_quick = false;
    let place = cx.keys.look_packed(key, TypeCode::RateLimit, |form| {
        is_quick = spec.quick(form, cost, Some(policy), now.ns, quick);
    })?;
    Ok((is_quick, place))
}

/// Takes what [`judge_quick`] found to pass a moment ago, under the same hold. `place` is where the key stands, if no key was
/// added or removed since.
#[inline]
pub(super) fn put(
    cx: &mut Ctx,
    key: Key,
    place: Option<Place>,
    quick: &mut Quick,
    now: Now,
) -> Result<Outcome, Error> {
    let is_soft = cx.env.coalesces();
    let Some((image, expires_ms)) = quick.taken() else { return Ok(Outcome::Same) };
    image.set_unflushed(is_soft);
    let deadline_ms = now.wall_of(expires_ms);
    if let Some(place) = place {
        cx.keys.put_packed(key, place, TypeCode::RateLimit, image.bytes(), deadline_ms);
    } else {
        let image = &*image;
        cx.keys.update_packed(key, TypeCode::RateLimit, |_| {
            Ok::<_, Error>(((), Put::Value(image, Some(deadline_ms))))
        })?;
    }
    Ok(told(cx, key, quick, now))
}

/// What the journal is told of it.
#[inline]
fn told(cx: &mut Ctx, key: Key, quick: &mut Quick, now: Now) -> Outcome {
    let was_unflushed = quick.was_unflushed;
    let Some((image, expires_ms)) = quick.taken() else { return Outcome::Same };
    if !cx.env.is_journaled() {
        return Outcome::Changed;
    }
    let is_soft = cx.env.coalesces();
    let limiter = (!is_soft).then(|| (Limiter::of_image(image.bytes()), now.wall_of(expires_ms)));
    outcome(cx, key, Some((is_soft, is_soft && was_unflushed)), limiter.as_ref())
}

/// Changes the limiter at `key`, a fresh one if there is none. `act` gets it up to date and says what it did.
///
/// O(1) for those that are changed in their record.
#[inline]
pub(super) fn update<R>(
    cx: &mut Ctx,
    key: Key,
    spec: &Spec,
    now: Now,
    mut act: impl FnMut(&mut Limiter) -> (R, Step),
) -> Result<(R, Outcome), Error> {
    let (coalesces, journaled) = (cx.env.coalesces(), cx.env.is_journaled());
    let mut told = None;
    let mut act_once = |bytes: Option<&[u8]>| -> Result<(R, Limiter, bool), Error> {
        let (mut limiter, is_back) = present(bytes, spec, now)?;
        let (result, step) = act(&mut limiter);
        let step = step.at_least(is_back);
        let is_soft = coalesces && !matches!(step, Step::ChangedHard);
        let is_told = matches!(step, Step::Same) || is_soft && limiter.unflushed;
        if !matches!(step, Step::Same) {
            told = Some((is_soft, is_told));
            limiter.unflushed = is_soft;
        }
        Ok((result, limiter, !matches!(step, Step::Same)))
    };
    if !matches!(spec, Spec::Log { .. } | Spec::Concurrent { .. } | Spec::Sliding { buckets: 2.., .. }) {
        let mut effect = None;
        let result = cx.keys.update_packed(key, TypeCode::RateLimit, |bytes| {
            let (result, limiter, changed) = act_once(bytes)?;
            let (true, Some(image)) = (changed, limiter.image()) else { return Ok((result, Put::Nothing)) };
            let deadline_ms = now.deadline_ms(&limiter);
            if journaled && !limiter.unflushed {
                effect = Some((limiter, deadline_ms));
            }
            Ok::<_, Error>((result, Put::Value(image, Some(deadline_ms))))
        })?;
        if let Some(result) = result {
            return Ok((result, outcome(cx, key, told, effect.as_ref())));
        }
        // A boxed one is none of these.
        let name = cx.keys.view_as::<RateLimit>(key)?.map_or("", |view| view.to_limiter().state.name());
        return Err(other_algorithm(name));
    }
    update_large(cx, key, spec, now, |limiter| act(limiter))
}

/// The same for a limiter of any size.
pub(super) fn update_large<R>(
    cx: &mut Ctx,
    key: Key,
    spec: &Spec,
    now: Now,
    act: impl FnOnce(&mut Limiter) -> (R, Step),
) -> Result<(R, Outcome), Error> {
    let (coalesces, journaled) = (cx.env.coalesces(), cx.env.is_journaled());
    // Who is refused changes nothing, not even what counts no more.
    let present = cx.keys.for_write_as::<RateLimit>(key)?.map(RateLimitRef::to_limiter);
    let mut limiter = present.unwrap_or_else(|| spec.fresh(now.ns));
    let is_back = limiter.adopt(spec, now.ns).map_err(|other| other_algorithm(other.0))?;
    let (result, step) = act(&mut limiter);
    let step = step.at_least(is_back);
    if matches!(step, Step::Same) {
        return Ok((result, Outcome::Same));
    }
    let is_soft = coalesces && !matches!(step, Step::ChangedHard);
    let told = Some((is_soft, is_soft && limiter.unflushed));
    limiter.unflushed = is_soft;
    let deadline_ms = now.deadline_ms(&limiter);
    let effect = (journaled && !is_soft).then(|| (limiter.clone(), deadline_ms));
    let before = cx.keys.log().changes;
    *cx.keys.write_or_create::<RateLimit>(key)?.change() = RateLimit(Box::new(limiter));
    cx.keys.set_expiry(key, Some(deadline_ms));
    cx.keys.log().recount(before, 1);
    Ok((result, outcome(cx, key, told, effect.as_ref())))
}

/// What the journal is told: `told` says whether it may hear of it later, and whether it is to be reminded.
#[inline]
fn outcome(cx: &mut Ctx, key: Key, told: Option<(bool, bool)>, effect: Option<&(Limiter, i64)>) -> Outcome {
    match (told, effect) {
        (None, _) => Outcome::Same,
        (Some((true, is_told)), _) => {
            if !is_told {
                cx.keys.note_soft(key);
            }
            Outcome::Soft
        }
        (Some(_), Some((limiter, deadline_ms))) => {
            let mut effects = Effects::default();
            effect::push(&mut effects, key.bytes(), limiter, *deadline_ms);
            Outcome::ChangedAs(effects)
        }
        (Some(_), None) => Outcome::Changed,
    }
}

/// A copy of the limiter at `key`, as it was left.
pub(super) fn peek(cx: &mut Ctx, key: Key) -> Result<Option<Limiter>, Error> {
    Ok(cx.keys.read_as::<RateLimit>(key)?.map(RateLimitRef::to_limiter))
}

/// Removes the key of a limiter that is as new.
pub(super) fn remove(cx: &mut Ctx, key: Key) -> Outcome {
    cx.keys.remove(key);
    Outcome::changed_as(&[b"DEL", key.bytes()])
}

const _: () = assert!(matches!(RateLimit::TYPE, TypeCode::RateLimit));
