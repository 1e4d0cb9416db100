//! What one set of rules allows: commands, keys, channels, databases. Every user has one, and may have more.

use super::RuleError;
use super::catalog::Catalog;
use std::collections::BTreeMap;
use tidegate_commands::families::{Case, glob_matches};
use tidegate_commands::model::{Acl, KeyFlags};

/// A set of commands by their bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands([u64; Commands::BITS / 64]);

impl Commands {
    /// More than there are commands.
    pub const BITS: usize = 1024;
    const NONE: Self = Commands([0; Self::BITS / 64]);
    const ALL: Self = Commands([u64::MAX; Self::BITS / 64]);

    /// True when the command is in.
    #[inline]
    pub fn has(&self, bit: usize) -> bool {
        self.0.get(bit / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    fn set(&mut self, bit: usize, value: bool) {
        let word = &mut self.0[bit / 64];
        *word = *word & !(1 << (bit % 64)) | u64::from(value) << (bit % 64);
    }
}

/// What is done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// Nothing that shows data or changes it.
    pub const NONE: Self = Access(0);
    /// Its data is used.
    pub const READ: Self = Access(1);
    /// It is changed.
    pub const WRITE: Self = Access(2);
    /// Both.
    pub const ALL: Self = Access(3);

    /// What a command does to a key of a spec with these flags.
    pub fn of(flags: KeyFlags) -> Self {
        let writes =
            [KeyFlags::INSERT, KeyFlags::DELETE, KeyFlags::UPDATE].iter().any(|flag| flags.has(*flag));
        Access(u8::from(flags.has(KeyFlags::ACCESS)) | u8::from(writes) << 1)
    }

    /// True when all of `other` is in.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn with(self, other: Self) -> Self {
        Access(self.0 | other.0)
    }

    fn prefix(self) -> &'static [u8] {
        match self {
            Self::READ => b"%R~",
            Self::WRITE => b"%W~",
            _ => b"~",
        }
    }
}

/// Keys that may be named, and what may be done to them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct KeyPattern {
    access: Access,
    pattern: Box<[u8]>,
}

/// What one set of rules allows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
pub struct Selector {
    pub(super) all_keys: bool,
    pub(super) all_channels: bool,
    /// Without looking at the bits; lost with the first command that is taken away.
    pub(super) all_commands: bool,
    /// Began with all commands: those that come one day are in.
    pub(super) with_future: bool,
    pub(super) commands: Commands,
    /// By bit: first arguments with which a command is allowed that is not otherwise.
    pub(super) first_args: BTreeMap<usize, Vec<Box<[u8]>>>,
    patterns: Vec<KeyPattern>,
    pub(super) channels: Vec<Box<[u8]>>,
    /// Databases that may be used; `None` for all.
    pub(super) dbs: Option<Vec<u32>>,
}

impl Selector {
    /// One that allows nothing, but for all channels perhaps (`acl-pubsub-default`).
    pub fn new(all_channels: bool) -> Self {
        Selector {
            all_keys: false,
            all_channels,
            all_commands: false,
            with_future: false,
            commands: Commands::NONE,
            first_args: BTreeMap::new(),
            patterns: Vec::new(),
            channels: Vec::new(),
            dbs: None,
        }
    }

    /// True when it allows everything.
    pub fn is_unlimited(&self) -> bool {
        self.all_keys && self.all_channels && self.all_commands && self.dbs.is_none()
    }

    /// Changes it by one rule.
    pub fn apply(&mut self, catalog: &Catalog, rule: &[u8]) -> Result<(), RuleError> {
        // Keywords end where a string of C ends.
        let word = super::until_zero(rule);
        let is = |names: [&str; 2]| names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()));
        if is(["allkeys", "~*"]) {
            self.all_keys = true;
            self.patterns.clear();
        } else if is(["resetkeys"; 2]) {
            self.all_keys = false;
            self.patterns.clear();
        } else if is(["allchannels", "&*"]) {
            self.all_channels = true;
            self.channels.clear();
        } else if is(["resetchannels"; 2]) {
            self.all_channels = false;
            self.channels.clear();
        } else if is(["allcommands", "+@all"]) {
            self.commands = Commands::ALL;
            (self.all_commands, self.with_future) = (true, true);
            self.first_args.clear();
        } else if is(["nocommands", "-@all"]) {
            self.commands = Commands::NONE;
            (self.all_commands, self.with_future) = (false, false);
            self.first_args.clear();
        } else if is(["alldbs"; 2]) {
            self.dbs = None;
        } else if is(["resetdbs"; 2]) {
            self.dbs = Some(Vec::new());
        } else if word.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"db=")) {
            self.add_dbs(&word[3..])?;
        } else {
            match rule {
                [b'~' | b'%', ..] => self.add_keys(rule)?,
                [b'&', pattern @ ..] => self.add_channel(pattern)?,
                [sign @ (b'+' | b'-'), b'@', ..] => {
                    let category = Catalog::category(&word[2..]).ok_or(RuleError::Unknown)?;
                    self.set_category(catalog, category, *sign == b'+');
                }
                [b'+', ..] => self.allow(catalog, &word[1..])?,
                [b'-', ..] => {
                    let index = catalog.lookup(&word[1..]).ok_or(RuleError::Unknown)?;
                    self.set_command(catalog, index, false);
                }
                _ => return Err(RuleError::Syntax),
            }
        }
        Ok(())
    }

    fn add_keys(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::KeysAfterAll);
        }
        let (access, pattern) = match rule {
            [b'%', rest @ ..] => {
                let letters = rest.iter().position(|byte| *byte == b'~');
                let (letters, pattern) = rest.split_at(letters.unwrap_or(rest.len()));
                let mut access = Access::NONE;
                for letter in letters {
                    let more = match letter.to_ascii_uppercase() {
                        b'R' => Access::READ,
                        b'W' => Access::WRITE,
                        _ => return Err(RuleError::Syntax),
                    };
                    if access.has(more) {
                        return Err(RuleError::Syntax);
                    }
                    access = access.with(more);
                }
                (access, pattern.get(1..).unwrap_or_default())
            }
            _ => (Access::ALL, &rule[1..]),
        };
        if access == Access::NONE || super::has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.patterns.iter_mut().find(|known| *known.pattern == *pattern) {
            Some(known) => known.access = known.access.with(access),
            None => self.patterns.push(KeyPattern { access, pattern: pattern.into() }),
        }
        Ok(())
    }

    fn add_channel(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::ChannelsAfterAll);
        }
        if super::has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| **known == *pattern) {
            self.channels.push(pattern.into());
        }
        Ok(())
    }

    fn add_dbs(&mut self, list: &[u8]) -> Result<(), RuleError> {
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u16>().ok().map(u32::from);
        let more: Option<Vec<u32>> = list.split(|byte| *byte == b',').map(number).collect();
        let more = more.ok_or(RuleError::Syntax)?;
        let dbs = self.dbs.get_or_insert_default();
        dbs.extend(more);
        dbs.sort_unstable();
        dbs.dedup();
        Ok(())
    }

    /// Allows a command, a subcommand, or a command with one first argument.
    fn allow(&mut self, catalog: &Catalog, name: &[u8]) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|byte| *byte == b'|') else {
            let index = catalog.lookup(name).ok_or(RuleError::Unknown)?;
            self.set_command(catalog, index, true);
            return Ok(());
        };
        let index = catalog.lookup(&name[..bar]).ok_or(RuleError::Unknown)?;
        let (named, argument) = (&catalog.named()[index], &name[bar + 1..]);
        if named.parent.is_some() {
            return Err(RuleError::FirstArgOfSubcommand);
        }
        if argument.is_empty() {
            return Err(RuleError::Syntax);
        }
        if named.children.is_empty() {
            let arguments = self.first_args.entry(named.bit).or_default();
            if !arguments.iter().any(|known| known.eq_ignore_ascii_case(argument)) {
                arguments.push(argument.into());
            }
        } else {
            let index = catalog.lookup(name).ok_or(RuleError::Unknown)?;
            self.set_command(catalog, index, true);
        }
        Ok(())
    }

    /// Allows or denies a command with all its subcommands.
    pub(super) fn set_command(&mut self, catalog: &Catalog, index: usize, allowed: bool) {
        let named = &catalog.named()[index];
        self.set_bit(named.bit, allowed);
        self.first_args.remove(&named.bit);
        for child in &named.children {
            self.set_bit(catalog.named()[*child].bit, allowed);
        }
    }

    fn set_bit(&mut self, bit: usize, allowed: bool) {
        self.commands.set(bit, allowed);
        self.all_commands &= allowed;
    }

    /// Allows or denies all commands of a category.
    pub(super) fn set_category(&mut self, catalog: &Catalog, category: Acl, allowed: bool) {
        for (index, named) in catalog.named().iter().enumerate() {
            if named.acl.has(category) {
                self.set_command(catalog, index, allowed);
            }
        }
    }

    /// True when a key may be used so.
    pub fn allows_key(&self, key: &[u8], access: Access) -> bool {
        let matches = |known: &KeyPattern| {
            known.access.has(access) && glob_matches(&known.pattern, key, Case::Sensitive)
        };
        self.all_keys || self.patterns.iter().any(matches)
    }

    /// True when any key at all may be used so.
    pub fn allows_any_key(&self, access: Access) -> bool {
        self.all_keys || self.patterns.iter().any(|known| known.access.has(access) && *known.pattern == *b"*")
    }

    /// True when a channel may be used; a pattern of channels only if it is one of the rules, letter by letter.
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let matches = |known: &[u8]| {
            if is_pattern { known == channel } else { glob_matches(known, channel, Case::Sensitive) }
        };
        self.all_channels || self.channels.iter().any(|known| matches(known))
    }

    /// True when a database may be used.
    pub fn allows_db(&self, db: u32) -> bool {
        self.dbs.as_ref().is_none_or(|dbs| dbs.contains(&db))
    }

    /// Its key patterns as rules, separated by spaces.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let rules: Vec<Vec<u8>> =
            self.patterns.iter().map(|known| [known.access.prefix(), &known.pattern].concat()).collect();
        rules.join(&b' ')
    }

    /// Its channel patterns as rules, separated by spaces.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let rules: Vec<Vec<u8>> = self.channels.iter().map(|known| [b"&", &**known].concat()).collect();
        rules.join(&b' ')
    }

    /// True when there are databases that it may not use.
    pub fn is_of_few_dbs(&self) -> bool {
        self.dbs.is_some()
    }

    /// Its databases as a rule; empty when it may use all.
    pub fn describe_dbs(&self) -> String {
        let Some(dbs) = &self.dbs else { return String::new() };
        if dbs.is_empty() {
            return "resetdbs".to_owned();
        }
        let list: Vec<String> = dbs.iter().map(u32::to_string).collect();
        format!("resetdbs db={}", list.join(","))
    }
}
