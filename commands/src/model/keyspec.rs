//! Where a command's keys are. The router, ACL, cluster, client tracking, `COMMAND GETKEYS` and the handler all
//! read this one declaration.

/// What a command does with the keys of a spec, in Redis' vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyFlags(u16);

impl KeyFlags {
    /// Read only: the value is not modified.
    pub const RO: Self = KeyFlags(1);
    /// Reads and modifies.
    pub const RW: Self = KeyFlags(1 << 1);
    /// Overwrites without looking at the old value.
    pub const OW: Self = KeyFlags(1 << 2);
    /// Removes the key.
    pub const RM: Self = KeyFlags(1 << 3);
    /// Returns or copies the user's data.
    pub const ACCESS: Self = KeyFlags(1 << 4);
    /// Modifies existing data in a way that depends on it.
    pub const UPDATE: Self = KeyFlags(1 << 5);
    /// Adds data without touching what is there.
    pub const INSERT: Self = KeyFlags(1 << 6);
    /// Removes content of the value.
    pub const DELETE: Self = KeyFlags(1 << 7);
    /// The argument looks like a key but is not one (a channel).
    pub const NOT_KEY: Self = KeyFlags(1 << 8);
    /// The spec does not find all keys.
    pub const INCOMPLETE: Self = KeyFlags(1 << 9);
    /// The meaning of the key depends on the arguments (`SET ... GET`).
    pub const VARIABLE: Self = KeyFlags(1 << 10);

    const NAMES: [(Self, &'static str); 11] = [
        (Self::RO, "RO"),
        (Self::RW, "RW"),
        (Self::OW, "OW"),
        (Self::RM, "RM"),
        (Self::ACCESS, "access"),
        (Self::UPDATE, "update"),
        (Self::INSERT, "insert"),
        (Self::DELETE, "delete"),
        (Self::NOT_KEY, "not_key"),
        (Self::INCOMPLETE, "incomplete"),
        (Self::VARIABLE, "variable_flags"),
    ];

    /// True when all bits of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        KeyFlags(self.0 | other.0)
    }

    /// The names `COMMAND INFO` and `COMMAND GETKEYSANDFLAGS` print.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| name)
    }
}

/// Where the search for keys begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeginSearch {
    /// At this argument (the command name is argument 0).
    Index(usize),
    /// After this word, searched from an argument on (negative: from the end, backwards).
    Keyword(&'static str, i32),
    /// It cannot be told.
    Unknown,
}

/// Which arguments are keys, from where the search began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindKeys {
    /// A run: up to `last` (relative to the begin; negative: from the end of the arguments), every `step`th. A
    /// `limit` > 1 takes only the first 1/limit of the arguments when `last` is -1.
    Range {
        /// Relative index of the last key.
        last: i32,
        /// Distance between keys.
        step: usize,
        /// Share of the remaining arguments.
        limit: usize,
    },
    /// A count at `count`, then keys from `first` on (both relative to the begin).
    KeyNum {
        /// Relative index of the count.
        count: usize,
        /// Relative index of the first key.
        first: usize,
        /// Distance between keys.
        step: usize,
    },
    /// It cannot be told.
    Unknown,
}

/// One group of keys of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    /// Where to begin.
    pub begin: BeginSearch,
    /// What to take.
    pub find: FindKeys,
    /// What happens to the keys.
    pub flags: KeyFlags,
    /// A remark for people, as `COMMAND INFO` shows it.
    pub notes: Option<&'static str>,
}

/// A key found by a spec: argument index and the flags of its spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPosition {
    /// Index in the arguments (the command name is 0).
    pub arg: usize,
    /// What happens to it.
    pub flags: KeyFlags,
}

impl KeySpec {
    /// The one key right after the name.
    pub const fn first() -> Self {
        Self::at(1)
    }

    /// The one key at argument `index`.
    pub const fn at(index: usize) -> Self {
        Self::range(index, 0, 1)
    }

    /// All arguments after the name are keys.
    pub const fn all() -> Self {
        Self::range(1, -1, 1)
    }

    /// Keys from argument `first` to `last` (relative to `first`; negative counts from the end), every `step`th.
    pub const fn range(first: usize, last: i32, step: usize) -> Self {
        KeySpec {
            begin: BeginSearch::Index(first),
            find: FindKeys::Range { last, step, limit: 0 },
            flags: KeyFlags(0),
            notes: None,
        }
    }

    /// A count at argument `count`, the keys right behind it, every `step`th argument.
    pub const fn counted(count: usize, step: usize) -> Self {
        KeySpec {
            begin: BeginSearch::Index(count),
            find: FindKeys::KeyNum { count: 0, first: 1, step },
            flags: KeyFlags(0),
            notes: None,
        }
    }

    /// One key after a keyword searched from argument `from` on.
    pub const fn after_keyword(keyword: &'static str, from: i32) -> Self {
        KeySpec {
            begin: BeginSearch::Keyword(keyword, from),
            find: FindKeys::Range { last: 0, step: 1, limit: 0 },
            flags: KeyFlags(0),
            notes: None,
        }
    }

    /// Keys whose place cannot be told from the specs alone.
    pub const fn unknown() -> Self {
        KeySpec { begin: BeginSearch::Unknown, find: FindKeys::Unknown, flags: KeyFlags(0), notes: None }
    }

    /// With other rules for finding the keys.
    #[must_use]
    pub const fn find(mut self, find: FindKeys) -> Self {
        self.find = find;
        self
    }

    /// With a remark.
    #[must_use]
    pub const fn notes(mut self, notes: &'static str) -> Self {
        self.notes = Some(notes);
        self
    }

    const fn flag(mut self, flag: KeyFlags) -> Self {
        self.flags = self.flags.with(flag);
        self
    }

    /// Read only.
    #[must_use]
    pub const fn ro(self) -> Self {
        self.flag(KeyFlags::RO)
    }
    /// Read and modified.
    #[must_use]
    pub const fn rw(self) -> Self {
        self.flag(KeyFlags::RW)
    }
    /// Overwritten.
    #[must_use]
    pub const fn ow(self) -> Self {
        self.flag(KeyFlags::OW)
    }
    /// Removed.
    #[must_use]
    pub const fn rm(self) -> Self {
        self.flag(KeyFlags::RM)
    }
    /// Data is returned.
    #[must_use]
    pub const fn access(self) -> Self {
        self.flag(KeyFlags::ACCESS)
    }
    /// Data is updated.
    #[must_use]
    pub const fn update(self) -> Self {
        self.flag(KeyFlags::UPDATE)
    }
    /// Data is added.
    #[must_use]
    pub const fn insert(self) -> Self {
        self.flag(KeyFlags::INSERT)
    }
    /// Data is deleted.
    #[must_use]
    pub const fn delete(self) -> Self {
        self.flag(KeyFlags::DELETE)
    }
    /// Flags depend on the arguments.
    #[must_use]
    pub const fn variable(self) -> Self {
        self.flag(KeyFlags::VARIABLE)
    }
    /// It is no key but travels like one: a shard channel.
    #[must_use]
    pub const fn not_key(self) -> Self {
        self.flag(KeyFlags::NOT_KEY)
    }
    /// Not every key is found.
    #[must_use]
    pub const fn incomplete(self) -> Self {
        self.flag(KeyFlags::INCOMPLETE)
    }

    /// True when it does not find all keys it stands for.
    pub fn is_incomplete(&self) -> bool {
        self.begin == BeginSearch::Unknown
            || self.find == FindKeys::Unknown
            || self.flags.has(KeyFlags::INCOMPLETE)
    }

    /// Appends the positions of this spec's keys in a request of `argc` arguments to `found`.
    ///
    /// `arg(i)` gives argument `i`. Returns false when the arguments do not fit the spec (a count that is no
    /// number or is too large, a range that ends before it begins): such a request has no keys by this spec.
    pub fn positions<'a>(
        &self,
        argc: usize,
        arg: impl Fn(usize) -> &'a [u8],
        found: &mut impl FnMut(KeyPosition),
    ) -> bool {
        let begin = match self.begin {
            BeginSearch::Index(index) => index,
            BeginSearch::Keyword(word, from) => match keyword_position(word, from, argc, &arg) {
                Some(at) => at + 1,
                None => return true,
            },
            BeginSearch::Unknown => return true,
        };
        if begin >= argc {
            return false;
        }
        let (first, last, step) = match self.find {
            FindKeys::Range { last, step, limit } => {
                let end = if last >= 0 {
                    begin + last as usize
                } else if limit <= 1 {
                    let back = last.unsigned_abs() as usize;
                    if back > argc {
                        return false;
                    }
                    argc - back
                } else {
                    begin + (argc - begin) / limit - 1
                };
                (begin, end, step)
            }
            FindKeys::KeyNum { count, first, step } => {
                if begin + count >= argc {
                    return false;
                }
                let Some(keys) = super::parse_i64(arg(begin + count)) else { return false };
                if keys <= 0 {
                    return keys == 0;
                }
                let Ok(keys) = usize::try_from(keys) else { return false };
                let first = begin + first;
                let Some(last) = (keys - 1).checked_mul(step).and_then(|n| n.checked_add(first)) else {
                    return false;
                };
                (first, last, step)
            }
            FindKeys::Unknown => return true,
        };
        if last < first || last >= argc {
            return false;
        }
        let mut at = first;
        while at <= last {
            found(KeyPosition { arg: at, flags: self.flags });
            at += step;
        }
        true
    }
}

fn keyword_position<'a>(
    word: &str,
    from: i32,
    argc: usize,
    arg: &impl Fn(usize) -> &'a [u8],
) -> Option<usize> {
    let matches = |i: &usize| arg(*i).eq_ignore_ascii_case(word.as_bytes());
    if from >= 0 {
        // Redis does not look at the last argument (forwards) or the first (backwards): no key could follow it, or
        // it is one of the fixed arguments.
        (from as usize..argc.saturating_sub(1)).find(matches)
    } else {
        let start = argc.checked_sub(from.unsigned_abs() as usize)?;
        (2..=start).rev().find(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(spec: KeySpec, line: &str) -> Option<Vec<usize>> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut found = Vec::new();
        spec.positions(args.len(), |i| args[i], &mut |p| found.push(p.arg)).then_some(found)
    }

    #[test]
    fn positions_of_every_kind_of_spec() {
        assert_eq!(keys(KeySpec::first(), "GET k"), Some(vec![1]));
        assert_eq!(keys(KeySpec::all(), "DEL a b c"), Some(vec![1, 2, 3]));
        assert_eq!(keys(KeySpec::range(1, -1, 2), "MSET a 1 b 2"), Some(vec![1, 3]));
        assert_eq!(keys(KeySpec::counted(1, 1), "X 2 a b c"), Some(vec![2, 3]));
        assert_eq!(keys(KeySpec::counted(1, 1), "X 4 a b c"), None);
        assert_eq!(keys(KeySpec::counted(1, 1), "X nan a"), None);
        assert_eq!(keys(KeySpec::after_keyword("STORE", 2), "SORT k BY x store d"), Some(vec![5]));
        assert_eq!(keys(KeySpec::after_keyword("STORE", 2), "SORT k BY x"), Some(vec![]));
        assert_eq!(keys(KeySpec::first(), "GET"), None);
    }
}
