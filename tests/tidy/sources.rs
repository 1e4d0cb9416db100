//! Sizes, words and reachability of files.

use std::collections::BTreeSet;

use super::{Source, assert_only, sources};

/// Lines no file may exceed.
const LINES_MAX: usize = 1000;

#[test]
fn no_file_is_too_long() {
    let long = sources(&[".rs", ".py", ".js", ".sh"])
        .into_iter()
        .filter(|source| source.text.lines().count() > LINES_MAX)
        .map(|source| source.path);
    assert_only(long, &[], "more than 1000 lines");
}

/// Words that mean unfinished work, in pieces so that this file does not hold them.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("dbg", "!("),
    concat!("unimpl", "emented!("),
];

#[test]
fn nothing_is_marked_as_unfinished() {
    let marked = sources(&[".rs", ".py", ".js", ".sh", ".toml", ".example"])
        .into_iter()
        .filter(|source| UNFINISHED.iter().any(|word| source.text.contains(word)))
        .map(|source| source.path);
    assert_only(marked, &[], "unfinished work");
}

#[test]
fn no_file_is_named_after_what_it_is_not() {
    let vague = ["utils", "helpers", "common", "misc", "manager"];
    let named = sources(&[".rs"])
        .into_iter()
        .map(|source| source.path)
        .filter(|path| path.split('/').any(|part| vague.contains(&part.trim_end_matches(".rs"))));
    assert_only(named, &[], "a vague name");
}

/// Directories of somebody's machine.
const MACHINE: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/t", "mp/")];

#[test]
fn no_source_names_a_directory_of_a_machine() {
    let naming = sources(&[".rs", ".toml", ".py", ".js"])
        .into_iter()
        .filter(|source| MACHINE.iter().any(|dir| source.text.contains(dir)))
        .map(|source| source.path);
    assert_only(naming, &[], "a machine's directory");
}

#[test]
fn every_exception_of_a_lint_has_a_reason() {
    let allowing = sources(&[".rs"])
        .into_iter()
        .filter(|source| {
            let attributes = source.text.split(concat!("#", "[allow("));
            let inner = source.text.split(concat!("#", "![allow("));
            attributes.count() > 1 || inner.count() > 1
        })
        .map(|source| source.path);
    assert_only(allowing, &[], "write expect with a reason instead");
}

/// Cargo compiles these without a `mod`.
fn is_root(path: &str) -> bool {
    let in_dir =
        |dir: &str| path.contains(dir) && !path.rsplit_once(dir).is_some_and(|(_, rest)| rest.contains('/'));
    path.ends_with("src/lib.rs")
        || path.ends_with("src/main.rs")
        || path.ends_with("/build.rs")
        || ((path.starts_with("tests/") || path.contains("/examples/")) && path.ends_with("/main.rs"))
        || [
            "src/bin/",
            "/examples/",
            "benches/benches/",
            "data/tests/",
            "persistence/tests/",
            "server/tests/",
            "fuzz_targets/",
        ]
        .iter()
        .any(|dir| in_dir(dir))
}

/// The files that the `mod` lines of a file name.
fn declared(source: &Source) -> Vec<String> {
    let (dir, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let stem = file.trim_end_matches(".rs");
    let own = if is_root(&source.path) || stem == "mod" { dir.to_owned() } else { format!("{dir}/{stem}") };
    let mut files = Vec::new();
    let mut path_attribute = None;
    for line in source.text.lines().map(str::trim) {
        if let Some(path) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            path_attribute = Some(format!("{dir}/{path}"));
            continue;
        }
        let Some(rest) = line.strip_suffix(';') else { continue };
        let Some(name) = rest.strip_prefix("mod ").or_else(|| rest.split_once(" mod ").map(|(_, name)| name))
        else {
            continue;
        };
        match path_attribute.take() {
            Some(path) => files.push(path),
            None => files.extend([format!("{own}/{name}.rs"), format!("{own}/{name}/mod.rs")]),
        }
    }
    files
}

#[test]
fn every_source_file_is_compiled() {
    let all = sources(&[".rs"]);
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut pending: Vec<&Source> = all.iter().filter(|source| is_root(&source.path)).collect();
    while let Some(source) = pending.pop() {
        if reached.insert(&source.path) {
            let names = declared(source);
            pending.extend(all.iter().filter(|other| names.contains(&other.path)));
        }
    }
    let lost = all.iter().map(|source| source.path.as_str()).filter(|path| !reached.contains(path));
    assert_only(lost, &[], "no mod declaration names it");
}
