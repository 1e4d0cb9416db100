//! The manual page and the completions, from the table of directives.

use std::fmt::Write as _;

use tidegate::config::{Directive, Flags, Kind, directives};
use tidegate::version::TIDEGATE_VERSION;

/// A file in the repository and the text that belongs there.
pub(crate) type Rendered = (&'static str, fn() -> String);

/// All files, with their paths from the repository's root.
pub(crate) const FILES: &[Rendered] = &[
    ("package/man/tidegate.1", man),
    ("package/completions/tidegate.bash", bash),
    ("package/completions/_tidegate", zsh),
    ("package/completions/tidegate.fish", fish),
];

/// The word that asks for a file: man, bash, zsh or fish.
pub(crate) fn kind(path: &str) -> &str {
    match path.rsplit_once('.') {
        Some((_, "1")) => "man",
        Some((_, shell)) => shell,
        None => "zsh",
    }
}

/// The tools that are called by a word: the word, its arguments, what it does.
const TOOLS: [(&str, &str, &str); 5] = [
    ("check-config", "file", "say everything that is wrong with a configuration file"),
    (
        "check-aof",
        "[--fix|--truncate-to-timestamp t] file",
        "check an append-only file, or shorten it to what is whole",
    ),
    ("check-rdb", "file", "check an RDB file"),
    ("digest", "file|directory|host:port ...", "compare data sets by their fingerprints"),
    (
        "queue",
        "top [options] [queue ...]",
        "show the work queues of a running server, again and again or once",
    ),
];

/// The options that are no directives.
const OPTIONS: [(&str, &str); 3] = [
    ("--help", "say how the program is called"),
    ("--version", "say which version this is"),
    ("--check-system", "look for settings of the system that hurt"),
];

/// The directives that people are to find; not what only tests and tools set.
fn shown() -> Vec<&'static Directive> {
    let mut shown: Vec<&Directive> =
        directives::all().iter().copied().filter(|row| !row.has(Flags::HIDDEN)).collect();
    shown.sort_by_key(|row| row.name);
    shown
}

/// The values a directive takes, if they are a fixed list.
fn words(directive: &Directive) -> Vec<&'static str> {
    match &directive.kind {
        Kind::Bool { .. } => vec!["yes", "no"],
        Kind::Choice { words, .. } => words.iter().map(|(word, _)| *word).collect(),
        _ => Vec::new(),
    }
}

/// Whether the value is a path.
fn is_path(name: &str) -> bool {
    ["-file", "file", "dir", "unixsocket", "-dir"].iter().any(|end| name.ends_with(end))
}

fn form(directive: &Directive) -> String {
    match &directive.kind {
        Kind::Bool { .. } | Kind::Choice { .. } => words(directive).join("|"),
        Kind::Number(_) => "number".to_owned(),
        _ if is_path(directive.name) => "path".to_owned(),
        _ if directive.has(Flags::MULTI) => "value ...".to_owned(),
        _ => "value".to_owned(),
    }
}

/// A word as roff prints it: with hyphens that can be copied.
fn roff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

fn man() -> String {
    let mut page = format!(
        ".TH TIDEGATE 1 \"\" \"Tidegate {TIDEGATE_VERSION}\" \"User Commands\"\n\
         .SH NAME\n\
         tidegate \\- in\\-memory data server that speaks the protocol of Redis\n\
         .SH SYNOPSIS\n\
         .B tidegate\n\
         [\\fIfile\\fR] [\\fB\\-\\-\\fIdirective value\\fR ...] [\\fB\\-\\fR]\n"
    );
    for (tool, arguments, _) in TOOLS {
        let _ = write!(page, ".br\n.B tidegate {}\n{}\n", roff(tool), roff(arguments));
    }
    page.push_str(
        ".SH DESCRIPTION\n\
         The server reads the configuration file, then standard input if\n.B \\-\nis given, then the directives of the\n\
         command line; later ones win. Called by the name of\n.B redis\\-server\nit does the same. In every file a line is a\n\
         directive and its values.\n\
         .SH TOOLS\n",
    );
    for (tool, arguments, about) in TOOLS {
        let _ = write!(page, ".TP\n\\fB{}\\fR {}\n{}.\n", roff(tool), roff(arguments), roff(about));
    }
    page.push_str(".SH OPTIONS\n");
    for (option, about) in OPTIONS {
        let _ = write!(page, ".TP\n.B {}\n{}.\n", roff(option), roff(about));
    }
    page.push_str(
        ".SH DIRECTIVES\n\
         What each means, its range and its default is said in\n.IR redis.conf.example .\n",
    );
    for directive in shown() {
        let _ = write!(page, ".TP\n\\fB\\-\\-{}\\fR {}\n", roff(directive.name), roff(&form(directive)));
        let fixed = directive.has(Flags::IMMUTABLE);
        page.push_str(if fixed { "Set at the start only.\n" } else { "Also with CONFIG SET.\n" });
    }
    page.push_str(
        ".SH SIGNALS\n\
         .TP\n.BR SIGTERM \", \" SIGINT\nStop, after saving what is configured to be saved. A second SIGINT ends at once.\n\
         .TP\n.BR SIGHUP \", \" SIGUSR1\nNothing: the log file is opened for each line, so it may be moved at any time.\n\
         .SH ENVIRONMENT\n\
         .TP\n.BR NOTIFY_SOCKET \", \" WATCHDOG_USEC\nWhat systemd wants to be told, if\n.B supervised\nsays so.\n\
         .SH EXIT STATUS\n\
         0 after a stop that was asked for, and when a check found nothing; 1 otherwise.\n\
         .SH FILES\n\
         .TP\n.I /etc/tidegate/tidegate.conf\nThe configuration of the service.\n\
         .TP\n.I /var/lib/tidegate\nIts data.\n\
         .TP\n.I /var/log/tidegate/tidegate.log\nIts log.\n\
         .TP\n.I /usr/share/doc/tidegate/redis.conf.example\nAll directives.\n\
         .SH SEE ALSO\n\
         .BR redis\\-cli (1)\n",
    );
    page
}

fn bash() -> String {
    let names: Vec<String> = OPTIONS
        .iter()
        .map(|(option, _)| (*option).to_owned())
        .chain(shown().iter().map(|directive| format!("--{}", directive.name)))
        .collect();
    let tools: Vec<&str> = TOOLS.iter().map(|(tool, ..)| *tool).collect();
    let mut cases = String::new();
    for directive in shown() {
        let words = words(directive);
        if !words.is_empty() {
            let _ = writeln!(cases, "        --{}) words=\"{}\" ;;", directive.name, words.join(" "));
        }
    }
    format!(
        "# bash completion for tidegate\n\
         _tidegate() {{\n    \
             local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} words=\n    \
             case $previous in\n{cases}    esac\n    \
             if [[ -n $words ]]; then\n        \
                 COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n    \
             elif [[ $current == -* ]]; then\n        \
                 COMPREPLY=($(compgen -W \"{}\" -- \"$current\"))\n    \
             else\n        \
                 COMPREPLY=($(compgen -f -- \"$current\"))\n        \
                 [[ $COMP_CWORD == 1 ]] && COMPREPLY+=($(compgen -W \"{}\" -- \"$current\"))\n    \
             fi\n    \
             return 0\n\
         }}\n\
         complete -o filenames -F _tidegate tidegate\n",
        names.join(" "),
        tools.join(" "),
    )
}

fn zsh() -> String {
    let mut text = "#compdef tidegate\n\n_arguments \\\n".to_owned();
    for (option, about) in OPTIONS {
        let _ = writeln!(text, "    '(- *){option}[{about}]' \\");
    }
    for directive in shown() {
        let words = words(directive);
        let values = match (words.is_empty(), is_path(directive.name)) {
            (false, _) => format!("({})", words.join(" ")),
            (true, true) => "_files".to_owned(),
            (true, false) => " ".to_owned(),
        };
        let name = directive.name;
        let _ = writeln!(text, "    '*--{name}[directive of the configuration]:{name}:{values}' \\");
    }
    let tools: Vec<&str> = TOOLS.iter().map(|(tool, ..)| *tool).collect();
    let _ = write!(
        text,
        "    '1: :_alternative \"tools:tool:({})\" \"files:file:_files\"' \\\n    '*:file:_files'\n",
        tools.join(" ")
    );
    text
}

fn fish() -> String {
    let mut text = "# fish completion for tidegate\n".to_owned();
    for (tool, _, about) in TOOLS {
        let _ = writeln!(text, "complete -c tidegate -n __fish_use_subcommand -a {tool} -d '{about}'");
    }
    for (option, about) in OPTIONS {
        let _ = writeln!(text, "complete -c tidegate -l {} -d '{about}'", option.trim_start_matches('-'));
    }
    for directive in shown() {
        let words = words(directive);
        let values = match (words.is_empty(), is_path(directive.name)) {
            (false, _) => format!(" -x -a '{}'", words.join(" ")),
            (true, true) => " -r -F".to_owned(),
            (true, false) => " -x".to_owned(),
        };
        let _ = writeln!(text, "complete -c tidegate -l {}{values}", directive.name);
    }
    text
}
