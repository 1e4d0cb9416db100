//! The command line, which is that of `redis-server`: an optional config file, `-` for standard input, and
//! directives written `--name value ...`. Everything but the file becomes lines of a config file and is read as such,
//! so that one parser gives one set of error messages.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use crate::config::Sources;
use crate::version::{ALLOCATOR, BUILD, COMMIT, REDIS_VERSION, TIDEGATE_VERSION};
use tidegate_persistence::quote::{quoted, split_args};

/// What the command line asks for.
#[derive(Debug, Clone)]
pub enum Invocation {
    Serve(Arguments),
    /// Print this and succeed.
    Print(String),
    /// Print what is wrong and fail.
    Refuse(String),
    /// Look for settings of the system that hurt, print them, and fail if there are any.
    CheckSystem,
    /// Check files of an append-only file, as `redis-check-aof` does with these arguments.
    CheckAof(Vec<OsString>),
    /// Check an RDB file.
    CheckRdb(PathBuf),
    /// Say what is wrong with a configuration file.
    CheckConfig(PathBuf),
    /// Compute digests, with these arguments.
    Digest(Vec<OsString>),
    /// Look at the queues of a running server, with these arguments.
    Queue(Vec<OsString>),
}

/// The configuration the command line names.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// `input` is not read yet.
    pub sources: Sources,
    /// Whether standard input is part of the configuration.
    pub reads_input: bool,
}

/// Reads a command line, program name first.
pub fn read(arguments: &[OsString]) -> Invocation {
    let program = arguments.first().map(OsString::as_os_str).unwrap_or_default();
    if let Some(check) = check(program, arguments.get(1..).unwrap_or_default()) {
        return check;
    }
    let arguments: Vec<&[u8]> = arguments.iter().skip(1).map(|argument| argument.as_bytes()).collect();
    match arguments.first().copied() {
        Some(b"-v" | b"--version") => return Invocation::Print(version()),
        Some(b"-h" | b"--help") => return Invocation::Print(help(program)),
        Some(b"--check-system") => return Invocation::CheckSystem,
        Some(b"--test-memory") => return Invocation::Refuse(NO_MEMORY_TEST.to_owned()),
        _ => {}
    }
    if arguments.contains(&b"--sentinel".as_slice()) || contains(program.as_bytes(), b"redis-sentinel") {
        return Invocation::Refuse(NO_SENTINEL.to_owned());
    }
    if arguments.is_empty() {
        return Invocation::Serve(Arguments::default());
    }
    let file = arguments.first().filter(|first| !first.starts_with(b"-"));
    let first_option = usize::from(file.is_some());
    let (options, reads_input) = directives(&arguments, first_option);
    let file = file.map(|file| PathBuf::from(OsString::from_vec(file.trim_ascii().to_vec())));
    Invocation::Serve(Arguments {
        sources: Sources { file, input: None, options: Some(options) },
        reads_input,
    })
}

/// The tools for files, by their own name or that of Redis' programs.
fn check(program: &OsStr, arguments: &[OsString]) -> Option<Invocation> {
    let word = arguments.first().map(|word| word.as_bytes()).unwrap_or_default();
    let is_called = |name: &str| contains(program.as_bytes(), format!("redis-{name}").as_bytes());
    if is_called("check-aof") || word == b"check-aof" {
        let words = if word == b"check-aof" { &arguments[1..] } else { arguments };
        return Some(Invocation::CheckAof(words.to_vec()));
    }
    if word == b"check-config" {
        return Some(match &arguments[1..] {
            [word] if word == "--help" || word == "-h" => Invocation::Print(CHECK_CONFIG_HELP.to_owned()),
            [path] => Invocation::CheckConfig(path.into()),
            _ => Invocation::Refuse("Usage: tidegate check-config <file>".to_owned()),
        });
    }
    if word == b"digest" {
        return Some(Invocation::Digest(arguments[1..].to_vec()));
    }
    if word == b"queue" {
        return Some(Invocation::Queue(arguments[1..].to_vec()));
    }
    if is_called("check-rdb") || word == b"check-rdb" {
        let words = if word == b"check-rdb" { &arguments[1..] } else { arguments };
        return Some(match words {
            [path] => Invocation::CheckRdb(path.into()),
            _ => Invocation::Refuse("Usage: tidegate check-rdb <rdb-file-name>".to_owned()),
        });
    }
    None
}

/// The directives as config file lines, and whether `-` asks for standard input.
///
/// A word that starts with `--` begins a directive, unless the directive before it has no value yet: in
/// `--logfile --odd--name` it is the value. `--save` is the exception, because scripts produce `--save --port 1` when
/// their list of save points is empty.
fn directives(arguments: &[&[u8]], first: usize) -> (Vec<u8>, bool) {
    let mut lines = Vec::new();
    let mut reads_input = false;
    let mut has_value = true;
    for (index, argument) in arguments.iter().enumerate().skip(first) {
        let last = index + 1 == arguments.len();
        if *argument == b"-" && (index == 0 || last) {
            reads_input = true;
        } else if let Some(name) = argument.strip_prefix(b"--").filter(|_| has_value) {
            if !lines.is_empty() {
                lines.push(b'\n');
            }
            lines.extend_from_slice(name);
            lines.push(b' ');
            // `--port 7000` may come as one word, with its value.
            has_value = split_args(argument).is_none_or(|words| words.len() != 1);
            let empty = last || arguments[index + 1].starts_with(b"--");
            if !has_value && empty && argument.eq_ignore_ascii_case(b"--save") {
                lines.extend_from_slice(b"\"\"");
                has_value = true;
            }
        } else {
            lines.extend_from_slice(quoted(argument).as_bytes());
            lines.push(b' ');
            has_value = true;
        }
    }
    (lines, reads_input)
}

/// One line in the form of `redis-server --version`, which scripts take apart.
pub fn version() -> String {
    format!(
        "Tidegate server v={REDIS_VERSION} sha={COMMIT}:0 malloc={ALLOCATOR} bits={} build={BUILD:x} \
         tidegate_version={TIDEGATE_VERSION}",
        usize::BITS
    )
}

const NO_SENTINEL: &str = "Tidegate does not run as a Sentinel. Use redis-sentinel or valkey-sentinel: \
                           they can monitor Tidegate servers.";
const NO_MEMORY_TEST: &str =
    "Tidegate has no memory test. Use memtest86+ or memtester to test this computer's memory.";

const CHECK_CONFIG_HELP: &str = "Usage: tidegate check-config <file>

Reads a configuration file and those it includes, and prints everything that would stop a start, one
line each: the file, the number of the line and the reason. Nothing is started and no file is made.
Ends with 0 when there is nothing to say and with 1 otherwise.";

fn help(program: &OsStr) -> String {
    let program = program.to_string_lossy();
    format!(
        "Tidegate {TIDEGATE_VERSION}, an in-memory data server that speaks the protocol of Redis {REDIS_VERSION}.

Usage: {program} [/path/to/redis.conf] [options] [-]
       {program} - (read the configuration from standard input)
       {program} -v or --version
       {program} -h or --help
       {program} --check-system
       {program} check-aof [--fix|--truncate-to-timestamp <t>] <file.manifest|file.aof>
       {program} check-rdb <file.rdb>
       {program} check-config <file> (everything that is wrong with a configuration file)
       {program} digest <file.rdb|appendonlydir|host:port> ... (see {program} digest --help)
       {program} queue top [options] [queue] ... (see {program} queue --help)

Options are the directives of the configuration file, with two dashes before the name and the
values after it. They come after the file and after standard input, so they win over both.
A directive may take several values, quoted or not: --save 900 1 300 10, --save \"900 1 300 10\".
--save alone, or with an empty value, turns snapshots off.

Commonly used:
       --port <port>                  TCP port, 6379 by default; 0 for none
       --bind <address> ...           addresses to listen on; 127.0.0.1 and ::1 without a file
       --unixsocket <path>            also listen on a Unix socket
       --dir <directory>              where data files are; the current directory by default
       --appendonly yes               log every write to disk
       --save <seconds> <changes> ... when to write a snapshot
       --maxmemory <bytes>            limit for the data, such as 512mb or 4gb
       --maxmemory-policy <policy>    what happens at the limit, such as allkeys-lru
       --io-threads <threads>         threads that serve clients; one per core by default
       --requirepass <password>       ask clients for a password
       --replicaof <host> <port>      replicate another server
       --loglevel <level>             debug, verbose, notice or warning
       --logfile <path>               log to a file instead of standard output
       --log-format <form>            text, json or logfmt
       --daemonize yes                run in the background
redis.conf.example explains every directive.

Examples:
       {program} (with the default configuration)
       echo 'maxmemory 128mb' | {program} -
       {program} /etc/tidegate/6379.conf
       {program} --port 7777
       {program} --port 7777 --replicaof 127.0.0.1 8888
       {program} /etc/tidegate/6379.conf --loglevel verbose -

SIGTERM and SIGINT stop the server after it has saved what it is configured to save; SIGHUP and SIGUSR1
do not disturb it: the log file may be moved at any time."
    )
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoke(arguments: &[&str]) -> Invocation {
        let arguments: Vec<OsString> =
            std::iter::once(&"tidegate").chain(arguments).map(OsString::from).collect();
        read(&arguments)
    }

    /// The file, the lines of the directives, and whether standard input is read.
    fn served(arguments: &[&str]) -> (Option<PathBuf>, String, bool) {
        let Invocation::Serve(arguments) = invoke(arguments) else { panic!("{arguments:?} does not serve") };
        let options = arguments.sources.options.unwrap_or_default();
        (arguments.sources.file, String::from_utf8(options).unwrap(), arguments.reads_input)
    }

    #[test]
    fn directives_become_lines_of_a_config_file() {
        let cases: [(&[&str], &str); 13] = [
            (&["--port", "7000"], "port \"7000\" "),
            (&["--port 7000", "--hz 5"], "port 7000 \nhz 5 "),
            (&["--port", "6379", "6380"], "port \"6379\" \"6380\" "),
            (&["--port", "--loglevel", "verbose"], "port \"--loglevel\" \"verbose\" "),
            (&["--port", "--bla", "--loglevel", "verbose"], "port \"--bla\" \nloglevel \"verbose\" "),
            (&["--save", "", "--hz", "1"], "save \"\" \nhz \"1\" "),
            (&["--save", "--hz", "1"], "save \"\"\nhz \"1\" "),
            (&["--hz", "1", "--save"], "hz \"1\" \nsave \"\""),
            (&["--save", "100", "100"], "save \"100\" \"100\" "),
            (
                &["--proc-title-template", "--save", "--save", ""],
                "proc-title-template \"--save\" \nsave \"\" ",
            ),
            (&["--shutdown-on-sigint", "nosave force"], "shutdown-on-sigint \"nosave force\" "),
            (&["--port"], "port "),
            (&["--requirepass", "a\"b"], "requirepass \"a\\\"b\" "),
        ];
        for (arguments, lines) in cases {
            assert_eq!(served(arguments), (None, lines.to_owned(), false), "{arguments:?}");
        }
    }

    #[test]
    fn the_first_word_may_be_a_file_and_a_dash_is_standard_input() {
        let file = Some(PathBuf::from("x.conf"));
        assert_eq!(served(&["x.conf"]), (file.clone(), String::new(), false));
        assert_eq!(served(&["x.conf", "--port", "1", "-"]), (file.clone(), "port \"1\" ".into(), true));
        assert_eq!(served(&["-", "--port", "1"]), (None, "port \"1\" ".into(), true));
        assert_eq!(served(&["x.conf", "loglevel", "verbose"]).1, "\"loglevel\" \"verbose\" ");
        let Invocation::Serve(arguments) = invoke(&[]) else { panic!("no arguments are fine") };
        assert_eq!(arguments.sources.options, None);
    }

    #[test]
    fn the_version_line_is_understood_by_parsers_of_redis_server() {
        let Invocation::Print(line) = invoke(&["-v"]) else { panic!("-v prints") };
        assert!(
            line.contains(" v=7.0.15 ") && line.contains(" bits=64 ") && line.contains(" tidegate_version=")
        );
        let Invocation::Print(help) = invoke(&["--help"]) else { panic!("--help prints") };
        assert!(help.contains("tidegate [/path/to/redis.conf] [options] [-]"));
    }

    #[test]
    fn what_is_not_there_is_refused_with_an_alternative() {
        for arguments in [&["--test-memory", "1"][..], &["x.conf", "--sentinel"]] {
            assert!(matches!(invoke(arguments), Invocation::Refuse(_)), "{arguments:?}");
        }
        assert!(matches!(read(&["/usr/bin/redis-sentinel".into()]), Invocation::Refuse(_)));
        assert!(matches!(read(&["/usr/bin/redis-server".into()]), Invocation::Serve(_)));
        assert!(matches!(invoke(&["--check-system"]), Invocation::CheckSystem));
    }

    #[test]
    fn tools_are_called_by_a_word_or_a_name() {
        let Invocation::CheckAof(words) = invoke(&["check-aof", "--fix", "a"]) else { panic!("it checks") };
        assert_eq!(words, ["--fix", "a"]);
        let Invocation::CheckAof(words) = read(&["/usr/bin/redis-check-aof".into(), "a".into()]) else {
            panic!("it checks")
        };
        assert_eq!(words, ["a"]);
        assert!(matches!(invoke(&["check-rdb", "a"]), Invocation::CheckRdb(path) if path.as_os_str() == "a"));
        assert!(matches!(invoke(&["check-rdb"]), Invocation::Refuse(_)));
        assert!(
            matches!(invoke(&["check-config", "a"]), Invocation::CheckConfig(path) if path.as_os_str() == "a")
        );
        assert!(matches!(invoke(&["check-config"]), Invocation::Refuse(_)));
        assert!(
            matches!(invoke(&["check-config", "--help"]), Invocation::Print(help) if help == CHECK_CONFIG_HELP)
        );
        let Invocation::Digest(words) = invoke(&["digest", "a", "b:1"]) else { panic!("it digests") };
        assert_eq!(words, ["a", "b:1"]);
        let Invocation::Queue(words) = invoke(&["queue", "top", "--once"]) else { panic!("it looks") };
        assert_eq!(words, ["top", "--once"]);
    }
}
