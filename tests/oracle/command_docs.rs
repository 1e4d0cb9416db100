//! Every declaration against Redis' own table: `COMMAND INFO` in all its fields, and `COMMAND DOCS` in all but prose
//! (summaries, complexities, notes, the words of the history), which is ours by design. What a later version of Redis added is
//! marked with that version and left out of the comparison.

use std::collections::BTreeMap;

use tidegate_commands::model::{Argument, ArgumentKind, KeySpec, arguments};
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

/// The version whose table is the reference.
const REFERENCE: (u32, u32, u32) = (7, 0, 15);

/// Fields of a map, by name.
type Fields = BTreeMap<String, Reply>;

/// Commands by their full name, subcommands among them: what `COMMAND INFO` and `COMMAND DOCS` say.
struct Table {
    info: BTreeMap<String, Vec<Reply>>,
    docs: BTreeMap<String, Fields>,
}

impl Table {
    fn of(server: &TestServer) -> Self {
        let mut client: RespClient = server.client();
        client.line("HELLO 3");
        let mut table = Table { info: BTreeMap::new(), docs: BTreeMap::new() };
        table.add_info(&client.line("COMMAND"));
        table.add_docs(&client.line("COMMAND DOCS"));
        table
    }

    fn add_info(&mut self, list: &Reply) {
        for command in list.items().expect("a list of commands") {
            let fields = command.items().expect("ten fields").to_vec();
            assert_eq!(fields.len(), 10, "{command:?}");
            self.add_info(&fields[9]);
            self.info.insert(fields[0].text(), fields);
        }
    }

    fn add_docs(&mut self, map: &Reply) {
        for (name, docs) in pairs(map) {
            let docs = fields(&docs);
            if let Some(subcommands) = docs.get("subcommands") {
                self.add_docs(subcommands);
            }
            self.docs.insert(name.text(), docs);
        }
    }
}

/// The pairs of a map, which RESP2 shows as a flat array.
fn pairs(map: &Reply) -> Vec<(Reply, Reply)> {
    match map {
        Reply::Map(pairs) => pairs.clone(),
        Reply::Array(flat) => flat.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
        other => panic!("not a map: {other:?}"),
    }
}

fn fields(map: &Reply) -> Fields {
    pairs(map).into_iter().map(|(name, value)| (name.text(), value)).collect()
}

/// The words of a set or array, sorted.
fn words(reply: Option<&Reply>) -> Vec<String> {
    let items = reply.and_then(Reply::items).unwrap_or_default();
    let mut words: Vec<String> = items.iter().map(Reply::text).collect();
    words.sort();
    words
}

fn is_newer(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next()) > REFERENCE
}

/// A key spec in one line, without its notes.
fn spec(reply: &Reply) -> String {
    let fields = fields(reply);
    let step = |name| flat(&fields[name]);
    format!("{:?} from {} find {}", words(fields.get("flags")), step("begin_search"), step("find_keys"))
}

/// All words and numbers of a reply.
fn flat(reply: &Reply) -> String {
    match reply {
        Reply::Int(number) => number.to_string(),
        Reply::Map(pairs) => pairs
            .iter()
            .map(|(name, value)| format!("{} {}", flat(name), flat(value)))
            .collect::<Vec<_>>()
            .join(" "),
        other => match other.items() {
            Some(items) => items.iter().map(flat).collect::<Vec<_>>().join(" "),
            None => other.text(),
        },
    }
}

const INFO_FIELDS: [&str; 9] =
    ["name", "arity", "flags", "first key", "last key", "step", "categories", "tips", "key specs"];

fn info_field(fields: &[Reply], index: usize) -> String {
    match index {
        2 | 6 | 7 => format!("{:?}", words(Some(&fields[index]))),
        8 => format!("{:#?}", fields[8].items().unwrap_or_default().iter().map(spec).collect::<Vec<_>>()),
        _ => format!("{:?}", fields[index]),
    }
}

/// The versions of a history that the reference knows.
fn history(docs: &Fields) -> Vec<String> {
    let entries = docs.get("history").and_then(Reply::items).unwrap_or_default();
    let versions = entries.iter().filter_map(|entry| Some(entry.items()?.first()?.text()));
    let mut versions: Vec<String> = versions.filter(|version| !is_newer(version)).collect();
    versions.sort();
    versions
}

fn text(docs: &Fields, field: &str) -> String {
    docs.get(field).map(Reply::text).unwrap_or_default()
}

fn optional_text(docs: &Fields, field: &str) -> Option<String> {
    docs.get(field).map(Reply::text)
}

/// An argument that Redis does not have: our own versions are lower than that of any command that was extended.
fn is_own(argument: &Fields, docs: &Fields) -> bool {
    let major =
        |fields: &Fields| text(fields, "since").split('.').next().and_then(|major| major.parse::<u32>().ok());
    major(argument) < major(docs) && major(argument).is_some()
}

/// The argument tree of a reply, without what is newer than the reference, or our own.
fn tree(docs: &Fields) -> Vec<Argument> {
    let list = docs.get("arguments").and_then(Reply::items).unwrap_or_default();
    let all = list.iter().map(fields);
    all.filter(|argument| !is_newer(&text(argument, "since")) && !is_own(argument, docs))
        .map(|argument| argument_of(&argument))
        .collect()
}

/// Whether a later version added arguments at the outermost level.
fn has_newer_argument(docs: &Fields) -> bool {
    let list = docs.get("arguments").and_then(Reply::items).unwrap_or_default();
    list.iter().any(|argument| is_newer(&text(&fields(argument), "since")))
}

fn argument_of(fields: &Fields) -> Argument {
    let flags = words(fields.get("flags"));
    let has = |flag: &str| flags.iter().any(|known| known == flag);
    let index = fields.get("key_spec_index").and_then(Reply::int);
    Argument {
        name: text(fields, "name"),
        kind: ArgumentKind::named(&text(fields, "type")).expect("one of nine words"),
        key_spec: index.map(|index| usize::try_from(index).expect("an index is not negative")),
        token: optional_text(fields, "token"),
        since: optional_text(fields, "since"),
        deprecated_since: optional_text(fields, "deprecated_since"),
        optional: has("optional"),
        multiple: has("multiple"),
        multiple_token: has("multiple_token"),
        arguments: tree(fields),
    }
}

/// A tree in the notation of the declarations: what to write when one differs.
fn line(arguments: &[Argument]) -> String {
    let texts: Vec<String> = arguments.iter().map(notation).collect();
    let mut line = String::new();
    for (at, text) in texts.iter().enumerate() {
        // A word would join what follows it.
        let has_word = arguments[at].token.is_some() && !text.starts_with(['[', '<']);
        let joins = texts
            .get(at + 1)
            .is_some_and(|next| next.starts_with(|c: char| c == '<' || c.is_ascii_lowercase()));
        line += if line.is_empty() { "" } else { " " };
        let (open, close) = if has_word && joins { ("<", ">") } else { ("", "") };
        line.extend([open, text, close]);
    }
    line
}

fn notation(argument: &Argument) -> String {
    let token = match argument.token.as_deref() {
        None => String::new(),
        Some(token) if token.starts_with(|c: char| !c.is_ascii_lowercase()) => token.into(),
        Some(token) => format!("'{token}'"),
    };
    let joined = argument.arguments.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join("_");
    let label = if joined == argument.name && argument.arguments.len() > 1 {
        String::new()
    } else {
        format!("{}: ", argument.name)
    };
    let is_plain =
        |member: &Argument| member.arguments.is_empty() && member.token.is_none() && !member.optional;
    let mut text = match argument.kind {
        ArgumentKind::PureToken => {
            let is_usual =
                argument.token.as_ref().is_some_and(|token| token.to_ascii_lowercase() == argument.name);
            if is_usual { token.clone() } else { format!("{}:{token}", argument.name) }
        }
        ArgumentKind::OneOf => {
            let choices: Vec<String> =
                argument.arguments.iter().map(|choice| line(std::slice::from_ref(choice))).collect();
            format!("<{label}{}>", choices.join("|"))
        }
        ArgumentKind::Block
            if label.is_empty()
                && argument.arguments.iter().all(is_plain)
                && (argument.multiple || !token.is_empty()) =>
        {
            line(&argument.arguments)
        }
        ArgumentKind::Block => format!("<{label}{}>", line(&argument.arguments)),
        kind if kind == ArgumentKind::of_name(&argument.name)
            && argument.name.starts_with(|c: char| c.is_ascii_lowercase()) =>
        {
            argument.name.clone()
        }
        kind => format!("{}({})", argument.name, kind.name()),
    };
    let has_word = !token.is_empty() && argument.kind != ArgumentKind::PureToken;
    if argument.multiple && !argument.multiple_token {
        text = if text.ends_with('>') && !has_word { text + "..." } else { format!("{text} [{text} ...]") };
    }
    if has_word {
        text = format!("{token} {text}");
    }
    if argument.multiple_token {
        text = format!("{text} [{text} ...]");
    }
    let is_group = text.starts_with('<') && (text.ends_with('>') || text.ends_with(">..."));
    let versions = [("@", &argument.since), ("@-", &argument.deprecated_since)];
    let versions: String =
        versions.iter().filter_map(|(sign, version)| Some(format!("{sign}{}", version.as_ref()?))).collect();
    match (argument.optional, is_group) {
        (true, true) => {
            let (inner, end) = text[1..].rsplit_once('>').expect("it ends so");
            format!("[{inner}]{end}{versions}")
        }
        (true, false) => format!("[{text}]{versions}"),
        (false, false) if !versions.is_empty() && (has_word || argument.multiple) => {
            format!("<{text}>{versions}")
        }
        (false, _) => text + &versions,
    }
}

fn is_unknown(spec: &Reply) -> bool {
    text(&fields(&fields(spec)["begin_search"]), "type") == "unknown"
}

/// Every syntax of Redis can be written in our notation, and says the same when it is read again.
#[test]
fn the_notation_can_say_whatever_redis_says() {
    let redis = Table::of(&TestServer::redis());
    let mut wrong = Vec::new();
    for (name, docs) in &redis.docs {
        let expected = tree(docs);
        let written = line(&expected);
        let specs: Vec<KeySpec> = redis.info[name][8]
            .items()
            .unwrap_or_default()
            .iter()
            .map(|spec| if is_unknown(spec) { KeySpec::unknown() } else { KeySpec::first() })
            .collect();
        match arguments(&written, &specs) {
            Ok(read) if read == expected => {}
            Ok(read) => wrong.push(format!("{name}: `{written}` reads as `{}`", line(&read))),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(redis.docs.len() > 350, "{}", redis.docs.len());
    assert!(wrong.is_empty(), "{} syntaxes:\n{}", wrong.len(), wrong.join("\n"));
}

/// What a declaration says otherwise than Redis.
fn differences(redis: &Table, ours: &Table, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |field: &str, theirs: String, ours: String| {
        if theirs != ours {
            found.push(format!("{name}, {field}:\n  redis    {theirs}\n  tidegate {ours}"));
        }
    };
    for (index, field) in INFO_FIELDS.iter().enumerate() {
        let theirs = info_field(&redis.info[name], index);
        let mut found = info_field(&ours.info[name], index);
        // An option that came later turns an exact number of arguments into a least one.
        if *field == "arity" && !theirs.contains('-') && has_newer_argument(&ours.docs[name]) {
            found = found.replace('-', "");
        }
        compare(field, theirs, found);
    }
    let (theirs, ours) = (&redis.docs[name], &ours.docs[name]);
    for field in ["since", "group", "deprecated_since"] {
        compare(field, text(theirs, field), text(ours, field));
    }
    compare(
        "doc_flags",
        format!("{:?}", words(theirs.get("doc_flags"))),
        format!("{:?}", words(ours.get("doc_flags"))),
    );
    for prose in ["summary", "complexity", "replaced_by"] {
        let is_there = |docs: &Fields| format!("present: {}", docs.contains_key(prose));
        compare(prose, is_there(theirs), is_there(ours));
    }
    compare("history", format!("{:?}", history(theirs)), format!("{:?}", history(ours)));
    let (theirs, ours) = (tree(theirs), tree(ours));
    if theirs != ours {
        compare("arguments", format!("\"{}\"", line(&theirs)), format!("\"{}\"", line(&ours)));
    }
    found
}

#[test]
fn declarations_agree_with_redis() {
    let redis = Table::of(&TestServer::redis());
    let ours = Table::of(&TestServer::tidegate());
    let common: Vec<&String> = ours.docs.keys().filter(|name| redis.docs.contains_key(*name)).collect();
    let found: Vec<String> = common.iter().flat_map(|name| differences(&redis, &ours, name)).collect();
    assert!(!common.is_empty());
    assert!(
        found.is_empty(),
        "{} differences in {} commands:\n{}",
        found.len(),
        common.len(),
        found.join("\n")
    );
}
