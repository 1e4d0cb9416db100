//! `DEBUG DIGEST` and [`tidegate digest`](tool): a fingerprint of the data set, the same as Redis computes for the same data, so that two servers
//! can be compared whatever they are.
//!
//! Unordered things are combined with exclusive or, ordered ones by hashing the digest so far.

mod files;
mod remote;
pub mod tool;

use sha1::{Digest as _, Sha1};
use std::collections::BTreeMap;
use std::fmt;
use tidegate_commands::model::format_double_17;
use tidegate_data::types::members::NEVER_MS;
use tidegate_data::types::set::Set;
use tidegate_data::types::stream::{Stream, StreamId};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{Hash, List, Record, TypeCode, View, Zset};

/// A SHA-1 sum that things are mixed into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Digest([u8; 20]);

impl Digest {
    /// Adds something whose order among others does not matter.
    fn add(&mut self, bytes: &[u8]) {
        self.combine(&Digest(Sha1::digest(bytes).into()));
    }

    /// Adds something whose order matters.
    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    /// The digest that this text shows.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 40 && text.is_ascii())?;
        let mut digest = Digest::default();
        for (at, byte) in digest.0.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(digest)
    }

    /// Exclusive or with another digest.
    fn combine(&mut self, other: &Digest) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine ^= theirs);
    }

    /// Adds the keys of a database.
    fn add_database(&mut self, index: usize, keys: &Digest) {
        self.mix(&(index as u32).to_be_bytes());
        self.combine(keys);
    }

    /// Adds a key with its value.
    fn add_entry(&mut self, record: &Record) {
        let mut entry = Digest::default();
        entry.mix(record.key());
        entry.add_value(record);
        self.add(&entry.0);
    }

    /// The digest of a value.
    pub(crate) fn of_value(record: &Record) -> Self {
        let mut digest = Digest::default();
        digest.add_value(record);
        digest
    }

    fn add_value(&mut self, record: &Record) {
        self.mix(&redis_type(record.type_code()).to_be_bytes());
        let (value, scratch) = (record.value(), &mut [0; INT_LEN_MAX]);
        if let Some(string) = value.string(scratch) {
            self.mix(string);
        } else if let Some(list) = value.collection::<List>() {
            list.iter().for_each(|item| self.mix(item.bytes(scratch)));
        } else if let Some(set) = value.collection::<Set>() {
            for member in set.iter() {
                let name = member.bytes(scratch);
                self.add(name);
                if set.deadline_ms(name).is_some_and(|deadline_ms| deadline_ms != NEVER_MS) {
                    self.add(&[b"!!sexpire!!", name].concat());
                }
            }
        } else if let Some(zset) = value.collection::<Zset>() {
            for (member, score) in zset {
                let name = member.bytes(scratch);
                self.add_member(name, format_double_17(score).as_bytes(), zset.deadline_ms(name).is_some());
            }
        } else if let Some(hash) = value.collection::<Hash>() {
            for field in hash.iter() {
                let value = field.value.to_vec();
                self.add_member(field.name.bytes(scratch), &value, field.deadline_ms.is_some());
            }
        } else if let Some(stream) = value.collection::<Stream>() {
            for entry in stream.entries().range(StreamId::MIN, StreamId::MAX) {
                self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                for (name, value) in entry.fields {
                    self.mix(name.bytes(scratch));
                    self.mix(value.bytes(scratch));
                }
            }
        }
        if let View::Native(native) = View::of(value) {
            let mut payload = Vec::new();
            native.save(&mut payload);
            self.mix(native.module());
            self.mix(&payload);
        }
        if record.expiry_ms().is_some() {
            self.add(b"!!expire!!");
        }
    }

    /// Adds a member with what belongs to it. Redis does not know deadlines of members, so there is no more to match.
    fn add_member(&mut self, name: &[u8], value: &[u8], has_deadline: bool) {
        let mut member = Digest::default();
        member.mix(name);
        member.mix(value);
        if has_deadline {
            member.add(b"!!hexpire!!");
        }
        self.add(&member.0);
    }
}

/// The digest of a data set, gathered key by key in any order.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    /// By database; those without keys are not there.
    databases: BTreeMap<usize, Digest>,
}

impl Digests {
    /// Adds a key of a database.
    pub(crate) fn add(&mut self, db: usize, record: &Record) {
        self.databases.entry(db).or_default().add_entry(record);
    }

    /// The digest of all keys.
    pub(crate) fn total(&self) -> Digest {
        let mut all = Digest::default();
        for (db, keys) in &self.databases {
            all.add_database(*db, keys);
        }
        all
    }
}

/// The number Redis gives a type.
fn redis_type(code: TypeCode) -> u32 {
    match code {
        // 5 is that of modules, as which Redis knows values of types of our own.
        TypeCode::Stream => 6,
        code if code as u32 > TypeCode::Stream as u32 => 5,
        code => code as u32,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_data::value::StringEncoding;
    use tidegate_data::{Expiry, HashLimits, NodeLimit};

    fn string(key: &str, value: &str, expiry_ms: Option<i64>) -> Record {
        Record::new_bytes(key.as_bytes(), value.as_bytes(), StringEncoding::Embstr, expiry_ms)
    }

    /// The digests are what `redis-server` 7.0.15 answers for the same data.
    #[test]
    fn digests_are_those_of_redis() {
        let hello = Digest::of_value(&string("a", "hello", None)).to_string();
        assert_eq!(hello, REDIS_HELLO);
        assert_ne!(hello, Digest::of_value(&string("a", "hello", Some(1))).to_string());
        let five = Digest::of_value(&Record::new_int(b"n", 5, None));
        assert_eq!(five, Digest::of_value(&string("n", "5", None)));
        let mut list = List::default();
        for item in ["a", "5"] {
            list.push_back(item.as_bytes(), NodeLimit::default());
        }
        let list = Record::new_boxed(b"l", Box::new(list.into()), None);
        assert_eq!(Digest::of_value(&list).to_string(), REDIS_LIST);
        let mut hash = Hash::default();
        let limits = HashLimits { entries: 512, value: 64 };
        for (field, value) in [("a", "1"), ("bb", "x")] {
            hash.set(field.as_bytes(), value.as_bytes(), Expiry::Clear, limits);
        }
        let hash = Record::new_boxed(b"h", Box::new(hash.into()), None);
        assert_eq!(Digest::of_value(&hash).to_string(), REDIS_HASH);

        let mut all = Digests::default();
        all.add(0, &string("a", "hello", None));
        all.add(0, &string("b", "world", Some(1)));
        assert_eq!(all.total().to_string(), REDIS_TWO_KEYS);
        assert_eq!(Digest::parse(REDIS_TWO_KEYS.as_bytes()), Some(all.total()));
        assert_eq!(Digest::parse(b"db38eef8017f2de0c885fb275b34b02df713a8"), None);
    }

    /// `SET a hello`, `DEBUG DIGEST-VALUE a`
    const REDIS_HELLO: &str = "36b23a1456b2dce2c3ed252c456761301dba8060";
    /// `RPUSH l a 5`, `DEBUG DIGEST-VALUE l`
    const REDIS_LIST: &str = "2d837d75e9d1e9499fc39f6eb9cc751acbb26977";
    /// `HSET h a 1 bb x`, `DEBUG DIGEST-VALUE h`
    const REDIS_HASH: &str = "85a470698c9b8eed2a1f8759fe9fdcac7c042003";
    /// `SET a hello`, `SET b world EX 1000`, `DEBUG DIGEST`
    const REDIS_TWO_KEYS: &str = "db38eef8017f2de0c885fb275b34b02df713a86c";
}
