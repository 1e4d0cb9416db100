//! `CL.THROTTLE`, as the module redis-cell has it, bit for bit: a string that holds a theoretical arrival time in nanoseconds.

use crate::model::{Args, Command, Ctx, Error, Flag, Handler, KeySpec, Outcome, Reply, command, parse_i64};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{EventClass, Expiry, StringValue};

const SECOND_NS: i64 = 1_000_000_000;
const MS: i64 = 1_000_000;
const US: i64 = 1000;

const USAGE: &str =
    "Cell error: Store error: Usage: cl.throttle <key> <max_burst> <count per period> <period> [<quantity>]";

pub(super) static CL_THROTTLE: Command = declare("CL.THROTTLE", throttle);
pub(super) static RL_THROTTLE: Command = declare("RL.THROTTLE", throttle);

const fn declare(name: &'static str, handler: Handler) -> Command {
    command(name, "key max-burst(integer) count(integer) period-s(integer) [quantity(integer)]", handler)
        .about("1.0.0", "O(1)", "Limits a rate as the module redis-cell does.")
        .arity(-5)
        .keys(KeySpec::first().rw().access().update())
        .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast])
        .usage(USAGE)
}

fn store_error(text: &str) -> Error {
    Error::text(format!("Cell error: Store error: {text}"))
}

fn number(args: &mut Args) -> Result<i64, Error> {
    let word = args.next()?;
    let text = std::str::from_utf8(word).ok();
    // The module reads numbers as Rust does: a plus sign and leading zeros are fine.
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| store_error(&format!("Couldn't parse as integer: {}", String::from_utf8_lossy(word))))
}

fn throttle(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    if args.len() > 6 {
        return Err(Error::new(USAGE));
    }
    let key = args.key()?;
    let (max_burst, count, period_s) = (number(args)?, number(args)?, number(args)?);
    let quantity = if args.is_done() { 1 } else { number(args)? };
    if count == 0 || period_s == 0 {
        return Err(store_error("Zero rates are not supported"));
    }
    // Saturating, where the module would overflow.
    let unit_ns = (period_s as f64 * SECOND_NS as f64 / count as f64) as i64;
    let limit = max_burst.saturating_add(1);
    let variation_ns = unit_ns.saturating_mul(limit);
    let increment_ns = unit_ns.saturating_mul(quantity);
    let wall_ms = cx.env.now_ms();
    let now_ns = cx.env.native_ns().max(wall_ms.saturating_mul(MS));
    let stored = cx.keys.string_for_write(key)?;
    let mut scratch = [0; INT_LEN_MAX];
    let stored_ns = match stored.and_then(|value| value.string(&mut scratch).map(<[u8]>::to_vec)) {
        None => None,
        Some(text) => {
            let parsed = parse_i64(&text);
            Some(parsed.ok_or_else(|| Error::new("Cell error: invalid digit found in string"))?)
        }
    };
    let tat_ns = stored_ns.unwrap_or(now_ns);
    let new_ns = now_ns.max(tat_ns).saturating_add(increment_ns);
    let margin_ns = now_ns.saturating_sub(new_ns.saturating_sub(variation_ns));
    let mut outcome = Outcome::Same;
    let (limited, ttl_ns, retry_ns) = if margin_ns < 0 {
        let retry_ns = if increment_ns <= variation_ns { margin_ns.saturating_neg() } else { -SECOND_NS };
        (true, tat_ns.saturating_sub(now_ns), retry_ns)
    } else {
        let ttl_ns = new_ns.saturating_sub(now_ns);
        let ttl_ms = ttl_ns / MS;
        if ttl_ms > 0 {
            let at_ms = wall_ms.saturating_add(ttl_ms);
            cx.keys.set_string(key, StringValue::Int(new_ns), Expiry::At(at_ms));
            cx.keys.event(EventClass::String, "set", key);
            cx.keys.event(EventClass::Generic, "expire", key);
            outcome = cx.env.changed_as(|| {
                let (tat, at) = (new_ns.to_string(), at_ms.to_string());
                Outcome::changed_as(&[b"SET", key.bytes(), tat.as_bytes(), b"PXAT", at.as_bytes()])
            });
        }
        (false, ttl_ns, -SECOND_NS)
    };
    let next_ns = variation_ns.saturating_sub(ttl_ns);
    let remaining = if next_ns > unit_ns.saturating_neg() && unit_ns / US != 0 {
        (next_ns / US) / (unit_ns / US)
    } else {
        0
    };
    reply.array(5);
    for number in [limited.into(), limit, remaining, seconds(retry_ns), seconds(ttl_ns)] {
        reply.integer(number);
    }
    Ok(outcome)
}

/// Whole seconds, and one more for whole milliseconds that are left.
fn seconds(ns: i64) -> i64 {
    ns / SECOND_NS + i64::from(ns % SECOND_NS >= MS)
}
