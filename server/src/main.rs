//! The `tidegate` program. Called by the name of `redis-server` it does the same.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::process::ExitCode;

use tidegate::config::{Config, LoadError};
use tidegate::digest;
use tidegate::process::args::{self, Arguments, Invocation};
use tidegate::process::{self, Options, warnings};
use tidegate::top;
use tidegate_persistence::aof::check;
use tidegate_persistence::disk::{RealDisk, os_text};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(all(feature = "mimalloc", not(feature = "jemalloc")))]
#[global_allocator]
static ALLOCATOR: tidegate::memory::Counting<mimalloc::MiMalloc> =
    tidegate::memory::Counting(mimalloc::MiMalloc);

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
        Invocation::CheckAof(words) => {
            let (input, out) = (&mut io::stdin().lock(), &mut io::stdout().lock());
            ExitCode::from(check::check(&RealDisk, "tidegate check-aof", &words, input, out))
        }
        Invocation::CheckRdb(path) => match check::check_rdb(&RealDisk, &path, &mut io::stdout().lock()) {
            Ok(Some(_)) => ExitCode::SUCCESS,
            Ok(None) | Err(_) => ExitCode::FAILURE,
        },
        Invocation::CheckConfig(path) => {
            ExitCode::from(process::check::check_config(&path, &mut io::stdout().lock()))
        }
        Invocation::Digest(words) => {
            ExitCode::from(digest::tool::run(&words, &mut io::stdout().lock(), &mut io::stderr().lock()))
        }
        Invocation::Queue(words) => {
            ExitCode::from(top::run(&words, &mut io::stdout().lock(), &mut io::stderr().lock()))
        }
        Invocation::Serve(serve) => match start(serve, arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure::Said(text)) => fail(&text),
            Err(Failure::Logged) => ExitCode::FAILURE,
        },
    }
}

/// Why the server did not run.
enum Failure {
    /// To be said on standard error.
    Said(String),
    Logged,
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::Said(error.to_string())
    }
}

fn start(serve: Arguments, mut arguments: Vec<OsString>) -> Result<(), Failure> {
    let configured = arguments.len() > 1;
    let mut sources = serve.sources;
    if serve.reads_input {
        let mut input = Vec::new();
        let read = io::stdin().read_to_end(&mut input);
        read.map_err(|error| Failure::Said(format!("Can't read standard input: {error}")))?;
        sources.input = Some(input);
    }
    let mut config = Config::for_this_process();
    if configured {
        config.load(&sources)?;
    }
    let renamed = tidegate::renamed_commands(&config)?;
    tidegate::acl::check_configured(&config)?;
    let program = if arguments.is_empty() { OsString::new() } else { arguments.swap_remove(0) };
    let options = Options { config, program, configured };
    let process = process::prepare(&options).map_err(log_failure)?;
    let result = tidegate::run(options.config, &renamed, &process);
    process.finish();
    result.map_err(|error| log_failure(os_text(&error)))
}

/// From the start of the log on, failures are said there and not a second time on standard error.
fn log_failure(text: impl std::fmt::Display) -> Failure {
    tracing::error!("{text}");
    Failure::Logged
}

fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}
