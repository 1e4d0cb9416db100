//! Shared parts of the proof harnesses: starting servers on free ports, talking RESP.
