//! Prints the manual page or the completions of a shell, as they are in `package/`:
//!
//!     cargo run -p tidegate --example command_line -- man > package/man/tidegate.1
//!     cargo run -p tidegate --example command_line -- bash > package/completions/tidegate.bash
//!     cargo run -p tidegate --example command_line -- zsh > package/completions/_tidegate
//!     cargo run -p tidegate --example command_line -- fish > package/completions/tidegate.fish

mod render;

use std::process::ExitCode;

fn main() -> ExitCode {
    let what = std::env::args().nth(1).unwrap_or_default();
    let Some((_, text)) = render::FILES.iter().find(|(path, _)| render::kind(path) == what) else {
        eprintln!("man, bash, zsh or fish?");
        return ExitCode::FAILURE;
    };
    print!("{}", text());
    ExitCode::SUCCESS
}
