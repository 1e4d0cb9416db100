//! `LOCK.*` and `IDEM.*`.

use super::play_file;

#[test]
fn locks() {
    play_file("lock.txt");
}

#[test]
fn requests_that_are_run_once() {
    play_file("idem.txt");
}
