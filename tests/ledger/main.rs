//! What redis-server 7.0.15 gets wrong and Tidegate must not, each done to both ([`anchors`]). That nothing is lost
//! however often a server is killed is proved by the `ledger` program, whose own checks are tested in the library.

use tidegate_tests::ledger::Server;
use tidegate_tests::ledger::anchors::{self, Anchor};
use tidegate_tests::ledger::lane::{self, Order};
use tidegate_tests::server::{REDIS_SERVER, tidegate_binary};

fn check(anchor: &Anchor) {
    let servers = [Server::tidegate(tidegate_binary()), Server::redis(REDIS_SERVER.into())];
    let number = anchor.name.split(' ').next().unwrap_or_default();
    let dir = std::env::temp_dir().join(format!("tidegate-anchor-{number}-{}", std::process::id()));
    let outcomes = anchors::compare(anchor, &servers, &dir);
    let [target, control] = outcomes.unwrap_or_else(|error| panic!("{}: {error}", anchor.name));
    println!(
        "{}: {}\n  tidegate: {}\n  redis-server: {}",
        anchor.name, anchor.about, target.text, control.text
    );
    std::fs::remove_dir_all(&dir).expect("nothing is left but an empty directory");
    assert!(target.is_fine, "{}: {}", anchor.name, target.text);
    assert!(!anchor.is_certain || !control.is_fine, "the control shows nothing: {}", control.text);
}

/// The mistake that all of this is about, for which there is a setting: the ledger has to see it.
#[test]
fn a_reply_before_the_write_is_noticed() {
    let dir = std::env::temp_dir().join(format!("tidegate-mistake-{}", std::process::id()));
    let figures = lane::run(&Order {
        program: tidegate_binary(),
        mode: "everysec",
        options: vec!["--appendonly-ack", "none"],
        is_slow: true,
        // Nothing is kept of what is meant to be lost.
        is_control: true,
        kills: 4,
        seed: 7,
        dir: dir.clone(),
    });
    let figures = figures.unwrap_or_else(|error| panic!("the server cannot be killed: {error}"));
    assert!(figures.sum.lost > 0, "{figures:?}");
}

#[test]
fn f1_a_torn_transaction_takes_nothing_with_it() {
    check(&anchors::ALL[0]);
}

#[test]
fn f2_an_error_of_a_sync_is_not_forgotten() {
    check(&anchors::ALL[1]);
}

#[test]
fn f3_replies_wait_for_a_slow_disk() {
    check(&anchors::ALL[2]);
}

#[test]
fn f4_a_torn_file_before_an_empty_one_is_loaded() {
    check(&anchors::ALL[3]);
}

#[test]
fn f5_a_changed_digit_is_noticed() {
    check(&anchors::ALL[4]);
}

#[test]
fn flipped_bits_are_noticed() {
    check(&anchors::ALL[5]);
}
