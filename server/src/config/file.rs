//! Reading the config file, standard input and the command line's directives, in this order; a later line wins.
//! The format and the refusals are those of `redis.conf`.

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::directives::{self, Flags};
use super::glob::{self, Case};
use super::{Config, Value};
use crate::version::REDIS_VERSION;
use tidegate_persistence::disk::os_text;
use tidegate_persistence::quote::split_args;

/// Files that include each other may nest this deep.
const DEPTH_MAX: usize = 16;

/// Directives of earlier versions which Redis 7.0 still accepts, with one argument, and ignores.
const FORGOTTEN: [&[u8]; 3] =
    [b"list-max-ziplist-entries", b"list-max-ziplist-value", b"lua-replicate-commands"];

/// Where the configuration comes from.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    pub file: Option<PathBuf>,
    /// What was read from standard input.
    pub input: Option<Vec<u8>>,
    /// The command line's directives, as lines of a config file; `None` when there was no command line at all.
    pub options: Option<Vec<u8>>,
}

/// A line that is not a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `rename-command`: an empty new name removes the command.
    Rename { from: Vec<u8>, to: Vec<u8> },
    /// `user`: the name and the rules of an ACL user.
    User { name: Vec<u8>, rules: Vec<Vec<u8>> },
}

/// Something said by a line of the configuration, so that whoever refuses it later can quote the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    pub value: T,
    /// See [`Found::file`]; that of the first file is kept only where all errors are wanted.
    file: Vec<u8>,
    number: usize,
    text: Vec<u8>,
}

impl<T> Located<T> {
    /// The error that stops the start because of this line.
    pub fn refuse(&self, reason: impl Into<String>) -> LoadError {
        LoadError::Line { number: self.number, text: self.text.clone(), reason: reason.into() }
    }

    /// The same with the file it is in.
    pub fn found(&self, reason: impl Into<String>) -> Found {
        Found { file: self.file.clone(), error: self.refuse(reason) }
    }
}

/// Why the configuration cannot be used. The text is what Redis prints before it exits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    Open {
        file: PathBuf,
        reason: String,
    },
    Line {
        number: usize,
        text: Vec<u8>,
        reason: String,
    },
    /// Every line is right, but they do not go together.
    Whole {
        reason: String,
    },
}

impl std::error::Error for LoadError {}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Open { file, reason } = self {
            return write!(out, "Fatal error, can't open config file '{}': {reason}", file.display());
        }
        writeln!(out, "\n*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***")?;
        match self {
            Self::Line { number, text, reason } => {
                writeln!(out, "Reading the configuration file, at line {number}")?;
                write!(out, ">>> '{}'\n{reason}", String::from_utf8_lossy(&without_secrets(text)))
            }
            Self::Open { reason, .. } | Self::Whole { reason } => out.write_str(reason),
        }
    }
}

/// A line as it may be shown: without passwords. What is printed before the end may be in the log of a service manager.
fn without_secrets(line: &[u8]) -> Cow<'_, [u8]> {
    let line = line.trim_ascii_start();
    let name = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    if directives::lookup(name).is_some_and(|directive| directive.has(Flags::SENSITIVE)) {
        return [name, b" (redacted)"].concat().into();
    }
    if name.eq_ignore_ascii_case(b"user") { without_passwords(line).into() } else { line.into() }
}

/// Rules of a user as they may be shown: of passwords and their hashes only that there is one.
pub fn without_passwords(rules: &[u8]) -> Vec<u8> {
    let words = rules.split(u8::is_ascii_whitespace).map(|word| {
        let start = word.iter().position(|byte| !b"(\"'".contains(byte)).unwrap_or(word.len());
        match word.get(start) {
            Some(b'>' | b'<' | b'#' | b'!') => [&word[..=start], b"(redacted)"].concat(),
            _ => word.to_vec(),
        }
    });
    words.collect::<Vec<_>>().join(&b' ')
}

/// What reading has to remember between lines.
#[derive(Default)]
struct Reading {
    depth: usize,
    /// The first `save` line replaces the default save points, further ones add to them.
    save_seen: bool,
    /// When everything that is wrong is wanted, not only the first: what was found, and in which file.
    found: Option<Vec<Found>>,
    /// The file that is read; only kept when everything is wanted.
    file: Vec<u8>,
}

impl Reading {
    /// Goes on after an error if all are wanted.
    fn fail(&mut self, error: LoadError) -> Result<(), LoadError> {
        let Some(found) = &mut self.found else { return Err(error) };
        found.push(Found { file: self.file.clone(), error });
        Ok(())
    }
}

/// One thing that is wrong with a configuration file, or with one that it includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As it is named by whoever includes it: a path or a pattern.
    pub file: Vec<u8>,
    pub error: LoadError,
}

impl Config {
    /// Applies the sources to a configuration that nothing runs with yet.
    ///
    /// # Errors
    /// [`LoadError`], with the line at fault. The configuration is then of no use.
    pub fn load(&mut self, sources: &Sources) -> Result<(), LoadError> {
        let mut text = Vec::new();
        if let Some(file) = &sources.file {
            // CONFIG REWRITE must find the file again after `dir` led elsewhere.
            self.file = Some(self.dir().join(file));
            self.bind_as_redis();
            text = read_files(&self.dir(), file.as_os_str().as_bytes())?;
        }
        text.extend_from_slice(sources.input.as_deref().unwrap_or_default());
        if let Some(options) = &sources.options {
            text.push(b'\n');
            text.extend_from_slice(options);
        }
        self.load_text(&text, &mut Reading::default())
    }

    /// Reads a file as [`Config::load`] does, but to the end whatever is wrong, and without making the log file. Returns all
    /// that would stop a start; what is right is in effect.
    pub fn check_file(&mut self, file: &Path) -> Vec<Found> {
        self.bind_as_redis();
        let name = file.as_os_str().as_bytes();
        let mut reading = Reading { found: Some(Vec::new()), file: name.to_vec(), ..Reading::default() };
        let read = read_files(&self.dir(), name).and_then(|text| self.load_text(&text, &mut reading));
        let rest = read.and_then(|()| self.check_whole());
        // Without lines to go on with there is one error, and it ends the reading.
        if let Err(error) = rest {
            let _ = reading.fail(error);
        }
        reading.found.unwrap_or_default()
    }

    fn load_text(&mut self, text: &[u8], reading: &mut Reading) -> Result<(), LoadError> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = trim(line);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let file = reading.file.clone();
            let located = Located { value: (), file, number: index + 1, text: line.to_vec() };
            let Some(args) = split_args(line) else {
                reading.fail(located.refuse("Unbalanced quotes in configuration line"))?;
                continue;
            };
            if !args.is_empty()
                && let Err(error) = self.load_line(&args, &located, reading)
            {
                reading.fail(error)?;
            }
        }
        // Where all errors are wanted, the whole is looked at once, at the end.
        if reading.found.is_some() { Ok(()) } else { self.check_log().and_then(|()| self.check_whole()) }
    }

    fn load_line(
        &mut self,
        args: &[Vec<u8>],
        line: &Located<()>,
        reading: &mut Reading,
    ) -> Result<(), LoadError> {
        let refuse = |reason: &str| Err(line.refuse(reason));
        let name = args[0].to_ascii_lowercase();
        if directives::find(&name).is_some() {
            return self.load_directive(&name, &args[1..], reading).map_err(|reason| line.refuse(reason));
        }
        match (name.as_slice(), &args[1..]) {
            (forgotten, [_]) if FORGOTTEN.contains(&forgotten) => Ok(()),
            (b"include", [files]) => {
                if reading.depth == DEPTH_MAX {
                    return refuse("Too many nested include directives");
                }
                let text = read_files(&self.dir(), files)?;
                reading.depth += 1;
                let outer = std::mem::replace(&mut reading.file, files.clone());
                let result = self.load_text(&text, reading);
                reading.file = outer;
                reading.depth -= 1;
                result
            }
            (b"rename-command", [from, to]) => {
                self.keep(line, Command::Rename { from: from.clone(), to: to.clone() });
                Ok(())
            }
            (b"user", [name, rules @ ..]) => {
                self.keep(line, Command::User { name: name.clone(), rules: rules.to_vec() });
                Ok(())
            }
            (b"loadmodule", [_, ..]) => {
                refuse("Tidegate cannot load Redis modules; remove the loadmodule directive")
            }
            (b"sentinel", []) => Ok(()),
            (b"sentinel", _) => refuse("sentinel directive while not in sentinel mode"),
            (module, values) if module.contains(&b'.') => refuse(if values.is_empty() {
                "Module config specified without value"
            } else {
                "Module Configuration detected without loadmodule directive or no ApplyConfig call: aborting"
            }),
            _ => refuse("Bad directive or wrong number of arguments"),
        }
    }

    fn load_directive(&self, name: &[u8], args: &[Vec<u8>], reading: &mut Reading) -> Result<(), String> {
        let (row, _) = directives::find(name).expect("the caller looked it up");
        let directive = directives::all()[row];
        let split;
        let args = match args {
            // One argument may hold several, quoted: `save "900 1"`, `--save "900 1"`.
            [one] if directive.has(Flags::MULTI) && !one.is_empty() => {
                split = split_args(one).unwrap_or_default();
                &split
            }
            _ if !directive.has(Flags::MULTI) && args.len() != 1 => {
                return Err("wrong number of arguments".to_owned());
            }
            _ => args,
        };
        let current = self.read()[row].clone();
        let mut value = directive.parse(args, &current)?;
        if let (Value::Save(points), Value::Save(before)) = (&mut value, current) {
            let clears = matches!(args, [one] if one.is_empty());
            if std::mem::replace(&mut reading.save_seen, true) && !clears {
                points.splice(0..0, before);
            }
        }
        self.store(row, value);
        Ok(())
    }

    fn keep(&mut self, line: &Located<()>, command: Command) {
        let Located { file, number, text, .. } = line.clone();
        self.commands.push(Located { value: command, file, number, text });
    }

    fn check_whole(&self) -> Result<(), LoadError> {
        if self.flag("cluster-enabled") && self.replicaof().is_some() {
            let reason = "replicaof directive not allowed in cluster mode".to_owned();
            return Err(LoadError::Whole { reason });
        }
        Ok(())
    }

    /// Later there would be no place left to say so.
    fn check_log(&self) -> Result<(), LoadError> {
        let Some(path) = self.path("logfile") else { return Ok(()) };
        let opened = File::options().append(true).create(true).open(path);
        opened.map(drop).map_err(|error| LoadError::Whole {
            reason: format!("Can't open the log file: {}", os_text(&error)),
        })
    }
}

/// The content of one file, or of all files a pattern matches, in the order of their names. That a pattern matches
/// none is fine: a directory for snippets may be empty.
fn read_files(dir: &Path, name: &[u8]) -> Result<Vec<u8>, LoadError> {
    let path = dir.join(std::ffi::OsStr::from_bytes(name));
    let paths = if glob::is_pattern(name) { expand(&path) } else { vec![path] };
    let mut text = Vec::new();
    for path in paths {
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        if let Err(error) = File::open(&path).and_then(|mut file| file.read_to_end(&mut text)) {
            let file = path.strip_prefix(dir).unwrap_or(&path).to_path_buf();
            return Err(LoadError::Open { file, reason: os_text(&error) });
        }
    }
    Ok(text)
}

/// The paths a pattern matches, sorted. Names with a leading dot must be asked for with one.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let part = part.as_os_str();
        if !glob::is_pattern(part.as_bytes()) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        let matching = |entry: io::Result<fs::DirEntry>| {
            let name = entry.ok()?.file_name();
            let hidden = name.as_bytes().starts_with(b".") && !part.as_bytes().starts_with(b".");
            let fits = !hidden && glob::matches(part.as_bytes(), name.as_bytes(), Case::Respected);
            fits.then_some(name)
        };
        found = found
            .iter()
            .flat_map(|path| {
                let entries = fs::read_dir(path).into_iter().flatten().filter_map(matching);
                entries.map(|name| path.join(name)).collect::<Vec<_>>()
            })
            .collect();
    }
    found.retain(|path| path.exists());
    found.sort();
    found
}

pub(super) fn trim(line: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = line.iter().position(|byte| !blank(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &line[start..end]
}

#[cfg(test)]
mod tests;
