//! All users of the process.

use super::catalog::Catalog;
use super::log::AclLog;
use super::user::{User, merge_selectors};
use super::{DEFAULT_USER, until_zero};
use crate::registry::Registry;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Users by name.
pub(super) type Table = BTreeMap<Box<[u8]>, Arc<User>>;

/// All users. There is always a default user.
#[derive(Debug)]
pub struct Users {
    /// What rules may name.
    pub catalog: Catalog,
    /// What was denied.
    pub log: AclLog,
    table: RwLock<Table>,
    /// Held by whoever changes the table, from reading it to the last consequence.
    changing: Mutex<()>,
    /// Raised by every change.
    generation: AtomicU64,
    /// Numbers given to users.
    last_serial: AtomicU64,
    /// The default user is off or has a password.
    needs_password: AtomicBool,
    /// The default user has a password, or none is right.
    is_protected: AtomicBool,
}

impl Users {
    /// The default user, with this password if there is one.
    pub fn new(registry: &Registry, password: Option<&[u8]>) -> Self {
        let catalog = Catalog::new(registry);
        let default = User::default_user(&catalog);
        let users = Users {
            catalog,
            log: AclLog::default(),
            table: RwLock::new(Table::from([(DEFAULT_USER.into(), Arc::new(default))])),
            changing: Mutex::default(),
            generation: AtomicU64::new(1),
            last_serial: AtomicU64::new(0),
            needs_password: AtomicBool::new(false),
            is_protected: AtomicBool::new(false),
        };
        if password.is_some() {
            users.set_default_password(password);
        }
        users
    }

    /// Raised by every change of any user. Whoever has seen it has all users as they were then.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// True when a connection has to say who it is before it may do anything.
    #[inline]
    pub fn needs_password(&self) -> bool {
        self.needs_password.load(Relaxed)
    }

    /// True when the default user is not open to everybody.
    pub fn is_protected(&self) -> bool {
        self.is_protected.load(Relaxed)
    }

    /// The user of this name.
    pub fn get(&self, name: &[u8]) -> Option<Arc<User>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The default user.
    pub fn default_user(&self) -> Arc<User> {
        self.get(DEFAULT_USER).expect("the default user is never removed")
    }

    /// All users by name. O(N).
    pub fn all(&self) -> Vec<Arc<User>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// All users as lines of a file, without the word `user`.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        let line = |user: &Arc<User>| [user.name(), b" ", &user.describe(&self.catalog)].concat();
        self.all().iter().map(line).collect()
    }

    /// Keeps others from changing users until the guard is dropped.
    pub(crate) fn begin_change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the table. Only within [`Users::begin_change`].
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Table) -> R) -> R {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut table);
        let default = table.get(DEFAULT_USER).expect("the default user is never removed");
        self.is_protected.store(!default.needs_no_password(), Relaxed);
        self.needs_password.store(!default.needs_no_password() || !default.is_enabled(), Relaxed);
        // Whoever sees the new number finds the new table.
        self.generation.fetch_add(1, Release);
        result
    }

    /// A user that was never there, not in the table yet.
    fn new_user(&self, name: &[u8], all_channels: bool) -> User {
        User::new(name, all_channels).numbered(self.last_serial.fetch_add(1, Relaxed) + 1)
    }

    /// Replaces all users; the default user stays who it is. Only within [`Users::begin_change`].
    pub(crate) fn replace(&self, loaded: impl IntoIterator<Item = User>) {
        let number = |user: User| {
            let serial =
                if user.name() == DEFAULT_USER { 0 } else { self.last_serial.fetch_add(1, Relaxed) + 1 };
            (user.name().into(), Arc::new(user.numbered(serial)))
        };
        let mut fresh: Table = loaded.into_iter().map(number).collect();
        self.change(|table| {
            if !fresh.contains_key(DEFAULT_USER)
                && let Some(default) = table.remove(DEFAULT_USER)
            {
                fresh.insert(DEFAULT_USER.into(), default);
            }
            *table = fresh;
        });
    }

    /// `requirepass`: the one password of the default user, or none.
    pub fn set_default_password(&self, password: Option<&[u8]>) {
        let _changing = self.begin_change();
        let mut user = (*self.default_user()).clone();
        let rules = match password {
            Some(password) => vec![b"resetpass".to_vec(), [b">", password].concat()],
            None => vec![b"resetpass".to_vec(), b"nopass".to_vec()],
        };
        for rule in rules {
            user.apply(&self.catalog, &rule, false).expect("a rule that is always right");
        }
        self.change(|table| table.insert(DEFAULT_USER.into(), Arc::new(user)));
    }

    /// What a user becomes by these rules, one that there is not yet if need be. Nothing is changed yet.
    ///
    /// # Errors
    /// What is wrong with the rules, as `ACL SETUSER` says it.
    pub fn changed(&self, name: &[u8], rules: &[&[u8]], all_channels: bool) -> Result<User, Vec<u8>> {
        let merged = merge_selectors(rules).map_err(|index| {
            let start = until_zero(rules[index]);
            [b"Unmatched parenthesis in acl selector starting at '", start, b"'."].concat()
        })?;
        let mut user =
            self.get(name).map_or_else(|| self.new_user(name, all_channels), |user| (*user).clone());
        for rule in merged {
            user.apply(&self.catalog, &rule, all_channels).map_err(|error| {
                let reason = error.to_string();
                let rule = until_zero(&rule);
                [b"Error in ACL SETUSER modifier '", rule, b"': ", reason.as_bytes()].concat()
            })?;
        }
        Ok(user)
    }
}
