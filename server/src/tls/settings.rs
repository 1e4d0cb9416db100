//! From directives to what connections are accepted with.

use super::identity::Field;
use super::sessions::Sessions;
use super::{Acceptor, ciphers, files};
use crate::config::Config;
use crate::config::choices::{TlsAuthClients, TlsAuthClientsUser};
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use std::fmt;
use std::sync::Arc;

/// Why TLS is not as it was asked for; in the log.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Failure(reason.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// One certificate for whatever name a client asks for.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Reads everything that the configuration names.
pub(super) fn acceptor(config: &Config) -> Result<Acceptor, Failure> {
    let Some(certificate) = config.path("tls-cert-file") else {
        return Err(Failure::new("No tls-cert-file configured!"));
    };
    let Some(key) = config.path("tls-key-file") else {
        return Err(Failure::new("No tls-key-file configured!"));
    };
    let asks = config.choice("tls-auth-clients");
    let (file, dir) = (config.path("tls-ca-cert-file"), config.path("tls-ca-cert-dir"));
    let verifies =
        asks != TlsAuthClients::No as i64 || config.flag("tls-cluster") || config.flag("tls-replication");
    if verifies && file.is_none() && dir.is_none() {
        return Err(Failure::new(
            "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or \
             tls-auth-clients are enabled!",
        ));
    }
    let versions = versions(&text(config, "tls-protocols")?.unwrap_or_default())?;
    let suites = ciphers::offered(
        &versions,
        text(config, "tls-ciphers")?.as_deref(),
        text(config, "tls-ciphersuites")?.as_deref(),
    )?;
    let provider = Arc::new(CryptoProvider { cipher_suites: suites, ..ring::default_provider() });
    let certified =
        files::certified(&provider, &certificate, &key, config.text("tls-key-file-pass").as_deref())?;
    // Nothing is connected to yet, but what would be shown there has to be right.
    if let (Some(certificate), Some(key)) =
        (config.path("tls-client-cert-file"), config.path("tls-client-key-file"))
    {
        let password = config.text("tls-client-key-file-pass");
        files::certified(&provider, &certificate, &key, password.as_deref())?;
    }
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions);
    let builder = builder.map_err(|error| Failure::new(format!("Failed to configure TLS: {error}")))?;
    let builder = if asks == TlsAuthClients::No as i64 {
        builder.with_no_client_auth()
    } else {
        let roots = Arc::new(files::authorities(file.as_deref(), dir.as_deref())?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
        let verifier =
            if asks == TlsAuthClients::Optional as i64 { verifier.allow_unauthenticated() } else { verifier };
        let verifier = verifier.build();
        builder.with_client_cert_verifier(
            verifier
                .map_err(|error| Failure::new(format!("Failed to configure CA certificate(s): {error}")))?,
        )
    };
    let mut tls = builder.with_cert_resolver(Arc::new(Always(Arc::new(certified))));
    tls.ignore_client_order = config.flag("tls-prefer-server-ciphers");
    if config.flag("tls-session-caching") {
        let size = config.number("tls-session-cache-size") as usize;
        let seconds = config.number("tls-session-cache-timeout") as u64;
        tls.session_storage = Arc::new(Sessions::new(size, seconds));
    } else {
        tls.session_storage = Arc::new(NoServerSessionStorage {});
        tls.send_tls13_tickets = 0;
    }
    let identity = match config.choice("tls-auth-clients-user") {
        field if field == TlsAuthClientsUser::CommonName as i64 => Field::CommonName,
        field if field == TlsAuthClientsUser::Uri as i64 => Field::Uri,
        _ => Field::Off,
    };
    Ok(Acceptor { config: Arc::new(tls), identity })
}

fn text(config: &Config, name: &str) -> Result<Option<String>, Failure> {
    let text = config.text(name).map(String::from_utf8).transpose();
    text.map_err(|_| Failure::new(format!("{name} is no text")))
}

/// What `tls-protocols` names; both where it is empty. Versions before 1.2 are broken, and not offered.
fn versions(protocols: &str) -> Result<Vec<&'static SupportedProtocolVersion>, Failure> {
    let mut versions = Vec::new();
    let mut is_any = false;
    for word in protocols.split_whitespace() {
        is_any = true;
        match word.to_ascii_lowercase().as_str() {
            "tlsv1.2" => versions.push(&version::TLS12),
            "tlsv1.3" => versions.push(&version::TLS13),
            "tlsv1" | "tlsv1.1" => tracing::warn!("tls-protocols: {word} is not offered: it is not safe"),
            _ => {
                return Err(Failure::new(
                    "Invalid tls-protocols specified. Use a combination of 'TLSv1.2' and 'TLSv1.3'.",
                ));
            }
        }
    }
    match (is_any, versions.is_empty()) {
        (false, _) => Ok(vec![&version::TLS13, &version::TLS12]),
        (true, true) => {
            Err(Failure::new("tls-protocols names no version that is offered: TLSv1.2 and TLSv1.3 are"))
        }
        _ => Ok(versions),
    }
}
