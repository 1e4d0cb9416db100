//! What a server refuses because of how it was started: cluster commands without cluster mode, rewriting a
//! configuration file that does not exist.

use crate::transcript::check;
use tidegate_tests::server::TestServer;

#[test]
fn cluster_commands_need_cluster_mode() {
    let server = TestServer::tidegate();
    let mut client = server.client();
    for line in [
        "CLUSTER ADDSLOTS 1",
        "CLUSTER ADDSLOTSRANGE 1 2",
        "CLUSTER BUMPEPOCH",
        "CLUSTER COUNT-FAILURE-REPORTS x",
        "CLUSTER COUNTKEYSINSLOT 1",
        "CLUSTER DELSLOTS 1",
        "CLUSTER DELSLOTSRANGE 1 2",
        "CLUSTER FAILOVER",
        "CLUSTER FLUSHSLOTS",
        "CLUSTER FORGET x",
        "CLUSTER GETKEYSINSLOT 1 1",
        "CLUSTER HELP",
        "CLUSTER INFO",
        "CLUSTER KEYSLOT a",
        "CLUSTER LINKS",
        "CLUSTER MEET 127.0.0.1 1",
        "CLUSTER MYID",
        "CLUSTER NODES",
        "CLUSTER REPLICAS x",
        "CLUSTER REPLICATE x",
        "CLUSTER RESET",
        "CLUSTER SAVECONFIG",
        "CLUSTER SET-CONFIG-EPOCH 1",
        "CLUSTER SETSLOT 1 STABLE",
        "CLUSTER SHARDS",
        "CLUSTER SLAVES x",
        "CLUSTER SLOTS",
    ] {
        let error = client.line(line).error();
        assert_eq!(error.as_deref(), Some("ERR This instance has cluster support disabled"), "{line}");
    }
    check(
        r#"
        > CLUSTER NODES x
        -ERR wrong number of arguments for 'cluster|nodes' command
        > CLUSTER nosuch
        -ERR unknown subcommand 'nosuch'. Try CLUSTER HELP.
        > CLUSTER
        -ERR wrong number of arguments for 'cluster' command
        "#,
    );
}

#[test]
fn no_configuration_file_is_rewritten_when_there_is_none() {
    check(
        r#"
        > CONFIG REWRITE
        -ERR The server is running without a config file
        "#,
    );
}
