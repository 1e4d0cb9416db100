//! `XQUEUE.*`.

use super::play_file;

#[test]
fn transcripts() {
    play_file("queue.txt");
}
