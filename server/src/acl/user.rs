//! A user: who may log in as one, and what it may do then. A user never changes; whoever changes its rules puts another
//! in its place.

use super::catalog::Catalog;
use super::selector::{Access, Selector};
use super::{RuleError, until_zero};
use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::ConstantTimeEq as _;
use tidegate_persistence::quote::split_args;

/// The SHA-256 of a password. It is shown where Redis shows it, and nowhere else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PasswordHash([u8; 32]);

impl PasswordHash {
    /// That of a password in clear.
    pub fn of(password: &[u8]) -> Self {
        PasswordHash(Sha256::digest(password).into())
    }

    /// From 64 hexadecimal digits, lower case.
    fn parse(text: &[u8]) -> Result<Self, RuleError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, []) = text.as_chunks::<2>() else { return Err(RuleError::BadHash) };
        let bytes: Option<Vec<u8>> =
            pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
        let hash = bytes.and_then(|bytes| bytes.try_into().ok());
        hash.map(PasswordHash).ok_or(RuleError::BadHash)
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("(redacted)")
    }
}

/// Whether values that `RESTORE` brings are checked, in the words of Redis. They always are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sanitize {
    Unsaid,
    Skip,
    Yes,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    name: Box<[u8]>,
    /// Tells it from users of the same name before and after.
    serial: u64,
    enabled: bool,
    nopass: bool,
    sanitize: Sanitize,
    passwords: Vec<PasswordHash>,
    /// The first is the user's own.
    selectors: Vec<Selector>,
}

impl User {
    /// One that may do nothing, and nobody may log in as.
    pub fn new(name: &[u8], all_channels: bool) -> Self {
        User {
            name: name.into(),
            serial: 0,
            enabled: false,
            nopass: false,
            sanitize: Sanitize::Unsaid,
            passwords: Vec::new(),
            selectors: vec![Selector::new(all_channels)],
        }
    }

    /// The user of a connection that did not say who it is, as long as nobody has changed it: it may do everything.
    pub fn default_user(catalog: &Catalog) -> Self {
        let mut user = User::new(super::DEFAULT_USER, false);
        for rule in ["+@all", "~*", "&*", "on", "nopass"] {
            user.apply(catalog, rule.as_bytes(), false).expect("a rule that is always right");
        }
        user
    }

    /// The same with this number.
    #[must_use]
    pub fn numbered(self, serial: u64) -> Self {
        User { serial, ..self }
    }

    /// Tells it from users of the same name before and after; that of the default user is 0 for ever.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// One may log in as it.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Any password opens it.
    pub fn needs_no_password(&self) -> bool {
        self.nopass
    }

    /// What it may do: its own rules and those of further selectors. Any of them is enough.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// True when a key of a database may be used so, by whatever command.
    pub fn may_use(&self, db: u32, key: &[u8], access: Access) -> bool {
        self.selectors().iter().any(|rules| rules.allows_db(db) && rules.allows_key(key, access))
    }

    /// Its passwords.
    pub fn passwords(&self) -> &[PasswordHash] {
        &self.passwords
    }

    /// Its flags in the order of Redis.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.enabled, "on"),
            (!self.enabled, "off"),
            (self.nopass, "nopass"),
            (self.sanitize == Sanitize::Skip, "skip-sanitize-payload"),
            (self.sanitize == Sanitize::Yes, "sanitize-payload"),
        ];
        all.into_iter().filter(|(has, _)| *has).map(|(_, name)| name)
    }

    /// True when it may do everything.
    pub fn is_unlimited(&self) -> bool {
        self.selectors.iter().any(Selector::is_unlimited)
    }

    /// True when one may log in with this password. It takes as long whatever is wrong, and compares with all passwords.
    pub fn opens_with(&self, password: &[u8]) -> bool {
        let given = PasswordHash::of(password);
        let matches = self.passwords.iter().map(|known| known.0.ct_eq(&given.0));
        let any = matches.fold(subtle::Choice::from(0), |any, this| any | this);
        self.enabled && (self.nopass || any.into())
    }

    /// Changes it by one rule. `all_channels` is what `acl-pubsub-default` says.
    pub fn apply(&mut self, catalog: &Catalog, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
        let word = until_zero(rule);
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match rule {
            [] => {}
            _ if is("on") => self.enabled = true,
            _ if is("off") => self.enabled = false,
            _ if is("skip-sanitize-payload") => self.sanitize = Sanitize::Skip,
            _ if is("sanitize-payload") => self.sanitize = Sanitize::Yes,
            _ if is("nopass") => {
                self.nopass = true;
                self.passwords.clear();
            }
            _ if is("resetpass") => {
                self.nopass = false;
                self.passwords.clear();
            }
            [b'>', password @ ..] => self.add_password(PasswordHash::of(password)),
            [b'#', hash @ ..] => self.add_password(PasswordHash::parse(hash)?),
            [b'<', password @ ..] => self.remove_password(PasswordHash::of(password))?,
            [b'!', hash @ ..] => self.remove_password(PasswordHash::parse(hash)?)?,
            [b'(', rules @ .., b')'] => {
                let mut selector = Selector::new(all_channels);
                for rule in split_args(until_zero(rules)).unwrap_or_default() {
                    selector.apply(catalog, &rule)?;
                }
                self.selectors.push(selector);
            }
            _ if is("clearselectors") => self.selectors.truncate(1),
            _ if is("reset") => {
                let fresh = User::new(&self.name, all_channels).numbered(self.serial);
                *self = User { sanitize: Sanitize::Yes, ..fresh };
            }
            _ => self.selectors[0].apply(catalog, rule)?,
        }
        Ok(())
    }

    fn add_password(&mut self, password: PasswordHash) {
        self.nopass = false;
        if !self.passwords.contains(&password) {
            self.passwords.push(password);
        }
    }

    fn remove_password(&mut self, password: PasswordHash) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|known| *known == password);
        self.passwords.remove(at.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }
}

/// Puts selectors together that were given as several arguments. `Err` with the index of a parenthesis that is not closed.
pub fn merge_selectors(rules: &[&[u8]]) -> Result<Vec<Vec<u8>>, usize> {
    let mut merged: Vec<Vec<u8>> = Vec::new();
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (index, rule) in rules.iter().enumerate() {
        if rule.starts_with(b"(") && !rule.ends_with(b")") {
            open = Some((index, rule.to_vec()));
        } else if let Some((_, selector)) = &mut open {
            selector.push(b' ');
            selector.extend_from_slice(until_zero(rule));
            if rule.ends_with(b")") {
                merged.extend(open.take().map(|(_, selector)| selector));
            }
        } else {
            merged.push(rule.to_vec());
        }
    }
    match open {
        Some((index, _)) => Err(index),
        None => Ok(merged),
    }
}
