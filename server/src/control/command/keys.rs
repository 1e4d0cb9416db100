//! `COMMAND GETKEYS` and `COMMAND GETKEYSANDFLAGS`.

use crate::registry::{Entry, Registry};
use tidegate_commands::model::{BeginSearch, Error, FindKeys, Flag, KeyFlags, KeyPosition};

/// The keys of a request.
pub(super) fn of_request(registry: &Registry, request: &[&[u8]]) -> Result<Vec<KeyPosition>, Error> {
    let entry = looked_up(registry, request).ok_or(Error::new("ERR Invalid command specified"))?;
    if entry.key_specs.iter().all(|spec| spec.flags.has(KeyFlags::NOT_KEY)) {
        return Err(Error::new("ERR The command has no key arguments"));
    }
    if !entry.accepts(request.len()) {
        return Err(Error::new("ERR Invalid number of arguments specified for command"));
    }
    let keys = found(entry, request);
    if keys.is_empty() && !entry.flags.has(Flag::NoMandatoryKeys) {
        return Err(Error::new("ERR Invalid arguments specified for command"));
    }
    Ok(keys)
}

fn looked_up<'r>(registry: &'r Registry, request: &[&[u8]]) -> Option<&'r Entry> {
    let (name, arguments) = request.split_first()?;
    let entry = registry.lookup(name)?;
    match arguments {
        [subcommand, ..] if !entry.subcommands.is_empty() => entry.subcommand(subcommand),
        _ => Some(entry),
    }
}

/// The key specs are trusted when they find every key and what happens to it.
fn found(entry: &Entry, request: &[&[u8]]) -> Vec<KeyPosition> {
    let is_variable = entry.key_specs.iter().any(|spec| spec.flags.has(KeyFlags::VARIABLE));
    match entry.key_finder {
        Some(finder) if is_variable => by_finder(finder, request),
        finder => match (by_specs(entry, request), finder) {
            (Some(keys), _) => keys,
            (None, Some(finder)) => by_finder(finder, request),
            (None, None) => Vec::new(),
        },
    }
}

fn by_finder(finder: tidegate_commands::model::KeyFinder, request: &[&[u8]]) -> Vec<KeyPosition> {
    let mut keys = Vec::new();
    finder(request, &mut |key| keys.push(key));
    keys
}

/// `None` when one of the specs does not fit the request, or does not tell everything.
fn by_specs(entry: &Entry, request: &[&[u8]]) -> Option<Vec<KeyPosition>> {
    let mut keys = Vec::new();
    for spec in entry.key_specs.iter().filter(|spec| !spec.flags.has(KeyFlags::NOT_KEY)) {
        let before = keys.len();
        let fits = spec.positions(request.len(), |i| request[i], &mut |key| keys.push(key));
        // A count of zero is taken where no key is needed, but no spec is fulfilled by it.
        let is_counted = matches!((spec.begin, spec.find), (BeginSearch::Index(_), FindKeys::KeyNum { .. }));
        let is_empty = is_counted && keys.len() == before;
        if !fits || is_empty || spec.flags.has(KeyFlags::INCOMPLETE) || spec.begin == BeginSearch::Unknown {
            return None;
        }
    }
    Some(keys)
}
