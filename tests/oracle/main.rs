//! Short form of the oracle: Redis against itself must agree, planted faults must be found and shrunk, and Tidegate
//! must agree with Redis. The long form is the `oracle` program.

mod acl;
mod command_docs;
mod digest;

use std::path::{Path, PathBuf};

use tidegate_tests::oracle::allow::AllowList;
use tidegate_tests::oracle::pair::Mutant;
use tidegate_tests::oracle::step::Op;
use tidegate_tests::oracle::{self, Options, Summary};
use tidegate_tests::server::{REDIS_SERVER, tidegate_binary};

fn run(options: &Options) -> Summary {
    oracle::run(options).expect("the servers can be driven")
}

fn assert_agrees(summary: &Summary) {
    for finding in &summary.findings {
        eprintln!("{finding}");
    }
    assert!(summary.findings.is_empty(), "{} differences", summary.findings.len());
    assert!(summary.checks > 0);
}

#[test]
fn redis_agrees_with_itself() {
    assert_agrees(&run(&Options::new(PathBuf::from(REDIS_SERVER), 11, 30_000)));
}

#[test]
fn tidegate_agrees_with_redis() {
    let mut options = Options::new(tidegate_binary(), 21, 40_000);
    options.allow = AllowList::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/allow.txt"))
        .expect("the list is valid");
    options.differences_max = 5;
    assert_agrees(&run(&options));
}

/// Among all families scripts are rare.
#[test]
fn scripts_agree_with_redis() {
    let mut options = Options::new(tidegate_binary(), 41, 30_000);
    options.families = vec!["scripts".to_owned()];
    options.differences_max = 5;
    assert_agrees(&run(&options));
}

/// Among all families these are rare, and of a scene with many commands only few are of any one kind.
#[test]
fn scripts_and_messages_agree_with_redis() {
    let mut options = Options::new(tidegate_binary(), 41, 30_000);
    options.families = ["scripts", "messages"].map(str::to_owned).into();
    options.differences_max = 5;
    assert_agrees(&run(&options));
}

fn keep_request(_: &mut Vec<Vec<u8>>) {}

fn keep_reply(_: &Op, _: &mut Vec<u8>) {}

/// Each fault is small: one option ignored, one number off by one, one text with another letter.
const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "SET ignores KEEPTTL",
        request: |args| {
            if args[0].eq_ignore_ascii_case(b"SET")
                && args.len() == 4
                && args[3].eq_ignore_ascii_case(b"KEEPTTL")
            {
                args.pop();
            }
        },
        reply: keep_reply,
    },
    Mutant {
        name: "UNLINK of two keys forgets the second",
        request: |args| {
            if args[0].eq_ignore_ascii_case(b"UNLINK") && args.len() == 3 {
                args.pop();
            }
        },
        reply: keep_reply,
    },
    Mutant {
        name: "COPY forgets REPLACE",
        request: |args| {
            if args[0].eq_ignore_ascii_case(b"COPY") && args.len() == 4 {
                args.pop();
            }
        },
        reply: keep_reply,
    },
    Mutant {
        name: "TTL answers -1 for a key that does not exist",
        request: keep_request,
        reply: |op, raw| {
            if op.name() == "ttl" && raw == b":-2\r\n" {
                *raw = b":-1\r\n".to_vec();
            }
        },
    },
    Mutant {
        name: "another letter in an error",
        request: keep_request,
        reply: |op, raw| {
            if op.name() == "setrange" && raw.starts_with(b"-ERR offset") {
                raw[5] = b'O';
            }
        },
    },
    Mutant {
        name: "null array for null string in GET",
        request: keep_request,
        reply: |op, raw| {
            if op.name() == "get" && raw == b"$-1\r\n" {
                *raw = b"*-1\r\n".to_vec();
            }
        },
    },
];

#[test]
fn planted_faults_are_found_and_shrunk() {
    for mutant in MUTANTS {
        let mut options = Options::new(PathBuf::from(REDIS_SERVER), 31, 600_000);
        options.mutant = Some(*mutant);
        // The families whose commands have the faults; among all of them each command is rare.
        options.families = ["strings", "generic", "keyspace"].map(str::to_owned).into();
        let summary = run(&options);
        let [finding] = &summary.findings[..] else { panic!("not found: {}", mutant.name) };
        assert!(!finding.unstable, "{}: {finding}", mutant.name);
        assert!(finding.steps.len() <= 6, "{} is not small: {finding}", mutant.name);
    }
}
