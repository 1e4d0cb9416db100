//! What new sketches are like that nobody says more about: the directives of RedisBloom.

use super::{Directive, number, text};
use crate::config::value::Value;
use tidegate_commands::model::parse_double;

const CAPACITY_MAX: i128 = 1 << 30;
const EXPANSION_MAX: i128 = 32_768;

pub(super) static ROWS: &[Directive] = &[
    text("bf-error-rate", "0.01").check(error_rate).hot(|hot, value| hot.bf_error_rate.store_double(value)),
    number("bf-initial-size", 1..=CAPACITY_MAX, 100).hot(|hot, value| hot.bf_initial_size.store(value)),
    number("bf-expansion-factor", 0..=EXPANSION_MAX, 2)
        .hot(|hot, value| hot.bf_expansion_factor.store(value)),
    number("cf-bucket-size", 1..=255, 2).hot(|hot, value| hot.cf_bucket_size.store(value)),
    // At least two buckets of any size.
    number("cf-initial-size", 2..=CAPACITY_MAX, 1024).hot(|hot, value| hot.cf_initial_size.store(value)),
    number("cf-max-iterations", 1..=65_535, 20).hot(|hot, value| hot.cf_max_iterations.store(value)),
    number("cf-expansion-factor", 0..=EXPANSION_MAX, 1)
        .hot(|hot, value| hot.cf_expansion_factor.store(value)),
    number("cf-max-expansions", 1..=65_536, 32).hot(|hot, value| hot.cf_max_expansions.store(value)),
];

fn error_rate(value: &mut Value) -> Result<(), String> {
    let rate = match value {
        Value::Text(Some(text)) => parse_double(text),
        _ => None,
    };
    if rate.is_some_and(|rate| rate > 0.0 && rate < 1.0) {
        Ok(())
    } else {
        Err("argument must be a number above 0 and below 1".to_owned())
    }
}
