//! Functions: libraries of them, which belong to the data set like keys do.
//!
//! [`Libraries`] is the one set for all threads, replaced as a whole when a library comes or goes. [`load`] runs the
//! code of a library to learn what it registers; threads that call a function run it again in their own interpreter.

mod engine;
mod flags;
mod load;
mod metadata;
mod payload;
mod stats;

pub use engine::{Callee, Functions};
pub use flags::Flags;
pub use payload::{Policy, dump};
pub use stats::write_stats;

use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidegate_commands::model::Error;

/// A function of a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its name, which is that of no other function, in whatever case.
    pub name: Vec<u8>,
    /// What its author says of it.
    pub description: Option<Vec<u8>>,
    /// What it may do.
    pub flags: Flags,
}

/// A library: a text that registers functions when it is run.
#[derive(Debug)]
pub struct Library {
    /// Its name.
    pub name: Vec<u8>,
    /// Its text, with the line that names it.
    pub code: Vec<u8>,
    /// Where what is compiled begins: behind the line that names it.
    begin: usize,
    /// Its functions.
    pub functions: Vec<Declared>,
}

impl Library {
    /// Runs the text of a library to learn what it registers, for `timeout_ms` at most.
    pub fn new(code: &[u8], timeout_ms: i64) -> Result<Self, Error> {
        let about = metadata::parse(code)?;
        let functions = load::declared(about.source, timeout_ms)?;
        if functions.is_empty() {
            return Err(Error::new("ERR No functions registered"));
        }
        let begin = code.len() - about.source.len();
        Ok(Library { name: about.name, code: code.to_vec(), begin, functions })
    }

    /// What is compiled.
    fn source(&self) -> &[u8] {
        &self.code[self.begin..]
    }

    /// Bytes it occupies.
    fn size(&self) -> usize {
        let declared = |function: &Declared| {
            size_of::<Declared>() + function.name.len() + function.description.as_ref().map_or(0, Vec::len)
        };
        let functions: usize = self.functions.iter().map(declared).sum();
        size_of::<Self>() + self.name.len() + self.code.len() + functions
    }
}

/// All libraries at one moment.
#[derive(Debug, Clone, Default)]
pub struct Set {
    libraries: BTreeMap<Vec<u8>, Arc<Library>>,
    /// By name in lower case: the library, and which of its functions it is.
    functions: HashMap<Vec<u8>, (Arc<Library>, usize), foldhash::fast::RandomState>,
}

impl Set {
    /// The libraries, by name.
    pub fn libraries(&self) -> impl ExactSizeIterator<Item = &Arc<Library>> {
        self.libraries.values()
    }

    /// The function of this name, in whatever case.
    pub fn function(&self, name: &[u8]) -> Option<(&Arc<Library>, &Declared)> {
        let (library, index) = self.entry(name)?;
        Some((library, &library.functions[*index]))
    }

    /// The same, to be called.
    fn callee(&self, name: &[u8]) -> Option<Callee> {
        self.entry(name).map(|(library, index)| Callee::new(Arc::clone(library), *index))
    }

    fn entry(&self, name: &[u8]) -> Option<&(Arc<Library>, usize)> {
        // Names are short, and this is done for every call.
        let mut room = [0; 64];
        match room.get_mut(..name.len()) {
            None => self.functions.get(&name.to_ascii_lowercase()),
            Some(lower) => {
                lower.copy_from_slice(name);
                lower.make_ascii_lowercase();
                self.functions.get(&*lower)
            }
        }
    }

    /// Bytes of the libraries' texts and what is known of them.
    pub fn bytes(&self) -> usize {
        self.libraries.values().map(|library| library.size()).sum()
    }

    /// Number of functions.
    pub fn functions_len(&self) -> usize {
        self.functions.len()
    }

    /// Adds a library whose name is not taken, nor one of its functions'.
    fn insert(&mut self, library: &Arc<Library>) -> Result<(), Error> {
        if let Some(taken) = library.functions.iter().find(|function| self.function(&function.name).is_some())
        {
            return Err(Error::text([b"ERR Function ", &taken.name[..], b" already exists"].concat()));
        }
        for (index, function) in library.functions.iter().enumerate() {
            self.functions.insert(function.name.to_ascii_lowercase(), (Arc::clone(library), index));
        }
        self.libraries.insert(library.name.clone(), Arc::clone(library));
        Ok(())
    }

    /// Removes a library; false when there is none of this name.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let Some(library) = self.libraries.remove(name) else { return false };
        for function in &library.functions {
            self.functions.remove(&function.name.to_ascii_lowercase());
        }
        true
    }

    /// Adds a library, in place of the one that has its name if `replaces`.
    pub fn add(&mut self, library: Library, replaces: bool) -> Result<(), Error> {
        if self.libraries.contains_key(&library.name) {
            if !replaces {
                return Err(taken(&library.name));
            }
            self.remove(&library.name);
        }
        self.insert(&Arc::new(library))
    }

    /// Takes over all libraries of `other`, in place of those that have their names if `replaces`.
    pub fn join(&mut self, other: &Set, replaces: bool) -> Result<(), Error> {
        for name in other
            .libraries
            .keys()
            .filter(|name| self.libraries.contains_key(*name))
            .cloned()
            .collect::<Vec<_>>()
        {
            if !replaces {
                return Err(Error::text([b"ERR Library ", &name[..], b" already exists"].concat()));
            }
            self.remove(&name);
        }
        other.libraries().try_for_each(|library| self.insert(library))
    }
}

fn taken(name: &[u8]) -> Error {
    Error::text([b"ERR Library '", name, b"' already exists"].concat())
}

/// The libraries of the process.
#[derive(Debug, Default)]
pub struct Libraries {
    set: Mutex<Arc<Set>>,
    /// Counts the changes of the set.
    version: AtomicU64,
    /// Held while a client changes them.
    order: Mutex<()>,
}

impl Libraries {
    fn lock(&self) -> MutexGuard<'_, Arc<Set>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the set has changed: who has seen it at the same version has seen all of it.
    pub fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// While this is held nobody else changes the libraries for a client: changes are journaled in the order in which they
    /// were made.
    pub fn in_order(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All libraries as they are now.
    pub fn get(&self) -> Arc<Set> {
        Arc::clone(&self.lock())
    }

    /// Changes the set as a whole, or leaves it as it is.
    pub fn change<R>(&self, change: impl FnOnce(&mut Set) -> Result<R, Error>) -> Result<R, Error> {
        let mut present = self.lock();
        let mut set = Set::clone(&present);
        let result = change(&mut set)?;
        *present = Arc::new(set);
        self.version.fetch_add(1, Release);
        Ok(result)
    }

    /// Replaces all libraries.
    pub fn replace(&self, set: Set) {
        let mut present = self.lock();
        *present = Arc::new(set);
        self.version.fetch_add(1, Release);
    }

    /// `FUNCTION LOAD`: the name of the library that was added.
    pub fn load(&self, code: &[u8], replaces: bool, timeout_ms: i64) -> Result<Vec<u8>, Error> {
        let name = metadata::parse(code)?.name;
        if !replaces && self.get().libraries.contains_key(&name) {
            return Err(taken(&name));
        }
        // Outside of the lock: the code of a library may run for a while.
        let library = Library::new(code, timeout_ms)?;
        self.change(|set| set.add(library, replaces))?;
        Ok(name)
    }
}

#[cfg(test)]
mod tests;
