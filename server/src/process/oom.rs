//! How readily the kernel kills this process when memory runs out: `oom-score-adj` and its values.

use std::fs;
use std::sync::{Mutex, PoisonError};

use crate::config::Config;
use tidegate_persistence::disk::os_text;

const FILE: &str = "/proc/self/oom_score_adj";

/// Applies the configured score and remembers the one the process had before.
#[derive(Debug, Default)]
pub struct OomScore {
    /// `None` while the server has not changed it.
    before: Mutex<Option<i32>>,
}

impl OomScore {
    /// Sets the score for what the server is now, a primary or a replica. Also call it when that changes.
    ///
    /// # Errors
    /// The text CONFIG SET answers, when the score cannot be read or written.
    pub fn apply(&self, config: &Config) -> Result<(), String> {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let relative = match config.choice("oom-score-adj") {
            0 => {
                let Some(score) = before.take() else { return Ok(()) };
                return write(score);
            }
            mode => mode == 1,
        };
        let base = match *before {
            Some(score) => score,
            None => *before.insert(read()?),
        };
        let [primary, replica, _child] = config.oom_scores();
        let score = if config.hot().replicaof.get() { replica } else { primary };
        write((if relative { score + base } else { score }).clamp(-1000, 1000))
    }
}

fn read() -> Result<i32, String> {
    let text = fs::read_to_string(FILE).map_err(|error| failed("read", &error))?;
    Ok(text.trim().parse().unwrap_or(0))
}

fn write(score: i32) -> Result<(), String> {
    fs::write(FILE, format!("{score}\n")).map_err(|error| failed("write", &error))
}

fn failed(what: &str, error: &std::io::Error) -> String {
    tracing::warn!("Unable to {what} oom_score_adj: {}", os_text(error));
    "Failed to set current oom_score_adj. Check server logs.".to_owned()
}
