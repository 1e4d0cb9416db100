//! Functions: how their libraries come and go, what survives what, and what calls of them answer.

use std::time::Duration;

use tidegate_tests::server::TestServer;

use crate::scripts::{SAME_AS_REDIS, until_busy};
use crate::transcript::{check, converse, show};

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

/// A library with one function of that body.
fn library(body: &str) -> String {
    format!("#!lua name=lib\nredis.register_function('f', function(KEYS, ARGV) {body}\nend)")
}

#[test]
fn functions_answer_what_they_answer_in_redis() {
    let (ours, redis) = (TestServer::tidegate(), TestServer::redis());
    for protocol in ["2", "3"] {
        let (mut ours, mut redis) = (ours.client(), redis.client());
        for client in [&mut ours, &mut redis] {
            client.line("FLUSHALL");
            client.line("SET s text");
            client.call(&["HELLO", protocol]);
        }
        let mut different = Vec::new();
        for body in SAME_AS_REDIS.iter().copied().chain([
            "return {KEYS, ARGV, #KEYS}",
            "return {redis.breakpoint == nil, redis.debug == nil, redis.replicate_commands == nil}",
            "return redis.register_function('g', function() end)",
            "local n = {} for k in pairs(redis) do n[#n + 1] = k end table.sort(n) return n",
            "local n = {} for k in pairs(_G) do n[#n + 1] = k end table.sort(n) return #n > 20 and n[1]",
            "x = 1",
            "_G.x = 1",
            "rawset(_G, 'x', 1)",
            "return getmetatable(_G).__index",
            "setmetatable(_G, nil)",
            "getmetatable(_G).__index = function() return 1 end",
            "return redis.call('fcall', 'f', 0)",
            "return redis.call('function', 'list')",
        ]) {
            let code = library(body);
            let requests: [&[&str]; 4] = [
                &["FUNCTION", "LOAD", "REPLACE", &code],
                &["FCALL", "F", "1", "k", "a", "b"],
                &["FCALL_RO", "f", "0", "a"],
                &["FUNCTION", "FLUSH"],
            ];
            for request in requests {
                let (mine, theirs) = (show(&ours.call(request)), show(&redis.call(request)));
                if mine != theirs {
                    different.push(format!("{request:?}\n  redis    {theirs}\n  tidegate {mine}"));
                }
            }
        }
        assert!(different.is_empty(), "RESP{protocol}:\n{}", different.join("\n"));
    }
}

#[test]
fn functions_are_called() {
    check(
        r##"
        > FCALL nosuch 0
        -ERR Function not found
        > FUNCTION LOAD "#!lua name=lib\nlocal n = 0\nredis.register_function('set', function(k, a) n = n + 1 return {redis.call('set', k[1], a[1]), n} end)\nredis.register_function{function_name='get', callback=function(k) return redis.call('get', k[1] or 'k') end, flags={'no-writes'}}\nredis.register_function{function_name='lies', callback=function() return redis.call('set', 'k', 1) end, flags={'no-writes'}}"
        "lib"
        > FCALL set x
        -ERR Bad number of keys provided
        > FCALL set 1
        -ERR Number of keys can't be greater than number of args
        > FCALL set -1 k
        -ERR Number of keys can't be negative
        > FCALL set
        -ERR wrong number of arguments for 'fcall' command
        > FCALL_RO set 1 k v
        -ERR Can not execute a script with write flag using *_ro command.
        > FCALL set 1 k v
        [OK 1]
        > FCALL SET 1 k v
        [OK 2]
        > FCALL_RO get 1 k
        "v"
        > FCALL get 0
        "v"
        > FCALL lies 0
        -ERR Write commands are not allowed from read-only scripts. script: lies, on @user_function:5.
        > MULTI
        OK
        > FCALL set 1 other w
        QUEUED
        > FCALL get 1 other
        QUEUED
        > EXEC
        [[OK 3] "w"]
        > CONFIG SET maxmemory 1
        OK
        > FCALL set 1 k v
        -OOM command not allowed when used memory > 'maxmemory'.
        > FCALL get 1 k
        "v"
        > CONFIG SET maxmemory 0
        OK
        > COMMAND GETKEYS FCALL get 2 a b c
        ["a" "b"]
        > FUNCTION DELETE lib
        OK
        > FCALL get 1 k
        -ERR Function not found
        "##,
    );
}

/// Every thread runs the code of a library by itself, and must do so again when it is replaced.
#[test]
fn all_threads_see_the_same_libraries() {
    let server = TestServer::tidegate_with(&["--io-threads", "4"]);
    let mut clients: Vec<_> = (0..8).map(|_| server.client()).collect();
    for round in 0..20 {
        let changer = round % clients.len();
        let code = library(&format!("return {round}"));
        assert_eq!(show(&clients[changer].call(&["FUNCTION", "LOAD", "REPLACE", &code])), "\"lib\"");
        for client in &mut clients {
            assert_eq!(show(&client.line("FCALL f 0")), round.to_string());
        }
        if round % 5 == 0 {
            clients[changer].line("FUNCTION FLUSH");
            for client in &mut clients {
                assert_eq!(show(&client.line("FCALL f 0")), "-ERR Function not found");
            }
        }
    }
    let memory = clients[0].line("INFO memory").text();
    let figure = |name: &str| -> u64 {
        let line = memory.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim_start_matches(':').trim().parse().expect(name)
    };
    assert!(figure("used_memory_vm_functions") > 10_000, "{memory}");
    assert!(figure("used_memory_functions") > 50, "{memory}");
}

#[test]
fn a_function_that_runs_for_long_is_told_about_and_ended() {
    for threads in ["1", "3"] {
        let server = TestServer::tidegate_with(&["--io-threads", threads]);
        let mut others: Vec<_> = (0..4).map(|_| server.client()).collect();
        let mut runner = server.client();
        others[0].line("CONFIG SET busy-reply-threshold 20");
        let code = library("while true do pcall(function() while true do end end) end");
        runner.call(&["FUNCTION", "LOAD", &code]);
        runner.send(&["FCALL", "f", "1", "key", "word"]).unwrap();
        for other in &mut others {
            until_busy(other);
        }
        let busy =
            "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
        assert_eq!(show(&others[1].line("GET k")), busy);
        assert_eq!(show(&others[1].line("SCRIPT KILL")), busy);
        let stats = show(&others[2].line("FUNCTION STATS"));
        let begin = "[\"running_script\" [\"name\" \"f\" \"command\" [\"FCALL\" \"f\" \"1\" \"key\" \"word\"] \"duration_ms\" ";
        assert!(stats.starts_with(begin), "{stats}");
        assert_eq!(show(&others[3].line("FUNCTION KILL")), "OK");
        let ended = show(&runner.read().unwrap());
        assert!(ended.contains("Script killed by user with SCRIPT KILL"), "{ended}");
        for other in &mut others {
            assert_eq!(show(&other.line("PING")), "PONG");
            assert!(show(&other.line("FUNCTION STATS")).starts_with("[\"running_script\" nil"));
        }
        // A script of EVAL is none of FUNCTION's business.
        runner.send(&["EVAL", "while true do end", "0"]).unwrap();
        others.iter_mut().for_each(until_busy);
        for line in ["FUNCTION STATS", "FUNCTION KILL"] {
            assert_eq!(
                show(&others[1].line(line)),
                "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
            );
        }
        assert_eq!(show(&others[1].line("SCRIPT KILL")), "OK");
        runner.read().unwrap();
    }
}

/// Whatever a function keeps, it cannot make functions fail for good.
#[test]
fn what_functions_keep_is_bounded() {
    let server = TestServer::tidegate_with(&["--script-memory-limit", "4mb", "--io-threads", "1"]);
    let mut client = server.client();
    let code = "#!lua name=lib\nlocal kept = {}\nredis.register_function('keep', function(_, a) \
                kept[#kept + 1] = string.rep('x', 100000) .. #kept return #kept end)";
    client.call(&["FUNCTION", "LOAD", code]);
    let mut refused = 0;
    for _ in 0..200 {
        let reply = show(&client.line("FCALL keep 0"));
        refused += usize::from(reply.starts_with("-ERR") && reply.contains("not enough memory"));
    }
    assert!((1..20).contains(&refused), "{refused} calls of 200 were refused");
    client.set_reply_limit(Duration::from_secs(5)).unwrap();
    assert_eq!(show(&client.line("PING")), "PONG");
}
