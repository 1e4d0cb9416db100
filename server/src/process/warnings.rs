//! Settings of the system that would surprise later: limits that are too low, memory the kernel hands out in a way
//! that hurts, slow clocks.

use std::fs;

use super::daemon;
use crate::config::Config;
use crate::config::directives::Flags;
use tidegate_persistence::disk::os_text;

/// File descriptors kept for what is not a client: listeners, data files, replication.
const RESERVED_FILES: u64 = 32;

/// Makes sure that as many files may be open as `maxclients` needs, raising the limit where the system allows it.
/// `maxclients` is lowered to what is possible.
///
/// # Errors
/// When not even one client would be possible.
pub fn fit_maxclients(config: &Config) -> Result<(), String> {
    let clients = config.hot().maxclients.get() as u64;
    let needed = clients + RESERVED_FILES;
    let before = match daemon::file_limit() {
        Ok(limit) => limit,
        Err(error) => {
            tracing::warn!(
                "Unable to obtain the current NOFILE limit ({}), assuming 1024 and setting the max clients \
                 configuration accordingly.",
                os_text(&error)
            );
            config.set_maxclients(1024 - RESERVED_FILES as u32);
            return Ok(());
        }
    };
    if before >= needed {
        return Ok(());
    }
    let (limit, refusal) = raise_as_far_as_possible(before, needed);
    if limit >= needed {
        tracing::info!(
            "Increased maximum number of open files to {needed} (it was originally set to {before})."
        );
        return Ok(());
    }
    if limit <= RESERVED_FILES {
        return Err(format!(
            "Your current 'ulimit -n' of {before} is not enough for the server to start. Please increase your open \
             file limit to at least {needed}. Exiting."
        ));
    }
    let possible = limit - RESERVED_FILES;
    config.set_maxclients(possible as u32);
    tracing::warn!("You requested maxclients of {clients} requiring at least {needed} max file descriptors.");
    tracing::warn!("Server can't set maximum open files to {needed} because of OS error: {refusal}.");
    tracing::warn!(
        "Current maximum open files is {limit}. maxclients has been reduced to {possible} to compensate for low \
         ulimit. If you need higher maxclients increase 'ulimit -n'."
    );
    Ok(())
}

/// Gives the limit that holds afterwards, and why what was needed was refused. A privileged process gets as far as
/// the kernel's own limit, any other to its hard limit.
fn raise_as_far_as_possible(before: u64, needed: u64) -> (u64, String) {
    let kernel = read_first("/proc/sys/fs/nr_open").and_then(|text| text.parse().ok());
    let hard = daemon::hard_file_limit().ok();
    let mut refusal = String::new();
    for attempt in [Some(needed), kernel, hard].into_iter().flatten().map(|limit| limit.min(needed)) {
        if attempt <= before {
            break;
        }
        match daemon::raise_file_limit(attempt) {
            Ok(()) => return (attempt, refusal),
            Err(error) if refusal.is_empty() => refusal = os_text(&error),
            Err(_) => {}
        }
    }
    (before, refusal)
}

/// The answer to CONFIG SET maxclients.
///
/// # Errors
/// When the system cannot serve as many; says how many it can.
pub fn apply_maxclients(config: &Config) -> Result<(), String> {
    let wanted = config.hot().maxclients.get();
    fit_maxclients(config)?;
    let possible = config.hot().maxclients.get();
    if possible == wanted {
        return Ok(());
    }
    Err(format!(
        "The operating system is not able to handle the specified number of clients, try with {possible}"
    ))
}

/// What a check of the system found.
enum Finding {
    Fine,
    Trouble(String),
    /// The system does not tell.
    Unknown,
}

/// Logs what is wrong with the system at start, and turns huge pages off for this process if they are on.
pub fn log(config: &Config) {
    if let Finding::Trouble(text) = overcommit() {
        tracing::warn!("WARNING {text}");
    }
    if let Finding::Trouble(text) = huge_pages()
        && !(config.flag("disable-thp") && daemon::disable_huge_pages().is_ok())
    {
        tracing::warn!("WARNING {text}");
    }
    if let Finding::Trouble(text) = clock_source() {
        tracing::warn!("WARNING {text}");
    }
    let maxmemory = config.hot().maxmemory.get();
    if (1..1 << 20).contains(&maxmemory) {
        tracing::warn!(
            "WARNING: You specified a maxmemory value that is less than 1MB (current value is {maxmemory} bytes). \
             Are you sure this is what you really want?"
        );
    }
    let unkept = unkept(config);
    if !unkept.is_empty() {
        tracing::warn!(
            "WARNING: This version of Tidegate does not do what these directives ask for: {}. Data is not \
             replicated.",
            unkept.join(", ")
        );
    }
    let inert: Vec<&str> = crate::config::directives::all()
        .iter()
        .filter(|row| row.has(Flags::INERT) && !config.is_default(row.name))
        .map(|row| row.name)
        .collect();
    if !inert.is_empty() {
        tracing::info!("These directives are accepted and have no effect in Tidegate: {}", inert.join(", "));
    }
}

/// What the configuration asks for and does not get. Whoever relies on a log, a replica or an ACL must not believe
/// that it is there.
fn unkept(config: &Config) -> Vec<&'static str> {
    let asked = [
        ("replicaof", config.replicaof().is_some()),
        ("min-replicas-to-write", config.number("min-replicas-to-write") > 0),
        ("cluster-enabled", config.flag("cluster-enabled")),
    ];
    asked.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name).collect()
}

/// Warns when the kernel cuts the queue of connections that wait to be accepted.
pub fn log_backlog(config: &Config) {
    let wanted = config.number("tcp-backlog");
    let most = read_first("/proc/sys/net/core/somaxconn").and_then(|text| text.parse::<i64>().ok());
    if let Some(most) = most.filter(|most| (1..wanted).contains(most)) {
        tracing::warn!(
            "WARNING: The TCP backlog setting of {wanted} cannot be enforced because /proc/sys/net/core/somaxconn \
             is set to the lower value of {most}."
        );
    }
}

/// Prints one line per check, as `--check-system` does. Whether all is well.
pub fn check_system() -> bool {
    let checks = [("clocksource", clock_source()), ("overcommit", overcommit()), ("THP", huge_pages())];
    let mut well = true;
    for (name, finding) in checks {
        match finding {
            Finding::Fine => println!("[{name}]...OK"),
            Finding::Unknown => println!("[{name}]...skipped"),
            Finding::Trouble(text) => {
                println!("[{name}]...WARNING:\n{text}");
                well = false;
            }
        }
    }
    well
}

/// Snapshots need no second copy of the process here, so the kernel's default is fine. Strict accounting is not: it
/// counts memory that is reserved and never touched.
fn overcommit() -> Finding {
    match read_first("/proc/sys/vm/overcommit_memory").as_deref() {
        None => Finding::Unknown,
        Some("2") => Finding::Trouble(
            "The kernel refuses to overcommit memory (vm.overcommit_memory = 2). Allocations may fail although there \
             is free memory. To fix this, set vm.overcommit_memory to 0 or 1 with sysctl and in /etc/sysctl.conf."
                .to_owned(),
        ),
        Some(_) => Finding::Fine,
    }
}

fn huge_pages() -> Finding {
    match read_first("/sys/kernel/mm/transparent_hugepage/enabled") {
        None => Finding::Unknown,
        Some(text) if text.contains("[always]") => Finding::Trouble(
            "Transparent huge pages are always on in this kernel, which costs memory and makes latency uneven. To \
             fix this, run 'echo madvise > /sys/kernel/mm/transparent_hugepage/enabled' as root, make that part of \
             the system's start, and restart the server."
                .to_owned(),
        ),
        Some(_) => Finding::Fine,
    }
}

/// The clocks that need a system call, and so make every look at the time slow.
fn clock_source() -> Finding {
    let dir = "/sys/devices/system/clocksource/clocksource0";
    match read_first(&format!("{dir}/current_clocksource")) {
        None => Finding::Unknown,
        Some(clock) if matches!(clock.as_str(), "xen" | "hpet" | "acpi_pm" | "jiffies") => {
            let others = read_first(&format!("{dir}/available_clocksource")).unwrap_or_default();
            Finding::Trouble(format!(
                "This system's clock source, {clock}, is slow to read, which slows every command. Available ones: \
                 {others}. To change it, run 'echo tsc > {dir}/current_clocksource' as root; the kernel parameter \
                 clocksource= makes it permanent."
            ))
        }
        Some(_) => Finding::Fine,
    }
}

fn read_first(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.lines().next()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Sources;

    #[test]
    fn a_promise_that_is_not_kept_is_named() {
        let mut config = Config::new(1, Path::new("/"));
        assert!(unkept(&config).is_empty());
        let options = b"replicaof 127.0.0.1 7000".to_vec();
        config.load(&Sources { options: Some(options), ..Sources::default() }).unwrap();
        assert_eq!(unkept(&config), ["replicaof"]);
    }

    #[test]
    fn more_clients_than_the_system_has_files_for_are_cut_with_a_hint() {
        let mut config = Config::new(1, Path::new("/"));
        let options = b"maxclients 4294967295".to_vec();
        config.load(&Sources { options: Some(options), ..Sources::default() }).unwrap();
        let error = apply_maxclients(&config).unwrap_err();
        let possible = config.number("maxclients");
        assert!(possible < 4_294_967_295);
        let text = "The operating system is not able to handle the specified number of clients, try with";
        assert_eq!(error, format!("{text} {possible}"));
        assert_eq!(apply_maxclients(&config), Ok(()), "what is suggested works");
    }
}
