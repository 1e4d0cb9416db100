//! What is known to keep to its keys, and what may not be.

mod random;

use super::*;
use tidegate_lua::State;

fn judge(registry: &Registry, text: &str) -> bool {
    let mut state = State::new(64 << 20);
    let script = state.compile(text.as_bytes(), "@test").unwrap_or_else(|error| {
        panic!("{text}: {}", String::from_utf8_lossy(&error));
    });
    is_confined(registry, &state.prototype(&script).expect("what was compiled can be read"))
}

const CONFINED: &[&str] = &[
    "return 1",
    "return redis.call('get', KEYS[1])",
    "redis.call('set', KEYS[1], ARGV[1]) redis.call(\"expire\", KEYS[1], ARGV[2]) return redis.call('GET', KEYS[2])",
    "local v = redis.call('INCR', KEYS[1]) if v == 1 then redis.call('EXPIRE', KEYS[1], 10) end return v",
    "local key = KEYS[1] local n = #KEYS -- redis.call('get', 'x')\nreturn redis.pcall('hset', key, 'f', n)",
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
    "return {redis.call('mget', KEYS[1], KEYS[2]), redis.error_reply('x'), tonumber(KEYS[1])}",
    "return redis.call('set', KEYS[1], redis.call('get', KEYS[2]))",
    "return redis['call']('get', KEYS[ARGV[1] + 1])",
    "return server.call('get', KEYS[1])",
    "local r = redis return r.call('get', KEYS[1])",
    "local rcall = redis.call local function get(k) return rcall('get', k) end return get(KEYS[1]) .. get(KEYS[2])",
    "local get = function(k) return redis.call('get', k) end for i = 1, #KEYS do get(KEYS[i]) end",
    "for i, key in ipairs(KEYS) do redis.call('del', key) end",
    "for _, key in pairs(KEYS) do redis.call('del', key) end",
    "for i, key in next, KEYS do redis.call('del', key) end",
    "for i = 1, #KEYS do if redis.call('exists', KEYS[i]) == 1 then return KEYS[i] end end return false",
    "local i, key = next(KEYS) return redis.call('get', key)",
    "return redis.call('del', unpack(KEYS))",
    "return redis.call('mget', KEYS[1], unpack(KEYS, 2))",
    "return redis.call('hmset', KEYS[1], unpack(ARGV))",
    "return redis.call('sadd', KEYS[1], select(2, unpack(ARGV)))",
    "return redis.call('zunionstore', KEYS[1], 2, KEYS[2], KEYS[3], 'aggregate', ARGV[1])",
    "return redis.call('eval' == 'x' and 'get' or 'get', KEYS[1])",
    "local key if ARGV[1] then key = KEYS[1] else key = KEYS[2] end return redis.call('get', key)",
    "local key = KEYS[1] or KEYS[2] return redis.call('get', key)",
    "local key = KEYS[1] key = KEYS[2] return redis.call('get', key)",
    "redis.call('publish', 'news', redis.call('incr', KEYS[1])) return redis.call('time')",
    "local ok, v = pcall(redis.call, 'get', KEYS[1]) return v",
    "local ok, v = pcall(function() return redis.call('get', KEYS[1]) end) return v",
    "local t = {} for i, k in ipairs(KEYS) do t[k] = {k, redis.call('get', k)} end return cjson.encode(t)",
    "local function walk(i) if i > #KEYS then return end redis.call('del', KEYS[i]) return walk(i + 1) end walk(1)",
    "local function both(keys) redis.call('del', keys[1], keys[2]) end both(KEYS)",
    "local function f(r) r.call('get', KEYS[1]) end f(redis)",
    "local count = 0 local function get(k) count = count + 1 return redis.call('get', k) end get(KEYS[1]) return count",
    "local function f(call, cmd) call(cmd, KEYS[1]) end f(redis.call, 'get')",
    "if type(KEYS) == 'table' then return redis.call('get', KEYS[1]) end",
    "return redis.call('rename', KEYS[1], KEYS[2])",
    "return redis.call('mset', KEYS[1], 'x', KEYS[2], 'y')",
    "return redis.call('bitop', 'and', KEYS[1], KEYS[2], KEYS[3])",
    "return redis.call('lpop', KEYS[1], nil)",
    "return KEYS",
    "return redis.call('object', 'encoding', KEYS[1])",
    "local never = function(x) return redis.call('get', x) end return 1",
];

const UNCLEAR: &[&str] = &[
    "return redis.call('get', 'x')",
    "return redis.call('get', ARGV[1])",
    "return redis.call('get', KEYS[1] .. 'x')",
    "return redis.call(ARGV[1], KEYS[1])",
    "return redis.call('del', unpack(ARGV))",
    "return redis.call('del', KEYS[1], unpack(ARGV))",
    "return redis.call('mset', unpack(ARGV))",
    "return redis.call(unpack(ARGV))",
    "return redis.call('get', unpack(ARGV))",
    "return redis.call('get', (unpack(ARGV)))",
    "return redis.call('mget', KEYS[1], 'x')",
    "return redis.call('mset', KEYS[1], 'x', 'y', 'z')",
    "return redis.call('rename', KEYS[1], 'x')",
    "return redis.call('zunionstore', KEYS[1], 2, KEYS[2], 'x')",
    "return redis.call('zunionstore', KEYS[1], #KEYS, KEYS[2], 'x')",
    "return redis.call('zunionstore', KEYS[1], ARGV[1], unpack(KEYS))",
    "return redis.call('flushall')",
    "return redis.call('keys', '*')",
    "return redis.call('dbsize')",
    "return redis.call('eval', 'x', 0)",
    "return redis.call('spublish', 'x', 'y')",
    "return redis.call('sort', KEYS[1], 'by', 'x*')",
    "return redis.call('georadius', KEYS[1], 1, 1, 1, 'm', 'store', 'x')",
    "return redis.call('xread', 'streams', 'x', 0)",
    "return redis.call('object', 'encoding', 'x')",
    "return redis.call('select', 1)",
    "return redis.call('nosuch', KEYS[1])",
    "return redis.call('set', KEYS[1], redis.call('get', 'x'))",
    "local r = redis return r.call('get', 'x')",
    "local c = redis.call return c('get', 'x')",
    "return pcall(redis.call, 'get', 'x')",
    "return pcall(pcall, redis.call, 'get', 'x')",
    "return xpcall(redis.call, error)",
    "return redis['call']('get', 'x')",
    "return redis[ARGV[1]]('get', 'x')",
    "return redis:call('x')",
    "return redis.call 'x'",
    "return server.call('get', 'x')",
    "return _G['redis'].call('get', 'x')",
    "return getfenv().redis.call('get', 'x')",
    "return loadstring('return redis.call(\"get\", \"x\")')()",
    "return load(function() return nil end)()",
    "for k, v in pairs(redis) do v('get', 'x') end",
    "local t = {redis} return t[1].call('get', 'x')",
    "local t = {} t.call = redis.call return t.call('get', 'x')",
    "local t = setmetatable({}, {__index = redis}) return t.call('get', 'x')",
    "local t = setmetatable({}, {__index = function(t, k) return redis.call('get', k) end}) return t.x",
    "local t = setmetatable({}, {__concat = function(t, k) k.call('get', 'x') end}) return t .. redis",
    "local function r() return redis end return r().call('get', 'x')",
    "local function r() return redis.call end return r()('get', 'x')",
    "local function f(...) local c = ... return c('get', 'x') end return f(redis.call)",
    "local function f(...) return arg[1]('get', 'x') end return f(redis.call)",
    "return coroutine.wrap(function(c) c('get', 'x') end)(redis.call)",
    "return (function() return redis end)().call('get', 'x')",
    "KEYS[1] = 'x' return redis.call('get', KEYS[1])",
    "KEYS[1], KEYS[2] = 'x', 'y' return redis.call('get', KEYS[1])",
    "table.insert(KEYS, 1, 'x') return redis.call('get', KEYS[1])",
    "rawset(KEYS, 1, 'x') return redis.call('get', KEYS[1])",
    "setmetatable(KEYS, {__index = function() return 'x' end}) return redis.call('get', KEYS[9])",
    "local k = KEYS k[1] = 'x' return redis.call('get', KEYS[1])",
    "local t = {KEYS} t[1][1] = 'x' return redis.call('get', KEYS[1])",
    "local function f(k) k[1] = 'x' end f(KEYS) return redis.call('get', KEYS[1])",
    "local f, k = ipairs(KEYS) k[1] = 'x' return redis.call('get', KEYS[1])",
    "local t = {ipairs(KEYS)} t[2][1] = 'x' return redis.call('get', KEYS[1])",
    "local key = KEYS[1] key = 'x' return redis.call('get', key)",
    "local a local key = KEYS[1] a, key = 1, 'x' return redis.call('get', key)",
    "local key = KEYS[1] or 'x' return redis.call('get', key)",
    "local key = ARGV[1] and KEYS[1] or ARGV[1] return redis.call('get', key)",
    "local key = KEYS[1] if ARGV[1] then key = 'x' end return redis.call('get', key)",
    "local key = KEYS[1] while true do redis.call('get', key) key = 'x' end",
    "local key = KEYS[1] repeat redis.call('get', key) key = 'x' until false",
    "local key = KEYS[1] local key = 'x' return redis.call('get', key)",
    "local key = KEYS[1] local function f(key) return redis.call('get', key) end return f('x')",
    "local function f(key) return redis.call('get', key) end f(KEYS[1]) return f('x')",
    "local function f(key) return redis.call('get', key) end local t = {f} f(KEYS[1]) return t[1]('x')",
    "local function f(key) return redis.call('get', key) end f(KEYS[1]) return pcall(f, 'x')",
    "local function f(key) return redis.call('get', key) end f(KEYS[1]) return string.gsub('x', '.', f)",
    "local function f(key) return redis.call('get', key) end for x in f, 'x' do end",
    "local function f(n, key) redis.call('get', key) f(n - 1, n .. '') end f(3, KEYS[1])",
    "local f f = function(key) redis.call('get', key) end f('x')",
    "local function a(f) f('x') end local function b(k) redis.call('get', k) end b(KEYS[1]) a(b)",
    "local key = KEYS[1] for key = 1, 3 do redis.call('get', key) end",
    "for i, key in ipairs(ARGV) do redis.call('get', key) end",
    "for key in pairs(ARGV) do redis.call('get', key) end",
    "for i, key in ipairs(KEYS) do redis.call('get', i) end",
    "local key, other = KEYS[1], 'x' return redis.call('get', other)",
    "local key = KEYS[1] local function set() key = 'x' end set() return redis.call('get', key)",
    "local key = KEYS[1] local function get() return redis.call('get', key) end key = 'x' return get()",
    "local key = KEYS[1] local function set() local function inner() key = 'x' end inner() end set() return redis.call('get', key)",
    "local c local function set() c = redis.call end set() return c('get', 'x')",
    "local c local function get() return c('get', 'x') end c = redis.call return get()",
    "local c = tostring local function get() return c('get', 'x') end local function set(x) c = x end set(redis.call) get()",
    "local fs = {} for i = 1, 2 do local k = KEYS[1] fs[i] = function() redis.call('get', k) end k = 'x' end fs[1]()",
    "return redis.call('get', function() return 1, 2 end, unpack(ARGV))",
    "return redis.register_function('f', function() end)",
    "print(redis.call('get', KEYS[1]))",
    "return cjson.encode(KEYS)",
    "return pcall(KEYS)",
    "local k = KEYS[1] local t = {k = 'x'} return redis.call('get', t[k])",
    "local k = string.sub(KEYS[1], 1, 2) return redis.call('get', k)",
    "local function id(x) return x end return redis.call('get', id(KEYS[1]))",
];

#[test]
fn what_keeps_to_its_keys_is_known_to() {
    let registry = Registry::new(&[]).unwrap();
    let missed: Vec<_> = CONFINED.iter().filter(|text| !judge(&registry, text)).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn what_may_touch_other_keys_is_not_trusted() {
    let registry = Registry::new(&[]).unwrap();
    let trusted: Vec<_> = UNCLEAR.iter().filter(|text| judge(&registry, text)).collect();
    assert!(trusted.is_empty(), "{trusted:#?}");
}

#[test]
fn judging_ends_soon_whatever_the_script() {
    let registry = Registry::new(&[]).unwrap();
    let many = |part: &str, count: usize| part.repeat(count);
    let nested = many("if ARGV[1] then while ARGV[2] do ", 60) + &many("end end ", 60);
    let locals: Vec<String> = (0..190).map(|n| format!("local v{n} = KEYS[{n}]")).collect();
    let locals = locals.join(" ");
    for text in [
        many("local f = function(a) return a end f(KEYS[1]) ", 190),
        many("(function(a) return redis.call('get', a) end)(KEYS[1]); ", 3000),
        many("redis.call('get', KEYS[1]) ", 20_000),
        nested,
        format!("{locals} while ARGV[1] do v0, v189 = v1, v188 {} end", many("v3, v7 = v7, 'x' ", 400)),
        "local function f(a, b, c) f(b, c, a) f(c, a, redis) end f(KEYS, redis.call, 1)".into(),
    ] {
        judge(&registry, &text);
    }
}
