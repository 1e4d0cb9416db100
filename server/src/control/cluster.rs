//! `CLUSTER`, without cluster mode: every subcommand is known, and refused.

use super::{Control, ControlCtx, Flow, control, readonly};
use tidegate_commands::model::{Acl, Args, Command, Error, Family, Flag, Reply, container, family};

pub(super) static FAMILY: Family<Control> =
    family("cluster", Acl::NONE, &[&CLUSTER, &readonly::READONLY, &readonly::READWRITE]);

static CLUSTER: Command<Control> = container(
    "CLUSTER",
    &[
        &ADDSLOTS,
        &ADDSLOTSRANGE,
        &BUMPEPOCH,
        &COUNT_FAILURE_REPORTS,
        &COUNTKEYSINSLOT,
        &DELSLOTS,
        &DELSLOTSRANGE,
        &FAILOVER,
        &FLUSHSLOTS,
        &FORGET,
        &GETKEYSINSLOT,
        &HELP,
        &INFO,
        &KEYSLOT,
        &LINKS,
        &MEET,
        &MYID,
        &NODES,
        &REPLICAS,
        &REPLICATE,
        &RESET,
        &SAVECONFIG,
        &SET_CONFIG_EPOCH,
        &SETSLOT,
        &SHARDS,
        &SLAVES,
        &SLOTS,
    ],
)
.about("3.0.0", "Depends on subcommand.", "Manages a cluster.");

fn disabled(_: &mut ControlCtx, _: &mut Args, _: &mut Reply) -> Result<Flow, Error> {
    Err(Error::new("ERR This instance has cluster support disabled"))
}

/// Changes the cluster.
const CHANGE: &[Flag] = &[Flag::NoAsyncLoading, Flag::Admin, Flag::Stale];
/// Asks something for operators.
const ADMIN: &[Flag] = &[Flag::Admin, Flag::Stale];
/// Asks something for everybody.
const ASK: &[Flag] = &[Flag::Stale];
const VARYING: &[&str] = &["nondeterministic_output"];

static ADDSLOTS: Command<Control> = control("ADDSLOTS", "slot [slot ...]", disabled)
    .about(
        "3.0.0",
        "O(N) where N is the total number of hash slot arguments",
        "Makes this node responsible for slots.",
    )
    .arity(-3)
    .flags(CHANGE);

static ADDSLOTSRANGE: Command<Control> =
    control("ADDSLOTSRANGE", "<start-slot end-slot> [<start-slot end-slot> ...]", disabled)
        .about(
            "7.0.0",
            "O(N) where N is the total number of the slots between the start slot and end slot arguments.",
            "Makes this node responsible for ranges of slots.",
        )
        .arity(-4)
        .flags(CHANGE);

static BUMPEPOCH: Command<Control> = control("BUMPEPOCH", "", disabled)
    .about("3.0.0", "O(1)", "Raises the configuration epoch.")
    .arity(2)
    .flags(CHANGE)
    .tips(VARYING);

static COUNT_FAILURE_REPORTS: Command<Control> = control("COUNT-FAILURE-REPORTS", "node-id", disabled)
    .about(
        "3.0.0",
        "O(N) where N is the number of failure reports",
        "Counts the nodes that think a node has failed.",
    )
    .arity(3)
    .flags(ADMIN)
    .tips(VARYING);

static COUNTKEYSINSLOT: Command<Control> = control("COUNTKEYSINSLOT", "slot", disabled)
    .about("3.0.0", "O(1)", "Counts the keys of a slot.")
    .arity(3)
    .flags(ASK);

static DELSLOTS: Command<Control> = control("DELSLOTS", "slot [slot ...]", disabled)
    .about(
        "3.0.0",
        "O(N) where N is the total number of hash slot arguments",
        "Makes nobody responsible for slots.",
    )
    .arity(-3)
    .flags(CHANGE);

static DELSLOTSRANGE: Command<Control> =
    control("DELSLOTSRANGE", "<start-slot end-slot> [<start-slot end-slot> ...]", disabled)
        .about(
            "7.0.0",
            "O(N) where N is the total number of the slots between the start slot and end slot arguments.",
            "Makes nobody responsible for ranges of slots.",
        )
        .arity(-4)
        .flags(CHANGE);

static FAILOVER: Command<Control> = control("FAILOVER", "[options: FORCE|TAKEOVER]", disabled)
    .about("3.0.0", "O(1)", "Makes this replica take over from its primary.")
    .arity(-2)
    .flags(CHANGE);

static FLUSHSLOTS: Command<Control> = control("FLUSHSLOTS", "", disabled)
    .about("3.0.0", "O(1)", "Makes this node responsible for no slot.")
    .arity(2)
    .flags(CHANGE);

static FORGET: Command<Control> = control("FORGET", "node-id", disabled)
    .about("3.0.0", "O(1)", "Removes a node from the cluster.")
    .arity(3)
    .flags(CHANGE);

static GETKEYSINSLOT: Command<Control> = control("GETKEYSINSLOT", "slot count", disabled)
    .about("3.0.0", "O(log(N)) where N is the number of requested keys", "Lists keys of a slot.")
    .arity(4)
    .flags(ASK)
    .tips(VARYING);

static HELP: Command<Control> = control("HELP", "", disabled)
    .about("5.0.0", "O(1)", "Lists the subcommands.")
    .arity(2)
    .flags(&[Flag::Loading, Flag::Stale]);

static INFO: Command<Control> = control("INFO", "", disabled)
    .about("3.0.0", "O(1)", "Tells about the state of the cluster.")
    .arity(2)
    .flags(ASK)
    .tips(VARYING);

static KEYSLOT: Command<Control> = control("KEYSLOT", "key", disabled)
    .about("3.0.0", "O(N) where N is the number of bytes in the key", "Answers the slot of a key.")
    .arity(3)
    .flags(ASK);

static LINKS: Command<Control> = control("LINKS", "", disabled)
    .about(
        "7.0.0",
        "O(N) where N is the total number of Cluster nodes",
        "Lists the connections between nodes.",
    )
    .arity(2)
    .flags(ASK)
    .tips(VARYING);

static MEET: Command<Control> = control("MEET", "ip port [cluster_bus_port]@4.0.0", disabled)
    .about("3.0.0", "O(1)", "Makes another node join the cluster.")
    .arity(-4)
    .flags(CHANGE)
    .history(&[("4.0.0", "Added the optional `cluster_bus_port` argument.")]);

static MYID: Command<Control> =
    control("MYID", "", disabled).about("3.0.0", "O(1)", "Answers the id of this node.").arity(2).flags(ASK);

static NODES: Command<Control> = control("NODES", "", disabled)
    .about("3.0.0", "O(N) where N is the total number of Cluster nodes", "Lists the nodes and their slots.")
    .arity(2)
    .flags(ASK)
    .tips(VARYING);

static REPLICAS: Command<Control> = control("REPLICAS", "node-id", disabled)
    .about("5.0.0", "O(1)", "Lists the replicas of a node.")
    .arity(3)
    .flags(ADMIN)
    .tips(VARYING);

static REPLICATE: Command<Control> = control("REPLICATE", "node-id", disabled)
    .about("3.0.0", "O(1)", "Makes this node a replica.")
    .arity(3)
    .flags(CHANGE);

static RESET: Command<Control> = control("RESET", "[hard_soft: HARD|SOFT]", disabled)
    .about(
        "3.0.0",
        "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.",
        "Forgets the cluster.",
    )
    .arity(-2)
    .flags(&[Flag::Admin, Flag::Stale, Flag::Noscript]);

static SAVECONFIG: Command<Control> = control("SAVECONFIG", "", disabled)
    .about("3.0.0", "O(1)", "Writes the cluster's state to disk.")
    .arity(2)
    .flags(CHANGE);

static SET_CONFIG_EPOCH: Command<Control> = control("SET-CONFIG-EPOCH", "config-epoch", disabled)
    .about("3.0.0", "O(1)", "Sets the configuration epoch of a new node.")
    .arity(3)
    .flags(CHANGE);

static SETSLOT: Command<Control> = control(
    "SETSLOT",
    "slot <subcommand: IMPORTING node-id|MIGRATING node-id|NODE node-id|STABLE>",
    disabled,
)
.about("3.0.0", "O(1)", "Sets the state of a slot.")
.arity(-4)
.flags(CHANGE);

static SHARDS: Command<Control> = control("SHARDS", "", disabled)
    .about(
        "7.0.0",
        "O(N) where N is the total number of cluster nodes",
        "Lists the nodes by the slots they share.",
    )
    .arity(2)
    .flags(ASK)
    .tips(VARYING);

static SLAVES: Command<Control> = control("SLAVES", "node-id", disabled)
    .about("3.0.0", "O(1)", "Lists the replicas of a node.")
    .arity(3)
    .flags(ADMIN)
    .tips(VARYING)
    .deprecated("5.0.0", "`CLUSTER REPLICAS`");

static SLOTS: Command<Control> = control("SLOTS", "", disabled)
    .about(
        "3.0.0",
        "O(N) where N is the total number of Cluster nodes",
        "Lists ranges of slots and their nodes.",
    )
    .arity(2)
    .flags(ASK)
    .tips(VARYING)
    .history(&[("4.0.0", "Added node IDs."), ("7.0.0", "Added additional networking metadata field.")])
    .deprecated("7.0.0", "`CLUSTER SHARDS`");
