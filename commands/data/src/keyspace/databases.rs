//! One shard's part of all databases.

use super::hash::KeyHasher;
use super::table::Table;

/// The tables of one shard, one per database.
#[derive(Debug)]
pub struct Databases {
    tables: Box<[Table]>,
}

impl Databases {
    /// `count` empty databases.
    pub fn new(count: usize, hasher: &KeyHasher) -> Self {
        Databases { tables: (0..count).map(|_| Table::new(hasher.clone())).collect() }
    }

    /// Number of databases.
    pub fn count(&self) -> usize {
        self.tables.len()
    }

    /// The table of database `db`.
    #[inline]
    pub fn table(&self, db: usize) -> &Table {
        &self.tables[db]
    }

    /// The table of database `db`, to change it.
    #[inline]
    pub fn table_mut(&mut self, db: usize) -> &mut Table {
        &mut self.tables[db]
    }

    /// Exchanges the contents of two databases in O(1).
    pub fn swap(&mut self, a: usize, b: usize) {
        if let Ok([a, b]) = self.tables.get_disjoint_mut([a, b]) {
            a.swap(b);
        }
    }
}
