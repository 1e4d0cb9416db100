//! Cached values in the journal.
//!
//! ```text
//! NATIVE.APPLY key CA PUT value deadline fresh-until fresh-for none (0 or 1) tag-hash...
//! NATIVE.TAG tag...                  these were invalidated
//! ```

use super::tag_hash;
use crate::model::{Args, Ctx, Effects, Error, Outcome, Reply};
use smallvec::SmallVec;
use tidegate_data::types::cache::{Cache, TAG_NAME_MAX, TAGS_MAX};
use tidegate_data::{Key, Record};

/// A value as it is put.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) value: &'a [u8],
    /// The deadline of the key, Unix milliseconds.
    pub(super) expiry_ms: i64,
    pub(super) fresh_until_ms: i64,
    pub(super) fresh_ms: i64,
    pub(super) is_none: bool,
    /// Hashes of its tags.
    pub(super) tags: &'a [u64],
}

impl Entry<'_> {
    /// Puts it in the place of what there is.
    pub(super) fn put(&self, cx: &mut Ctx, key: Key) {
        let book = cx.env.native().tags();
        let tags = self.tags.iter().map(|tag| book.tag(*tag)).collect();
        let cache = Cache::new(self.value, self.is_none, self.fresh_until_ms, self.fresh_ms, tags);
        let record = Record::new_collection(key.bytes(), cache, Some(self.expiry_ms));
        record.set_access(cx.keys.rules().access.initial());
        cx.keys.put(key, record);
    }

    /// Appends its effect.
    pub(super) fn push(&self, effects: &mut Effects, key: &[u8]) {
        let value = if self.is_none { b"" } else { self.value };
        let numbers = [self.expiry_ms, self.fresh_until_ms, self.fresh_ms, self.is_none.into()];
        let numbers = numbers.iter().map(i64::to_string);
        let words: Vec<String> = numbers.chain(self.tags.iter().map(u64::to_string)).collect();
        let fixed: [&[u8]; 5] = [b"NATIVE.APPLY", key, b"CA", b"PUT", value];
        let all: Vec<&[u8]> = fixed.into_iter().chain(words.iter().map(String::as_bytes)).collect();
        effects.push(&all);
    }
}

/// Reads what [`Entry::push`] wrote, behind `CA`, and makes it so.
pub(crate) fn apply(cx: &mut Ctx, key: Key, args: &mut Args) -> Result<Outcome, Error> {
    if !args.take_word("PUT") {
        return Err(Error::Syntax);
    }
    let value = args.next()?;
    let (expiry_ms, fresh_until_ms, fresh_ms) = (args.integer()?, args.integer()?, args.integer()?);
    let is_none = args.integer()? != 0;
    if args.remaining() > TAGS_MAX || fresh_ms < 0 {
        return Err(Error::Syntax);
    }
    let hash = |word: &[u8]| std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
    let tags: Option<SmallVec<[u64; 4]>> = args.rest().map(hash).collect();
    let tags = &tags.ok_or(Error::Syntax)?;
    Entry { value, expiry_ms, fresh_until_ms, fresh_ms, is_none, tags }.put(cx, key);
    Ok(Outcome::Changed)
}

/// Appends the effect of tags that were invalidated.
pub(super) fn push_tags(effects: &mut Effects, tags: &[&[u8]]) {
    let name: &[u8] = b"NATIVE.TAG";
    let all: Vec<&[u8]> = std::iter::once(name).chain(tags.iter().copied()).collect();
    effects.push(&all);
}

/// `NATIVE.TAG tag...`
pub(crate) fn apply_tags(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    for tag in args.rest() {
        if tag.len() > TAG_NAME_MAX {
            return Err(Error::Syntax);
        }
        cx.env.native().tags().invalidate(tag_hash(tag), 0);
    }
    reply.ok();
    Ok(Outcome::Changed)
}
