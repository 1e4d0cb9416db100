//! `CONFIG`: asking for and changing settings while the server runs, and what a change does to it.

use super::help::help;
use super::{Control, ControlCtx, Flow, control};
use crate::aof;
use crate::config::{Apply, Caller, Config, Effect, Extent, Flags, RewriteError, SetError, directives};
use crate::process::{crash, set_title, warnings};
use crate::shard::Hold;
use crate::shared::Shared;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{Args, Command, Error, Flag, Reply, container};
use tidegate_persistence::disk::os_text;

pub(super) static CONFIG: Command<Control> = container("CONFIG", &[&GET, &HELP, &RESETSTAT, &REWRITE, &SET])
    .about("2.0.0", "Depends on subcommand.", "Reads and changes the configuration.");

const FLAGS: &[Flag] = &[Flag::Admin, Flag::Noscript, Flag::Loading, Flag::Stale];

static GET: Command<Control> = control("GET", "<parameter: parameter>...", get)
    .about(
        "2.0.0",
        "O(N) when N is the number of configuration parameters provided",
        "Answers the settings whose names match.",
    )
    .arity(-3)
    .flags(FLAGS)
    .history(&[("7.0.0", "Added the ability to pass multiple pattern parameters in one call")]);

fn get(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let patterns: Vec<&[u8]> = args.rest().collect();
    let found = cx.shared().config.get(&patterns);
    reply.map(found.len());
    for (name, value) in &found {
        reply.bulk(name.as_bytes());
        reply.bulk(value);
    }
    Ok(Flow::Done)
}

static SET: Command<Control> = control("SET", "<parameter value> [<parameter value> ...]", set)
    .about(
        "2.0.0",
        "O(N) when N is the number of configuration parameters provided",
        "Changes settings: all of them or, when one is refused, none.",
    )
    .arity(-4)
    .flags(FLAGS)
    .whole_keyspace()
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
    .history(&[("7.0.0", "Added the ability to set multiple parameters in one call.")]);

fn set(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let first = args.index();
    let pairs: Vec<&[u8]> = args.rest().collect();
    for (index, name) in pairs.iter().enumerate().step_by(2) {
        if directives::lookup(name).is_some_and(|row| row.has(Flags::SENSITIVE)) {
            cx.session.redacted.push(first + index + 1);
        }
    }
    let caller = Caller { local: cx.session.client.is_local, loading: cx.shared().loading.is_on() };
    let shared = Arc::clone(&cx.worker.shared);
    // Before anything of the configuration is locked: a transaction comes here with its shards held.
    let is_cut = pairs.iter().step_by(2).any(|name| name.eq_ignore_ascii_case(b"appendonly"));
    let own = RefCell::new((is_cut && cx.hold.is_none()).then(|| shared.shards.hold_all()));
    let theirs = RefCell::new(cx.hold.as_deref_mut());
    let running = Running { shared: &shared, own, theirs };
    let result = shared.config.set(&pairs, caller, &running);
    drop(running);
    result.map_err(|error| match error {
        SetError::Loading => Error::text(format!("LOADING {error}")),
        error => Error::text(format!("ERR {error}")),
    })?;
    aof::follow(&shared);
    // What is remembered of the keys that clients read follows before the reply, as far as that does not take long.
    cx.worker.limit_tracked_soon();
    reply.ok();
    Ok(Flow::Done)
}

static REWRITE: Command<Control> = control("REWRITE", "", rewrite)
    .about("2.8.0", "O(1)", "Writes the present settings into the config file.")
    .arity(2)
    .flags(FLAGS);

fn rewrite(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let users = cx.shared().users.lines();
    let result = cx.shared().config.rewrite(Some(&users), Extent::Changed);
    match &result {
        Ok(()) => tracing::info!("CONFIG REWRITE executed with success."),
        Err(RewriteError::NoFile) => {}
        Err(error) => tracing::warn!("CONFIG REWRITE failed: {error}"),
    }
    result.map_err(|error| Error::text(format!("ERR {error}")))?;
    reply.ok();
    Ok(Flow::Done)
}

static RESETSTAT: Command<Control> = control("RESETSTAT", "", resetstat)
    .about("2.0.0", "O(1)", "Starts the statistics of INFO anew.")
    .arity(2)
    .flags(FLAGS);

fn resetstat(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let shared = cx.shared();
    shared.stats.reset();
    shared.reclaim.reset();
    shared.users.log.reset_counts();
    shared.saving.reset();
    // The other threads follow at their next turn; this one has to before it counts this very command.
    cx.worker.stats.follow(cx.worker.shared.stats.epoch());
    reply.ok();
    Ok(Flow::Done)
}

static HELP: Command<Control> = control("HELP", "", |_, _, reply| {
    help(
        reply,
        "CONFIG",
        &[
            "GET <pattern> [<pattern> ...]",
            "    Answers the settings whose names match one of the glob-style patterns.",
            "SET <directive> <value> [<directive> <value> ...]",
            "    Changes settings; all of them or none.",
            "RESETSTAT",
            "    Starts the statistics that INFO shows anew.",
            "REWRITE",
            "    Writes the present settings into the config file.",
        ],
    );
    Ok(Flow::Done)
})
.about("5.0.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale]);

/// The running server, as far as changes of settings concern it.
struct Running<'a, 'h, 's> {
    shared: &'a Arc<Shared>,
    /// All shards, if one of the settings is about all of them, and no transaction holds them.
    own: RefCell<Option<Hold<'a>>>,
    /// What the transaction holds that this runs in.
    theirs: RefCell<Option<&'h mut Hold<'s>>>,
}

impl Running<'_, '_, '_> {
    /// Turns the append-only file on or off.
    fn append_only(&self, config: &Config) -> Result<(), String> {
        let shared = self.shared;
        let (wanted, present) = (config.flag("appendonly"), shared.journaled.load(Relaxed));
        if wanted == present {
            return Ok(());
        }
        match (&mut *self.own.borrow_mut(), &mut *self.theirs.borrow_mut()) {
            (Some(hold), _) => switch(shared, hold, wanted),
            (None, Some(hold)) => switch(shared, hold, wanted),
            (None, None) => Err("Unable to turn on AOF.".to_owned()),
        }
    }
}

fn switch(shared: &Arc<Shared>, hold: &mut Hold<'_>, wanted: bool) -> Result<(), String> {
    if wanted {
        let prepared = aof::prepare(shared)?;
        aof::turn_on(shared, hold, prepared)
    } else {
        aof::turn_off(shared, hold);
        Ok(())
    }
}

impl Apply for Running<'_, '_, '_> {
    fn apply(&self, effect: Effect, config: &Config) -> Result<(), String> {
        match effect {
            Effect::MaxClients => warnings::apply_maxclients(config),
            Effect::Dir => std::env::set_current_dir(config.dir()).map_err(|error| os_text(&error)),
            Effect::OomScoreAdj => self.shared.oom_score.apply(config),
            Effect::ProcessTitle => {
                set_title(config, &self.shared.program);
                Ok(())
            }
            Effect::Port => self
                .shared
                .listening
                .follow(config)
                .map_err(|_| "Unable to listen on this port. Check server logs.".to_owned()),
            Effect::Tls => self
                .shared
                .tls
                .follow(config)
                .map_err(|_| "Unable to update TLS configuration. Check server logs.".to_owned()),
            Effect::TlsPort => {
                let refused = |_| "Unable to update TLS configuration. Check server logs.".to_owned();
                self.shared.tls.follow(config).map_err(refused)?;
                let busy = |_| "Unable to listen on this port. Check server logs.".to_owned();
                self.shared.tls_listening.follow(config).map_err(busy)
            }
            Effect::Bind => self
                .shared
                .listening
                .follow(config)
                .and_then(|()| self.shared.tls_listening.follow(config))
                .and_then(|()| self.shared.metrics.follow(self.shared))
                .map_err(|_| "Failed to bind to specified addresses.".to_owned()),
            Effect::MetricsPort => self
                .shared
                .metrics
                .follow(self.shared)
                .map_err(|_| "Unable to listen on this port. Check server logs.".to_owned()),
            Effect::Audit => self.shared.audit.follow(self.shared).map_err(|error| os_text(&error)),
            Effect::NotifyStream => self.shared.event_stream.follow(self.shared),
            Effect::AppendOnly => self.append_only(config),
            Effect::AofHistory => {
                aof::follow(self.shared);
                Ok(())
            }
            Effect::ClientMemory | Effect::MaxMemory => {
                self.shared.follow_clients_memory();
                Ok(())
            }
            Effect::IdNode => {
                self.shared.native.configure_ids(config, &self.shared.identity);
                Ok(())
            }
            Effect::Native => {
                self.shared.registry.enable_native(config.flag("native-enabled"));
                Ok(())
            }
            Effect::CrashLog => {
                crash::enable(config.flag("crash-log-enabled"), config.flag("hide-user-data-from-log"));
                Ok(())
            }
            Effect::Password => {
                self.shared.users.set_default_password(config.text("requirepass").as_deref());
                Ok(())
            }
            // Read where they are used, or about parts that are not there.
            Effect::Hz
            | Effect::ClusterFlags
            | Effect::ClusterHostname
            | Effect::ClusterIp
            | Effect::ClusterPorts
            | Effect::GoodReplicas
            | Effect::ReplBacklog => Ok(()),
        }
    }
}
