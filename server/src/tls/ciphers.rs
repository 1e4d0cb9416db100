//! Which ciphers are offered: OpenSSL's words for them, as far as they mean ciphers that rustls has.

use super::settings::Failure;
use rustls::crypto::ring::cipher_suite as suites;
use rustls::{ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};

/// A cipher of TLS 1.2: OpenSSL's name for it, and the words that mean it among others.
struct Cipher {
    name: &'static str,
    words: &'static [&'static str],
    suite: SupportedCipherSuite,
}

/// What every one of them has in common.
const COMMON: [&str; 9] =
    ["ALL", "DEFAULT", "HIGH", "ECDHE", "EECDH", "kECDHE", "kEECDH", "TLSv1.2", "COMPLEMENTOFALL"];

/// Best first, which is the order in which they are preferred.
static TLS12: [Cipher; 6] = [
    Cipher {
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        words: &["aECDSA", "ECDSA", "AES", "AES256", "AESGCM", "SHA384"],
        suite: suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    },
    Cipher {
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        words: &["aRSA", "AES", "AES256", "AESGCM", "SHA384"],
        suite: suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    },
    Cipher {
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        words: &["aECDSA", "ECDSA", "CHACHA20", "SHA256"],
        suite: suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    },
    Cipher {
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        words: &["aRSA", "CHACHA20", "SHA256"],
        suite: suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    },
    Cipher {
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        words: &["aECDSA", "ECDSA", "AES", "AES128", "AESGCM", "SHA256"],
        suite: suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    },
    Cipher {
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        words: &["aRSA", "AES", "AES128", "AESGCM", "SHA256"],
        suite: suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    },
];

static TLS13: [(&str, SupportedCipherSuite); 3] = [
    ("TLS_AES_256_GCM_SHA384", suites::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", suites::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", suites::TLS13_AES_128_GCM_SHA256),
];

impl Cipher {
    /// True when a word of OpenSSL's list, or several with `+` between them, means it.
    fn is_meant(&self, word: &str) -> bool {
        word.split('+').all(|part| part == self.name || COMMON.contains(&part) || self.words.contains(&part))
    }
}

/// What `tls-ciphers` (for TLS 1.2) and `tls-ciphersuites` (for TLS 1.3) leave of the versions, best first.
pub(super) fn offered(
    versions: &[&'static SupportedProtocolVersion],
    tls12: Option<&str>,
    tls13: Option<&str>,
) -> Result<Vec<SupportedCipherSuite>, Failure> {
    let has = |version| versions.iter().any(|offered| offered.version == version);
    let mut offered = Vec::new();
    if has(ProtocolVersion::TLSv1_3) {
        let names = tls13.map(|names| names.split(':').map(str::trim).collect::<Vec<_>>());
        let wanted: Vec<_> = match &names {
            None => TLS13.iter().map(|(_, suite)| *suite).collect(),
            Some(names) => names
                .iter()
                .filter_map(|name| TLS13.iter().find(|(known, _)| known == name))
                .map(|(_, suite)| *suite)
                .collect(),
        };
        if wanted.is_empty() {
            return Err(Failure::new(
                "Failed to configure ciphersuites: none of tls-ciphersuites is offered",
            ));
        }
        offered.extend(wanted);
    }
    if has(ProtocolVersion::TLSv1_2) {
        let wanted = of_list(tls12.unwrap_or("DEFAULT"));
        if wanted.is_empty() {
            return Err(Failure::new("Failed to configure ciphers: none of tls-ciphers is offered"));
        }
        offered.extend(wanted.iter().map(|index| TLS12[*index].suite));
    }
    Ok(offered)
}

/// The ciphers that a list of OpenSSL's form means: words add ciphers, `-` takes them out, `!` for good, `+` moves them to the end.
fn of_list(list: &str) -> Vec<usize> {
    let (mut wanted, mut banned) = (Vec::new(), Vec::new());
    for word in list.split([':', ',', ' ']).filter(|word| !word.is_empty() && !word.starts_with('@')) {
        let (sign, word) = match word.as_bytes()[0] {
            sign @ (b'!' | b'-' | b'+') => (sign, &word[1..]),
            _ => (0, word),
        };
        let meant: Vec<usize> = (0..TLS12.len()).filter(|index| TLS12[*index].is_meant(word)).collect();
        match sign {
            b'!' => banned.extend(meant),
            b'-' => wanted.retain(|index| !meant.contains(index)),
            b'+' => {
                let moved: Vec<usize> =
                    wanted.iter().copied().filter(|index| meant.contains(index)).collect();
                wanted.retain(|index| !meant.contains(index));
                wanted.extend(moved);
            }
            _ => {
                let added: Vec<usize> = meant.into_iter().filter(|index| !wanted.contains(index)).collect();
                wanted.extend(added);
            }
        }
    }
    wanted.retain(|index| !banned.contains(index));
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<&'static str> {
        of_list(list).into_iter().map(|index| TLS12[index].name).collect()
    }

    #[test]
    fn lists_mean_what_they_mean_to_openssl() {
        assert_eq!(names("DEFAULT").len(), 6);
        assert_eq!(
            names("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"),
            ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"]
        );
        assert_eq!(names("ECDHE+AESGCM:!aECDSA:!SHA256"), ["ECDHE-RSA-AES256-GCM-SHA384"]);
        assert_eq!(names("CHACHA20:-aRSA"), ["ECDHE-ECDSA-CHACHA20-POLY1305"]);
        assert_eq!(names("!AES:DEFAULT:@STRENGTH").len(), 2);
        assert_eq!(names("AES128-SHA256 RC4-SHA nonsense"), [""; 0]);
        assert_eq!(names("AES256,CHACHA20:+AES256").last(), Some(&"ECDHE-RSA-AES256-GCM-SHA384"));
    }
}
