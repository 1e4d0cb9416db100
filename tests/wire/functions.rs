//! Libraries of functions: how they come and go, and what survives what.

use tidegate_tests::server::TestServer;

use crate::transcript::{check, converse};

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

#[test]
fn libraries_come_and_go() {
    check(
        r##"
        > FUNCTION LOAD
        -ERR wrong number of arguments for 'function|load' command
        > FUNCTION LOAD REPLACE
        -ERR Missing library metadata
        > FUNCTION LOAD NOSUCH x
        -ERR Unknown option given: NOSUCH
        > FUNCTION LOAD "#!lua name=mine\nredis.register_function('f', function() return 1 end)"
        "mine"
        > FUNCTION LOAD "#!lua name=mine\nredis.register_function('f', function() return 1 end)"
        -ERR Library 'mine' already exists
        > FUNCTION LOAD "#!lua name=other\nredis.register_function('F', function() return 1 end)"
        -ERR Function F already exists
        > FUNCTION LOAD REPLACE "#!lua name=mine\nredis.register_function{function_name='f', callback=function() end, flags={'no-writes'}, description='text'}"
        "mine"
        > FUNCTION LIST WITHCODE LIBRARYNAME M*
        [["library_name" "mine" "engine" "LUA" "functions" [["name" "f" "description" "text" "flags" [no-writes]]] "library_code" "#!lua name=mine\n..."]]
        > FUNCTION LIST LIBRARYNAME x*
        []
        > FUNCTION LIST LIBRARYNAME
        -ERR library name argument was not given
        > FUNCTION LIST WITHCODE WITHCODE
        -ERR Unknown argument WITHCODE
        > FUNCTION STATS
        ["running_script" nil "engines" ["LUA" ["libraries_count" 1 "functions_count" 1]]]
        > FUNCTION KILL
        -NOTBUSY No scripts in execution right now.
        > FUNCTION DELETE other
        -ERR Library not found
        > FUNCTION DELETE mine
        OK
        > FUNCTION LIST
        []
        > FUNCTION FLUSH NOSUCH
        -ERR FUNCTION FLUSH only supports SYNC|ASYNC option
        > FUNCTION FLUSH SYNC SYNC
        -ERR unknown subcommand or wrong number of arguments for 'FLUSH'. Try FUNCTION HELP.
        > FUNCTION FLUSH ASYNC
        OK
        > FUNCTION NOSUCH
        -ERR unknown subcommand 'NOSUCH'. Try FUNCTION HELP.
        "##,
    );
}

/// What a payload holds is what redis-server 7.0.15 answers to FUNCTION DUMP.
#[test]
fn payloads_are_exchanged_with_redis() {
    check(
        r##"
        > FUNCTION LOAD "#!lua name=t\nredis.register_function('f', function() end)"
        "t"
        > FUNCTION DUMP
        "\xf59#!lua name=t\nredis.register_function('f', function() end)\n\x006H\xecKl6\xa3M"
        > FUNCTION RESTORE "\xf59#!lua name=t\nredis.register_function('f', function() end)\n\x006H\xecKl6\xa3M"
        -ERR Library t already exists
        > FUNCTION RESTORE "\xf59#!lua name=t\nredis.register_function('f', function() end)\n\x006H\xecKl6\xa3M" REPLACE
        OK
        > FUNCTION RESTORE "\xf59#!lua name=t\nredis.register_function('f', function() end)\n\x006H\xecKl6\xa3M" FLUSH
        OK
        > FUNCTION RESTORE "\xf59#!lua name=t\nredis.register_function('f', function() end)\n\x006H\xecKl6\xa3N" FLUSH
        -ERR DUMP payload version or checksum are wrong
        > FUNCTION RESTORE x NOSUCH
        -ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.
        > FUNCTION RESTORE x APPEND x
        -ERR unknown subcommand or wrong number of arguments for 'RESTORE'. Try FUNCTION HELP.
        > FUNCTION STATS
        [..."LUA" ["libraries_count" 1 "functions_count" 1]]]
        "##,
    );
}

#[test]
fn libraries_are_part_of_the_data_set_on_disk() {
    let server = TestServer::tidegate_with(&DEBUG);
    converse(
        &mut server.client(),
        r##"
        > FUNCTION LOAD "#!lua name=a\nredis.register_function('f', function() end)"
        "a"
        > FLUSHALL
        OK
        > DEBUG RELOAD
        OK
        > FUNCTION LIST
        [["library_name" "a" "engine" "LUA" "functions" [["name" "f" "description" nil "flags" []]]]]
        > DEBUG RELOAD NOFLUSH
        -ERR Error trying to load the RDB dump...
        > DEBUG RELOAD NOFLUSH MERGE
        OK
        > FUNCTION FLUSH
        OK
        > FUNCTION LOAD "#!lua name=b\nredis.register_function('g', function() end)"
        "b"
        > DEBUG RELOAD NOSAVE NOFLUSH MERGE
        OK
        > FUNCTION STATS
        [..."LUA" ["libraries_count" 2 "functions_count" 2]]]
        "##,
    );
}
