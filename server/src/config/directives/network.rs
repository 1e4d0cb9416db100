//! Addresses, sockets and what one connection may use.

use super::{
    Directive, Effect, GIB, INT_MAX, Kind, LONG_MAX, MIB, UINT_MAX, Unit, directive, number, unset, yes_no,
};

pub(super) static ROWS: &[Directive] = &[
    // The default is that of the redis.conf Redis is shipped with: whoever starts a server without a file must not
    // offer it to the network. With a file it is the one compiled into Redis, `* -::*`.
    directive("bind", Kind::Bind).multi().effect(Effect::Bind),
    unset("bind-source-addr"),
    yes_no("protected-mode", true).hot(|hot, value| hot.protected_mode.store(value)),
    number("port", 0..=65535, 6379).effect(Effect::Port),
    number("tcp-backlog", 0..=INT_MAX, 511).immutable(),
    unset("unixsocket").immutable(),
    number("unixsocketperm", 0..=0o777, 0).unsigned().unit(Unit::Octal).immutable(),
    number("timeout", 0..=INT_MAX, 0).hot(|hot, value| hot.timeout.store(value)),
    number("tcp-keepalive", 0..=INT_MAX, 300).hot(|hot, value| hot.tcp_keepalive.store(value)),
    number("socket-mark-id", 0..=UINT_MAX, 0).unsigned().immutable(),
    number("maxclients", 1..=UINT_MAX, 10000)
        .unsigned()
        .effect(Effect::MaxClients)
        .hot(|hot, value| hot.maxclients.store(value)),
    number("proto-max-bulk-len", MIB as i128..=LONG_MAX, 512 * MIB)
        .bytes()
        .debug()
        .hot(|hot, value| hot.proto_max_bulk_len.store(value)),
    number("client-query-buffer-limit", MIB as i128..=LONG_MAX, GIB)
        .unsigned()
        .bytes()
        .debug()
        .hot(|hot, value| hot.client_query_buffer_limit.store(value)),
    directive("client-output-buffer-limit", Kind::OutputLimits)
        .multi()
        .hot(|hot, value| hot.output_limits.store(value)),
    number("maxmemory-clients", -100..=LONG_MAX, 0)
        .unit(Unit::MemoryOrPercent)
        .effect(Effect::ClientMemory)
        .hot(|hot, value| hot.maxmemory_clients.store(value)),
    number("tracking-table-max-keys", 0..=LONG_MAX, 1_000_000)
        .unsigned()
        .hot(|hot, value| hot.tracking_table_max_keys.store(value)),
    unset("requirepass").sensitive().effect(Effect::Password).hot(|hot, value| hot.requirepass.store(value)),
    super::text("aclfile", "").immutable(),
    super::choice(
        "acl-pubsub-default",
        crate::config::choices::AclPubsubDefault::WORDS,
        crate::config::choices::AclPubsubDefault::ResetChannels as i64,
    ),
    // Tidegate's own: who guesses passwords waits for the answers, and who does not say who it is has to go.
    number("auth-failure-burst", 1..=60_000, 100)
        .unsigned()
        .hot(|hot, value| hot.auth_failure_burst.store(value)),
    number("auth-failure-delay", 0..=60_000, 1000).hot(|hot, value| hot.auth_failure_delay.store(value)),
    number("preauth-timeout", 0..=86_400, 10).unsigned().hot(|hot, value| hot.preauth_timeout.store(value)),
    number("acllog-max-len", 0..=LONG_MAX, 128).hot(|hot, value| hot.acllog_max_len.store(value)),
];
