//! `RL.*` and `CL.THROTTLE`.

use super::play_file;

#[test]
fn transcripts() {
    play_file("ratelimit.txt");
}
