//! `HELP` of every container, and other reports that are written for people.

use tidegate_tests::resp::Reply;
use tidegate_tests::server::TestServer;

#[test]
fn every_container_explains_itself() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    for line in [
        "ACL HELP",
        "CLIENT HELP",
        "COMMAND HELP",
        "CONFIG HELP",
        "FUNCTION HELP",
        "LATENCY HELP",
        "MEMORY HELP",
        "MODULE HELP",
        "OBJECT HELP",
        "SCRIPT HELP",
        "SLOWLOG HELP",
        "XGROUP HELP",
        "XINFO HELP",
    ] {
        let reply = client.line(line);
        let lines: Vec<String> =
            reply.items().unwrap_or_else(|| panic!("{line}: {reply:?}")).iter().map(Reply::text).collect();
        let container = line.split(' ').next().unwrap();
        let headline = format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
        assert_eq!(lines[0], headline);
        let [.., own, _] = &lines[..] else { panic!("{line} is too short: {lines:?}") };
        assert_eq!(own, "HELP", "{line}");
        let error = client.line(&format!("{line} x")).error().unwrap();
        let name = container.to_ascii_lowercase();
        assert_eq!(error, format!("ERR wrong number of arguments for '{name}|help' command"));
    }
}

/// The texts are for people, so only their kind is promised.
#[test]
fn reports_about_memory_are_texts_and_maps() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    assert!(!client.line("MEMORY MALLOC-STATS").text().is_empty());
    let stats = client.line("MEMORY STATS");
    let names: Vec<String> = stats.items().unwrap().iter().step_by(2).map(Reply::text).collect();
    for name in ["peak.allocated", "total.allocated", "keys.count", "keys.bytes-per-key", "dataset.bytes"] {
        assert!(names.iter().any(|known| known == name), "{name} is not among {names:?}");
    }
}
