//! One shard's part of all databases.

use super::hash::KeyHasher;
use super::leases::Leases;
use super::quota::Quotas;
use super::table::{Loan, Original, Step, Table, Taker};
use std::sync::Arc;

/// The tables of one shard, one per database.
#[derive(Debug)]
pub struct Databases {
    tables: Box<[Table]>,
    /// Who may fill keys of a cache.
    leases: Leases,
}

impl Databases {
    /// `count` empty databases.
    pub fn new(count: usize, hasher: &KeyHasher) -> Self {
        let tables = (0..count).map(|_| Table::new(hasher.clone())).collect();
        Databases { tables, leases: Leases::default() }
    }

    /// Who may fill keys of a cache.
    #[inline]
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// The same, to change it.
    #[inline]
    pub fn leases_mut(&mut self) -> &mut Leases {
        &mut self.leases
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

    /// These are the quotas from now on. O(databases x quotas).
    pub fn follow_quotas(&mut self, quotas: &Arc<Quotas>) {
        for (db, table) in self.tables.iter_mut().enumerate() {
            table.follow_quotas(db, quotas);
        }
    }

    /// Goes on counting what was there before a quota, by so many segments. True when there is more to do.
    pub fn count_step(&mut self, segments: usize) -> bool {
        self.tables.iter_mut().any(|table| table.count_step(segments))
    }

    /// The cut of a snapshot: from here on the present keys of each table go to the taker `taker` makes for its database,
    /// each once and as it is now. Epochs must grow from snapshot to snapshot. O(databases).
    pub fn begin_snapshot(&mut self, epoch: u64, taker: &mut dyn FnMut(usize, &Table) -> Box<dyn Taker>) {
        for (db, table) in self.tables.iter_mut().enumerate() {
            if !table.is_empty() {
                let taker = taker(db, table);
                table.begin_snapshot(epoch, db, taker);
            }
        }
    }

    /// Takes one segment or one value more; `None` when there is nothing left here.
    pub fn snapshot_step(&mut self) -> Option<Step> {
        self.tables.iter_mut().find_map(Table::snapshot_step)
    }

    /// Ends the loan of a value, unless what it was in has left the keyspace: whoever has that now waits for it. What is
    /// returned is to be dropped when the shard is not held any more.
    pub fn give_back(&mut self, loan: Loan) -> Option<Original> {
        let mut loan = Some(loan);
        self.tables.iter_mut().find_map(|table| table.give_back(&mut loan))
    }

    /// Gives the snapshot up.
    pub fn end_snapshot(&mut self) {
        self.tables.iter_mut().for_each(Table::end_snapshot);
    }
}
