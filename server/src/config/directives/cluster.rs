//! Being a node of a cluster.

use super::{Directive, Effect, INT_MAX, LONG_MAX, ULONG_MAX, choice, number, text, unset, yes_no};
use crate::config::choices::ClusterEndpoint;
use crate::config::value::Value;

pub(super) static ROWS: &[Directive] = &[
    yes_no("cluster-enabled", false).immutable().hot(|hot, value| hot.cluster_enabled.store(value)),
    text("cluster-config-file", "nodes.conf").immutable(),
    number("cluster-node-timeout", 0..=LONG_MAX, 15_000),
    number("cluster-port", 0..=65535, 0).immutable(),
    number("cluster-replica-validity-factor", 0..=INT_MAX, 10).alias("cluster-slave-validity-factor"),
    number("cluster-migration-barrier", 0..=INT_MAX, 1),
    yes_no("cluster-allow-replica-migration", true),
    yes_no("cluster-require-full-coverage", true)
        .hot(|hot, value| hot.cluster_require_full_coverage.store(value)),
    yes_no("cluster-replica-no-failover", false)
        .alias("cluster-slave-no-failover")
        .effect(Effect::ClusterFlags),
    yes_no("cluster-allow-reads-when-down", false)
        .hot(|hot, value| hot.cluster_allow_reads_when_down.store(value)),
    yes_no("cluster-allow-pubsubshard-when-down", true)
        .hot(|hot, value| hot.cluster_allow_pubsubshard_when_down.store(value)),
    number("cluster-link-sendbuf-limit", 0..=ULONG_MAX, 0).unsigned().bytes(),
    unset("cluster-announce-ip").effect(Effect::ClusterIp),
    unset("cluster-announce-hostname").check(hostname).effect(Effect::ClusterHostname),
    number("cluster-announce-port", 0..=65535, 0).effect(Effect::ClusterPorts),
    number("cluster-announce-tls-port", 0..=65535, 0).effect(Effect::ClusterPorts),
    number("cluster-announce-bus-port", 0..=65535, 0).effect(Effect::ClusterPorts),
    choice("cluster-preferred-endpoint-type", ClusterEndpoint::WORDS, ClusterEndpoint::Ip as i64),
];

fn hostname(value: &mut Value) -> Result<(), String> {
    let Value::Text(Some(name)) = value else { return Ok(()) };
    if name.len() >= 256 {
        return Err("Hostnames must be less than 256 characters".to_owned());
    }
    if !name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')) {
        return Err("Hostnames may only contain alphanumeric characters, hyphens or dots".to_owned());
    }
    Ok(())
}
