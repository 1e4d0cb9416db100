//! The options of `SORT`. One reading of them serves the handler, the finder of keys, and the question of what must be
//! held, so that these cannot disagree.

use super::pattern::Pattern;
use crate::model::{Error, KeyPosition, KeySpec, Limits, parse_i64};
use std::ops::Range;

#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    /// `DESC`
    pub(super) descending: bool,
    /// `ALPHA`: sorted as texts, not as numbers.
    pub(super) alpha: bool,
    /// `BY` with a pattern that is the same for all elements: they stay as they are.
    pub(super) unsorted: bool,
    /// `BY`
    pub(super) by: Option<&'a [u8]>,
    /// `GET`
    pub(super) get: Vec<&'a [u8]>,
    /// `STORE`: the argument.
    pub(super) store: Option<usize>,
    /// `LIMIT`: places to pass over, and how many elements to take.
    limit: Option<(i64, i64)>,
}

/// Keys that no argument names are out of reach in a cluster, and for users that may not read every key.
fn check_reach(limits: &Limits, option: &str) -> Result<(), Error> {
    if limits.cluster {
        return Err(Error::text(format!("ERR {option} option of SORT denied in Cluster mode.")));
    }
    if !limits.reads_all_keys {
        return Err(Error::text(format!(
            "ERR {option} option of SORT denied due to insufficient ACL permissions."
        )));
    }
    Ok(())
}

impl<'a> Options<'a> {
    /// Reads the words of a request, the name included.
    pub(super) fn parse(words: &[&'a [u8]], may_store: bool, limits: &Limits) -> Result<Self, Error> {
        let mut options = Options::default();
        let mut at = 2;
        while at < words.len() {
            let is = |name: &str, values: usize| {
                words.len() - at > values && words[at].eq_ignore_ascii_case(name.as_bytes())
            };
            if is("ASC", 0) {
                options.descending = false;
            } else if is("DESC", 0) {
                options.descending = true;
            } else if is("ALPHA", 0) {
                options.alpha = true;
            } else if is("LIMIT", 2) {
                let number = |word: &[u8]| parse_i64(word).ok_or(Error::NotInteger);
                options.limit = Some((number(words[at + 1])?, number(words[at + 2])?));
                at += 2;
            } else if may_store && is("STORE", 1) {
                options.store = Some(at + 1);
                at += 1;
            } else if is("BY", 1) {
                options.by = Some(words[at + 1]);
                if Pattern::varies(words[at + 1]) {
                    check_reach(limits, "BY")?;
                } else {
                    options.unsorted = true;
                }
                at += 1;
            } else if is("GET", 1) {
                check_reach(limits, "GET")?;
                options.get.push(words[at + 1]);
                at += 1;
            } else {
                return Err(Error::Syntax);
            }
            at += 1;
        }
        Ok(options)
    }

    /// The elements come in their own order, the last one first.
    pub(super) fn is_reversed(&self) -> bool {
        self.unsorted && self.descending
    }

    /// The wanted places among `len`.
    pub(super) fn places(&self, len: usize) -> Range<usize> {
        let (offset, count) = self.limit.unwrap_or((0, -1));
        let start = usize::try_from(offset.max(0)).map_or(len, |start| start.min(len));
        let count = usize::try_from(count).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }
}

/// `SORT`: the key that is sorted, and the last destination.
pub(super) fn destination_and_key(words: &[&[u8]], found: &mut dyn FnMut(KeyPosition)) {
    key_only(words, found);
    if let Ok(Options { store: Some(arg), .. }) = Options::parse(words, true, &Limits::default()) {
        found(KeyPosition { arg, flags: KeySpec::first().ow().update().flags });
    }
}

/// `SORT_RO`: the key that is sorted.
pub(super) fn key_only(_: &[&[u8]], found: &mut dyn FnMut(KeyPosition)) {
    found(KeyPosition { arg: 1, flags: KeySpec::first().ro().access().flags });
}

/// True when the request reads keys that are named after the elements.
pub(super) fn reads_other_keys(words: &[&[u8]]) -> bool {
    // A request that is refused reads nothing; a destination is fine for this question.
    let Ok(options) = Options::parse(words, true, &Limits::default()) else { return false };
    options.by.into_iter().chain(options.get).any(Pattern::varies)
}
