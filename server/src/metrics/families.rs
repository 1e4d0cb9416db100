//! The figures of `INFO` as metric families: names, types, labels.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;
use tidegate_data::{Quotas, Target};

/// What one answer is made of.
#[derive(Debug)]
pub(super) struct Figures {
    /// All sections of `INFO`.
    pub(super) info: String,
    /// What limits decided: policy, then allowed, denied, denied in the shadow.
    pub(super) limits: Vec<(String, [u64; 3])>,
    /// What databases and prefixes may take, and take.
    pub(super) quotas: Arc<Quotas>,
}

/// Fields of `INFO` that only grow, but for a restart or `CONFIG RESETSTAT`. All others may fall.
const COUNTERS: &[&str] = &[
    "total_connections_received",
    "total_commands_processed",
    "total_net_input_bytes",
    "total_net_output_bytes",
    "total_net_repl_input_bytes",
    "total_net_repl_output_bytes",
    "rejected_connections",
    "sync_full",
    "sync_partial_ok",
    "sync_partial_err",
    "expired_keys",
    "expired_time_cap_reached_count",
    "expire_cycle_cpu_milliseconds",
    "evicted_keys",
    "evicted_clients",
    "evicted_scripts",
    "total_eviction_exceeded_time",
    "keyspace_hits",
    "keyspace_misses",
    "notify_stream_lost",
    "total_forks",
    "active_defrag_hits",
    "active_defrag_misses",
    "active_defrag_key_hits",
    "active_defrag_key_misses",
    "total_active_defrag_time",
    "unexpected_error_replies",
    "total_error_replies",
    "dump_payload_sanitizations",
    "total_reads_processed",
    "total_writes_processed",
    "io_threaded_reads_processed",
    "io_threaded_writes_processed",
    "reply_buffer_shrinks",
    "reply_buffer_expands",
    "lazyfreed_objects",
    "used_cpu_sys",
    "used_cpu_user",
    "used_cpu_sys_children",
    "used_cpu_user_children",
    "used_cpu_sys_main_thread",
    "used_cpu_user_main_thread",
    "rdb_saves",
    "aof_delayed_fsync",
    "uptime_in_seconds",
];

/// Fields with a word instead of a number that are labels of `tidegate_build_info`.
const LABELS: &[&str] = &[
    "redis_version",
    "tidegate_version",
    "redis_mode",
    "role",
    "maxmemory_policy",
    "mem_allocator",
    "os",
    "run_id",
];

/// Samples of one family: labels and value.
type Samples = Vec<(Vec<(&'static str, String)>, f64)>;

/// A family that is put together from several fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Family {
    name: &'static str,
    help: &'static str,
    grows: bool,
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, help, grows: false }
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, help, grows: true }
}

const CALLS: Family = counter("tidegate_command_calls", "Calls by command");
const SECONDS: Family = counter("tidegate_command_duration_seconds", "Time spent in handlers by command");
const REJECTED: Family =
    counter("tidegate_command_rejected_calls", "Calls refused before they ran, by command");
const FAILED: Family = counter("tidegate_command_failed_calls", "Calls that ended with an error, by command");
const LATENCY: Family =
    gauge("tidegate_command_latency_seconds", "Percentiles of the time in handlers, by command");
const ERRORS: Family = counter("tidegate_errors", "Error replies by code");
const KEYS: Family = gauge("tidegate_db_keys", "Keys by database");
const EXPIRING: Family = gauge("tidegate_db_expiring_keys", "Keys with a deadline by database");
const AVERAGE_TTL: Family = gauge("tidegate_db_average_ttl_seconds", "Average time to live by database");
const BUILD: Family = gauge("tidegate_build_info", "What runs here");
const ALLOWED: Family =
    counter("native_rl_allowed", "Calls that a limit admitted, by policy; * is no policy");
const DENIED: Family = counter("native_rl_denied", "Calls that a limit refused, by policy");
const SHADOW: Family =
    counter("native_rl_shadow_denied", "Calls that a limit in the shadow would have refused");

const QUOTA_LIMIT: Family = gauge("tidegate_quota_limit_bytes", "Bytes that keys may take, by quota");
const QUOTA_BYTES: Family = gauge("tidegate_quota_used_bytes", "Bytes that keys take, by quota");
const QUOTA_KEYS: Family = gauge("tidegate_quota_keys", "Keys by quota");
const QUOTA_EVICTED: Family = counter("tidegate_quota_evicted_keys", "Keys evicted because of a quota");
const QUOTA_REFUSED: Family = counter("tidegate_quota_refused_calls", "Calls refused because of a quota");

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut families: BTreeMap<Family, Samples> = BTreeMap::new();
        let mut add = |family: Family, mut labels: Vec<(&'static str, String)>, value: f64| {
            for (_, text) in &mut labels {
                *text = escaped(text);
            }
            families.entry(family).or_default().push((labels, value));
        };
        let mut build = Vec::new();
        for (name, value) in self.info.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim_end();
            if let Some(label) = LABELS.iter().find(|label| **label == name) {
                build.push((*label, value.to_owned()));
            } else if let Some(command) = name.strip_prefix("cmdstat_") {
                for (part, figure) in parts(value) {
                    let (family, figure) = match part {
                        "calls" => (CALLS, figure),
                        "usec" => (SECONDS, figure / 1e6),
                        "rejected_calls" => (REJECTED, figure),
                        "failed_calls" => (FAILED, figure),
                        _ => continue,
                    };
                    add(family, vec![("cmd", command.to_owned())], figure);
                }
            } else if let Some(command) = name.strip_prefix("latency_percentiles_usec_") {
                for (percentile, us) in parts(value) {
                    let percent: f64 = percentile.trim_start_matches('p').parse().unwrap_or(0.0);
                    let labels =
                        vec![("cmd", command.to_owned()), ("quantile", (percent / 100.0).to_string())];
                    add(LATENCY, labels, us / 1e6);
                }
            } else if let Some(code) = name.strip_prefix("errorstat_") {
                for (_, count) in parts(value) {
                    add(ERRORS, vec![("code", code.to_owned())], count);
                }
            } else if let Some(db) = database(name) {
                for (part, figure) in parts(value) {
                    let (family, figure) = match part {
                        "keys" => (KEYS, figure),
                        "expires" => (EXPIRING, figure),
                        _ => (AVERAGE_TTL, figure / 1000.0),
                    };
                    add(family, vec![("db", db.to_owned())], figure);
                }
            } else if let Some(figure) = number(value) {
                let grows = COUNTERS.contains(&name);
                write(
                    &mut encoder,
                    &format!("tidegate_{name}"),
                    &format!("{name} of INFO"),
                    grows,
                    &[(vec![], figure)],
                )?;
            }
        }
        add(BUILD, build, 1.0);
        for (policy, figures) in &self.limits {
            for (family, figure) in [ALLOWED, DENIED, SHADOW].into_iter().zip(figures) {
                add(family, vec![("policy", policy.clone())], *figure as f64);
            }
        }
        for quota in self.quotas.all() {
            let tally = &quota.tally;
            let figures = [
                (QUOTA_LIMIT, quota.limit),
                (QUOTA_BYTES, tally.bytes()),
                (QUOTA_KEYS, tally.keys()),
                (QUOTA_EVICTED, tally.evicted()),
                (QUOTA_REFUSED, tally.refused()),
            ];
            let label = if matches!(quota.target, Target::Database(_)) { "db" } else { "prefix" };
            for (family, figure) in figures {
                let name = String::from_utf8_lossy(&quota.target.name()).into_owned();
                add(family, vec![(label, name)], figure as f64);
            }
        }
        for (family, samples) in &families {
            write(&mut encoder, family.name, family.help, family.grows, samples)?;
        }
        Ok(())
    }
}

fn write(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    grows: bool,
    samples: &[(Vec<(&'static str, String)>, f64)],
) -> Result<(), Error> {
    let kind = if grows { MetricType::Counter } else { MetricType::Gauge };
    // A counter's samples get this ending from the encoder.
    let name = if grows { name.strip_suffix("_total").unwrap_or(name) } else { name };
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in samples {
        if labels.is_empty() {
            sample(&mut family, grows, *value)?;
        } else {
            sample(&mut family.encode_family(labels)?, grows, *value)?;
        }
    }
    Ok(())
}

fn sample(encoder: &mut MetricEncoder<'_>, grows: bool, value: f64) -> Result<(), Error> {
    if grows {
        encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)
    } else {
        encoder.encode_gauge(&value)
    }
}

/// The numbers of `name=number,name=number`.
fn parts(value: &str) -> impl Iterator<Item = (&str, f64)> {
    let pairs = value.split(',').filter_map(|part| part.split_once('='));
    pairs.filter_map(|(name, value)| Some((name, value.parse().ok()?)))
}

/// A label as it stands between quotes, which the encoder leaves to its caller. Scripts name error codes as they like.
fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The digits of `db0`.
fn database(name: &str) -> Option<&str> {
    name.strip_prefix("db").filter(|db| !db.is_empty() && db.bytes().all(|digit| digit.is_ascii_digit()))
}

/// What a field says as a number: percentages as such, `ok` and `err` as 1 and 0.
fn number(value: &str) -> Option<f64> {
    match value {
        "ok" => Some(1.0),
        "err" => Some(0.0),
        value => {
            value.strip_suffix('%').unwrap_or(value).parse().ok().filter(|number: &f64| number.is_finite())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    fn text(info: &str) -> String {
        let mut registry = Registry::default();
        let limits = vec![("api".to_owned(), [3, 2, 1])];
        let quotas = Arc::default();
        registry.register_collector(Box::new(Figures { info: info.to_owned(), limits, quotas }));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn fields_become_families() {
        let text = text(
            "# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:9\r\n\r\n# Stats\r\nexpired_keys:4\r\n\
             total_net_input_bytes:7\r\nrdb_last_bgsave_status:ok\r\nused_memory_peak_perc:12.50%\r\n\
             cmdstat_get:calls=2,usec=3000000,usec_per_call=1.50,rejected_calls=1,failed_calls=0\r\n\
             latency_percentiles_usec_get:p50=1.000,p99.9=2000.000\r\nerrorstat_ERR:count=5\r\n\
             db0:keys=1,expires=2,avg_ttl=1500\r\nexecutable:/x\r\n",
        );
        for line in [
            "# TYPE tidegate_expired_keys counter",
            "tidegate_expired_keys_total 4.0",
            "tidegate_total_net_input_bytes_total 7.0",
            "# TYPE tidegate_rdb_last_bgsave_status gauge",
            "tidegate_rdb_last_bgsave_status 1.0",
            "tidegate_used_memory_peak_perc 12.5",
            "tidegate_command_calls_total{cmd=\"get\"} 2.0",
            "tidegate_command_duration_seconds_total{cmd=\"get\"} 3.0",
            "tidegate_command_rejected_calls_total{cmd=\"get\"} 1.0",
            "tidegate_command_latency_seconds{cmd=\"get\",quantile=\"0.5\"} 0.000001",
            "tidegate_command_latency_seconds{cmd=\"get\",quantile=\"0.9990000000000001\"} 0.002",
            "tidegate_errors_total{code=\"ERR\"} 5.0",
            "tidegate_db_keys{db=\"0\"} 1.0",
            "tidegate_db_average_ttl_seconds{db=\"0\"} 1.5",
            "tidegate_build_info{redis_version=\"7.0.15\"} 1.0",
            "native_rl_allowed_total{policy=\"api\"} 3.0",
            "native_rl_shadow_denied_total{policy=\"api\"} 1.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("executable"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn labels_are_escaped() {
        let text = text("errorstat_A\"\\B:count=1\r\n");
        assert!(text.contains("code=\"A\\\"\\\\B\""), "{text}");
    }
}
