//! The configuration: what the config file, the command line and CONFIG SET decide.
//!
//! [`directives`] is the table of everything that can be configured. [`Config`] holds the current values; settings
//! that are read while commands run are mirrored in [`Hot`]. Nothing here knows RESP, sockets or threads: what a
//! change means for the running server is told to it through [`Apply`].

mod change;
pub mod choices;
pub mod directives;
mod file;
mod glob;
pub mod hot;
mod parse;
mod rewrite;
pub mod value;
mod view;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use self::change::{Apply, Caller, NotRunning, SetError};
pub use self::directives::{Directive, Effect, Flags, Kind};
pub use self::file::{Command, Found, LoadError, Located, Sources, without_passwords};
pub use self::hot::Hot;
pub use self::rewrite::{Extent, RewriteError, replace_file};
pub use self::value::{ClientClass, Events, OutputLimit, SavePoint, Value};

/// The values of all directives.
///
/// Reading one takes a short shared lock; code that runs per command reads [`Config::hot`] instead.
#[derive(Debug)]
pub struct Config {
    /// One value per row of [`directives::all`].
    values: RwLock<Vec<Value>>,
    /// Held by a change from its first check to its last effect, so that two changes never interleave.
    changing: Mutex<()>,
    hot: Arc<Hot>,
    /// What the values were before anything was configured, in the same order.
    defaults: Vec<Value>,
    /// Absolute path of the config file, when there is one.
    file: Option<PathBuf>,
    /// Lines of the config file that are not settings, in its order.
    commands: Vec<Located<Command>>,
}

impl Config {
    /// The defaults, for a process that may run on `cores` cores and was started in `dir` (absolute).
    pub fn new(cores: usize, dir: &Path) -> Self {
        let defaults: Vec<Value> =
            directives::all().iter().map(|row| row.default_value(cores, dir)).collect();
        let config = Self {
            values: RwLock::new(defaults.clone()),
            changing: Mutex::new(()),
            hot: Arc::new(Hot::new()),
            defaults,
            file: None,
            commands: Vec::new(),
        };
        for (row, value) in directives::all().iter().zip(&config.defaults) {
            config.mirror(row, value);
        }
        config
    }

    /// The defaults for this process: the cores it may use and its current directory.
    pub fn for_this_process() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let dir = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        Self::new(cores, &dir)
    }

    /// The settings for hot paths.
    #[inline]
    pub fn hot(&self) -> &Hot {
        &self.hot
    }

    /// The settings for hot paths, for what outlives the borrow of the configuration.
    pub fn share_hot(&self) -> Arc<Hot> {
        Arc::clone(&self.hot)
    }

    /// The config file CONFIG REWRITE writes to.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The lines of the config file that are not settings: renamed commands and users, for those who know them.
    pub fn commands(&self) -> &[Located<Command>] {
        &self.commands
    }

    /// The value of a directive of the table.
    ///
    /// # Panics
    /// When there is no such directive: the name is written in the code, not given by a user.
    pub fn value(&self, name: &str) -> Value {
        let (row, _) = directives::find(name.as_bytes()).expect("the code names directives of the table");
        self.read()[row].clone()
    }

    /// Whether nothing but the default was configured for a directive of the table.
    ///
    /// # Panics
    /// As [`Config::value`].
    pub fn is_default(&self, name: &str) -> bool {
        let (row, _) = directives::find(name.as_bytes()).expect("the code names directives of the table");
        self.read()[row] == self.defaults[row]
    }

    /// A configuration file without a `bind` line means what it means to Redis: all addresses, which protected mode
    /// guards. Only without a file does the server keep to this computer.
    fn bind_as_redis(&mut self) {
        let (row, _) = directives::find(b"bind").expect("bind is a directive");
        let everywhere = Value::Bind(vec![b"*".to_vec(), b"-::*".to_vec()]);
        self.defaults[row] = everywhere.clone();
        self.store(row, everywhere);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<Value>> {
        self.values.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a checked value.
    fn store(&self, row: usize, value: Value) {
        self.mirror(directives::all()[row], &value);
        self.values.write().unwrap_or_else(PoisonError::into_inner)[row] = value;
    }

    fn mirror(&self, row: &Directive, value: &Value) {
        if let Some(store) = row.hot {
            store(&self.hot, value);
        }
    }
}
