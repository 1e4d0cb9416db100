//! Optimistic locking with one command: comparisons with the present value or its digest, and the commands that
//! delete by them. `SET` takes the same comparisons.

use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{EventClass, Key, TypeCode};
use xxhash_rust::xxh3::xxh3_64;

/// Characters of a digest.
const DIGEST_LEN: usize = 16;

/// A condition on the value a key has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compare<'a> {
    comparison: Comparison,
    operand: &'a [u8],
}

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// `IFEQ`
    Equal,
    /// `IFNE`
    NotEqual,
    /// `IFDEQ`
    DigestEqual,
    /// `IFDNE`
    DigestNotEqual,
}

impl<'a> Compare<'a> {
    /// The comparison that `word` asks for, if it is one.
    pub(super) fn comparison(word: &[u8]) -> Option<Comparison> {
        let words: [(&[u8], Comparison); 4] = [
            (b"IFEQ", Comparison::Equal),
            (b"IFNE", Comparison::NotEqual),
            (b"IFDEQ", Comparison::DigestEqual),
            (b"IFDNE", Comparison::DigestNotEqual),
        ];
        words.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, comparison)| comparison)
    }

    /// A comparison with a value or, for the digest forms, with the text of a digest.
    pub(super) fn new(comparison: Comparison, operand: &'a [u8]) -> Self {
        Compare { comparison, operand }
    }

    /// True when both compare in the same way.
    pub(super) fn same_comparison(self, other: Self) -> bool {
        self.comparison == other.comparison
    }

    /// True when a missing key cannot fulfil it.
    pub(super) fn needs_key(self) -> bool {
        matches!(self.comparison, Comparison::Equal | Comparison::DigestEqual)
    }

    /// Compares with the present value. A digest of the wrong length is refused; 16 characters that are no hexadecimal
    /// digits just differ from every digest, as in Redis.
    pub(super) fn holds(self, value: &[u8]) -> Result<bool, Error> {
        match self.comparison {
            Comparison::Equal => Ok(value == self.operand),
            Comparison::NotEqual => Ok(value != self.operand),
            Comparison::DigestEqual => self.same_digest(value),
            Comparison::DigestNotEqual => self.same_digest(value).map(|same| !same),
        }
    }

    fn same_digest(self, value: &[u8]) -> Result<bool, Error> {
        if self.operand.len() != DIGEST_LEN {
            return Err(Error::new("ERR must be exactly 16 hexadecimal characters"));
        }
        Ok(digest_of(value).eq_ignore_ascii_case(self.operand))
    }
}

/// The digest of a value: XXH3 with 64 bits as 16 hexadecimal digits. O(N).
fn digest_of(value: &[u8]) -> [u8; DIGEST_LEN] {
    let hash = xxh3_64(value);
    let digit = |at: usize| b"0123456789abcdef"[(hash >> (60 - 4 * at)) as usize & 15];
    std::array::from_fn(digit)
}

pub(super) static DIGEST: Command = command("DIGEST", "key", digest)
    .about(
        "8.4.0",
        "O(N) where N is the length of the string value.",
        "Returns the XXH3 digest of a string value.",
    )
    .arity(2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn digest(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    match cx.keys.read_string(key)? {
        None => reply.null(),
        Some(value) => {
            reply.bulk(&digest_of(value.string(&mut [0; INT_LEN_MAX]).unwrap_or_default()));
        }
    }
    Ok(Outcome::Same)
}

pub(super) static DELEX: Command = command(
    "DELEX",
    "key [condition: IFEQ ifeq-value|IFNE ifne-value|IFDEQ ifdeq-digest|IFDNE ifdne-digest]",
    delex,
)
.about(
    "8.4.0",
    "O(1) for IFEQ/IFNE, O(N) for IFDEQ/IFDNE where N is the length of the string value.",
    "Deletes a key if its value or the digest of it fulfils a condition.",
)
.arity(-2)
.keys(KeySpec::first().rw().delete().variable())
.flags(&[Flag::Write, Flag::Fast]);

fn delex(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    if args.is_done() {
        return Ok(delete(cx, reply, key));
    }
    if args.remaining() != 2 {
        return Err(Error::Arity("delex".into()));
    }
    let (word, operand) = (args.next()?, args.next()?);
    // Redis looks at the condition only once there is a string to compare.
    let Some(record) = cx.keys.read(key) else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    if record.type_code() != TypeCode::String {
        return Err(Error::new("ERR Key should be of string type if conditions are specified"));
    }
    let comparison = Compare::comparison(word)
        .ok_or_else(|| Error::new("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"))?;
    let compare = Compare::new(comparison, operand);
    if !compare.holds(record.value().string(&mut [0; INT_LEN_MAX]).unwrap_or_default())? {
        reply.integer(0);
        return Ok(Outcome::Same);
    }
    Ok(delete(cx, reply, key))
}

pub(super) static DELIFEQ: Command = command("DELIFEQ", "key value", delifeq)
    .about("9.0.0", "O(1)", "Deletes a key if it holds this very string (a command of Valkey).")
    .arity(3)
    .keys(KeySpec::first().rm().access().delete())
    .flags(&[Flag::Write, Flag::Fast]);

fn delifeq(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let operand = args.next()?;
    let present = cx.keys.string_for_write(key)?;
    if present.and_then(|value| value.string(&mut [0; INT_LEN_MAX]).map(|value| value == operand))
        != Some(true)
    {
        reply.integer(0);
        return Ok(Outcome::Same);
    }
    Ok(delete(cx, reply, key))
}

/// Deletes the key and answers how many were deleted. Replayed as `DEL`, which every version of Redis knows.
fn delete(cx: &mut Ctx, reply: &mut Reply, key: Key) -> Outcome {
    let removed = cx.keys.remove(key);
    reply.integer(i64::from(removed));
    if !removed {
        return Outcome::Same;
    }
    cx.keys.event(EventClass::Generic, "del", key);
    Outcome::changed_as(&[b"DEL", key.bytes()])
}

#[cfg(test)]
mod tests {
    use super::digest_of;
    use crate::model::check::{check, check_effects, check_events};

    #[test]
    fn digest() {
        check(&["DIGEST a"], "$-1");
        check(&["SET a hello", "DIGEST a"], "$16 9555e8555c62dcfd");
        // Redis' own test of leading zeros.
        let value =
            "v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd";
        check(&[&format!("SET a {value}"), "DIGEST a"], "$16 00006c38adf31777");
        // An integer has the digest of its digits.
        let digest = String::from_utf8(digest_of(b"123").to_vec()).unwrap();
        check(&["SET a 123", "DIGEST a"], &format!("$16 {digest}"));
        check(&["SET a 12", "APPEND a 3", "DIGEST a"], &format!("$16 {digest}"));
        check_effects(&["SET a b", "DIGEST a"], &[]);
    }

    #[test]
    fn delex() {
        check(&["DELEX a"], ":0");
        check(&["SET a b", "DELEX a"], ":1");
        check(&["SET a b", "DELEX a IFEQ b"], ":1");
        check(&["SET a b", "DELEX a ifeq b", "GET a"], "$-1");
        check(&["SET a b", "DELEX a IFEQ c"], ":0");
        check(&["SET a b", "DELEX a IFNE c"], ":1");
        check(&["SET a b", "DELEX a IFNE b"], ":0");
        check(&["SET a -999", "DELEX a IFEQ -999"], ":1");
        check(&["SET a hello", "DELEX a IFDEQ 9555E8555c62dcfd"], ":1");
        check(&["SET a hello", "DELEX a IFDNE 9555e8555c62dcfd"], ":0");
        check(&["SET a hello", "DELEX a IFDNE zzzzzzzzzzzzzzzz"], ":1");
        check_effects(&["SET a b", "DELEX a"], &["DEL a"]);
        check_effects(&["SET a b", "DELEX a IFEQ b"], &["DEL a"]);
        check_effects(&["SET a b", "DELEX a IFEQ c"], &[]);
        check_events(&["SET a b", "DELEX a IFEQ b"], &["del a"]);
    }

    #[test]
    fn delex_refuses() {
        let arity = "-ERR wrong number of arguments for 'delex' command";
        check(&["DELEX a IFEQ"], arity);
        check(&["SET a b", "DELEX a IFEQ b c"], arity);
        check(&["DELEX a FOO b"], ":0");
        check(&["SET a b", "DELEX a FOO b"], "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE");
        check(&["SET a b", "DELEX a IFDEQ b"], "-ERR must be exactly 16 hexadecimal characters");
        check(&["DELEX a IFDEQ b"], ":0");
    }

    #[test]
    fn delifeq() {
        check(&["DELIFEQ a b"], ":0");
        check(&["SET a b", "DELIFEQ a c"], ":0");
        check(&["SET a b", "DELIFEQ a b"], ":1");
        check(&["SET a 1", "DELIFEQ a 1", "GET a"], "$-1");
        check_effects(&["SET a b", "DELIFEQ a b"], &["DEL a"]);
        check_effects(&["SET a b", "DELIFEQ a c"], &[]);
        check_events(&["SET a b", "DELIFEQ a b"], &["del a"]);
    }
}
