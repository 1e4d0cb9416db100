//! Users in files: `user` lines of the config file, and files of users of their own (`aclfile`).

use super::table::Users;
use super::user::{User, merge_selectors};
use super::{Catalog, DEFAULT_USER, RuleError, has_spaces, until_zero};
use crate::config::{Command, Config, Found, LoadError, replace_file, without_passwords};
use crate::registry::Registry;
use std::fmt::Write as _;
use std::path::Path;
use tidegate_persistence::disk::os_text;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Looks whether the `user` lines of the configuration are right, as far as they can be without knowing all commands.
///
/// # Errors
/// The first line that is not.
pub fn check_configured(config: &Config) -> Result<(), LoadError> {
    wrong_users(config).into_iter().next().map_or(Ok(()), |found| Err(found.error))
}

/// What is wrong with the users of the configuration: the first error of each line, in their order.
pub fn wrong_users(config: &Config) -> Vec<Found> {
    let registry = match Registry::new(&[]) {
        Ok(registry) => registry,
        Err(reason) => return vec![Found { file: Vec::new(), error: LoadError::Whole { reason } }],
    };
    let catalog = Catalog::new(&registry);
    let mut names: Vec<&[u8]> = Vec::new();
    let mut wrong = Vec::new();
    for line in config.commands() {
        let Command::User { name, rules } = &line.value else { continue };
        let checked = if names.contains(&name.as_slice()) {
            Err(declaration_error(name, RuleError::Duplicate))
        } else {
            names.push(name);
            check_rules(&catalog, name, rules)
        };
        wrong.extend(checked.err().map(|reason| line.found(reason)));
    }
    wrong
}

fn check_rules(catalog: &Catalog, name: &[u8], rules: &[Vec<u8>]) -> Result<(), String> {
    let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
    let merged = merge_selectors(&rules).map_err(|index| {
        let start = text(&without_passwords(until_zero(rules[index])));
        format!("Error in user declaration '{start}': Unmatched parenthesis in acl selector")
    })?;
    let mut user = User::new(name, false);
    for rule in merged {
        match user.apply(catalog, &rule, false) {
            Ok(()) | Err(RuleError::Unknown) => {}
            Err(error) => return Err(declaration_error(&rule, error)),
        }
    }
    Ok(())
}

fn declaration_error(what: &[u8], error: RuleError) -> String {
    format!("Error in user declaration '{}': {error}", text(&without_passwords(until_zero(what))))
}

/// Makes the users of the configuration, or those of its file of users.
///
/// # Errors
/// Why the server cannot start with them.
pub fn load_configured(users: &Users, config: &Config) -> Result<(), String> {
    let all_channels = config.acl_allows_channels();
    let file = config.text("aclfile");
    let mut table: Vec<User> = Vec::new();
    for line in config.commands() {
        let Command::User { name, rules } = &line.value else { continue };
        if file.is_some() {
            return Err("Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is \
                        invalid. This setup is very likely to lead to configuration errors and security holes, please \
                        define either an ACL file or declare users directly in your redis.conf, but not both."
                .to_owned());
        }
        if has_spaces(name) {
            return Err(
                "Spaces not allowed in ACL usernames. Critical error while loading ACLs. Exiting.".to_owned()
            );
        }
        let mut user = User::new(name, all_channels);
        if name == DEFAULT_USER {
            user.apply(&users.catalog, b"reset", all_channels).expect("a rule that is always right");
        }
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        for rule in merge_selectors(&rules).unwrap_or_default() {
            user.apply(&users.catalog, &rule, all_channels).map_err(|error| {
                let (rule, name) = (text(&without_passwords(until_zero(&rule))), text(name));
                format!(
                    "Error loading ACL rule '{rule}' for the user named '{name}': {error}. Critical error while loading \
                     ACLs. Exiting."
                )
            })?;
        }
        if !user.is_enabled() {
            tracing::info!(
                "The user '{}' is disabled (there is no 'on' modifier in the user description). Make sure this is not \
                 a configuration error.",
                text(name)
            );
        }
        table.push(user);
    }
    if !table.is_empty() {
        let _changing = users.begin_change();
        users.replace(table);
    }
    if let Some(file) = file {
        let path = config.path("aclfile").unwrap_or_default();
        let loaded = load_file(&users.catalog, &path, &text(&file), all_channels)
            .map_err(|errors| format!("Aborting Redis startup because of ACL errors: {errors}"))?;
        let _changing = users.begin_change();
        users.replace(loaded);
    }
    Ok(())
}

/// Reads a file of users, called `name` in errors.
///
/// # Errors
/// Everything that is wrong with it, in one line.
pub fn load_file(
    catalog: &Catalog,
    path: &Path,
    name: &str,
    all_channels: bool,
) -> Result<Vec<User>, String> {
    let content = std::fs::read(path)
        .map_err(|error| format!("Error loading ACLs, opening file '{name}': {}", os_text(&error)))?;
    let mut loaded: Vec<User> = Vec::new();
    let mut errors = String::new();
    for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if let Err(error) = load_line(catalog, &mut loaded, line, all_channels, name, index + 1) {
            errors += &error;
        }
    }
    if errors.is_empty() {
        if !loaded.iter().any(|user| user.name() == DEFAULT_USER) {
            loaded.push(User::default_user(catalog));
        }
        return Ok(loaded);
    }
    Err(errors + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
}

fn load_line(
    catalog: &Catalog,
    loaded: &mut Vec<User>,
    line: &[u8],
    all_channels: bool,
    file: &str,
    number: usize,
) -> Result<(), String> {
    let place = format!("{file}:{number}");
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(b"user"), Some(name)) = (words.next(), words.next()) else {
        return Err(format!("{place} should start with user keyword followed by the username. "));
    };
    if has_spaces(name) {
        return Err(format!("'{place}: username '{}' contains invalid characters. ", text(name)));
    }
    if loaded.iter().any(|user| user.name() == name) {
        return Err(format!("WARNING: Duplicate user '{}' found on line {number}. ", text(name)));
    }
    let rules: Vec<&[u8]> = words.collect();
    let Ok(merged) = merge_selectors(&rules) else {
        return Err(format!("{place}: Unmatched parenthesis in selector definition."));
    };
    let mut user = User::new(name, all_channels);
    let mut errors = String::new();
    let mut is_told = false;
    for rule in merged {
        let rule = rule.trim_ascii();
        let Err(error) = user.apply(catalog, rule, all_channels) else { continue };
        if error == RuleError::Unknown {
            let rule = text(&without_passwords(until_zero(rule)));
            let _ = write!(errors, "{place}: Error in applying operation '{rule}': {error}. ");
        } else if !is_told {
            // One is enough: it may be the reason of those that follow.
            let _ = write!(errors, "{place}: {error}. ");
            is_told = true;
        }
    }
    loaded.push(user);
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Writes all users to a file, which is replaced as a whole. Only its owner can read a new one.
///
/// # Errors
/// Those of the system.
pub fn save_file(users: &Users, path: &Path) -> std::io::Result<()> {
    let mut content = Vec::new();
    for line in users.lines() {
        content.extend_from_slice(b"user ");
        content.extend_from_slice(&line);
        content.push(b'\n');
    }
    replace_file(path, &content)
}
