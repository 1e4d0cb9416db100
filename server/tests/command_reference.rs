//! The committed command reference says what the commands declare.

#[path = "../examples/command_reference/render.rs"]
mod render;

use tidegate::registry::Registry;

#[test]
fn the_command_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/commands.md");
    let committed = std::fs::read_to_string(path).expect("the repository has docs/commands.md");
    let registry = Registry::new(&[]).expect("nothing is renamed");
    let fresh = render::reference(&registry);
    let differs = committed.lines().zip(fresh.lines()).find(|(old, new)| old != new);
    assert!(
        committed == fresh,
        "docs/commands.md is out of date, first at {differs:?}: \
         cargo run -p tidegate --example command_reference > docs/commands.md"
    );
}

#[test]
fn what_only_programs_read_is_left_out_of_the_syntax() {
    let cases = [
        ("key [expiration: EX seconds|PERSIST]", "key [EX seconds|PERSIST]"),
        ("key [condition: NX|XX]@7.0.0 [get:GET@6.2.0]", "key [NX|XX] [GET]"),
        ("[hard_soft: HARD|SOFT] end(string) [key [key ...]]", "[HARD|SOFT] end [key [key ...]]"),
        (
            "[filter: ip:port|<[ID client-id] [TYPE <a: NORMAL|PUBSUB>]>@-2.8.12]",
            "[ip:port|<[ID client-id] [TYPE <NORMAL|PUBSUB>]>]",
        ),
        ("<field value>...", "<field value>..."),
    ];
    for (syntax, plain) in cases {
        assert_eq!(render::plain(syntax), plain);
    }
}
