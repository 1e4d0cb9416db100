//! Certificates and keys in files.

use super::settings::Failure;
use pkcs8::EncryptedPrivateKeyInfo;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Larger files are no certificates or keys.
const SIZE_MAX: u64 = 16 << 20;

fn read(path: &Path, what: &str) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let failed = |error: std::io::Error| Failure::new(format!("Failed to load {what}: {shown}: {error}"));
    // Others have no end, or wait for somebody.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Failure::new(format!("Failed to load {what}: {shown}: not a file")));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(Failure::new(format!("Failed to load {what}: {shown}: file too large")));
    }
    Ok(bytes)
}

/// The certificates of a file, that of the server first.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let failed =
        |reason: String| Failure::new(format!("Failed to load certificate: {}: {reason}", path.display()));
    let bytes = read(path, "certificate")?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(failed("no certificate in it".to_owned())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// A certificate and its key, which belong together.
pub(super) fn certified(
    provider: &CryptoProvider,
    certificate: &Path,
    key_file: &Path,
    password: Option<&[u8]>,
) -> Result<CertifiedKey, Failure> {
    let chain = chain(certificate)?;
    let (shown, key_shown) = (certificate.display(), key_file.display());
    let signer = provider.key_provider.load_private_key(key(key_file, password)?);
    let signer =
        signer.map_err(|error| Failure::new(format!("Failed to load private key: {key_shown}: {error}")))?;
    // Looked at by hand, since rustls refuses to look into certificates of version 1, which may well be shown.
    match X509Certificate::from_der(&chain[0]) {
        Err(error) => Err(Failure::new(format!("Failed to load certificate: {shown}: {error}"))),
        Ok((_, parsed)) if signer.public_key().is_some_and(|own| *own != *parsed.public_key().raw) => {
            let reason = "it does not belong to the certificate";
            Err(Failure::new(format!("Failed to load private key: {key_shown}: {reason}")))
        }
        Ok(_) => Ok(CertifiedKey::new(chain, signer)),
    }
}

/// The private key of a file, which may be encrypted with `password`.
pub(super) fn key(path: &Path, password: Option<&[u8]>) -> Result<PrivateKeyDer<'static>, Failure> {
    let failed =
        |reason: String| Failure::new(format!("Failed to load private key: {}: {reason}", path.display()));
    let bytes = read(path, "private key")?;
    // Not among the kinds that are read by name, so it is looked for first.
    let text = String::from_utf8_lossy(&bytes);
    if let Some(encrypted) = section(&text, "ENCRYPTED PRIVATE KEY") {
        let Some(password) = password else {
            return Err(failed("it is encrypted, and tls-key-file-pass is not set".to_owned()));
        };
        let (_, document) =
            pkcs8::SecretDocument::from_pem(encrypted).map_err(|error| failed(error.to_string()))?;
        let info = EncryptedPrivateKeyInfo::try_from(document.as_bytes());
        let info = info.map_err(|error| failed(error.to_string()))?;
        let plain = info.decrypt(password);
        let plain = plain.map_err(|_| {
            failed("tls-key-file-pass does not fit, or its encryption is not supported".to_owned())
        })?;
        return Ok(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec()).into());
    }
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(failed(
            "encrypted in the form of old: convert it with `openssl pkcs8 -topk8`".to_owned(),
        ));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| failed(error.to_string()))
}

/// The first section of this kind, wherever it is: certificates, or the names of things, may be around it.
fn section<'t>(text: &'t str, kind: &str) -> Option<&'t str> {
    let end = format!("-----END {kind}-----");
    let section = &text[text.find(&format!("-----BEGIN {kind}-----"))?..];
    Some(section.find(&end).map_or(section, |at| &section[..at + end.len()]))
}

/// The authorities that certificates of clients may come from.
pub(super) fn authorities(file: Option<&Path>, dir: Option<&Path>) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        for certificate in chain(file)? {
            let failed =
                |error| Failure::new(format!("Failed to load CA certificate: {}: {error}", file.display()));
            roots.add(certificate).map_err(failed)?;
        }
    }
    if let Some(dir) = dir {
        let failed =
            |error| Failure::new(format!("Failed to load CA certificates: {}: {error}", dir.display()));
        for entry in fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            // Such directories hold links to the same files, and others that are none of ours.
            let Ok(bytes) = read(&path, "CA certificate") else { continue };
            let certificates = pem::PemObject::pem_slice_iter(&bytes);
            for (kind, der) in certificates.flatten() {
                if matches!(kind, SectionKind::Certificate) {
                    let _ = roots.add(CertificateDer::from(der));
                }
            }
        }
    }
    Ok(roots)
}
