//! `tidegate check-config`: everything that is wrong with a configuration file, without a start.

use std::io::Write;
use std::path::Path;

use crate::config::{Config, Found, LoadError};

/// Writes what is wrong with a configuration file, one line each, and returns the status to end with: 1 when there was
/// something. What follows the name of a directive is not shown: it may be a password.
pub fn check_config(file: &Path, out: &mut dyn Write) -> u8 {
    let mut config = Config::for_this_process();
    let mut found = config.check_file(file);
    found.extend(crate::wrong_renames(&config));
    found.extend(crate::acl::wrong_users(&config));
    let mut text: String = found.iter().map(line).collect();
    if found.is_empty() {
        text = format!("{}: nothing is wrong\n", file.display());
    }
    // A reader that is gone wants to know no more.
    let _ = out.write_all(text.as_bytes());
    u8::from(!found.is_empty())
}

fn line(found: &Found) -> String {
    let file = &String::from_utf8_lossy(&found.file);
    match &found.error {
        LoadError::Open { file: other, reason } if other.display().to_string() == *file => {
            format!("{file}: {reason}\n")
        }
        LoadError::Open { file: other, reason } => format!("{file}: {}: {reason}\n", other.display()),
        LoadError::Line { number, text, reason } => {
            let name = text.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            format!("{file}:{number}: {}: {reason}\n", String::from_utf8_lossy(name))
        }
        LoadError::Whole { reason } => format!("{file}: {reason}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_a_file_is_named_and_no_value_is_shown() {
        let dir = std::env::temp_dir().join(format!("tidegate-check-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (main, part) = (dir.join("main.conf"), dir.join("part.conf"));
        let log = dir.join("not-made.log");
        let lines = format!(
            "port x\n# fine\nrequirepass secret secret\nnosuch 1\nlogfile {}\ninclude {}\nhz \"1\nuser a >secret nonsense\nuser b on\n\
             user b off >secret\nuser c (~x\n\
             rename-command nosuch secret\nrename-command get zadd\nrename-command get \"\"\nrename-command zadd get\n\
             rename-command zadd secret\n",
            log.display(),
            part.display()
        );
        std::fs::write(&main, lines).unwrap();
        std::fs::write(&part, "\nmaxmemory lots\nuser d >secret nonsense\nrename-command nosuch secret\n")
            .unwrap();
        let mut out = Vec::new();
        assert_eq!(check_config(&main, &mut out), 1);
        let text = String::from_utf8(out).unwrap();
        let (main_name, part_name) = (main.display(), part.display());
        for start in [
            format!("{main_name}:1: port: "),
            format!("{main_name}:3: requirepass: wrong number of arguments"),
            format!("{main_name}:4: nosuch: Bad directive or wrong number of arguments"),
            format!("{part_name}:2: maxmemory: "),
            format!("{part_name}:3: user: Error in user declaration"),
            format!("{part_name}:4: rename-command: No such command in rename-command"),
            format!("{main_name}:7: hz: Unbalanced quotes in configuration line"),
            format!("{main_name}:8: user: Error in user declaration"),
            format!("{main_name}:10: user: Error in user declaration 'b': "),
            format!("{main_name}:12: rename-command: No such command in rename-command"),
            format!("{main_name}:13: rename-command: Target command name already exists"),
            format!("{main_name}:16: rename-command: No such command in rename-command"),
            format!(
                "{main_name}:11: user: Error in user declaration '(~x': Unmatched parenthesis in acl selector"
            ),
        ] {
            assert!(text.lines().any(|line| line.starts_with(&start)), "{start} is not in:\n{text}");
        }
        assert_eq!(text.lines().count(), 13, "{text}");
        assert!(!text.contains("secret") && !log.exists(), "{text}");

        std::fs::write(&main, "port 7000\n").unwrap();
        assert_eq!(check_config(&main, &mut Vec::new()), 0);
        std::fs::remove_dir_all(&dir).unwrap();
        let mut out = Vec::new();
        assert_eq!(check_config(&main, &mut out), 1);
        assert!(String::from_utf8(out).unwrap().contains("No such file or directory"));
    }
}
