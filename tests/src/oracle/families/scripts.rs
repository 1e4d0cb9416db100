//! Scripts and functions: commands of the other families called from within them, and expressions of Lua and its
//! libraries, whose values come back as replies.

use super::{FAMILIES, Family, choose};
use crate::oracle::compare::Compare;
use crate::oracle::generate::{Args, Generator};
use crate::oracle::step::{Action, Arg, Op, Step};

pub(super) static FAMILY: Family = Family {
    name: "scripts",
    weight: 10,
    commands: &[
        "eval",
        "eval_ro",
        "evalsha",
        "evalsha_ro",
        "fcall",
        "fcall_ro",
        "function|load",
        "function|delete",
        "function|flush",
        "function|list",
        "function|stats",
        "function|kill",
        "script|load",
        "script|exists",
        "script|flush",
        "script|kill",
        "multi",
        "exec",
    ],
    generate,
};

type Maker = fn(&mut Generator) -> Vec<Step>;

const TABLE: &[(u32, Maker)] =
    &[(12, calls), (10, expressions), (4, libraries), (2, loading), (2, transaction)];

fn generate(generator: &mut Generator) -> Vec<Step> {
    choose(generator, TABLE)(generator)
}

/// Calls the commands that are given one after the other, each with the number of its words in front.
const CALL_EACH: &str = "if ARGV[1] == '3' then redis.setresp(3) end
local replies, at = {}, 2
while at <= #ARGV do
  local len = tonumber(ARGV[at])
  replies[#replies + 1] = redis.CALL(unpack(ARGV, at + 1, at + len))
  at = at + len + 1
end
return replies";

/// Some commands of the data families whose replies are the same byte by byte.
fn content(generator: &mut Generator) -> Args {
    let mut words = Args::new();
    for _ in 0..=generator.random.below(4) {
        let family = FAMILIES[generator.random.below(6)];
        for step in (family.generate)(generator) {
            let Action::Run(ops) = &step.action else { continue };
            // Texts of help are in our own words.
            let is_same =
                |op: &&Op| op.compare == Compare::Exact && op.answered && op.name() != "object|help";
            for op in ops.iter().filter(is_same) {
                words.push(op.args.len().to_string().into_bytes());
                words.extend(op.args.iter().map(|arg| match arg {
                    Arg::Bytes(bytes) => bytes.clone(),
                    Arg::ClientId(_) => b"0".to_vec(),
                }));
            }
        }
    }
    words
}

/// The ways to run a script: its text becomes a request, with what has to come before.
fn run(generator: &mut Generator, text: &str, keys: &[Vec<u8>], args: &[Vec<u8>]) -> Vec<Step> {
    let count = keys.len().to_string().into_bytes();
    let mut ops = Vec::new();
    let reads = if generator.one_in(5) { "_RO" } else { "" };
    let mut request = match generator.random.below(4) {
        0 => {
            ops.push(Op::exact(vec![b"SCRIPT".to_vec(), b"LOAD".to_vec(), text.as_bytes().to_vec()]));
            vec![generator.word(&format!("EVALSHA{reads}")), sha_of(text.as_bytes())]
        }
        1 => {
            let flags = if reads.is_empty() { "" } else { "'no-writes'" };
            let code = format!(
                "#!lua name=oracle\nredis.register_function{{function_name='run', flags={{{flags}}}, \
                 callback=function(KEYS, ARGV) {text}\nend}}"
            );
            ops.push(Op::exact(vec![
                b"FUNCTION".to_vec(),
                b"LOAD".to_vec(),
                b"REPLACE".to_vec(),
                code.into_bytes(),
            ]));
            vec![generator.word(&format!("FCALL{reads}")), b"run".to_vec()]
        }
        _ => vec![generator.word(&format!("EVAL{reads}")), text.as_bytes().to_vec()],
    };
    request.push(count);
    request.extend_from_slice(keys);
    request.extend_from_slice(args);
    ops.push(Op::exact(request));
    vec![Step { conn: generator.conn, action: Action::Run(ops) }]
}

fn calls(generator: &mut Generator) -> Vec<Step> {
    let call = if generator.one_in(4) { "call" } else { "pcall" };
    let text = CALL_EACH.replace("CALL", call);
    let keys = if generator.one_in(2) { generator.several_keys() } else { Args::new() };
    let mut args = vec![if generator.one_in(3) { b"3".to_vec() } else { b"2".to_vec() }];
    args.extend(content(generator));
    run(generator, &text, &keys, &args)
}

/// A script inside of a transaction.
fn transaction(generator: &mut Generator) -> Vec<Step> {
    let mut steps = vec![generator.step(Op::line("MULTI"))];
    for _ in 0..=generator.random.below(2) {
        steps.extend(calls(generator));
    }
    steps.push(generator.step(Op::line("EXEC")));
    steps
}

/// Expressions over `A` and `B`, which become values.
const EXPRESSIONS: &[&str] = &[
    "A .. B",
    "A + B",
    "A - B",
    "A * B",
    "A / B",
    "A % B",
    "A ^ B",
    "-A",
    "A == B",
    "A < B",
    "A <= B",
    "not A",
    "#A",
    "A and B",
    "A or B",
    "tostring(A)",
    "tonumber(A)",
    "tonumber(A, 16)",
    "tonumber(A, B)",
    "type(A)",
    "{A, B, nil, A}",
    "{A, {B, {A}}}",
    "{ok = A}",
    "{err = A}",
    "{double = A}",
    "{big_number = tostring(tonumber(A))}",
    "{verbatim_string = {format = 'txt', string = A}}",
    "{map = {k = A}}",
    "{set = {[A] = true}}",
    "redis.error_reply(A)",
    "redis.status_reply(A)",
    "redis.sha1hex(A)",
    "redis.call(A, B)",
    "redis.pcall(A, B)",
    "redis.call('set', 'number', A)",
    "redis.call('get', 'number')",
    "{redis.call('set', 'float', A), redis.call('get', 'float')}",
    "redis.setresp(A)",
    "redis.acl_check_cmd(A, B)",
    "string.len(A)",
    "string.sub(A, B)",
    "string.sub(A, B, -2)",
    // Redis does not come back from a count that is far below zero.
    "string.rep(A, math.max(math.min(tonumber(B) or 2, 20), -1))",
    "string.reverse(A)",
    "string.upper(A)",
    "string.byte(A, B)",
    "{string.byte(A, 1, 5)}",
    "string.char(B)",
    "string.format('%d|%s', B, A)",
    "string.format('%5.2f|%g|%e', A, A, B)",
    "string.format('%q', A)",
    "string.format('%x %X %o %c', B, B, B, 65)",
    "string.format('%10.3s|%-5d|%+d', A, B, B)",
    "string.format(A, B)",
    "{string.find(A, B)}",
    "{string.find(A, B, 1, true)}",
    "{string.match(A, '(%a+)(%d*)')}",
    "{string.gsub(A, B, 'x')}",
    "{string.gsub(A, '%w', '%0%0')}",
    "{string.gsub(A, '.', {a = 'A', b = true})}",
    "table.concat({A, B, A}, ',')",
    "table.concat({A, B}, B, 1, 2)",
    "{unpack({A, B, 3}, 2)}",
    "{select(B, A, A, B)}",
    "{select('#', A, B)}",
    "math.floor(A)",
    "math.max(A, B)",
    "math.fmod(A, B)",
    "{math.modf(A)}",
    "math.abs(A) .. ''",
    "tostring(math.sqrt(A))",
    "math.huge",
    "{pcall(error, A)}",
    "{pcall(error, {err = A})}",
    "error(A)",
    "error({err = tostring(A)})",
    "assert(A == B, A)",
    "{loadstring('return ' .. A)}",
    "cjson.encode(A)",
    "cjson.encode({A, B, {A}})",
    "cjson.encode({[A] = B})",
    "cjson.encode({[3] = A})",
    "cjson.encode({[30] = A})",
    "cjson.decode(A)",
    "cjson.decode('[' .. A .. ',\"' .. B .. '\"]')",
    "cjson.decode('{\"k\": ' .. A .. '}').k",
    "cjson.encode(cjson.decode('[' .. A .. ']'))",
    "cjson.decode(cjson.encode({A, B}))",
    "cjson.encode(cjson.null)",
    "cmsgpack.pack(A)",
    "cmsgpack.pack(A, B, {A, {B}}, {k = A})",
    "{cmsgpack.unpack(cmsgpack.pack(A, B))}",
    "cmsgpack.unpack(A)",
    "{cmsgpack.unpack_one(cmsgpack.pack(A, B))}",
    "{cmsgpack.unpack_limit(cmsgpack.pack(A, B, A), 2)}",
    "struct.pack('>I2', A)",
    "struct.pack('<i4>i8', A, B)",
    "struct.pack('Bhlz', A, B, A, B)",
    "struct.pack('dfs', A, B, A)",
    "struct.pack('c0', A)",
    "{struct.unpack('>I2', A)}",
    "{struct.unpack('<i4', struct.pack('<i4', A))}",
    "{struct.unpack('bc0', A)}",
    "struct.size('>Ihd')",
    "struct.size(A)",
    "bit.tobit(A)",
    "bit.band(A, B)",
    "bit.bor(A, B, 1)",
    "bit.bxor(A, B)",
    "bit.bnot(A)",
    "bit.lshift(A, B)",
    "bit.rshift(A, B)",
    "bit.arshift(A, B)",
    "bit.rol(A, B)",
    "bit.bswap(A)",
    "bit.tohex(A)",
    "bit.tohex(A, B)",
];

/// What an operand may be besides what was sent.
/// No table: Redis 7.0 dies of `error({err = {}})`, and of anything else there that is no text.
const OPERANDS: &[&str] = &["A", "B", "KEYS[1]", "ARGV[1]", "1", "-2.5", "'x'", "nil", "true"];

fn expressions(generator: &mut Generator) -> Vec<Step> {
    let mut text = String::new();
    // As numbers, where they are some; as they were sent otherwise.
    text.push_str("local A, B = ARGV[1], ARGV[2]\n");
    match generator.random.below(4) {
        0 => text.push_str("A = tonumber(A) or A\n"),
        1 => text.push_str("A = tonumber(A) or A B = tonumber(B) or B\n"),
        2 => text.push_str("B = tonumber(B) or B\n"),
        _ => {}
    }
    if generator.one_in(12) {
        let (name, value) = (*generator.random.pick(&["A", "B"]), *generator.random.pick(OPERANDS));
        text.push_str(&[name, " = ", value, "\n"].concat());
    }
    let expression = *generator.random.pick(EXPRESSIONS);
    if generator.one_in(3) {
        text.push_str("return {pcall(function() return ");
        text.push_str(expression);
        text.push_str(" end)}");
    } else {
        text.push_str("return ");
        text.push_str(expression);
    }
    let args: Args = (0..2)
        .map(|_| match generator.random.below(5) {
            0 => generator.int(),
            1 => generator.float(),
            2 => generator.random.between(-3, 70).to_string().into_bytes(),
            3 => generator
                .random
                .pick(&["abc", "a1b22", "%a", ".", "[a-", "{\"a\": 1}", "[1, [2]]", "null", "\"\\u00e9\""])
                .as_bytes()
                .to_vec(),
            _ => generator.value(),
        })
        .collect();
    let keys = if generator.one_in(3) { vec![generator.key()] } else { Args::new() };
    run(generator, &text, &keys, &args)
}

/// Libraries, sound and not.
fn libraries(generator: &mut Generator) -> Vec<Step> {
    let body = *generator.random.pick(&[
        "redis.register_function('f1', function(k, a) return {k, a} end)",
        "redis.register_function('F2', function() return redis.call('dbsize') end)",
        // What a library keeps is kept once per thread here: a constant may be.
        "local n = 7 redis.register_function('f1', function() return n end)",
        "redis.register_function{function_name='f3', callback=function() return 3 end, flags={'no-writes'}}",
        "redis.register_function{function_name='f3', callback=function() return redis.call('set', 'a', 1) end, flags={'no-writes', 'allow-oom'}, description='text'}",
        "redis.register_function{function_name='f1', callback=function() end, flags={'nosuch'}}",
        "redis.register_function('f1', 1)",
        "redis.register_function('f-1', function() end)",
        "redis.register_function('f1')",
        "redis.call('set', 'a', 1)",
        "x = 1",
        "error('text')",
        "return 1",
        "syntax error",
        "",
    ]);
    let name = *generator.random.pick(&["lib1", "lib1", "lib2", "l-3", "", "lib1 name=lib2"]);
    let engine = *generator.random.pick(&["lua", "lua", "LUA", "js", ""]);
    let code = format!("#!{engine} name={name}\n{body}");
    let line = match generator.random.below(12) {
        0..=3 => {
            let mut args = vec![b"FUNCTION".to_vec(), generator.word("LOAD")];
            if generator.one_in(2) {
                args.push(generator.word("REPLACE"));
            }
            args.push(code.into_bytes());
            return vec![generator.step(Op::exact(args))];
        }
        4..=6 => "FCALL",
        7 => "FCALL_RO",
        8 => "FUNCTION DELETE lib1",
        9 => "FUNCTION LIST LIBRARYNAME lib1 WITHCODE",
        10 => "FUNCTION STATS",
        _ => "FUNCTION FLUSH",
    };
    let mut args: Args = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    if line.starts_with("FCALL") {
        args.push(generator.word_of(&["f1", "f2", "f3", "f1", "nosuch"]));
        args.push(generator.random.pick(&["0", "1", "2", "-1", "x"]).as_bytes().to_vec());
        args.extend(generator.several_keys());
    }
    let compare = if line.contains("LIST") { Compare::AnyOrder } else { Compare::Exact };
    vec![generator.step(Op::with(args, compare))]
}

/// What is known of scripts, and requests that are wrong.
fn loading(generator: &mut Generator) -> Vec<Step> {
    let line = *generator.random.pick(&[
        "SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db",
        "SCRIPT EXISTS E0E1F9FABFC9D4800C877A703B823AC0578FF8DB x :value",
        "SCRIPT EXISTS",
        "SCRIPT FLUSH",
        "SCRIPT FLUSH SYNC",
        "SCRIPT FLUSH NOW",
        "SCRIPT KILL",
        "FUNCTION KILL",
        "SCRIPT LOAD :value",
        "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0",
        "EVALSHA E0E1F9FABFC9D4800C877A703B823AC0578FF8DB 0 :key",
        "EVALSHA x 0",
        "EVALSHA_RO e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 :key",
        "EVAL :value 0",
        "EVAL x :int",
        "EVAL x 2 :key",
        "EVAL x",
        "EVAL_RO :value 1 :key",
        "FCALL :value 0",
        "FCALL_RO nosuch :int",
    ]);
    if line.starts_with("SCRIPT LOAD") && generator.one_in(2) {
        let words = ["SCRIPT", "LOAD", "return 1"].map(|word| word.as_bytes().to_vec());
        return vec![generator.step(Op::exact(words.to_vec()))];
    }
    let mut args = generator.fill(line);
    // SHA1s keep their case, or are found in any.
    if let Some(sha) = args.get_mut(1).filter(|word| word.len() == 40 && generator.random.one_in(2)) {
        sha.make_ascii_lowercase();
    }
    vec![generator.step(Op::exact(args))]
}

/// The SHA1 of a text, in hexadecimal digits.
fn sha_of(text: &[u8]) -> Vec<u8> {
    tidegate::script::sha_of(text).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}
