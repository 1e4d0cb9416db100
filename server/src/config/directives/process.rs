//! The process: where it runs, on which cores, under whom, and who may do dangerous things to it.

use super::{Directive, Effect, INT_MAX, Kind, LONG_MAX, choice, directive, number, text, unset, yes_no};
use crate::config::choices::{self, ProtectedAction, Supervised};
use crate::config::value::Value;
use crate::process::title;
use tidegate_commands::families::ids::EPOCH_DEFAULT_MS;

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
    yes_no("native-enabled", true).hidden().effect(Effect::Native),
    number("native-soft-flush-ms", 0..=60_000, 100)
        .hidden()
        .hot(|hot, value| hot.native_soft_flush_ms.store(value)),
    number("rl-log-max-entries", 1..=1_000_000, 10_000)
        .hidden()
        .hot(|hot, value| hot.rl_log_max_entries.store(value)),
    number("idem-max-response", 0..=536_870_912, 1_048_576)
        .hidden()
        .bytes()
        .hot(|hot, value| hot.idem_max_response.store(value)),
    // What snowflakes say of the server that made them, and from when on they count.
    text("id-node", "auto").hidden().check(known_node).effect(Effect::IdNode),
    number("id-epoch", 0..=LONG_MAX, EPOCH_DEFAULT_MS).immutable().hidden(),
    // Tests begin at a moment of their choice.
    number("debug-clock-freeze", 0..=LONG_MAX, 0).immutable().hidden(),
    number("clock-max-regression-ms", 0..=INT_MAX, 86_400_000).immutable().hidden(),
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

fn known_node(value: &mut Value) -> Result<(), String> {
    let node = match value {
        Value::Text(Some(node)) => std::str::from_utf8(node).unwrap_or(""),
        _ => "",
    };
    let is_node = node == "auto" || node.parse::<u16>().is_ok_and(|node| node < 1024);
    if is_node { Ok(()) } else { Err("argument must be 'auto' or between 0 and 1023 inclusive".to_owned()) }
}

fn one_kind_of_save(value: &mut Value) -> Result<(), String> {
    let both = choices::SHUTDOWN_SAVE | choices::SHUTDOWN_NOSAVE;
    if value.bits() & both == both {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".to_owned());
    }
    Ok(())
}
