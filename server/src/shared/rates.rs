//! Rates for `INFO`: what happened per second lately, as the mean of the last samples.

use std::sync::{Mutex, PoisonError};

/// Samples a rate is the mean of; the cron takes ten per second.
const SAMPLES: usize = 16;

/// One rate.
#[derive(Debug, Default)]
pub struct Rate {
    inner: Mutex<Samples>,
}

#[derive(Debug, Default)]
struct Samples {
    per_second: [u64; SAMPLES],
    next: usize,
    /// The figure and the time (Unix milliseconds) of the last sample.
    last: Option<(u64, i64)>,
}

impl Rate {
    /// Takes a sample of an ever growing figure.
    pub fn sample(&self, figure: u64, now_ms: i64) {
        let mut samples = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a last sample, or when the clock was set back, this one only is the base of the next.
        if let Some((last, last_ms)) = samples.last.replace((figure, now_ms))
            && let Ok(elapsed_ms @ 1..) = u64::try_from(now_ms - last_ms)
        {
            let next = samples.next;
            samples.per_second[next] = figure.saturating_sub(last) * 1000 / elapsed_ms;
            samples.next = (next + 1) % SAMPLES;
        }
    }

    /// The mean of the last samples, per second.
    pub fn per_second(&self) -> u64 {
        let samples = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        samples.per_second.iter().sum::<u64>() / SAMPLES as u64
    }

    fn reset(&self) {
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Samples::default();
    }
}

/// All rates `INFO` shows.
#[derive(Debug, Default)]
pub struct Rates {
    /// Commands.
    pub commands: Rate,
    /// Bytes received.
    pub received: Rate,
    /// Bytes sent.
    pub sent: Rate,
}

impl Rates {
    /// Forgets all samples.
    pub fn reset(&self) {
        for rate in [&self.commands, &self.received, &self.sent] {
            rate.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_mean_of_sixteen_samples() {
        let rate = Rate::default();
        rate.sample(1000, 0);
        assert_eq!(rate.per_second(), 0);
        for tenth in 1..=16 {
            rate.sample(1000 + tenth * 50, tenth as i64 * 100);
        }
        assert_eq!(rate.per_second(), 500);
        rate.sample(5000, 1600);
        assert_eq!(rate.per_second(), 500, "no time has passed");
        rate.reset();
        assert_eq!(rate.per_second(), 0);
    }
}
