//! Writing again what the disk may have lost: to another file, because nothing that is said of the old one counts any more.

use std::io::{self, Read as _};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::super::read::{Next, Reader};
use super::{BATCH, Kept, Open, Unput, Writer};

impl Writer {
    /// Writes everything that is not surely on the disk to a new file. The manifest that names it says as well how much of
    /// the old one counts, so whatever happens in between, each unit is there once.
    pub(super) fn write_again(&mut self) -> io::Result<()> {
        self.abandon_sync();
        let Some(old) = &self.open else { return Err(io::ErrorKind::NotConnected.into()) };
        let kept_from = self.kept.front().and_then(|kept| kept.at).unwrap_or(old.size);
        let (from, db) = old.unkept.unwrap_or((kept_from, None));
        let (old_file, old_size, old_name) = (Arc::clone(&old.file), old.size, old.name.clone());
        let (mut fresh, name) = self.create_file()?;
        let path = self.core.place.file(&name.name);
        let result = self.copy_back(&mut fresh, &old_name, from..kept_from, db).and_then(|()| {
            self.write_kept(&mut fresh)?;
            fresh.file.sync()?;
            self.core.disk.sync_dir(&self.core.place.dir)
        });
        let put = result.map_err(Unput::from).and_then(|()| self.add_file(name, Some(from)));
        if let Err(unput) = put {
            if !unput.is_in_doubt {
                let _ = self.core.disk.remove(&path);
            }
            return Err(unput.error);
        }
        // Only for programs that do not know what the manifest says about it.
        if let Err(error) = old_file.truncate(from).and_then(|()| old_file.sync()) {
            tracing::warn!("{old_name} could not be cut off at {from}, where the next file begins: {error}");
        }
        fresh.synced = fresh.size;
        self.core.status.size.fetch_add(fresh.size, Relaxed);
        self.core.status.size.fetch_sub(old_size - from, Relaxed);
        self.open = Some(fresh);
        let written = self.core.log.written();
        let end = self.kept.back().map_or(written, |kept| kept.chunk.end.max(written));
        self.kept.clear();
        self.last_sync = self.core.clock.now();
        self.core.log.set_written(end);
        self.core.log.set_synced(end);
        Ok(())
    }

    /// Forgets the sync in the background: what it says does not matter any more.
    fn abandon_sync(&mut self) {
        while self.syncing.is_some() {
            if self.syncer.as_mut().is_none_or(|syncer| syncer.result().is_some()) {
                self.syncing = None;
                self.core.status.is_syncing.store(false, Relaxed);
            } else {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Copies units of this range of an old file, which the kernel still has, to a new one.
    fn copy_back(
        &self,
        open: &mut Open,
        name: &str,
        range: Range<u64>,
        mut db: Option<u16>,
    ) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let (file, _) = self.core.disk.open(&self.core.place.file(name))?;
        let mut reader = Reader::new(Box::new(file.take(range.end)), 0);
        loop {
            match reader.next_piece()? {
                Next::Units(piece) => {
                    let first = range.start.saturating_sub(piece.offset) as usize;
                    let runs = piece.runs.iter().map(|run| run.start.max(first)..run.end);
                    let parts: Vec<&[u8]> =
                        runs.filter(|run| !run.is_empty()).map(|run| &piece.bytes[run]).collect();
                    if !parts.is_empty() {
                        self.append_batch(open, None, db.take(), &parts, self.core.log.synced())?;
                    }
                }
                Next::End(end) if end.good >= range.end => return Ok(()),
                Next::End(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    /// Writes all that is kept to a new file, in batches of the usual size.
    fn write_kept(&self, open: &mut Open) -> io::Result<()> {
        let mut db = self.kept.front().and_then(|kept| kept.chunk.db).filter(|_| open.size == 0);
        let (mut parts, mut size) = (Vec::new(), 0);
        for (index, Kept { chunk, .. }) in self.kept.iter().enumerate() {
            parts.push(chunk.bytes.as_slice());
            size += chunk.bytes.len();
            if index + 1 == self.kept.len() || size >= BATCH && !chunk.is_open {
                self.append_batch(open, None, db.take(), &parts, chunk.end)?;
                (parts, size) = (Vec::new(), 0);
            }
        }
        Ok(())
    }
}
