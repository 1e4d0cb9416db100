//! The committed manual page and completions say what the directives are.

#[path = "../examples/command_line/render.rs"]
mod render;

#[test]
fn the_manual_page_and_the_completions_are_up_to_date() {
    for (path, fresh) in render::FILES {
        let file = format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"));
        let committed = std::fs::read_to_string(&file).expect("the repository has it");
        assert!(
            committed == fresh(),
            "{path} is out of date: cargo run -p tidegate --example command_line -- {} > {path}",
            render::kind(path)
        );
    }
}
