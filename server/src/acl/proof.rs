//! In debug builds: every key that a command touched is one that access control was asked about, in a database it was
//! asked about, and a change is declared as one. What a request touches is declared once, in the key specs of its command, and
//! this compares the declaration with what really happened. Whatever runs a debug build proves it on the way.
//!
//! Four things are exempt, because they are decided otherwise:
//! * `SORT` and `SORT_RO` read keys that patterns name (`BY`, `GET`) if the user may read every key; if not they refuse.
//! * `PFCOUNT` keeps the count it computed in the value, and `PFDEBUG` may change its form. Redis' key specs say so (`RW`) and
//!   ask for the right to read.
//! * `DEBUG` has no key specs, as in Redis: its handler asks about its keys one by one.
//! * A journal that is loaded was checked when it was written.

use super::check::{Asked, REACHING};
use super::selector::Access;
use std::collections::BTreeMap;
use tidegate_data::Touch;

/// Any database: what `Asked::databases` says of a request that empties all.
const ANY_DB: u32 = u32::MAX;

/// Commands that change how a value is kept, and no more.
const REARRANGING: [&str; 2] = ["pfcount", "pfdebug"];

/// The first touch that the declaration of the command does not tell of.
///
/// # Errors
/// Which it is, for a person.
pub fn prove(asked: &Asked<'_>, reads_all_keys: bool, touches: &[Touch]) -> Result<(), String> {
    if touches.is_empty() {
        return Ok(());
    }
    let entry = asked.entry;
    if entry.name == "debug" {
        return Ok(());
    }
    let databases = asked.databases();
    let mut keys: BTreeMap<&[u8], bool> = BTreeMap::new();
    for known in asked.keys() {
        *keys.entry(asked.arg(known.arg)).or_default() |= Access::of(known.flags).has(Access::WRITE);
    }
    let rearranges = REARRANGING.contains(&entry.name.as_str());
    let reaches = reads_all_keys && REACHING.contains(&entry.name.as_str());
    for touch in touches {
        let problem = if !databases.iter().any(|db| *db == ANY_DB || *db == u32::from(touch.db)) {
            "use the database"
        } else if let Some(key) = &touch.key {
            match keys.get(&**key) {
                None if reaches && !touch.changed => continue,
                None => "use the key",
                Some(may_change) if touch.changed && !may_change && !rearranges => "change the key",
                Some(_) => continue,
            }
        } else {
            continue;
        };
        let key = touch.key.as_ref().map_or_else(String::new, |key| key.escape_ascii().to_string());
        let shown = |index| asked.arg(index).escape_ascii().to_string();
        let words: Vec<String> = (0..asked.spans.len()).map(shown).collect();
        let done = if touch.changed { "changed" } else { "looked at" };
        return Err(format!(
            "{words:?} {done} '{key}' of database {}: nobody asked whether the user may {problem}",
            touch.db
        ));
    }
    Ok(())
}
