//! Strings.

use crate::model::{Acl, Args, Command, Ctx, Error, Family, Flag, KeySpec, Outcome, Reply, command, family};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{EventClass, Expiry, StringValue, ValueRef};

pub(super) static FAMILY: Family = family("string", Acl::STRING, &[&GET, &SET]);

static GET: Command = command("GET", "key", get)
    .about("1.0.0", "O(1)", "Returns the string value of a key.")
    .arity(2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn get(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    match cx.keys.read_string(key)? {
        None => reply.null(),
        Some(ValueRef::Int(n)) => reply.bulk_integer(n),
        Some(value) => reply.bulk_or_null(value.string(&mut [0; INT_LEN_MAX])),
    }
    Ok(Outcome::Same)
}

static SET: Command = command("SET", "key value", set)
    .about("1.0.0", "O(1)", "Sets the string value of a key, ignoring its type.")
    .arity(3)
    .keys(KeySpec::first().rw().access().update().variable())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn set(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let value = args.next()?;
    cx.keys.set_string(key, StringValue::of(value), Expiry::Clear);
    cx.keys.event(EventClass::String, "set", key);
    reply.ok();
    Ok(Outcome::Changed)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{check, check_effects};

    #[test]
    fn get_and_set() {
        check(&["SET a 1", "GET a"], "$1 1");
        check(&["GET a"], "$-1");
        check_effects(&["SET a b"], &["SET a b"]);
    }
}
