//! The commands and categories that rules may name.
//!
//! They are those of the [`Registry`] under their original names, and the few of Redis that this version does not have:
//! a file of users that was written for Redis must be readable.

use crate::registry::{Entry, Registry};
use tidegate_commands::model::Acl;

/// Commands of Redis 7.0 that are not here, with their categories; subcommands behind a bar.
const ABSENT: [(&str, Acl); 10] = [
    ("asking", Acl::FAST.with(Acl::CONNECTION)),
    ("failover", OPERATION),
    ("psync", OPERATION),
    ("replconf", OPERATION),
    ("replicaof", OPERATION),
    ("slaveof", OPERATION),
    ("sync", OPERATION),
    ("module|load", OPERATION),
    ("module|loadex", OPERATION),
    ("module|unload", OPERATION),
];
const OPERATION: Acl = Acl::ADMIN.with(Acl::SLOW).with(Acl::DANGEROUS);

/// A command or subcommand that rules may name.
#[derive(Debug)]
pub struct Named {
    /// Lower-case name, subcommands with a bar.
    pub name: String,
    /// Its categories.
    pub acl: Acl,
    /// Index of the container among the named.
    pub parent: Option<usize>,
    /// Indices of its subcommands.
    pub children: Vec<usize>,
    /// Its bit in the sets of commands: the id in the registry, or one above all of those.
    pub bit: usize,
    /// Redis 7.0 has it. Descriptions choose categories by these alone, so that they read as they do there.
    pub is_classic: bool,
}

/// Everything that rules may name.
#[derive(Debug)]
pub struct Catalog {
    named: Vec<Named>,
}

impl Catalog {
    /// What there is to name, given the commands.
    ///
    /// # Panics
    /// If there are more commands than bits: a test would have found that.
    pub fn new(registry: &Registry) -> Self {
        let mut catalog = Catalog { named: Vec::new() };
        for entry in registry.entries() {
            let parent = catalog.add_entry(entry, None);
            for sub in &entry.subcommands {
                catalog.add_entry(sub, Some(parent));
            }
        }
        // The absent ones may be here one day.
        let absent =
            ABSENT.iter().filter(|(name, _)| !registry.entries().iter().any(|entry| has(entry, name)));
        for (number, (name, acl)) in absent.enumerate() {
            let parent = name.split_once('|').and_then(|(parent, _)| catalog.lookup(parent.as_bytes()));
            let bit = registry.ids() + number;
            catalog.add(Named {
                name: (*name).to_owned(),
                acl: *acl,
                parent,
                children: Vec::new(),
                bit,
                is_classic: true,
            });
        }
        let bits = catalog.named.iter().map(|named| named.bit + 1).max().unwrap_or_default();
        assert!(bits <= super::Commands::BITS, "every command has a bit");
        catalog
    }

    fn add_entry(&mut self, entry: &Entry, parent: Option<usize>) -> usize {
        self.add(Named {
            name: entry.name.clone(),
            acl: entry.acl,
            parent,
            children: Vec::new(),
            bit: entry.id,
            is_classic: !entry.is_native() && !entry.is_guard && is_classic(entry.docs.since),
        })
    }

    fn add(&mut self, named: Named) -> usize {
        let index = self.named.len();
        if let Some(parent) = named.parent {
            self.named[parent].children.push(index);
        }
        self.named.push(named);
        index
    }

    /// All of them; containers come before their subcommands.
    pub fn named(&self) -> &[Named] {
        &self.named
    }

    /// The command of this name, in any case. O(N).
    pub fn lookup(&self, name: &[u8]) -> Option<usize> {
        self.named.iter().position(|named| named.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The category of this name, in any case.
    pub fn category(name: &[u8]) -> Option<Acl> {
        let found = Acl::ALL.iter().find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name));
        found.map(|(category, _)| *category)
    }
}

fn has(entry: &Entry, name: &str) -> bool {
    entry.name == name || entry.subcommands.iter().any(|sub| sub.name == name)
}

/// True for versions of Redis up to 7.0; commands of our own name versions of Tidegate, which begin with 0.
fn is_classic(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let version = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    ((1, 0)..=(7, 0)).contains(&version)
}
