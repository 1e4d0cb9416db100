//! Command line of the bench programs: `--name value`, `--name=value` and switches, nothing more.

use std::fmt;
use std::process::ExitCode;
use std::str::FromStr;

/// The `main` of a bench program called `name`: prints `help` when asked to, reads the settings, runs. Exits with 2 when
/// the arguments are wrong, with 1 when the run failed or did not yield everything (`Ok(false)`).
pub fn program<S, E: fmt::Display>(
    name: &str,
    help: &str,
    read: impl FnOnce(Flags) -> Result<S, String>,
    run: impl FnOnce(&S) -> Result<bool, E>,
) -> ExitCode {
    let mut flags = Flags::from_environment();
    if flags.switch("--help") || flags.switch("-h") {
        print!("{help}");
        return ExitCode::SUCCESS;
    }
    let settings = match read(flags) {
        Ok(settings) => settings,
        Err(message) => {
            eprintln!("{name}: {message}");
            return ExitCode::from(2);
        }
    };
    match run(&settings) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The arguments not taken yet.
pub struct Flags {
    rest: Vec<String>,
}

impl Flags {
    /// The arguments of this process.
    pub fn from_environment() -> Self {
        Self::new(std::env::args().skip(1))
    }

    pub fn new(arguments: impl IntoIterator<Item = String>) -> Self {
        Self { rest: arguments.into_iter().collect() }
    }

    /// Whether the switch is given.
    pub fn switch(&mut self, name: &str) -> bool {
        let before = self.rest.len();
        self.rest.retain(|argument| argument != name);
        self.rest.len() < before
    }

    /// The values of a flag that may be repeated, in order.
    pub fn all(&mut self, name: &str) -> Result<Vec<String>, String> {
        let mut values = Vec::new();
        while let Some(position) = self.rest.iter().position(|argument| names(argument, name)) {
            let argument = self.rest.remove(position);
            if let Some((_, value)) = argument.split_once('=') {
                values.push(value.to_owned());
            } else if position < self.rest.len() {
                values.push(self.rest.remove(position));
            } else {
                return Err(format!("{name} wants a value"));
            }
        }
        Ok(values)
    }

    /// The value of a flag, the last one if it is repeated.
    pub fn value<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.all(name)?.pop() else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| format!("{name}: `{text}` is not valid"))
    }

    /// The comma-separated values of a flag.
    pub fn values<T: FromStr>(&mut self, name: &str) -> Result<Option<Vec<T>>, String> {
        let Some(text) = self.all(name)?.pop() else {
            return Ok(None);
        };
        let parse = |item: &str| item.trim().parse().map_err(|_| format!("{name}: `{item}` is not valid"));
        text.split(',').map(parse).collect::<Result<_, _>>().map(Some)
    }

    /// Refuses whatever nobody asked for.
    pub fn finish(self) -> Result<(), String> {
        match self.rest.first() {
            None => Ok(()),
            Some(argument) => Err(format!("unknown argument `{argument}`, see --help")),
        }
    }
}

fn names(argument: &str, name: &str) -> bool {
    argument.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Flags {
        Flags::new(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn values_switches_and_lists_are_taken_once() {
        let mut flags = flags("--rounds 5 --quick --cells=get:1,set:16 --other a=/x --other b=/y");
        assert_eq!(flags.value("--rounds"), Ok(Some(5)));
        assert!(flags.switch("--quick") && !flags.switch("--quick"));
        assert_eq!(
            flags.values::<String>("--cells"),
            Ok(Some(vec!["get:1".to_owned(), "set:16".to_owned()]))
        );
        assert_eq!(flags.all("--other"), Ok(vec!["a=/x".to_owned(), "b=/y".to_owned()]));
        assert_eq!(flags.value::<u32>("--keys"), Ok(None));
        assert_eq!(flags.finish(), Ok(()));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(flags("--rounds").value::<u32>("--rounds").is_err());
        assert!(flags("--rounds x").value::<u32>("--rounds").is_err());
        assert!(flags("--roundss 1").finish().is_err());
    }
}
