//! Load generation and measurement shared by the benches.
