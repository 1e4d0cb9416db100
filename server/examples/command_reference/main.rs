//! Prints the command reference, as it is in `docs/commands.md`:
//!
//!     cargo run -p tidegate --example command_reference > docs/commands.md

mod render;

use tidegate::registry::Registry;

fn main() {
    let registry = Registry::new(&[]).expect("nothing is renamed");
    print!("{}", render::reference(&registry));
}
