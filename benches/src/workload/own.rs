//! Commands of Tidegate's own, next to what stands for them elsewhere: a limiter as a Lua script.
//!
//! Limits are so high that nothing is refused, and their windows so long that keys stay.

use super::tests_of_redis::write_request;

/// A token bucket as it is usually written: time and tokens in a hash, refilled at each call.
const SCRIPT: &str = "local now = redis.call('TIME') \
    now = now[1] * 1000 + math.floor(now[2] / 1000) \
    local state = redis.call('HMGET', KEYS[1], 'tokens', 'at') \
    local capacity, rate, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]) \
    local tokens = math.min(capacity, (tonumber(state[1]) or capacity) + (now - (tonumber(state[2]) or now)) * rate) \
    local allowed = tokens >= cost \
    if allowed then tokens = tokens - cost end \
    redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now) \
    redis.call('PEXPIRE', KEYS[1], math.ceil(capacity / rate)) \
    return {allowed and 1 or 0, math.floor(tokens)}";
/// Its SHA1, which says what is called.
const SCRIPT_SHA: &str = "3f1977916bdc6325dbd33cac70790d19a98ec95e";

/// One request that only Tidegate has, or the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    TokenBucket,
    Gcra,
    Fixed,
    Sliding,
    /// RL.CHECK of four limits, each of another key.
    Check4,
    BloomAdd,
    BloomExists,
    CountMin,
    /// EVALSHA of [`SCRIPT`], for any server.
    Script,
}

impl Own {
    pub const ALL: [Own; 9] = [
        Own::TokenBucket,
        Own::Gcra,
        Own::Fixed,
        Own::Sliding,
        Own::Check4,
        Own::BloomAdd,
        Own::BloomExists,
        Own::CountMin,
        Own::Script,
    ];

    /// As it stands in the name of a cell.
    pub fn name(self) -> &'static str {
        match self {
            Own::TokenBucket => "rl.tokenbucket",
            Own::Gcra => "rl.gcra",
            Own::Fixed => "rl.fixed",
            Own::Sliding => "rl.sliding",
            Own::Check4 => "rl.check4",
            Own::BloomAdd => "bf.add",
            Own::BloomExists => "bf.exists",
            Own::CountMin => "cms.incrby",
            Own::Script => "rl.script",
        }
    }

    /// What comes before the first request, and the number of requests it is.
    pub fn setup(self) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        let lines: &[&[&str]] = match self {
            Own::Check4 => &[
                &["RL.POLICY", "SET", "minute", "FIXED", "1000000", "60000"],
                &["RL.POLICY", "SET", "hour", "FIXED", "10000000", "3600000"],
                &["RL.POLICY", "SET", "user", "TOKENBUCKET", "1000000", "10", "3600000"],
                &["RL.POLICY", "SET", "tokens", "SLIDING", "10000000", "3600000"],
            ],
            Own::BloomAdd | Own::BloomExists => {
                &[&["DEL", "own:bloom"], &["BF.RESERVE", "own:bloom", "0.01", "1000000"]]
            }
            Own::CountMin => &[&["DEL", "own:cms"], &["CMS.INITBYDIM", "own:cms", "2000", "5"]],
            Own::Script => &[&["SCRIPT", "LOAD", SCRIPT]],
            _ => &[],
        };
        for line in lines {
            write_request(&mut out, line);
        }
        (out, lines.len())
    }

    /// Appends the request for key number `key`.
    pub fn write(self, out: &mut Vec<u8>, key: u32) {
        let named = |prefix: &str| format!("{prefix}:{key:012}");
        match self {
            Own::TokenBucket => {
                write_request(out, &["RL.TOKENBUCKET", &named("rtb"), "1000000", "10", "3600000"]);
            }
            Own::Gcra => write_request(out, &["RL.GCRA", &named("rgc"), "1000000", "10", "3600000"]),
            Own::Fixed => write_request(out, &["RL.FIXED", &named("rfx"), "10000000", "3600000"]),
            Own::Sliding => write_request(out, &["RL.SLIDING", &named("rsl"), "10000000", "3600000"]),
            Own::Check4 => {
                let [a, b, c, d] = ["lma", "lmb", "lmc", "lmd"].map(named);
                let limits = ["minute", &a, "1", "hour", &b, "1", "user", &c, "1", "tokens", &d, "20"];
                write_request(out, &[&["RL.CHECK", "4"], &limits[..]].concat());
            }
            Own::BloomAdd => write_request(out, &["BF.ADD", "own:bloom", &named("itm")]),
            Own::BloomExists => write_request(out, &["BF.EXISTS", "own:bloom", &named("itm")]),
            Own::CountMin => write_request(out, &["CMS.INCRBY", "own:cms", &named("itm"), "1"]),
            Own::Script => {
                write_request(out, &["EVALSHA", SCRIPT_SHA, "1", &named("lua"), "1000000", "1000", "1"]);
            }
        }
    }
}
