//! Scripts that broke other servers, and other ways out of the sandbox: each runs as a script and as a function, and the
//! server must be none the worse for it.

use std::io::ErrorKind;
use std::time::Duration;

use crate::transcript::show;
use tidegate_tests::resp::{Reply, RespClient};
use tidegate_tests::server::TestServer;

/// A kind of attack, and what its script must not be answered.
struct Attack {
    /// The advisory, or what is tried.
    name: &'static str,
    script: &'static str,
    /// What the reply must contain; empty where anything will do that is not the loot.
    contained: &'static str,
}

const fn attack(name: &'static str, script: &'static str, contained: &'static str) -> Attack {
    Attack { name, script, contained }
}

const ATTACKS: &[Attack] = &[
    // A library that the packager left in: package.loadlib reached the C library.
    attack("CVE-2022-0543", "return package.loadlib('liblua5.1.so.0', 'luaopen_io')", "-ERR"),
    attack("CVE-2022-0543 require", "return require('io').popen('id'):read('*a')", "-ERR"),
    attack("module", "return module('x')", "-ERR"),
    attack("os", "return os.execute('id')", "-ERR"),
    attack("io", "return io.popen('id'):read('*a')", "-ERR"),
    attack("dofile", "return dofile('redis.conf')", "-ERR"),
    attack("loadfile", "return loadfile('redis.conf')", "-ERR"),
    attack("debug", "return debug.getregistry()", "-ERR"),
    attack("getfenv", "return getfenv(1)", "-ERR"),
    attack("setfenv", "return setfenv(1, {})", "-ERR"),
    attack("newproxy", "local p = newproxy(true) getmetatable(p).__gc = function() end", "-ERR"),
    // Heap overflows in cjson: the length of what is encoded was counted in 32 bits.
    attack("CVE-2022-24834 cjson", "local s = string.rep('\\1', 30000000) return #cjson.encode(s)", ""),
    attack(
        "CVE-2022-24834 cjson array",
        "local t = {} for i = 1, 3000000 do t[i] = '\\1' end return #cjson.encode(t)",
        "",
    ),
    attack(
        "CVE-2018-11218 cmsgpack",
        "return #cmsgpack.pack(unpack((function() local t = {} for i = 1, 7000 do t[i] = i end return t end)()))",
        "",
    ),
    attack(
        "CVE-2018-11218 cmsgpack, many results",
        "return {cmsgpack.unpack(string.rep('\\1', 100000))}",
        "-ERR",
    ),
    attack(
        "cmsgpack length that is not there",
        "return cmsgpack.unpack('\\221\\255\\255\\255\\255')",
        "-ERR",
    ),
    attack("cmsgpack nested", "return cmsgpack.unpack(string.rep('\\145', 1000000) .. '\\1')", "-ERR"),
    attack("cmsgpack of itself", "local t = {} t[1] = t return #cmsgpack.pack(t)", ""),
    attack("cjson of itself", "local t = {} t[1] = t return cjson.encode(t)", "-ERR"),
    attack("cjson nested", "return cjson.decode(string.rep('[', 1000000))", "-ERR"),
    // The width of a format was added up without a limit.
    attack("CVE-2018-11219 struct", "return struct.pack('>I2147483648', 10)", "-ERR"),
    attack("CVE-2018-11219 struct size", "return struct.size('!99999999999i4')", "-ERR"),
    attack("CVE-2020-14147 struct", "return struct.unpack('c2147483647', 'a')", "-ERR"),
    attack("CVE-2020-14147 struct position", "return struct.unpack('I4', 'abcd', 2147483647)", "-ERR"),
    attack("struct c0", "return struct.unpack('i4c0', '\\255\\255\\255\\127')", "-ERR"),
    // Negating the smallest integer, and writing as many digits into a small buffer.
    attack("CVE-2024-31449", "return bit.tohex(65535, -2147483648)", "\"0000FFFF\""),
    // The collector ran while a table was closed: scripts left finalizers behind.
    attack(
        "CVE-2024-46981",
        "for i = 1, 2000 do local c = coroutine.wrap(function() local t = setmetatable({}, {__gc = true, __mode = 'kv'}) \
         coroutine.yield(t) end) c() end collectgarbage() return 'fine'",
        "\"fine\"",
    ),
    // The name of a chunk was freed while it was being parsed.
    attack(
        "CVE-2025-49844",
        "for i = 1, 300 do local name = string.rep('n', 1000) .. i collectgarbage() \
         loadstring('local x = ' .. string.rep('{', 50) .. string.rep('}', 50) .. ' return x', name)() end return 'fine'",
        "\"fine\"",
    ),
    // unpack() counted its results in 32 bits.
    attack("CVE-2025-46817", "return {unpack({1, 2, 3}, -2, 2147483647)}", "-ERR"),
    attack("CVE-2025-46817 lower", "return {unpack({}, -2147483648, 2147483647)}", "-ERR"),
    // A long string's separator was counted without a limit.
    attack("CVE-2025-46819", "return loadstring('return [' .. string.rep('=', 100000) .. '[')", ""),
    attack(
        "CVE-2025-46819 comment",
        "return loadstring('--[' .. string.rep('=', 1000000) .. '[ x ]' .. string.rep('=', 1000000) .. ']')() ",
        "",
    ),
    // The metatables of basic types belong to everybody.
    attack("CVE-2025-46818", "getmetatable('').__index = function() return 'owned' end", "-ERR"),
    attack("CVE-2025-46818 rawset", "rawset(getmetatable(''), '__index', nil)", "-ERR"),
    attack("CVE-2025-46818 new metatable", "local m = getmetatable('') m.__add = function() end", "-ERR"),
    // Bytecode that no compiler made; the core of Lua believes all of it.
    attack("bytecode", "return loadstring('\\27Lua\\81\\0\\1\\4\\8\\4\\8\\0')", "nil"),
    attack("bytecode of our own", "return loadstring(string.dump(function() return 7 end))", ""),
    attack(
        "bytecode by parts",
        "local n = 0 return load(function() n = n + 1 if n == 1 then return '\\27Lua' end end)",
        "nil",
    ),
    // The function of a vararg's parameters had too little room.
    attack(
        "CVE-2014-5461",
        "local function f(p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, ...) return p10 end \
        return f((loadstring('return ' .. string.rep('1,', 200) .. '1'))())",
        "",
    ),
    // The debugger of scripts, which is not there.
    attack("CVE-2021-32672", "redis.debug(string.rep('x', 100000)) redis.breakpoint() return 'fine'", ""),
    // Deep recursion, on the stack of C and on Lua's.
    attack("CVE-2021-32626 stack", "local t = {} for i = 1, 100000 do t = {t} end return t", ""),
    attack(
        "CVE-2021-32626 results",
        "return {redis.call('mget', unpack((function() local t = {} for i = 1, 7990 do t[i] = 'k' end return t end)()))}",
        "",
    ),
    attack("recursion", "local function f() return 1 + f() end return f()", "-ERR"),
    attack(
        "coroutines in coroutines",
        "local function f() return coroutine.wrap(f)() end return f()",
        "-ERR",
    ),
    attack("parser", "return loadstring(string.rep('(', 100000) .. string.rep(')', 100000))", "nil"),
    attack("parser, blocks", "return loadstring(string.rep('do ', 100000))", "nil"),
    attack("parser, operators", "return loadstring('return ' .. string.rep('-', 200000) .. '1')", "nil"),
    attack("patterns", "return string.find(string.rep('a', 300000), string.rep('a?', 300000))", "-ERR"),
    attack("patterns, captures", "return string.find('x', string.rep('(', 100))", "-ERR"),
    attack("patterns, balance", "return string.find(string.rep('(', 1000000), '%b()')", ""),
    attack(
        "sort without an order",
        "local t = {} for i = 1, 1000 do t[i] = i % 7 end table.sort(t, function() return true end)",
        "",
    ),
    attack(
        "sort that changes the table",
        "local t = {3, 2, 1, 5, 4} table.sort(t, function(a, b) t[9] = nil t[2] = nil return (a or 0) < (b or 0) end)",
        "",
    ),
    attack(
        "gsub that yields",
        "return coroutine.wrap(function() return string.gsub('x', '.', coroutine.yield) end)()",
        "-ERR",
    ),
    attack(
        "metamethods that call themselves",
        "local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x",
        "-ERR",
    ),
    // Memory.
    attack("string.rep", "return #string.rep('x', 1e10)", "-ERR"),
    attack("string.rep of long ones", "return #string.rep(string.rep('x', 1e6), 1e6)", "-ERR"),
    attack("doubling", "local s = 'x' while true do s = s .. s end", "-ERR"),
    attack(
        "doubling, caught",
        "local s = 'x' while true do local ok, t = pcall(function() return s .. s end) if not ok then return 'caught' end s = t end",
        "",
    ),
    attack("tables", "local t = {} for i = 1, 1e9 do t[i] = {} end", "-ERR"),
    attack(
        "table.concat",
        "local t = {} for i = 1, 1e5 do t[i] = string.rep('x', 1e5) end return #table.concat(t)",
        "-ERR",
    ),
    attack("format", "return string.format('%99999d', 1)", "-ERR"),
    attack("format, precision", "return string.format('%.99999f', 1)", "-ERR"),
    attack("gsub that grows", "return #string.gsub(string.rep('x', 1e6), '.', string.rep('y', 1e5))", "-ERR"),
    attack("table.insert far away", "local t = {} table.insert(t, 2147483647, 1) return #t", ""),
    attack("table.remove far away", "return table.remove({}, -2147483648)", ""),
    attack("setn", "return table.getn(setmetatable({}, {__index = {n = 1e9}}))", ""),
    attack("string.byte", "return {string.byte(string.rep('x', 1e6), 1, -1)}", "-ERR"),
    // Injection into the reply.
    attack("CVE-2025-67733", "return redis.error_reply('X\\r\\n+INJECTED')", "-ERR X"),
    attack("status injection", "return redis.status_reply('X\\r\\n+INJECTED')", "X"),
    attack("error injection", "return {err = 'X\\r\\n-INJECTED'}", "X"),
    attack("raised injection", "error({err = 'X\\r\\n-INJECTED'})", "X"),
    attack("big number injection", "return {big_number = '1\\r\\n+INJECTED'}", ""),
    attack("verbatim injection", "return {verbatim_string = {format = 'x\\r\\n', string = 'y\\r\\n'}}", ""),
    // What belongs to everybody is read-only.
    attack("globals", "x = 1", "-ERR"),
    attack("globals, raw", "rawset(_G, 'x', 1)", "-ERR"),
    attack("metatable of globals", "setmetatable(_G, {})", "-ERR"),
    attack("the metatable itself", "getmetatable(_G).__index = function() return 1 end", "-ERR"),
    attack("redis", "redis.call = function() return 'owned' end", "-ERR"),
    attack("libraries", "string.rep = nil", "-ERR"),
    attack("cjson", "cjson.encode = nil", "-ERR"),
    attack("table.insert into a library", "table.insert(math, 1)", "-ERR"),
    attack("table.sort of a library", "table.sort(redis)", ""),
    attack("arguments of the next one", "KEYS = {'owned'}", ""),
    // Calling what scripts may not call.
    attack("eval in eval", "return redis.call('eval', 'return 1', 0)", "-ERR"),
    attack("fcall in eval", "return redis.call('fcall', 'f', 0)", "-ERR"),
    attack("shutdown", "return redis.call('shutdown', 'nosave')", "-ERR"),
    attack("config", "return redis.call('config', 'set', 'dir', '/')", "-ERR"),
    attack("debug command", "return redis.call('debug', 'segfault')", "-ERR"),
    attack("subscribe", "return redis.call('subscribe', 'x')", "-ERR"),
    attack("multi", "return redis.call('multi')", "-ERR"),
    attack("register", "return redis.register_function('g', function() end)", "-ERR"),
    // CVE-2022-36021 and the like: patterns that take for ever, in commands that are called.
    attack(
        "CVE-2022-36021",
        "redis.call('set', string.rep('a', 100), 1) return #redis.call('keys', string.rep('*a', 100) .. 'b')",
        "0",
    ),
    attack(
        "CVE-2022-35951",
        "redis.call('xgroup', 'create', 's', 'g', '$', 'mkstream') return redis.pcall('xautoclaim', 's', 'g', 'c', 0, 0, 'count', '9223372036854775807')",
        "-ERR",
    ),
];

fn library(body: &str) -> String {
    format!("#!lua name=lib\nredis.register_function('f', function(KEYS, ARGV) {body}\nend)")
}

/// Waits for a reply; what takes long is ended.
fn ended(runner: &mut RespClient, killer: &mut RespClient) -> Reply {
    runner.set_reply_limit(Duration::from_millis(700)).expect("a socket takes a limit");
    for _ in 0..40 {
        match runner.read() {
            Ok(reply) => return reply,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        killer.line("SCRIPT KILL");
        killer.line("FUNCTION KILL");
    }
    panic!("a script that cannot be ended");
}

/// The server works, and nothing of what was tried has come into its tables.
fn check_health(client: &mut RespClient, attack: &str) {
    assert_eq!(show(&client.line("PING")), "PONG", "{attack}");
    let works = "local t = cjson.decode('[1, \"a\"]') \
        return t[2] .. ('x'):rep(2) .. redis.call('echo', 'y') .. #KEYS .. tostring(rawget(_G, 'x')) .. math.max(1, 2)";
    assert_eq!(show(&client.call(&["EVAL", works, "0"])), "\"axxy0nil2\"", "{attack}");
    client.call(&["FUNCTION", "LOAD", "REPLACE", &library(works)]);
    assert_eq!(show(&client.line("FCALL f 0")), "\"axxy0nil2\"", "{attack}");
}

#[test]
fn nothing_gets_out_of_the_sandbox() {
    // A reply that nests as deep as it may is read by recursion.
    let attacked = std::thread::Builder::new().stack_size(256 << 20).spawn(try_all);
    attacked.unwrap().join().unwrap();
}

fn try_all() {
    // Little memory, so that those that want all of it are soon refused.
    let options = ["--script-memory-limit", "64mb", "--busy-reply-threshold", "200"];
    let mut server = TestServer::tidegate_with(&options);
    let (mut client, mut killer) = (server.client(), server.client());
    for attack in ATTACKS {
        let mut ask = |client: &mut RespClient, request: &[&str]| {
            client.send(request).expect("the connection takes a command");
            let reply = show(&ended(client, &mut killer));
            client.set_reply_limit(Duration::from_secs(60)).expect("a socket takes a limit");
            reply
        };
        // What takes for ever was ended, and what it wanted to find in the end does not matter.
        let is_contained = |reply: &str| reply.contains(attack.contained) || reply.contains("killed by user");
        client.line("FLUSHALL");
        let reply = ask(&mut client, &["EVAL", attack.script, "0"]);
        assert!(is_contained(&reply), "{}: {reply}", attack.name);
        assert!(!reply.contains("owned") || reply.starts_with('-'), "{}: {reply}", attack.name);
        check_health(&mut client, attack.name);
        client.line("FLUSHALL");
        let loaded = show(&client.call(&["FUNCTION", "LOAD", "REPLACE", &library(attack.script)]));
        assert_eq!(loaded, "\"lib\"", "{}", attack.name);
        let reply = ask(&mut client, &["FCALL", "f", "0"]);
        let of_scripts = attack.name == "CVE-2021-32672" && reply.starts_with("-ERR");
        assert!(of_scripts || is_contained(&reply), "{} as a function: {reply}", attack.name);
        check_health(&mut client, attack.name);
        // While a library is loaded there is even less to reach.
        let code = format!("#!lua name=lib\n{}", attack.script);
        let refused = show(&client.call(&["FUNCTION", "LOAD", "REPLACE", &code]));
        let is_refused = refused.starts_with("-ERR") || attack.name == "register";
        assert!(is_refused, "{} while loading: {refused}", attack.name);
        check_health(&mut client, attack.name);
    }
    assert!(server.is_alive());
    assert!(server.peak_size() < 1 << 30, "{} bytes", server.peak_size());
}

/// What one script sets or leaves behind is not there for the next one, whoever sends it.
#[test]
fn scripts_leave_nothing_behind() {
    let server = TestServer::tidegate_with(&["--io-threads", "1"]);
    let (mut one, mut other) = (server.client(), server.client());
    let encode = "return cjson.encode({[1] = 0.12345678901234, [15] = 1})";
    let settings = "local t = {} t[1] = {cjson.encode_sparse_array()} t[2] = cjson.encode_max_depth() \
        t[3] = cjson.decode_max_depth() t[4] = cjson.encode_number_precision() t[5] = cjson.encode_keep_buffer() \
        t[6] = tostring(cjson.encode_invalid_numbers()) t[7] = tostring(cjson.decode_invalid_numbers()) \
        return {t[1][2], t[1][3], t[2], t[3], t[4], t[5], t[6], t[7]}";
    let usual = "[2 10 1000 1000 14 1 \"false\" \"true\"]";
    let change = "cjson.encode_sparse_array(true, 1, 1) cjson.encode_max_depth(3) cjson.decode_max_depth(3) \
        cjson.encode_number_precision(3) cjson.encode_keep_buffer(false) cjson.encode_invalid_numbers('null') \
        cjson.decode_invalid_numbers(false) return cjson.encode({[1] = 0.12345678901234, [15] = 1})";
    for call in ["EVAL", "FCALL"] {
        let run = |client: &mut RespClient, body: &str| {
            if call == "EVAL" {
                return show(&client.call(&["EVAL", body, "0"]));
            }
            client.call(&["FUNCTION", "LOAD", "REPLACE", &library(body)]);
            show(&client.line("FCALL f 0"))
        };
        let refused = run(&mut other, encode);
        assert!(refused.contains("excessively sparse array"), "{refused}");
        assert_eq!(run(&mut other, settings), usual);
        let changed = run(&mut one, change);
        assert!(changed.contains("0.123"), "{changed}");
        assert!(!changed.contains("0.1234"), "what is set counts for the script that sets it: {changed}");
        assert_eq!(run(&mut other, settings), usual, "{call}");
        assert_eq!(run(&mut other, encode), refused);
        // A seed belongs to who set it.
        let seeded = run(&mut one, "math.randomseed(7) return tostring(math.random())");
        run(&mut one, "math.randomseed(7) return 1");
        assert_ne!(run(&mut other, "return tostring(math.random())"), seeded);
        // Nor does the version of the protocol stay.
        run(&mut one, "redis.setresp(3) return 1");
        assert_eq!(run(&mut other, "return type(redis.call('get', 'nothing'))"), "\"boolean\"");
        run(&mut one, "redis.call('select', 5) return 1");
        run(&mut one, "redis.call('set', 'k', 'v') return 1");
        assert_eq!(show(&other.line("GET k")), "\"v\"");
        other.line("FLUSHALL");
    }
    // A table of settings that somebody keeps is theirs.
    let own = "#!lua name=own\nlocal own\nredis.register_function('own', function() \
        if not own then own = cjson.new() own.encode_number_precision(3) end return own.encode(0.123456) end)";
    one.call(&["FUNCTION", "LOAD", own]);
    for _ in 0..3 {
        assert_eq!(show(&one.line("FCALL own 0")), "\"0.123\"");
    }
}

/// A script that never ends stops nobody: on its own thread others are told, on other threads they are served.
#[test]
fn a_runaway_script_stops_nobody() {
    for (threads, runs) in [("4", 1), ("4", 2), ("1", 1)] {
        let server = TestServer::tidegate_with(&["--io-threads", threads, "--busy-reply-threshold", "50"]);
        let mut clients: Vec<RespClient> = (0..12).map(|_| server.client()).collect();
        for client in &mut clients {
            client.line("PING");
            client.set_reply_limit(Duration::from_secs(2)).unwrap();
        }
        let mut runners: Vec<RespClient> = (0..runs).map(|_| server.client()).collect();
        for runner in &mut runners {
            runner.send(&["EVAL", "while true do pcall(function() while true do end end) end", "0"]).unwrap();
        }
        for _ in 0..20 {
            for client in &mut clients {
                let reply = show(&client.line("PING"));
                assert!(reply == "PONG" || reply.starts_with("-BUSY"), "{reply}");
            }
        }
        let mut newcomer = server.client();
        newcomer.set_reply_limit(Duration::from_secs(5)).unwrap();
        newcomer.line("PING");
        for runner in &mut runners {
            let ended = show(&ended(runner, &mut newcomer));
            assert!(ended.contains("Script killed by user"), "{ended}");
        }
        assert_eq!(show(&newcomer.line("PING")), "PONG");
    }
}
