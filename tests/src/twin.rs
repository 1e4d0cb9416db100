//! A second keyspace that is fed the effects of another and must end up holding the same.
//!
//! The twin's clock stands at zero, so that for it nothing ever expires and a relative time would give another deadline:
//! effects have to say everything, as they must for a journal that is read a year later.

use crate::resp::Reply;
use std::collections::BTreeMap;
use tidegate_commands::model::check::Bench;
use tidegate_data::{Databases, Record, StringValue, TypeCode, Value, ValueRef};

/// What a key holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    /// A string in any form.
    Bytes(Vec<u8>),
    /// Anything else.
    Boxed(Value),
}

/// A key as it can be compared with its twin.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub type_code: TypeCode,
    /// What OBJECT ENCODING answers.
    pub encoding: &'static str,
    pub expiry_ms: Option<i64>,
    pub held: Held,
}

impl Seen {
    fn of(record: &Record) -> Self {
        let value = record.value();
        let held = match (value.string(&mut [0; 20]), value) {
            (Some(bytes), _) => Held::Bytes(bytes.to_vec()),
            (None, ValueRef::Boxed(boxed)) => Held::Boxed(boxed.clone()),
            (None, ValueRef::Packed { code, bytes }) => Held::Boxed(Value::from_packed(code, bytes)),
            (None, _) => unreachable!("what is neither boxed nor packed is a string"),
        };
        Seen {
            type_code: record.type_code(),
            encoding: value.encoding_name(),
            expiry_ms: record.expiry_ms(),
            held,
        }
    }
}

/// Whether a key and its twin hold the same. Strings that were computed (INCRBYFLOAT) are told as `SET`, which encodes
/// them anew: as in Redis, a replica may then show another encoding, but only the one that `SET` gives. A set of which
/// most was popped at random is made anew of what remains, and may be one of integers again; a replica only removes.
fn same(original: &Seen, twin: &Seen) -> bool {
    let set = |bytes: &[u8]| match StringValue::of(bytes) {
        StringValue::Int(_) => "int",
        StringValue::Bytes(_, encoding) => encoding.name(),
    };
    let encoded_anew = match &twin.held {
        Held::Bytes(bytes) => twin.encoding == set(bytes),
        Held::Boxed(_) => false,
    };
    let made_anew = original.encoding == "intset" && twin.encoding == "hashtable";
    (original.encoding == twin.encoding || encoded_anew || made_anew)
        && (original.type_code, original.expiry_ms, &original.held)
            == (twin.type_code, twin.expiry_ms, &twin.held)
}

/// Everything a keyspace holds, by database and key.
pub type Contents = BTreeMap<(usize, Vec<u8>), Seen>;

/// Adds what these databases hold, but for keys whose deadline lies before `now_ms`. Returns the number of all keys.
pub fn collect(databases: &Databases, now_ms: i64, contents: &mut Contents) -> usize {
    let mut all = 0;
    for db in 0..databases.count() {
        let table = databases.table(db);
        let mut visited = 0;
        table.for_each(&mut |record| {
            visited += 1;
            assert!(
                table.get(table.hasher().hash(record.key()), record.key()).is_some(),
                "a record that is met while walking is found by its key"
            );
            if record.expiry_ms().is_none_or(|deadline| deadline >= now_ms) {
                contents.insert((db, record.key().to_vec()), Seen::of(record));
            }
        });
        assert_eq!(visited, table.len(), "the table counts its records");
        all += visited;
    }
    all
}

/// Says in which key two keyspaces differ.
pub fn difference(original: &Contents, twin: &Contents) -> Option<String> {
    let keys = original.keys().chain(twin.keys());
    let different = |key: &&(usize, Vec<u8>)| match (original.get(*key), twin.get(*key)) {
        (Some(original), Some(twin)) => !same(original, twin),
        _ => true,
    };
    let key = keys.into_iter().find(different)?;
    let (original, twin) = (original.get(key), twin.get(key));
    Some(format!("db {} key {}: {original:?}, but its twin: {twin:?}", key.0, key.1.escape_ascii()))
}

/// A keyspace that replays.
#[derive(Debug)]
pub struct Twin {
    bench: Bench,
}

impl Default for Twin {
    fn default() -> Self {
        let mut bench = Bench::default();
        bench.now_ms = 0;
        Twin { bench }
    }
}

impl Twin {
    /// Runs encoded commands on database `db`; returns how many. An effect that fails is a wrong effect.
    pub fn replay(&mut self, db: usize, mut bytes: &[u8]) -> Result<usize, String> {
        self.bench.db = db;
        let mut commands = 0;
        while !bytes.is_empty() {
            let Ok(Some((Reply::Array(words), used))) = Reply::decode(bytes) else {
                return Err(format!("no command: {}", bytes.escape_ascii()));
            };
            let words: Option<Vec<&[u8]>> = words.iter().map(Reply::bytes).collect();
            let Some(words) = words else { return Err(format!("no words: {}", bytes.escape_ascii())) };
            let ran = self.bench.run_words(&words);
            if ran.reply.starts_with(b"-") {
                return Err(format!("{} was answered {}", bytes[..used].escape_ascii(), ran.text()));
            }
            bytes = &bytes[used..];
            commands += 1;
        }
        Ok(commands)
    }

    /// What it holds, but for keys whose deadline lies before `now_ms`.
    pub fn contents(&self, now_ms: i64) -> Contents {
        let mut contents = Contents::new();
        collect(self.bench.databases(), now_ms, &mut contents);
        contents
    }
}
