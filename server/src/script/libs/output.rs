//! A text that is built outside the state of the interpreter.

use tidegate_lua::{Fault, Frame};

/// A text that may not become larger than what its script may still use.
#[derive(Debug)]
pub(super) struct Output {
    bytes: Vec<u8>,
    size_max: usize,
}

impl Output {
    pub(super) fn new(frame: &Frame<'_>) -> Self {
        Output { bytes: Vec::new(), size_max: frame.memory_left() }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.len() > self.size_max - self.bytes.len() {
            return Err(Fault::Memory);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// At most 32 bytes that are zero.
    pub(super) fn zeros(&mut self, count: usize) -> Result<(), Fault> {
        self.push(&[0; 32][..count])
    }

    /// Leaves the text as the one result.
    pub(super) fn finish(self, frame: &mut Frame<'_>) -> Result<usize, Fault> {
        frame.push(self.bytes)?;
        Ok(1)
    }
}
