//! Who a client's certificate says it is.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// What of a certificate names the ACL user of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// Nothing: connections begin as the default user.
    Off,
    /// The common name of its subject.
    CommonName,
    /// The names of the form of a URI; the first that is a user's.
    Uri,
}

/// The names that a certificate has in this field. None that holds a control character: what comes before a NUL, or what a
/// terminal shows, may look like another user's.
pub(super) fn names(certificate: &CertificateDer<'_>, field: Field) -> Vec<Vec<u8>> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let names: Vec<&str> = match field {
        Field::Off => Vec::new(),
        Field::CommonName => {
            // The last is the most specific; a second one would be somebody's guess.
            let mut names = parsed.subject().iter_common_name();
            match (names.next(), names.next()) {
                (Some(name), None) => name.as_str().into_iter().collect(),
                _ => Vec::new(),
            }
        }
        Field::Uri => parsed.subject_alternative_name().ok().flatten().map_or_else(Vec::new, |names| {
            let uris = names.value.general_names.iter().filter_map(|name| match name {
                GeneralName::URI(uri) => Some(*uri),
                _ => None,
            });
            uris.collect()
        }),
    };
    let is_plain = |name: &&str| !name.is_empty() && !name.chars().any(char::is_control);
    names.into_iter().filter(is_plain).map(|name| name.as_bytes().to_vec()).collect()
}
