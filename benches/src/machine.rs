//! Where and what was measured: processor, kernel, versions of the programs, time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Processor, cores, kernel and how busy the machine is now, on one line.
pub fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let count = info.lines().filter(|line| line.starts_with("processor")).count();
    format!(
        "{}, {count} cores, Linux {}, load average at the start {}",
        model.trim_start_matches([' ', '\t', ':']),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
    )
}

/// What a program answers to `--version`: its first line.
pub fn version(program: &Path) -> String {
    let said =
        Command::new(program).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().next().unwrap_or_default().trim();
    if line.is_empty() { "version unknown".to_owned() } else { line.to_owned() }
}

/// UTC date and time, fit for a file name.
pub fn stamp() -> io::Result<String> {
    let said = Command::new("date").args(["-u", "+%Y-%m-%d-%H%M%S"]).output()?.stdout;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

/// A program's path made absolute, because servers start in a directory of their own; a bare name is left to PATH.
pub fn absolute(program: &Path) -> PathBuf {
    if program.components().count() == 1 {
        return program.to_owned();
    }
    std::path::absolute(program).unwrap_or_else(|_| program.to_owned())
}
