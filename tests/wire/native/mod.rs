//! Commands that Redis does not have: the transcripts of their specification.

mod breaker;
mod cache;
mod counter;
mod event;
mod lock;
mod queue;
mod queue_model;
mod ratelimit;
mod recipes;
mod recipes_of_jobs;
mod sketch;
mod transcript;

use transcript::play;

/// Plays all transcripts of a file of this directory: they begin at the lines that begin with `==`.
fn play_file(name: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("wire/native").join(name);
    let file = std::fs::read_to_string(path).expect("a file beside this one");
    let mut text = String::new();
    for line in file.lines().chain(["== end"]) {
        if line.starts_with("== ") {
            play(&std::mem::take(&mut text));
        } else {
            text += line;
            text.push('\n');
        }
    }
}
