//! `INFO`: what the server tells about itself, section by section, with the fields of Redis 7.0.15 in its order, so
//! that every dashboard finds what it looks for.

mod figures;
mod persistence;
mod server;
mod stats;

pub(super) use figures::{Database, Memory, human, ratio};

use super::{Control, ControlCtx, Flow, control};
use crate::shard::ShardData;
use crate::shared::Shared;
use std::fmt::{Display, Write as _};
use std::sync::Arc;
use tidegate_commands::model::{Acl, Args, Command, Error, Flag, Reply};

pub(super) static INFO: Command<Control> = control("INFO", "[section [section ...]]", info)
    .about("1.0.0", "O(1)", "Tells what the server is, has and did.")
    .arity(-1)
    .flags(&[Flag::Loading, Flag::Stale])
    .acl(Acl::DANGEROUS)
    .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
    .history(&[("7.0.0", "Added support for taking multiple section arguments.")])
    .whole_keyspace();

/// A section: its name, whether `INFO` without arguments shows it, and what writes it.
struct Section {
    name: &'static str,
    by_default: bool,
    write: fn(&View<'_>, &mut Page),
}

const fn section(name: &'static str, by_default: bool, write: fn(&View<'_>, &mut Page)) -> Section {
    Section { name, by_default, write }
}

/// All sections, in Redis' order.
static SECTIONS: [Section; 14] = [
    section("server", true, server::server),
    section("clients", true, server::clients),
    section("memory", true, server::memory),
    section("persistence", true, persistence::persistence),
    section("stats", true, stats::stats),
    section("replication", true, persistence::replication),
    section("cpu", true, server::cpu),
    section("modules", true, |_, page| page.head("Modules")),
    section("commandstats", false, stats::commands),
    section("errorstats", true, stats::errors),
    section("latencystats", false, stats::latencies),
    section("cluster", true, persistence::cluster),
    section("keyspace", true, stats::keyspace),
    section("quotas", true, stats::quotas),
];

/// What the sections are written from.
pub(super) struct View<'a> {
    pub(super) shared: &'a Shared,
    pub(super) now_ms: i64,
    /// Keys and expiries by database.
    pub(super) databases: &'a [Database],
    /// Keys that requests wait for.
    pub(super) awaited: usize,
    /// Keys that clients read and may hold in a cache.
    pub(super) tracked_keys: usize,
    /// Who read them, summed up over all keys.
    pub(super) tracked_items: usize,
}

/// What has to be summed up over all shards.
struct Sums {
    databases: Vec<Database>,
    awaited: usize,
    tracked_keys: usize,
    tracked_items: usize,
}

impl Sums {
    /// `each` shows every shard once. O(shards x databases).
    fn of(shared: &Shared, each: impl FnOnce(&mut dyn FnMut(&mut ShardData))) -> Self {
        let mut databases = Database::none(shared.config.databases());
        let (mut awaited, mut tracked_keys, mut tracked_items) = (0, 0, 0);
        each(&mut |data| {
            for database in &mut databases {
                database.add(data);
            }
            awaited += data.awaited.len();
            tracked_keys += data.tracked.len();
            tracked_items += data.tracked.items();
        });
        databases.retain(|database| database.keys > 0);
        Sums { databases, awaited, tracked_keys, tracked_items }
    }

    fn view<'a>(&'a self, shared: &'a Shared, now_ms: i64) -> View<'a> {
        let Sums { databases, awaited, tracked_keys, tracked_items } = self;
        View {
            shared,
            now_ms,
            databases,
            awaited: *awaited,
            tracked_keys: *tracked_keys,
            tracked_items: *tracked_items,
        }
    }
}

/// The text being written.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// Begins a section.
    pub(super) fn head(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push_str("\r\n");
        }
        self.line(format_args!("# {name}"));
    }

    /// A field.
    pub(super) fn field(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("{name}:{value}"));
    }

    /// Fields that are 0 here, and always will be or until what they tell about exists.
    pub(super) fn zeros(&mut self, names: &[&str]) {
        for name in names {
            self.field(name, 0);
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}\r").expect("writing to a String cannot fail");
    }
}

fn info(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let wanted: Vec<&[u8]> = args.rest().collect();
    let sums = {
        let shared = Arc::clone(&cx.worker.shared);
        Sums::of(&shared, |look| cx.each_shard(|_, data| look(data)))
    };
    let view = sums.view(cx.shared(), cx.now_ms());
    reply.verbatim("txt", text(&view, &wanted).as_bytes());
    Ok(Flow::Done)
}

/// What `INFO everything` answers, for somebody who is no worker and holds no shard. O(shards x databases + commands).
pub(crate) fn everything(shared: &Shared) -> String {
    let shards = &shared.shards;
    let each = |look: &mut dyn FnMut(&mut ShardData)| {
        for shard in 0..shards.len() as u16 {
            look(shards.hold_one(shard).data_mut());
        }
    };
    let sums = Sums::of(shared, each);
    text(&sums.view(shared, shared.native.clock.wall_ms()), &[b"everything"])
}

/// The sections that were asked for; unknown names are nothing. `all` and `everything` are the same without modules.
fn text(view: &View<'_>, wanted: &[&[u8]]) -> String {
    let named = |name: &str| wanted.iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let all = named("all") || named("everything");
    let default = wanted.is_empty() || named("default");
    let mut page = Page::default();
    for section in &SECTIONS {
        if all || (default && section.by_default) || named(section.name) {
            (section.write)(view, &mut page);
        }
    }
    page.text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_separated_by_an_empty_line() {
        let mut page = Page::default();
        page.head("A");
        page.field("x", 1);
        page.head("B");
        page.zeros(&["y"]);
        assert_eq!(page.text, "# A\r\nx:1\r\n\r\n# B\r\ny:0\r\n");
    }
}
