//! The `tidegate` program. Called by the name of `redis-server` it does the same.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::process::ExitCode;

use tidegate::config::Config;
use tidegate::process::args::{self, Arguments, Invocation};
use tidegate::process::{self, Options, warnings};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(all(feature = "mimalloc", not(feature = "jemalloc")))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match args::read(&arguments) {
        Invocation::Print(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Invocation::Refuse(text) => fail(&text),
        Invocation::CheckSystem if warnings::check_system() => ExitCode::SUCCESS,
        Invocation::CheckSystem => ExitCode::FAILURE,
        Invocation::Serve(serve) => match start(serve, arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(text) => fail(&text),
        },
    }
}

fn start(serve: Arguments, mut arguments: Vec<OsString>) -> Result<(), String> {
    let configured = arguments.len() > 1;
    let mut sources = serve.sources;
    if serve.reads_input {
        let mut input = Vec::new();
        io::stdin().read_to_end(&mut input).map_err(|error| format!("Can't read standard input: {error}"))?;
        sources.input = Some(input);
    }
    let mut config = Config::for_this_process();
    if configured {
        config.load(&sources).map_err(|error| error.to_string())?;
    }
    let renamed = tidegate::renamed_commands(&config).map_err(|error| error.to_string())?;
    let program = if arguments.is_empty() { OsString::new() } else { arguments.swap_remove(0) };
    let options = Options { config, program, configured };
    let process = process::prepare(&options).map_err(log_failure)?;
    let result = tidegate::run(options.config, &renamed, &process);
    process.finish();
    result.map_err(|error| log_failure(error.to_string()))
}

/// Failures after the start go to the log as well: a daemon has no other place to say it.
fn log_failure(text: String) -> String {
    tracing::error!("{text}");
    text
}

fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}
