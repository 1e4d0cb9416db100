//! Encrypted connections.

use super::{Directive, Effect, INT_MAX, KIB, choice, number, unset, yes_no};
use crate::config::choices::{TlsAuthClients, TlsAuthClientsUser};

pub(super) static ROWS: &[Directive] = &[
    number("tls-port", 0..=65535, 0).effect(Effect::TlsPort),
    unset("tls-cert-file").volatile().effect(Effect::Tls),
    unset("tls-key-file").volatile().effect(Effect::Tls),
    unset("tls-key-file-pass").sensitive().effect(Effect::Tls),
    unset("tls-client-cert-file").volatile().effect(Effect::Tls),
    unset("tls-client-key-file").volatile().effect(Effect::Tls),
    unset("tls-client-key-file-pass").sensitive().effect(Effect::Tls),
    unset("tls-dh-params-file").volatile().effect(Effect::Tls),
    unset("tls-ca-cert-file").volatile().effect(Effect::Tls),
    unset("tls-ca-cert-dir").volatile().effect(Effect::Tls),
    choice("tls-auth-clients", TlsAuthClients::WORDS, TlsAuthClients::Yes as i64).effect(Effect::Tls),
    choice("tls-auth-clients-user", TlsAuthClientsUser::WORDS, TlsAuthClientsUser::Off as i64)
        .effect(Effect::Tls),
    yes_no("tls-replication", false).effect(Effect::Tls),
    yes_no("tls-cluster", false).effect(Effect::Tls),
    unset("tls-protocols").effect(Effect::Tls),
    unset("tls-ciphers").effect(Effect::Tls),
    unset("tls-ciphersuites").effect(Effect::Tls),
    yes_no("tls-prefer-server-ciphers", false).effect(Effect::Tls),
    yes_no("tls-session-caching", true).effect(Effect::Tls),
    number("tls-session-cache-size", 0..=INT_MAX, 20 * KIB).effect(Effect::Tls),
    number("tls-session-cache-timeout", 0..=INT_MAX, 300).effect(Effect::Tls),
];
