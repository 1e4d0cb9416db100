//! The process: where it runs, on which cores, under whom, and who may do dangerous things to it.

use super::{Directive, Effect, INT_MAX, Kind, choice, directive, number, text, unset, yes_no};
use crate::config::choices::{self, ProtectedAction, Supervised};
use crate::config::value::Value;
use crate::process::title;

pub(super) static ROWS: &[Directive] = &[
    yes_no("daemonize", false).immutable(),
    choice("supervised", Supervised::WORDS, Supervised::No as i64).immutable(),
    unset("pidfile").immutable(),
    directive("dir", Kind::Dir).protected().deny_loading().effect(Effect::Dir),
    number("databases", 1..=INT_MAX, 16).immutable(),
    // Redis starts with 1. Tidegate executes commands on every thread, so it takes the cores it is given.
    number("io-threads", 1..=128, 1).cores().debug().immutable(),
    yes_no("io-threads-do-reads", false).debug().immutable().inert(),
    unset("server_cpulist").immutable(),
    unset("bio_cpulist").immutable(),
    unset("aof_rewrite_cpulist").immutable(),
    unset("bgsave_cpulist").immutable(),
    number("hz", 0..=INT_MAX, 10).check(cap_hz).effect(Effect::Hz).hot(|hot, value| hot.hz.store(value)),
    yes_no("dynamic-hz", true).hot(|hot, value| hot.dynamic_hz.store(value)),
    yes_no("set-proc-title", true).immutable(),
    text("proc-title-template", title::DEFAULT_TEMPLATE).check(known_title).effect(Effect::ProcessTitle),
    yes_no("disable-thp", true).immutable(),
    choice("oom-score-adj", choices::OOM_SCORE_ADJ, 0).effect(Effect::OomScoreAdj),
    directive("oom-score-adj-values", Kind::OomScores).multi().effect(Effect::OomScoreAdj),
    choice("shutdown-on-sigint", choices::SHUTDOWN_ON_SIGNAL, 0).multi().check(one_kind_of_save),
    choice("shutdown-on-sigterm", choices::SHUTDOWN_ON_SIGNAL, 0).multi().check(one_kind_of_save),
    number("shutdown-timeout", 0..=INT_MAX, 10),
    choice("enable-protected-configs", ProtectedAction::WORDS, ProtectedAction::No as i64)
        .immutable()
        .hot(|hot, value| hot.enable_protected_configs.store(value)),
    choice("enable-debug-command", ProtectedAction::WORDS, ProtectedAction::No as i64)
        .immutable()
        .hot(|hot, value| hot.enable_debug_command.store(value)),
    choice("enable-module-command", ProtectedAction::WORDS, ProtectedAction::No as i64)
        .immutable()
        .hot(|hot, value| hot.enable_module_command.store(value)),
    // Tidegate's own: whether the commands that Redis does not have are registered. Hidden from patterns, because
    // tools set back whatever CONFIG GET * lists unless they know it to be immutable.
    yes_no("native-enabled", true).immutable().hidden(),
];

/// Rates out of range are a wish for the nearest one in range.
#[expect(clippy::unnecessary_wraps, reason = "checks have one signature")]
fn cap_hz(value: &mut Value) -> Result<(), String> {
    if let Value::Number(hz) = value {
        *hz = (*hz).clamp(1, 500);
    }
    Ok(())
}

fn known_title(value: &mut Value) -> Result<(), String> {
    match value {
        Value::Text(Some(template)) if !title::is_usable(template) => {
            Err("template format is invalid or contains unknown variables".to_owned())
        }
        _ => Ok(()),
    }
}

fn one_kind_of_save(value: &mut Value) -> Result<(), String> {
    let both = choices::SHUTDOWN_SAVE | choices::SHUTDOWN_NOSAVE;
    if value.bits() & both == both {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".to_owned());
    }
    Ok(())
}
