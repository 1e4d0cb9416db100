//! The title `ps` shows for the process, built from `proc-title-template`.

/// What the title is when nothing is configured.
pub const DEFAULT_TEMPLATE: &str = "{title} {listen-addr} {server-mode}";

const VARIABLES: [&str; 7] =
    ["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"];

/// Replaces `{name}` by what `variable` gives for it and `{{` by one brace, and trims spaces at both ends. `None`
/// when a name is unknown or a brace is not closed.
pub fn expand(template: &[u8], variable: impl Fn(&str) -> Vec<u8>) -> Option<Vec<u8>> {
    let mut title = Vec::with_capacity(template.len());
    let mut rest = template;
    while let Some(brace) = rest.iter().position(|byte| *byte == b'{') {
        title.extend_from_slice(&rest[..brace]);
        rest = &rest[brace + 1..];
        if let Some(after) = rest.strip_prefix(b"{") {
            title.push(b'{');
            rest = after;
            continue;
        }
        let end = rest.iter().position(|byte| *byte == b'}')?;
        let name = std::str::from_utf8(&rest[..end]).ok()?;
        let name = VARIABLES.iter().find(|known| **known == name)?;
        title.extend_from_slice(&variable(name));
        rest = &rest[end + 1..];
    }
    title.extend_from_slice(rest);
    let start = title.iter().position(|byte| *byte != b' ').unwrap_or(title.len());
    let end = title.iter().rposition(|byte| *byte != b' ').map_or(start, |last| last + 1);
    Some(title[start..end].to_vec())
}

/// Whether a template can be expanded and does not depend on the command line alone: the name of the program may be
/// empty, so as in Redis `{title}` by itself is refused.
pub fn is_usable(template: &[u8]) -> bool {
    let sample = |name: &str| if name == "title" { Vec::new() } else { name.as_bytes().to_vec() };
    expand(template, sample).is_some_and(|title| !title.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_expand_known_names_only() {
        let upper = |name: &str| name.to_uppercase().into_bytes();
        let cases: [(&str, Option<&str>); 6] = [
            (DEFAULT_TEMPLATE, Some("TITLE LISTEN-ADDR SERVER-MODE")),
            ("  a {port} ", Some("a PORT")),
            ("{{x}", Some("{x}")),
            ("{nope}", None),
            ("{port", None),
            ("", Some("")),
        ];
        for (template, expected) in cases {
            let title = expand(template.as_bytes(), upper);
            assert_eq!(title.as_deref(), expected.map(str::as_bytes), "{template}");
        }
        assert!(is_usable(DEFAULT_TEMPLATE.as_bytes()));
        assert!(!is_usable(b"{title}"));
        assert!(!is_usable(b""));
    }
}
