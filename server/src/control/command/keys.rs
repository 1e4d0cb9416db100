//! `COMMAND GETKEYS` and `COMMAND GETKEYSANDFLAGS`.

use crate::acl::keys_of;
use crate::registry::{Entry, Registry};
use tidegate_commands::model::{Error, Flag, KeyFlags, KeyPosition};

/// The keys of a request.
pub(super) fn of_request(registry: &Registry, request: &[&[u8]]) -> Result<Vec<KeyPosition>, Error> {
    let entry = looked_up(registry, request).ok_or(Error::new("ERR Invalid command specified"))?;
    if entry.key_specs.iter().all(|spec| spec.flags.has(KeyFlags::NOT_KEY)) {
        return Err(Error::new("ERR The command has no key arguments"));
    }
    if !entry.accepts(request.len()) {
        return Err(Error::new("ERR Invalid number of arguments specified for command"));
    }
    let keys = keys_of(entry, request).into_vec();
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
