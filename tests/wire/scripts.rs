//! Scripts: EVAL, EVAL_RO, EVALSHA, EVALSHA_RO and SCRIPT.

use crate::transcript::{check, show};
use std::time::Duration;
use tidegate_tests::resp::RespClient;
use tidegate_tests::server::TestServer;

#[test]
fn scripts_are_loaded_and_called() {
    check(
        r#"
        > EVAL "return {KEYS[1], ARGV[1], 3.7, true, false, 'x'}" 1 k a
        ["k" "a" 3 1 nil "x"]
        > SCRIPT LOAD "return redis.call('get', KEYS[1])"
        "4e6d8fc8bb01276962cce5371fa795a7763657ae"
        > SCRIPT EXISTS 4e6d8fc8bb01276962cce5371fa795a7763657ae 0000000000000000000000000000000000000000 x
        [1 0 0]
        > SCRIPT SHOW 4e6d8fc8bb01276962cce5371fa795a7763657ae
        "return redis.call('get', KEYS[1])"
        > SCRIPT SHOW 0000000000000000000000000000000000000000
        -NOSCRIPT No matching script.
        > SET k v
        OK
        > EVALSHA 4E6D8FC8BB01276962CCE5371FA795A7763657AE 1 k
        "v"
        > EVALSHA_RO 4e6d8fc8bb01276962cce5371fa795a7763657ae 1 k
        "v"
        > EVAL_RO "return redis.call('set', KEYS[1], 'w')" 1 k
        -ERR Write commands are not allowed from read-only scripts. script: ..., on @user_script:1.
        > SCRIPT FLUSH
        OK
        > EVALSHA 4e6d8fc8bb01276962cce5371fa795a7763657ae 1 k
        -NOSCRIPT No matching script. Please use EVAL.
        > SCRIPT FLUSH NOW
        -ERR SCRIPT FLUSH only support SYNC|ASYNC option
        > SCRIPT KILL
        -NOTBUSY No scripts in execution right now.
        > SCRIPT DEBUG NO
        OK
        > SCRIPT DEBUG MAYBE
        -ERR Use SCRIPT DEBUG YES/SYNC/NO
        > SELECT 1
        OK
        > EVAL "redis.call('select', 2) redis.call('set', 'there', 1) return redis.call('get', 'k')" 0
        nil
        > DBSIZE
        0
        "#,
    );
}

/// What a script may be, and what it answers: the same as from Redis 7.0.15.
pub(crate) const SAME_AS_REDIS: &[&str] = &[
    "return 1",
    "return -0.5",
    "return 1e300",
    "return 'a\\0b'",
    "return {1, 2, nil, 4}",
    "return {ok = 'fine'}",
    "return {err = 'MY error'}",
    "return {err = 'bare'}",
    "return {1, {err = 'ERR in it'}, 2}",
    "return {double = 3.5}",
    "return {big_number = '123'}",
    "return {map = {a = 1}}",
    "return {set = {a = true}}",
    "return {verbatim_string = {format = 'txt', string = 'hi'}}",
    "return redis.error_reply('X\\r\\n+INJECTED')",
    "return redis.error_reply('MY_CODE text')",
    "return redis.error_reply('')",
    "return redis.error_reply(1)",
    "return redis.status_reply('fine')",
    "return redis.status_reply()",
    "return redis.sha1hex('a')",
    "return redis.sha1hex()",
    "return redis.setresp(4)",
    "redis.setresp(3) return {true, false}",
    "redis.setresp(3) redis.call('hset', 'h', 'f', 'v') return redis.call('hgetall', 'h')",
    "redis.call('hset', 'h', 'f', 'v') return redis.call('hgetall', 'h')",
    "redis.setresp(3) return redis.call('zadd', 'z', 1.5, 'm') .. type(redis.call('zscore', 'z', 'm').double)",
    "redis.setresp(3) redis.call('sadd', 's', 'a') return redis.call('smembers', 's')",
    "redis.setresp(3) return redis.call('get', 'nothing')",
    "return redis.call('get', 'nothing')",
    "return redis.call('lrange', 'nothing', 0, -1)",
    "return type(redis.call('set', 'a', 1).ok)",
    "return redis.pcall('incr', 's')",
    "return redis.pcall('incr', 's').err",
    "return redis.call('incr', 's')",
    "\n\nreturn redis.call('incr', 's')",
    "return redis.call()",
    "return redis.pcall()",
    "return redis.call({})",
    "return redis.call('nosuch')",
    "return redis.call('get')",
    "return redis.call('config')",
    "return redis.call('config', 'nosuch')",
    "return redis.call('blpop', 'x', 0)",
    "return redis.call('multi')",
    "return redis.call('eval', 'return 1', 0)",
    "return redis.call('xread', 'BLOCK', 0, 'STREAMS', 'st', '$')",
    "return redis.call('select', 99)",
    "return redis.call('set', 'x', 1.5) and redis.call('get', 'x')",
    "return redis.call('set', 'x', 3) and redis.call('get', 'x')",
    "return redis.call('set', 'x', 9007199254740991) and redis.call('get', 'x')",
    "return redis.call('set', 'x', 1e20) and redis.call('get', 'x')",
    "return nosuch",
    "return nosuch.field",
    "nosuch = 1",
    "redis.call = 1",
    "rawset(_G, 'a', 1)",
    "setmetatable(_G, {})",
    "getmetatable('').__index = 1",
    "table.insert(redis, 1)",
    "local x; return x.y",
    "local x = {}; return x.y.z",
    "return 1 + {}",
    "return 'a' + 1",
    "return #nil",
    "error('text')",
    "error('text', 0)",
    "error({err = 'MY error'})",
    "error(redis.error_reply('MY error'))",
    "return {pcall(error, 'x')}",
    "return {pcall(redis.call, 'nosuch')}",
    "return {pcall(function() error({err = 'E'}) end)}",
    "return select(2, pcall(function() local x; x.y = 1 end))",
    "return select(2, loadstring('x = ='))",
    "return tostring(loadstring(string.dump(function() end)))",
    "return loadstring('return 7')()",
    "return tostring(0.1 + 0.2)",
    "return 1 / 3 .. ''",
    "return 2^63 .. ' ' .. 1e15 .. ' ' .. 123456789012345",
    "return string.format('%5.1f|%d|%q|%s', 1.25, 3, 'a\\nb', 'c')",
    "return {unpack({1, 2, 3}, -2, 2147483647)}",
    "return {unpack({1, 2, 3}, 2)}",
    "return string.rep('ab', 3)",
    "return {string.find('hello', 'l+')}",
    "return table.concat({1, 2, 'x'}, '-')",
    "math.randomseed(10) return tostring(math.random()) .. math.random(10) .. math.random(5, 9)",
    "return math.random(0)",
    "return math.random(1, 2, 3)",
    "return redis.REPL_ALL .. redis.LOG_WARNING .. redis.REDIS_VERSION .. redis.REDIS_VERSION_NUM",
    "return tostring(redis.replicate_commands()) .. tostring(redis.breakpoint())",
    "return redis.set_repl(8)",
    "return redis.set_repl()",
    "return redis.log(1)",
    "return redis.log('x', 'y')",
    "return redis.acl_check_cmd('set', 'a', 1)",
    "return redis.acl_check_cmd('nosuch')",
    "print('x')",
    "return type(collectgarbage('count'))",
    "return coroutine.wrap(function() coroutine.yield(5) end)()",
    "return _VERSION",
    "syntax error",
    "return [[long\nstring]]",
    "return 'unfinished",
    "#!lua\nreturn 1",
    "#!lua flags=no-writes\nreturn redis.call('set', 'x', 1)",
    "#!lua flags=nosuch\nreturn 1",
    "#!lua name=x\nreturn 1",
    "#!perl\nreturn 1",
    "#!lua",
    "return {redis.call('ping'), redis.call('echo', 'x'), redis.call('dbsize')}",
    "for i = 1, 100 do redis.call('rpush', 'l', i) end return redis.call('llen', 'l')",
    "return redis.call('mset', 'a', 1, 'b', 2, 'c', 3) and redis.call('mget', 'a', 'b', 'c', 'd')",
    "return cjsn",
];

#[test]
fn scripts_answer_what_they_answer_in_redis() {
    let (ours, redis) = (TestServer::tidegate(), TestServer::redis());
    for protocol in ["2", "3"] {
        let (mut ours, mut redis) = (ours.client(), redis.client());
        for client in [&mut ours, &mut redis] {
            client.line("FLUSHALL");
            client.line("SET s text");
            client.call(&["HELLO", protocol]);
        }
        let mut different = Vec::new();
        for script in SAME_AS_REDIS {
            for name in ["EVAL", "EVAL_RO"] {
                let request = [name, script, "0"];
                let (mine, theirs) = (show(&ours.call(&request)), show(&redis.call(&request)));
                if mine != theirs {
                    different.push(format!("{name} {script}\n  redis    {theirs}\n  tidegate {mine}"));
                }
            }
        }
        assert!(different.is_empty(), "RESP{protocol}:\n{}", different.join("\n"));
        for wrong in
            [vec!["EVAL", "return 1", "x"], vec!["EVAL", "return 1", "-1"], vec!["EVAL", "return 1", "1"]]
        {
            assert_eq!(show(&ours.call(&wrong)), show(&redis.call(&wrong)));
        }
    }
}

/// Nothing that reaches out of the interpreter is among the globals.
#[test]
fn globals_are_those_of_redis() {
    let server = TestServer::tidegate();
    let left = "local n = {} for k in pairs(_G) do n[#n + 1] = tostring(k) end table.sort(n) return table.concat(n, ' ')";
    let seen = show(&server.client().call(&["EVAL", left, "0"]));
    for name in ["io", "os", "debug", "package", "newproxy", "loadfile"] {
        assert!(!seen.split([' ', '"']).any(|word| word == name), "{name}: {seen}");
    }
}

/// Transfers between accounts that no script declares, by several connections at once: the sum never changes.
#[test]
fn scripts_on_undeclared_keys_are_atomic() {
    const ACCOUNTS: usize = 20;
    let server = TestServer::tidegate_with(&["--io-threads", "4"]);
    let mut client = server.client();
    for account in 0..ACCOUNTS {
        client.call(&["SET", &format!("account:{account}"), "100"]);
    }
    let transfer = "local from, to = 'account:' .. ARGV[1], 'account:' .. ARGV[2]
        redis.call('decrby', from, ARGV[3])
        if tonumber(redis.call('get', from)) < 0 then redis.call('incrby', from, ARGV[3]) return 0 end
        redis.call('incrby', to, ARGV[3])
        return 1";
    let sum = "local sum = 0 for i = 0, 19 do sum = sum + redis.call('get', 'account:' .. i) end return sum";
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.client();
                for turn in 0..500usize {
                    let (from, to) = ((turn * 7 + thread) % ACCOUNTS, (turn * 3 + thread * 5 + 1) % ACCOUNTS);
                    let amount = (turn % 30).to_string();
                    client.call(&["EVAL", transfer, "0", &from.to_string(), &to.to_string(), &amount]);
                    if turn % 10 == 0 {
                        assert_eq!(show(&client.call(&["EVAL", sum, "0"])), "2000");
                        let keys: Vec<String> = (0..ACCOUNTS).map(|n| format!("account:{n}")).collect();
                        let request: Vec<&str> =
                            std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
                        let values = client.call(&request);
                        let total: i64 = values
                            .items()
                            .unwrap()
                            .iter()
                            .map(|value| value.text().parse::<i64>().unwrap())
                            .sum();
                        assert_eq!(total, 2000, "MGET saw the middle of a script");
                    }
                    if turn % 25 == 0 {
                        client.line("MULTI");
                        client.line("INCR counter");
                        client.call(&["EVAL", transfer, "0", &to.to_string(), &from.to_string(), "1"]);
                        client.line("EXEC");
                    }
                }
            });
        }
    });
    assert_eq!(show(&client.call(&["EVAL", sum, "0"])), "2000");
    assert_eq!(show(&client.line("GET counter")), "\"80\"");
}

/// Scripts that run beside each other because they keep to their keys, scripts that run one by one because nobody knows,
/// transactions and plain commands, all on the same accounts: the sum never changes.
#[test]
fn scripts_of_both_kinds_are_atomic_together() {
    const ACCOUNTS: usize = 12;
    const THREADS: usize = 6;
    let server = TestServer::tidegate_with(&["--io-threads", "4"]);
    let mut client = server.client();
    for account in 0..ACCOUNTS {
        client.call(&["SET", &format!("account:{account}"), "100"]);
    }
    let declared = "redis.call('decrby', KEYS[1], ARGV[1])
        if tonumber(redis.call('get', KEYS[1])) < 0 then return redis.call('incrby', KEYS[1], ARGV[1]) end
        return redis.call('incrby', KEYS[2], ARGV[1])";
    // Touches an account it has not declared after it has written.
    let undeclared = "redis.call('decrby', KEYS[1], ARGV[1])
        return redis.call('incrby', 'account:' .. ARGV[2], ARGV[1])";
    let sum = "local sum = 0 for _, key in ipairs(KEYS) do sum = sum + redis.call('get', key) end return sum";
    let names: Vec<String> = (0..ACCOUNTS).map(|n| format!("account:{n}")).collect();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (server, names) = (&server, &names);
            scope.spawn(move || {
                let mut client = server.client();
                let mut sums = vec!["EVAL", sum, "12"];
                sums.extend(names.iter().map(String::as_str));
                for turn in 0..400usize {
                    let from = (turn * 5 + thread) % ACCOUNTS;
                    let to = (turn * 7 + thread * 3 + 1) % ACCOUNTS;
                    let (from, other) = (names[from].as_str(), to.to_string());
                    let to = names[to].as_str();
                    match (turn + thread) % 5 {
                        0..=2 => client.call(&["EVAL", declared, "2", from, to, "3"]),
                        3 => client.call(&["EVAL", undeclared, "1", from, "2", &other]),
                        _ => {
                            client.line("MULTI");
                            client.call(&["DECRBY", from, "1"]);
                            client.call(&["EVAL", declared, "2", to, from, "1"]);
                            client.call(&["INCRBY", to, "1"]);
                            client.line("EXEC")
                        }
                    };
                    if turn % 8 == 0 {
                        assert_eq!(show(&client.call(&sums)), "1200", "the middle of something was seen");
                    }
                }
            });
        }
    });
    let mut sums = vec!["EVAL", sum, "12"];
    sums.extend(names.iter().map(String::as_str));
    assert_eq!(show(&client.call(&sums)), "1200");
}

/// While a script on one key runs, others run on other keys; one of which nobody knows what it touches waits for nobody
/// but those whose keys it touches.
#[test]
fn scripts_on_other_keys_do_not_wait() {
    let server = TestServer::tidegate_with(&["--io-threads", "2"]);
    let slow = "local began = redis.call('time')
        repeat local now = redis.call('time') until now[1] - began[1] + (now[2] - began[2]) / 1e6 > 4
        return redis.call('incr', KEYS[1])";
    let quick = ["return redis.call('incr', KEYS[1])", "return redis.call('incr', KEYS[1] .. '')"];
    let (told, heard) = std::sync::mpsc::channel();
    // They are let in before the script runs: the thread it runs on may be the one that accepts.
    let mut runner = server.client();
    let mut others = quick.map(|_| [server.client(), server.client()]);
    for client in others.iter_mut().flatten().chain([&mut runner]) {
        client.line("PING");
    }
    std::thread::scope(|scope| {
        let tell = told.clone();
        runner.send(&["EVAL", slow, "1", "a"]).unwrap();
        scope.spawn(move || {
            assert_eq!(show(&runner.read().unwrap()), "1");
            tell.send("slow").unwrap();
        });
        // One of them is served by another thread than the slow one.
        for (script, clients) in quick.into_iter().zip(others) {
            for mut client in clients {
                let tell = told.clone();
                scope.spawn(move || {
                    client.call(&["EVAL", script, "1", "b"]);
                    tell.send(script).unwrap();
                });
            }
        }
    });
    let order: Vec<&str> = heard.try_iter().collect();
    let slow = order.iter().position(|script| *script == "slow").unwrap();
    assert!(quick.iter().all(|script| order[..slow].contains(script)), "{order:?}");
}

/// Waits until commands are refused because of a script.
pub(crate) fn until_busy(client: &mut RespClient) {
    for _ in 0..2000 {
        if show(&client.line("PING")).starts_with("-BUSY") {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the script never became slow");
}

#[test]
fn a_script_that_runs_for_long_is_told_about_and_ended() {
    for threads in ["1", "3"] {
        let server = TestServer::tidegate_with(&["--io-threads", threads]);
        // More connections than threads, so that some share the thread of the script.
        let mut others: Vec<RespClient> = (0..4).map(|_| server.client()).collect();
        let mut runner = server.client();
        others[0].line("CONFIG SET busy-reply-threshold 20");
        runner
            .send(&[
                "EVAL",
                "while true do pcall(function() while true do redis.call('get', 'k') end end) end",
                "0",
            ])
            .unwrap();
        for other in &mut others {
            until_busy(other);
        }
        assert_eq!(
            show(&others[1].line("GET k")),
            "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
        );
        assert_eq!(show(&others[2].line("SCRIPT KILL")), "OK");
        let ended = show(&runner.read().unwrap());
        assert!(ended.contains("Script killed by user with SCRIPT KILL"), "{ended}");
        for other in &mut others {
            assert_eq!(show(&other.line("PING")), "PONG");
        }
        // What has written is not ended but by the end of the server.
        runner.send(&["EVAL", "redis.call('set', 'k', 1) while true do end", "0"]).unwrap();
        until_busy(&mut others[3]);
        assert!(show(&others[3].line("SCRIPT KILL")).starts_with("-UNKILLABLE"));
        others[0].send(&["SHUTDOWN", "NOSAVE"]).unwrap();
        assert!(others[0].read().is_err(), "the server is gone");
    }
}

/// Replies go out when all connections that were ready are read: one of those may call a script that runs for long.
#[test]
fn replies_do_not_wait_for_a_script_of_another_connection() {
    for threads in ["1", "2"] {
        let server = TestServer::tidegate_with(&["--io-threads", threads, "--busy-reply-threshold", "60000"]);
        let mut quick: Vec<RespClient> = (0..8).map(|_| server.client()).collect();
        let (mut sleeper, mut runner) = (server.client(), server.client());
        for client in &mut quick {
            client.set_reply_limit(Duration::from_secs(5)).unwrap();
            client.line("PING");
        }
        // While their thread is busy they all become ready, the one with the script last; then it serves them in one round.
        sleeper.send(&["DEBUG", "SLEEP", "0.2"]).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        for client in &mut quick {
            client.send(&["PING"]).unwrap();
        }
        runner.send(&["EVAL", "redis.call('set', KEYS[1], 1) while true do end", "1", "k"]).unwrap();
        for client in &mut quick {
            assert_eq!(show(&client.read().expect("a reply that was there before the script")), "PONG");
        }
    }
}

#[test]
fn monitors_see_what_scripts_call() {
    let server = TestServer::tidegate();
    let (mut client, mut monitor) = (server.client(), server.client());
    monitor.line("MONITOR");
    client.call(&["EVAL", "return redis.call('set', 'k', 'v')", "0"]);
    let lines = [show(&monitor.read().unwrap()), show(&monitor.read().unwrap())];
    assert!(lines[0].contains("\"EVAL\"") || lines[0].contains("EVAL"), "{}", lines[0]);
    assert!(lines[1].contains("[0 lua]"), "{}", lines[1]);
}
