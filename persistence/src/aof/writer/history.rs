//! Removing what was replaced.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use super::Writer;

impl Writer {
    /// Removes replaced files, and then the manifest names them no more.
    pub(super) fn remove_history(&mut self) {
        if self.core.settings.keep_history.load(Relaxed) || self.manifest.history.is_empty() {
            return;
        }
        for file in &self.manifest.history {
            tracing::info!("Removing the history file {} in the background", file.name);
            if let Err(error) = self.core.disk.remove(&self.core.place.file(&file.name))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!("Failed to remove the history file {}: {error}", file.name);
            }
        }
        let mut manifest = self.manifest.clone();
        manifest.history.clear();
        if let Err(unput) = self.put(manifest) {
            tracing::warn!("The AOF manifest still names history files: {}", unput.error);
        }
    }
}
