//! What a running script may ask of the program around it.

use crate::fault::Fault;
use crate::frame::Frame;

/// What runs scripts and answers the functions that only make sense while one runs.
pub trait Host {
    /// Calls function `which` (see [`crate::State::host_function`]) with the arguments in `frame`. Returns how many of
    /// the values on top of it are the results.
    fn call(&mut self, which: u8, frame: &mut Frame<'_>) -> Result<usize, Fault>;

    /// Asked from time to time while a script runs: whether, and why, it is to end now.
    fn interrupt(&mut self) -> Option<Stop>;
}

/// Why a script was ended from outside. What it says is what its caller is told; scripts cannot catch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop(pub &'static str);
