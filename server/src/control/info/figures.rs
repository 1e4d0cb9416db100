//! Figures that more than one command shows: memory and its overhead, keys by database.

use super::super::ControlCtx;
use crate::memory;
use crate::shard::ShardData;
use crate::shared::Shared;
use std::sync::atomic::Ordering::Relaxed;

/// Keys of one database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Database {
    /// Its number.
    pub index: usize,
    /// Keys, those whose time has come but that are still there included.
    pub keys: usize,
    /// Keys that will expire.
    pub expires: usize,
    /// Heap bytes of its keys, values and tables.
    pub bytes: usize,
    /// Heap bytes of its tables alone.
    pub index_bytes: usize,
}

impl Database {
    /// All databases with keys. O(shards * databases).
    pub(crate) fn all(cx: &mut ControlCtx) -> Vec<Database> {
        let mut databases = Database::none(cx.shared().config.databases());
        cx.each_shard(|_, data| databases.iter_mut().for_each(|database| database.add(data)));
        databases.retain(|database| database.keys > 0);
        databases
    }

    /// So many databases of which nothing was counted yet.
    pub(super) fn none(count: usize) -> Vec<Database> {
        (0..count).map(|index| Database { index, ..Database::default() }).collect()
    }

    /// Counts what a shard has of it.
    pub(super) fn add(&mut self, data: &ShardData) {
        let table = data.databases.table(self.index);
        self.keys += table.len();
        self.expires += table.expires_len();
        self.bytes += table.bytes();
        self.index_bytes += table.index_bytes();
    }
}

/// What memory is used for, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Memory {
    /// Allocated now.
    pub used: usize,
    /// The most that ever was.
    pub peak: usize,
    /// Allocated when the server had started.
    pub startup: usize,
    /// Buffers and state of connections.
    pub clients: usize,
    /// What waits to be written to the append-only file.
    pub aof_buffer: usize,
    /// Texts of scripts, and the interpreters that ran them.
    pub scripts: usize,
    /// Texts of libraries, and the interpreters that ran their functions.
    pub functions: usize,
    /// Everything that is not keys and values.
    pub overhead: usize,
    /// Keys and values.
    pub dataset: usize,
    /// What of the allocator's memory is resident.
    pub held: usize,
    /// What of the process is in memory.
    pub resident: usize,
}

impl Memory {
    /// The present figures.
    pub(crate) fn now(shared: &Shared, databases: &[Database]) -> Self {
        let (resident, anonymous) = memory::resident();
        // Without the counting allocator (in tests of this crate) the kernel's figure has to do.
        let used = match memory::used() {
            0 => resident,
            used => used,
        };
        let startup = shared.stats.startup_memory.load(Relaxed);
        let clients: usize = shared.clients.all().iter().map(|client| client.memory().total()).sum();
        let tables: usize = databases.iter().map(|database| database.index_bytes).sum();
        let aof_buffer =
            shared.aof.as_ref().map_or(0, |aof| aof.log().tail().saturating_sub(aof.log().written()));
        let aof_buffer = usize::try_from(aof_buffer).unwrap_or(usize::MAX);
        let [evals, calls] = shared.scripts.state_bytes();
        let scripts = shared.scripts.bytes() + evals;
        let functions = shared.libraries.get().bytes() + calls;
        let overhead = startup + clients + tables + aof_buffer + scripts + functions;
        Memory {
            used,
            peak: shared.stats.note_memory(used),
            startup,
            clients,
            aof_buffer,
            scripts,
            functions,
            overhead,
            dataset: used.saturating_sub(overhead),
            held: anonymous.max(used),
            resident,
        }
    }

    /// Share of the data set in what was allocated since the start, percent.
    pub(crate) fn dataset_percent(&self) -> f64 {
        let net = self.used.saturating_sub(self.startup);
        percent(self.dataset, if net == 0 { 1 } else { net })
    }

    /// Present use in percent of the peak.
    pub(crate) fn peak_percent(&self) -> f64 {
        percent(self.used, self.peak)
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    ratio(part, whole) * 100.0
}

/// `part / whole`, and 0 where there is nothing to compare with.
pub(crate) fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Bytes as people read them: `512B`, `1.50K`, `12.00M`.
pub(crate) fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 1024.0 && unit < 4 {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", char::from(b"KMGTP"[unit]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_redis_prints_them() {
        let cases = [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1536, "1.50K"),
            (1 << 20, "1.00M"),
            (5 << 30, "5.00G"),
            (1 << 50, "1.00P"),
        ];
        for (bytes, text) in cases {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn nothing_has_no_share() {
        assert!(ratio(1, 0).abs() < f64::EPSILON);
        assert!((Memory { used: 50, peak: 200, ..Memory::default() }.peak_percent() - 25.0).abs() < 1e-9);
    }
}
