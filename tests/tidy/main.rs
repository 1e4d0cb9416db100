//! Rules about the repository itself, as plain tests: they read the sources and the registry, and start nothing.
//!
//! That `redis.conf.example` and the table of directives agree is tested beside the configuration's loader.
//!
//! A rule that is not kept everywhere yet has a list of exceptions. A list may only shrink: an entry that is no
//! longer needed fails the test as well.

mod commands;
mod sources;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository")
}

/// A file with its path from the root and its text.
struct Source {
    path: String,
    text: String,
}

/// All files of the repository with one of these endings, without what was built or fetched.
fn sources(endings: &[&str]) -> Vec<Source> {
    let mut files = Vec::new();
    let mut pending = vec![root().to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).expect("a directory of the repository") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_foreign = ["target", "node_modules", "artifacts", "__pycache__"].contains(&name.as_str());
            if path.is_dir() && !is_foreign && !name.starts_with('.') {
                pending.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                files.push(source(&path));
            }
        }
    }
    assert!(files.len() > 10, "the repository was not found at {}", root().display());
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn source(path: &PathBuf) -> Source {
    let from_root = path.strip_prefix(root()).expect("it lies below the root");
    let bytes = fs::read(path).expect("a readable file");
    Source {
        path: from_root.to_string_lossy().into_owned(),
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Fails when the offenders are not exactly the known ones.
fn assert_only<T: AsRef<str>>(offenders: impl IntoIterator<Item = T>, known: &[&str], rule: &str) {
    let offenders: BTreeSet<String> =
        offenders.into_iter().map(|offender| offender.as_ref().to_owned()).collect();
    let known: BTreeSet<String> = known.iter().map(ToString::to_string).collect();
    let new: Vec<&String> = offenders.difference(&known).collect();
    let gone: Vec<&String> = known.difference(&offenders).collect();
    assert!(new.is_empty(), "{rule}: {new:#?}");
    assert!(gone.is_empty(), "{rule}, take these off the list of exceptions: {gone:#?}");
}
