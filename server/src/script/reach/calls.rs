//! Calls of commands: which of their arguments are keys.

use super::{Unclear, Value};
use crate::registry::{Body, Entry, Registry};
use tidegate_commands::model::{BeginSearch, FindKeys, KeySpec, Scope};
use tidegate_lua::bytecode::Constant;

/// Commands without keys that touch nothing of the keyspace, though they are about more than it.
const KEYLESS: [&str; 4] = ["echo", "ping", "publish", "time"];

/// The arguments of a call.
#[derive(Debug)]
pub(super) struct Arguments<'v> {
    /// The first ones.
    pub(super) first: &'v [Value],
    /// What all others are, where it is not known how many there are.
    pub(super) rest: Option<Value>,
}

impl Arguments<'_> {
    /// Argument `index` is a key, or there is no such argument.
    fn is_key(&self, index: usize) -> bool {
        self.first.get(index).copied().or(self.rest).is_none_or(|value| value == Value::Key)
    }

    /// All arguments from `index` on are keys.
    fn are_keys_from(&self, index: usize) -> bool {
        (index..=self.first.len()).all(|index| self.is_key(index))
    }
}

/// Makes sure that a call of a command touches declared keys only.
pub(super) fn check(
    registry: &Registry,
    constants: &[&Constant],
    arguments: &Arguments<'_>,
) -> Result<(), Unclear> {
    let constant = |index: usize| match arguments.first.get(index) {
        Some(Value::Constant(constant)) => Some(constants[usize::from(*constant)]),
        _ => None,
    };
    let word = |index: usize| match constant(index) {
        Some(Constant::Text(text)) => Ok(&text[..]),
        _ => Err(Unclear),
    };
    let mut entry = registry.lookup(word(0)?).ok_or(Unclear)?;
    if !entry.subcommands.is_empty() {
        entry = entry.subcommand(word(1)?).ok_or(Unclear)?;
    }
    let is_known = match entry.body {
        Body::Data(_) => true,
        Body::Control(_) => entry.key_specs.is_empty() && KEYLESS.contains(&entry.name.as_str()),
        Body::Container => false,
    };
    if !is_known || !has_keys_by_place(entry) {
        return Err(Unclear);
    }
    let number = |index: usize| match constant(index) {
        // A count with a fraction is refused by the command; what it would count is fewer.
        Some(Constant::Number(number)) => Some(number.ceil() as i64),
        Some(Constant::Text(text)) => tidegate_commands::model::parse_i64(text),
        _ => None,
    };
    let is_fine = |spec: &KeySpec| keys_are_declared(spec, arguments, number);
    if entry.key_specs.iter().all(is_fine) { Ok(()) } else { Err(Unclear) }
}

/// The router finds the keys by their places, in every request.
fn has_keys_by_place(entry: &Entry) -> bool {
    entry.scope == Scope::Keys
        && entry.router_finder.is_none()
        && entry.whole_if.is_none()
        && !entry.key_specs.iter().any(KeySpec::is_incomplete)
}

/// All keys that a spec finds are declared. This looks at no fewer arguments than [`KeySpec::positions`] finds.
fn keys_are_declared(
    spec: &KeySpec,
    arguments: &Arguments<'_>,
    number: impl Fn(usize) -> Option<i64>,
) -> bool {
    let BeginSearch::Index(begin) = spec.begin else { return false };
    match spec.find {
        FindKeys::Range { last, step, .. } if last >= 0 => {
            (begin..=begin + last as usize).step_by(step).all(|index| arguments.is_key(index))
        }
        FindKeys::Range { .. } if arguments.rest.is_some() => arguments.are_keys_from(begin),
        FindKeys::Range { .. } => {
            let mut is_fine = true;
            spec.positions(arguments.first.len(), |_| b"", &mut |key| is_fine &= arguments.is_key(key.arg));
            is_fine
        }
        FindKeys::KeyNum { count, first, step } => {
            let Some(keys) = number(begin + count) else { return false };
            let Ok(keys) = usize::try_from(keys) else { return true };
            let places = (begin + first..).step_by(step).take(keys);
            // One place beyond what is there stands for all of them.
            places
                .take_while(|place| *place < arguments.first.len() + step)
                .all(|place| arguments.is_key(place))
        }
        FindKeys::Unknown => false,
    }
}
