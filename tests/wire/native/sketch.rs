//! `BF.*`, `CF.*`, `CMS.*`, `TOPK.*` and `TDIGEST.*`.

use super::play_file;

#[test]
fn transcripts() {
    play_file("sketch.txt");
}
