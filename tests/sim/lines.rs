//! What the simulation sends: for each command of the keyspace a few lines with typed places.
//!
//! `:key`, `:value` and so on are filled in by the oracle's generator, `:soon...` by a deadline that the run itself
//! reaches, and a group in brackets is left out half of the time. A command without a line fails the simulation, so that
//! a new one cannot be forgotten.

use tidegate_commands::families;
use tidegate_commands::model::Command;
use tidegate_tests::oracle::generate::{Args, Generator};

/// A command and its lines.
pub(crate) type Lines = (&'static str, &'static [&'static str]);

/// In alphabetical order.
pub(crate) const LINES: &[Lines] = &[
    ("append", &["APPEND :key :value"]),
    ("bf.add", &["BF.ADD :bf :member"]),
    ("bf.card", &["BF.CARD :bf"]),
    ("bf.debug", &["BF.DEBUG :bf"]),
    ("bf.exists", &["BF.EXISTS :bf :member"]),
    ("bf.info", &["BF.INFO :bf", "BF.INFO :bf ITEMS"]),
    (
        "bf.insert",
        &[
            "BF.INSERT :bf [CAPACITY 5] [ERROR 0.1] [NOCREATE] ITEMS :member [:member :member]",
            "BF.INSERT :bf CAPACITY 3 NONSCALING ITEMS :member :member",
            "BF.INSERT :bf EXPANSION 1 ITEMS :member",
        ],
    ),
    (
        "bf.loadchunk",
        &[
            "BF.LOADCHUNK :bf 17 sixteen-bytes-ok",
            "BF.LOADCHUNK :bf :int :value",
            "BF.LOADCHUNK :bf 1 :value",
        ],
    ),
    ("bf.madd", &["BF.MADD :bf :member [:member :member :member]"]),
    ("bf.mexists", &["BF.MEXISTS :bf :member [:member]"]),
    (
        "bf.reserve",
        &[
            "BF.RESERVE :bf 0.1 4 [EXPANSION 3]",
            "BF.RESERVE :bf 0.01 5 NONSCALING",
            "BF.RESERVE :bf :float 10",
        ],
    ),
    ("bf.scandump", &["BF.SCANDUMP :bf 0", "BF.SCANDUMP :bf 1", "BF.SCANDUMP :bf :int"]),
    ("bitcount", &["BITCOUNT :key [:index :index]", "BITCOUNT :key :index :index BIT"]),
    (
        "bitfield",
        &[
            "BITFIELD :key SET u8 #1 :int [GET i5 3] [INCRBY i16 7 :int]",
            "BITFIELD :key OVERFLOW SAT INCRBY u4 30 :int OVERFLOW FAIL INCRBY i8 0 :int",
            "BITFIELD :key OVERFLOW FAIL SET u8 400 256",
            "BITFIELD :key GET u8 0",
        ],
    ),
    ("bitfield_ro", &["BITFIELD_RO :key [GET u8 0] [GET i64 #1]"]),
    (
        "bitop",
        &[
            "BITOP AND :key :key :key",
            "BITOP OR :key :key [:key :key]",
            "BITOP XOR :key :key :key",
            "BITOP NOT :key :key",
            "BITOP DIFF :key :key :key",
            "BITOP DIFF1 :key :key :key :key",
            "BITOP ANDOR :key :key :key",
            "BITOP ONE :key :key :key :key",
        ],
    ),
    ("bitpos", &["BITPOS :key 0 [:index]", "BITPOS :key 1 :index :index [BIT]"]),
    (
        "blmove",
        &[
            "BLMOVE :key :key LEFT RIGHT 0.01",
            "BLMOVE :key :key RIGHT LEFT 0.01",
            "BLMOVE a a LEFT RIGHT 0.01",
        ],
    ),
    (
        "blmovem",
        &["BLMOVEM :key :key LEFT RIGHT 1 [COUNT 3 OBO]", "BLMOVEM :key :key RIGHT RIGHT 1 EXACTLY 2 BULK"],
    ),
    ("blmpop", &["BLMPOP 0.01 2 :key :key LEFT [COUNT 2]", "BLMPOP 0.01 1 :key RIGHT COUNT 100"]),
    ("blpop", &["BLPOP :key :key 0.01"]),
    ("brpop", &["BRPOP :key :key 0.01"]),
    ("brpoplpush", &["BRPOPLPUSH :key :key 0.01"]),
    ("bzmpop", &["BZMPOP 0.01 2 :zset :zset MIN [COUNT 2]", "BZMPOP 0.01 1 :zset MAX"]),
    ("bzpopdue", &["BZPOPDUE :zset :zset now 0.01", "BZPOPDUE :zset 5 0.01"]),
    ("bzpopmax", &["BZPOPMAX :zset :zset 0.01"]),
    ("bzpopmin", &["BZPOPMIN :zset :zset 0.01", "BZPOPMIN :zset 0.02"]),
    (
        "cache.get",
        &["CACHE.GET 78", "CACHE.GET 79 LEASE 5", "CACHE.GET 79 BLOCK 5", "CACHE.GET :key LEASE 0"],
    ),
    ("cache.invalidate", &["CACHE.INVALIDATE 1", "CACHE.INVALIDATE 2 :member"]),
    (
        "cache.put",
        &[
            "CACHE.PUT 78 :value EX 20 [SOFT 7] TAGS 2 1 :member",
            "CACHE.PUT 79 :value PX 50000 [NEG] TAGS 1 2",
            "CACHE.PUT 79 :value PX 100 TOKEN :int",
            "CACHE.PUT :key :value PX 5000",
            "CACHE.PUT 78 :value PX 5000 BEHIND xq2",
            "CACHE.PUT 79 :value PX 5000 [TOKEN :int] BEHIND :key",
        ],
    ),
    ("cb.allow", &["CB.ALLOW 76", "CB.ALLOW 77"]),
    ("cb.force", &["CB.FORCE 76 OPEN", "CB.FORCE 76 CLOSED", "CB.FORCE 76 AUTO", "CB.FORCE 77 AUTO"]),
    ("cb.get", &["CB.GET 76", "CB.GET :key"]),
    (
        "cb.report",
        &[
            "CB.REPORT 76 1 1",
            "CB.REPORT 77 :index :index [SLOW 1]",
            "CB.REPORT 77 0 3 [TOKEN :int]",
            "CB.REPORT :key 1 0",
        ],
    ),
    (
        "cb.set",
        &[
            "CB.SET 77 [WINDOW 1000] [MINCALLS 2] [OPENFOR 5]",
            "CB.SET 76 MINCALLS 3 [PROBES 2] [CONSECUTIVE 2]",
            "CB.SET :key FAILRATE 30",
        ],
    ),
    ("cf.add", &["CF.ADD :cf :member"]),
    ("cf.addnx", &["CF.ADDNX :cf :member"]),
    ("cf.compact", &["CF.COMPACT :cf"]),
    ("cf.count", &["CF.COUNT :cf :member"]),
    ("cf.debug", &["CF.DEBUG :cf"]),
    ("cf.del", &["CF.DEL :cf :member"]),
    ("cf.exists", &["CF.EXISTS :cf :member"]),
    ("cf.info", &["CF.INFO :cf"]),
    ("cf.insert", &["CF.INSERT :cf [CAPACITY 4] [NOCREATE] ITEMS :member [:member :member]"]),
    ("cf.insertnx", &["CF.INSERTNX :cf [CAPACITY 4] [NOCREATE] ITEMS :member [:member :member]"]),
    (
        "cf.loadchunk",
        &["CF.LOADCHUNK :cf 5 four", "CF.LOADCHUNK :cf :int :value", "CF.LOADCHUNK :cf 1 :value"],
    ),
    ("cf.mexists", &["CF.MEXISTS :cf :member [:member]"]),
    (
        "cf.reserve",
        &[
            "CF.RESERVE :cf 4 [BUCKETSIZE 1] [MAXITERATIONS 3] [EXPANSION 2]",
            "CF.RESERVE :cf 4 EXPANSION 0",
            "CF.RESERVE :cf 40",
        ],
    ),
    ("cf.scandump", &["CF.SCANDUMP :cf 0", "CF.SCANDUMP :cf 1", "CF.SCANDUMP :cf :int"]),
    ("cl.throttle", &["CL.THROTTLE :key 5 10 1 [2]"]),
    ("cms.incrby", &["CMS.INCRBY :cms :member 3 [:member :int]"]),
    ("cms.info", &["CMS.INFO :cms"]),
    ("cms.initbydim", &["CMS.INITBYDIM :cms 7 3", "CMS.INITBYDIM :cms 3 :index"]),
    ("cms.initbyprob", &["CMS.INITBYPROB :cms 0.2 0.1", "CMS.INITBYPROB :cms 0.3 :float"]),
    ("cms.merge", &["CMS.MERGE :cms 1 :cms [WEIGHTS 2]", "CMS.MERGE :cms 2 :cms :cms [WEIGHTS 1 :int]"]),
    ("cms.query", &["CMS.QUERY :cms :member [:member]"]),
    ("copy", &["COPY :key :key [DB :db] [REPLACE]"]),
    ("ctr.add", &["CTR.ADD c1 :int [AT 1699999990000]", "CTR.ADD c2 :int", "CTR.ADD :key 1"]),
    ("ctr.create", &["CTR.CREATE c1 1000 20 5000 30 [NX]", "CTR.CREATE c2 50 7", "CTR.CREATE :key 100 9"]),
    ("ctr.info", &["CTR.INFO c1", "CTR.INFO :key"]),
    ("ctr.range", &["CTR.RANGE c1 1699999900000 1800000000000 [BUCKET 5000] [FILL]", "CTR.RANGE c2 0 :int"]),
    ("ctr.sum", &["CTR.SUM c1 1000 60000", "CTR.SUM c2 :int", "CTR.SUM :key 1"]),
    ("dbsize", &["DBSIZE"]),
    ("decr", &["DECR :key"]),
    ("decrby", &["DECRBY :key :int"]),
    ("del", &["DEL :key", "DEL :key :key :key"]),
    ("delex", &["DELEX :key", "DELEX :key IFEQ :value", "DELEX :key IFNE :value", "DELEX :key IFEQ 1"]),
    ("delifeq", &["DELIFEQ :key :value", "DELIFEQ :key 1"]),
    ("digest", &["DIGEST :key"]),
    ("dump", &["DUMP :key"]),
    (
        "ev.append",
        &[
            "EV.APPEND 72 ANY 2 :value :value :value :value [META :value]",
            "EV.APPEND 72 EXISTS 1 1 :value [IDEM :member]",
            "EV.APPEND 72 0 1 1 :value",
            "EV.APPEND 72 :index 1 1 :value IDEM :member",
            "EV.APPEND :key ANY 1 1 :value IDEM :member",
        ],
    ),
    ("exists", &["EXISTS :key :key"]),
    ("expire", &["EXPIRE :key :s [NX]", "EXPIRE :key 1 [XX]", "EXPIRE :key :s [GT]", "EXPIRE :key 1 [LT]"]),
    ("expireat", &["EXPIREAT :key :at [NX]", "EXPIREAT :key :at [LT]"]),
    ("expiretime", &["EXPIRETIME :key"]),
    ("flushall", &["FLUSHALL [ASYNC]", "FLUSHALL SYNC"]),
    ("flushdb", &["FLUSHDB [ASYNC]", "FLUSHDB SYNC"]),
    ("geoadd", &["GEOADD :key [NX] [CH] 13.3 38.1 a 13.4 38.1 b", "GEOADD :key [XX] CH 15 37 b 0 0 :value"]),
    ("geodist", &["GEODIST :key a b [km]"]),
    ("geohash", &["GEOHASH :key a :value"]),
    ("geopos", &["GEOPOS :key a b"]),
    (
        "georadius",
        &["GEORADIUS :key 13 38 100 km [WITHDIST]", "GEORADIUS :key 13 38 100 km STORE :key [COUNT 1]"],
    ),
    ("georadius_ro", &["GEORADIUS_RO :key 13 38 100 km [ASC]"]),
    (
        "georadiusbymember",
        &["GEORADIUSBYMEMBER :key a 10 km", "GEORADIUSBYMEMBER :key b 300 km STOREDIST :key [DESC]"],
    ),
    ("georadiusbymember_ro", &["GEORADIUSBYMEMBER_RO :key a 300 km [COUNT 2]"]),
    ("geosearch", &["GEOSEARCH :key FROMLONLAT 13 38 BYBOX 500 500 km [WITHCOORD]"]),
    (
        "geosearchstore",
        &[
            "GEOSEARCHSTORE :key :key FROMLONLAT 13 38 BYRADIUS 500 km [STOREDIST]",
            "GEOSEARCHSTORE :key :key FROMMEMBER a BYBOX 50 50 km [COUNT 1]",
        ],
    ),
    ("get", &["GET :key"]),
    ("getbit", &["GETBIT :key 5"]),
    ("getdel", &["GETDEL :key"]),
    (
        "getex",
        &[
            "GETEX :key [PERSIST]",
            "GETEX :key EX :s",
            "GETEX :key PX :soon",
            "GETEX :key EXAT :at",
            "GETEX :key PXAT :soonat",
        ],
    ),
    ("getrange", &["GETRANGE :key :index :index"]),
    ("getset", &["GETSET :key :value"]),
    ("guard", &["GUARD LOCK :lock :token", "GUARD IDEM :idem :token", "GUARD STREAM :stream VERSION 1"]),
    ("hdel", &["HDEL :hash :member", "HDEL :hash :member :member :member"]),
    ("hexists", &["HEXISTS :hash :member"]),
    ("hexpire", &["HEXPIRE :hash :s [NX] FIELDS 2 :member :member", "HEXPIRE :hash 1 [GT] FIELDS 1 :member"]),
    ("hexpireat", &["HEXPIREAT :hash :at [LT] FIELDS 1 :member"]),
    ("hexpiretime", &["HEXPIRETIME :hash FIELDS 1 :member"]),
    ("hget", &["HGET :hash :member"]),
    ("hgetall", &["HGETALL :hash"]),
    ("hgetdel", &["HGETDEL :hash FIELDS 2 :member :member"]),
    (
        "hgetex",
        &[
            "HGETEX :hash [PERSIST] FIELDS 2 :member :member",
            "HGETEX :hash EX :s FIELDS 1 :member",
            "HGETEX :hash PX :soon FIELDS 2 :member :member",
            "HGETEX :hash PXAT :soonat FIELDS 1 :member",
        ],
    ),
    ("hincrby", &["HINCRBY :hash :member :int"]),
    ("hincrbyfloat", &["HINCRBYFLOAT :hash :member :float"]),
    ("hkeys", &["HKEYS :hash"]),
    ("hlen", &["HLEN :hash"]),
    ("hmget", &["HMGET :hash :member :member"]),
    ("hmset", &["HMSET :hash :member :value :member :value"]),
    ("hpersist", &["HPERSIST :hash FIELDS 2 :member :member", "HPERSIST :hash FIELDS 5 1 2 3 4 5"]),
    (
        "hpexpire",
        &["HPEXPIRE :hash :soon [XX] FIELDS 2 :member :member", "HPEXPIRE :hash :soon FIELDS 3 1 2 3"],
    ),
    ("hpexpireat", &["HPEXPIREAT :hash :soonat FIELDS 2 :member :member"]),
    ("hpexpiretime", &["HPEXPIRETIME :hash FIELDS 1 :member"]),
    ("hpttl", &["HPTTL :hash FIELDS 1 :member"]),
    (
        "hrandfield",
        &["HRANDFIELD :hash", "HRANDFIELD :hash -3 [WITHVALUES]", "HRANDFIELD :hash 3 [WITHVALUES]"],
    ),
    ("hscan", &["HSCAN :hash 0 [MATCH m*] [COUNT 100]"]),
    (
        "hset",
        &[
            "HSET :hash :member :value",
            "HSET :hash :member :value :member :value [:member :int]",
            "HSET :hash 1 1 2 2 3 3 4 4 5 5 6 6 7 7 8 8 9 9",
        ],
    ),
    (
        "hsetex",
        &[
            "HSETEX :hash [FNX] [EX :s] FIELDS 1 :member :value",
            "HSETEX :hash [FXX] PX :soon FIELDS 2 :member :value :member :value",
            "HSETEX :hash KEEPTTL FIELDS 1 :member :value",
            "HSETEX :hash PXAT :soonat FIELDS 1 :member :value",
        ],
    ),
    ("hsetnx", &["HSETNX :hash :member :value"]),
    ("hstrlen", &["HSTRLEN :hash :member"]),
    ("httl", &["HTTL :hash FIELDS 1 :member"]),
    ("hvals", &["HVALS :hash"]),
    ("id.parse", &["ID.PARSE 512389598412820481", "ID.PARSE 01HF7YAT000000000000000000", "ID.PARSE :value"]),
    ("id.snowflake", &["ID.SNOWFLAKE [COUNT 3]"]),
    ("id.ulid", &["ID.ULID [COUNT 3]"]),
    ("id.uuid7", &["ID.UUID7 [COUNT 3]"]),
    (
        "idem.begin",
        &["IDEM.BEGIN :idem 50 [FINGERPRINT a]", "IDEM.BEGIN :idem 500 [BLOCK 0]", "IDEM.BEGIN :key 5"],
    ),
    (
        "idem.complete",
        &["IDEM.COMPLETE :idem :token :value [PX 500]", "IDEM.COMPLETE :idem :token :value [EX 1]"],
    ),
    ("idem.fail", &["IDEM.FAIL :idem :token", "IDEM.FAIL :key 1"]),
    ("idem.get", &["IDEM.GET :idem", "IDEM.GET :key"]),
    ("incr", &["INCR :key"]),
    ("incrby", &["INCRBY :key :int"]),
    ("incrbyfloat", &["INCRBYFLOAT :key :float"]),
    (
        "increx",
        &[
            "INCREX :key [BYINT :int] [LBOUND -100] [UBOUND 100] [PX :soon]",
            "INCREX :key BYFLOAT :float [UBOUND 1000] [SATURATE] [EX :s] [ENX]",
            "INCREX :key [SATURATE] [UBOUND 3] [PXAT :soonat]",
            "INCREX :key [PERSIST]",
        ],
    ),
    ("keys", &["KEYS *", "KEYS k*"]),
    ("lcs", &["LCS :key :key [LEN]", "LCS :key :key IDX [WITHMATCHLEN]"]),
    ("lindex", &["LINDEX :key :index"]),
    (
        "linsert",
        &["LINSERT :key BEFORE 1 :value", "LINSERT :key AFTER x :value", "LINSERT :key AFTER :value 1"],
    ),
    ("llen", &["LLEN :key"]),
    ("lmove", &["LMOVE :key :key LEFT RIGHT", "LMOVE :key :key RIGHT LEFT", "LMOVE :key :key LEFT LEFT"]),
    (
        "lmovem",
        &[
            "LMOVEM :key :key LEFT RIGHT [COUNT 3 OBO]",
            "LMOVEM :key :key RIGHT RIGHT EXACTLY 2 BULK",
            "LMOVEM a a LEFT LEFT COUNT 2 OBO",
        ],
    ),
    ("lmpop", &["LMPOP 2 :key :key LEFT [COUNT 2]", "LMPOP 1 :key RIGHT COUNT 100"]),
    (
        "lock.acquire",
        &[
            "LOCK.ACQUIRE :lock a 50 [SHARED] [META :value] [MAXHOLD 100]",
            "LOCK.ACQUIRE :lock b 100 [SHARED] [BLOCK 0]",
            "LOCK.ACQUIRE :lock :member 100 SHARED [META :value]",
            "LOCK.ACQUIRE :key a 10",
        ],
    ),
    ("lock.get", &["LOCK.GET :lock", "LOCK.GET :key"]),
    ("lock.release", &["LOCK.RELEASE :lock a [ALL]", "LOCK.RELEASE :lock b", "LOCK.RELEASE :lock :member"]),
    ("lock.renew", &["LOCK.RENEW :lock a 70", "LOCK.RENEW :lock b 5", "LOCK.RENEW :lock :member 200"]),
    ("lock.watch", &["LOCK.WATCH :lock 0", "LOCK.WATCH :lock 5 [BLOCK 0]"]),
    ("lpop", &["LPOP :key", "LPOP :key 2", "LPOP :key :int"]),
    ("lpos", &["LPOS :key 1 [RANK -1] [COUNT 0]"]),
    ("lpush", &["LPUSH :key :value", "LPUSH :key 1 x :value 1 x", "LPUSH :key :value :value :value"]),
    ("lpushx", &["LPUSHX :key :value", "LPUSHX :key 1 x"]),
    ("lrange", &["LRANGE :key :index :index"]),
    ("lrem", &["LREM :key 1 1", "LREM :key -1 x", "LREM :key 0 :value", "LREM :key :int 1"]),
    ("lset", &["LSET :key 0 :value", "LSET :key -1 :value", "LSET :key :index :value"]),
    ("ltrim", &["LTRIM :key :index :index", "LTRIM :key 1 -2"]),
    ("mget", &["MGET :key :key :key"]),
    ("move", &["MOVE :key :db"]),
    ("mset", &["MSET :key :value [:key :value]"]),
    (
        "msetex",
        &[
            "MSETEX 1 :key :value [NX] [PX :soon]",
            "MSETEX 2 :key :value :key :value [XX] [EX :s]",
            "MSETEX 2 :key :value :key :value PXAT :soonat",
            "MSETEX 2 :key :value :key :value [KEEPTTL]",
        ],
    ),
    ("msetnx", &["MSETNX :key :value [:key :value]"]),
    ("object|encoding", &["OBJECT ENCODING :key"]),
    ("object|freq", &["OBJECT FREQ :key"]),
    ("object|help", &["OBJECT HELP"]),
    ("object|idletime", &["OBJECT IDLETIME :key"]),
    ("object|refcount", &["OBJECT REFCOUNT :key"]),
    ("persist", &["PERSIST :key"]),
    ("pexpire", &["PEXPIRE :key :soon [NX]", "PEXPIRE :key :ms [GT]"]),
    ("pexpireat", &["PEXPIREAT :key :soonat [LT]", "PEXPIREAT :key :atms [XX]"]),
    ("pexpiretime", &["PEXPIRETIME :key"]),
    ("psetex", &["PSETEX :key :soon :value"]),
    ("pfadd", &["PFADD :key [:value :value :value]", "PFADD :key :int :int :float"]),
    ("pfcount", &["PFCOUNT :key", "PFCOUNT :key :key"]),
    (
        "pfdebug",
        &["PFDEBUG ENCODING :key", "PFDEBUG TODENSE :key", "PFDEBUG DECODE :key", "PFDEBUG GETREG :key"],
    ),
    ("pfmerge", &["PFMERGE :key :key [:key]", "PFMERGE :key"]),
    ("pfselftest", &["PFSELFTEST"]),
    ("pttl", &["PTTL :key"]),
    ("quota|del", &["QUOTA DEL a", "QUOTA DEL a 1 t:"]),
    ("quota|get", &["QUOTA GET a"]),
    ("quota|list", &["QUOTA LIST [*]"]),
    (
        "quota|set",
        &["QUOTA SET a 100000 [allkeys-lru]", "QUOTA SET 1 100000 volatile-ttl", "QUOTA SET t: 1000000"],
    ),
    ("randomkey", &["RANDOMKEY"]),
    ("rename", &["RENAME :key :key"]),
    ("renamenx", &["RENAMENX :key :key"]),
    (
        "rl.acquire",
        &[
            "RL.ACQUIRE :limit 3 50 [COST 2]",
            "RL.ACQUIRE :limit 2 50 ID :member [BLOCK 5]",
            "RL.ACQUIRE :limit 3 5 ID x",
        ],
    ),
    (
        "rl.adjust",
        &[
            "RL.ADJUST :limit 2 [BLOCK 20]",
            "RL.ADJUST :limit -1",
            "RL.ADJUST :limit 3 POLICY a",
            "RL.ADJUST :limit 0 BLOCK 0",
        ],
    ),
    (
        "rl.check",
        &["RL.CHECK 2 a :limit 1 b :limit 2 [HEADERS]", "RL.CHECK 1 c :limit 1", "RL.CHECK 1 a :key 0"],
    ),
    ("rl.fixed", &["RL.FIXED :limit 5 20 [COST 2]", "RL.FIXED :limit 5 20 ALIGN 3"]),
    ("rl.gcra", &["RL.GCRA :limit 3 5 20 [COST 2]"]),
    ("rl.get", &["RL.GET :limit"]),
    ("rl.leaky", &["RL.LEAKY :limit 3 5 20 [MAXDELAY 5]", "RL.LEAKY :limit 3 5 20 BLOCK 5"]),
    ("rl.policy|del", &["RL.POLICY DEL b"]),
    ("rl.policy|flush", &["RL.POLICY FLUSH"]),
    ("rl.policy|get", &["RL.POLICY GET a"]),
    ("rl.policy|list", &["RL.POLICY LIST [*]"]),
    (
        "rl.policy|set",
        &[
            "RL.POLICY SET a TOKENBUCKET 5 5 20",
            "RL.POLICY SET b FIXED 3 20 [SHADOW]",
            "RL.POLICY SET c SLIDING 2 20 LOG BLOCKFOR 30",
        ],
    ),
    ("rl.release", &["RL.RELEASE :limit :member", "RL.RELEASE :limit x"]),
    (
        "rl.sliding",
        &[
            "RL.SLIDING :limit 5 20 [COST 2]",
            "RL.SLIDING :limit 5 20 BUCKETS 4",
            "RL.SLIDING :limit 5 20 LOG [COST 2]",
        ],
    ),
    ("rl.stats", &["RL.STATS [TOP 3]", "RL.STATS * TOP 2"]),
    ("rl.throttle", &["RL.THROTTLE :key 5 10 1 [2]"]),
    ("rl.tokenbucket", &["RL.TOKENBUCKET :limit 5 5 20 [COST 2]", "RL.TOKENBUCKET :limit 5 5 20 BLOCK 5"]),
    ("rpop", &["RPOP :key", "RPOP :key 2", "RPOP :key :int"]),
    ("rpoplpush", &["RPOPLPUSH :key :key"]),
    ("rpush", &["RPUSH :key :value", "RPUSH :key 1 x :value 1 x", "RPUSH :key :value :value :value"]),
    ("rpushx", &["RPUSHX :key :value", "RPUSHX :key 1 x"]),
    ("sadd", &["SADD :set :member :member", "SADD :set :member", "SADD ints 1 2 3 4 5 6 7 8 9"]),
    (
        "restore",
        &[
            "RESTORE :key 0 :payload [REPLACE]",
            "RESTORE :key :soon :payload [REPLACE] [IDLETIME :s]",
            "RESTORE :key :soonat :payload [REPLACE] ABSTTL [FREQ 5]",
        ],
    ),
    ("restore-asking", &["RESTORE-ASKING :key :soon :payload [REPLACE]"]),
    ("scan", &["SCAN 0 [MATCH *a*] [COUNT 100]", "SCAN :int [TYPE string]"]),
    ("scard", &["SCARD :set"]),
    ("sdiff", &["SDIFF :set :set", "SDIFF :set :set :set"]),
    ("sdiffcard", &["SDIFFCARD 2 :set :set [LIMIT 2]"]),
    ("sdiffstore", &["SDIFFSTORE :set :set :set", "SDIFFSTORE :set :set :set :set :set :set :set"]),
    ("seq.get", &["SEQ.GET s1", "SEQ.GET :key"]),
    ("seq.next", &["SEQ.NEXT s1 [COUNT 3] [FOR :value]", "SEQ.NEXT s2 [FOR a]", "SEQ.NEXT :key"]),
    (
        "seq.set",
        &[
            "SEQ.SET s1 [VALUE :int] [START 5] [STEP 2] [MAX 60] [CYCLE]",
            "SEQ.SET s2 PERIOD DAY Europe/Berlin [RETAIN 1000]",
            "SEQ.SET :key STEP -1",
        ],
    ),
    (
        "set",
        &[
            "SET :key :value [GET]",
            "SET :key :value PX :soon [NX]",
            "SET :key :value EX :s [XX]",
            "SET :key :value PXAT :soonat",
            "SET :key :value EXAT :at",
            "SET :key :value KEEPTTL",
            "SET :key :value IFEQ :value [PX :soon]",
            "SET :key :value IFNE :value",
        ],
    ),
    ("setbit", &["SETBIT :key 3 1", "SETBIT :key 70 0"]),
    ("setex", &["SETEX :key :s :value", "SETEX :key 1 :value"]),
    ("setnx", &["SETNX :key :value"]),
    ("setrange", &["SETRANGE :key 3 :value", "SETRANGE :key 70 x"]),
    ("sexpire", &["SEXPIRE :set :s [NX] MEMBERS 2 :member :member", "SEXPIRE :set 1 [GT] MEMBERS 1 :member"]),
    ("sexpireat", &["SEXPIREAT :set :at [LT] MEMBERS 1 :member", "SEXPIREAT :set :at MEMBERS 4 1 2 3 4"]),
    ("sexpiretime", &["SEXPIRETIME :set MEMBERS 1 :member"]),
    ("sinter", &["SINTER :set :set"]),
    ("sintercard", &["SINTERCARD 2 :set :set [LIMIT 2]"]),
    ("sinterstore", &["SINTERSTORE :set :set :set"]),
    ("sismember", &["SISMEMBER :set :member"]),
    ("smembers", &["SMEMBERS :set"]),
    ("smismember", &["SMISMEMBER :set :member :member"]),
    ("smove", &["SMOVE :set :set :member"]),
    ("spersist", &["SPERSIST :set MEMBERS 2 :member :member", "SPERSIST :set MEMBERS 5 1 2 3 4 5"]),
    (
        "spexpire",
        &["SPEXPIRE :set :soon [XX] MEMBERS 2 :member :member", "SPEXPIRE :set :soon MEMBERS 3 1 2 3"],
    ),
    ("spexpireat", &["SPEXPIREAT :set :soonat MEMBERS 2 :member :member"]),
    ("spexpiretime", &["SPEXPIRETIME :set MEMBERS 1 :member"]),
    ("spop", &["SPOP :set", "SPOP :set 2", "SPOP :set :index"]),
    ("spttl", &["SPTTL :set MEMBERS 1 :member"]),
    ("srandmember", &["SRANDMEMBER :set", "SRANDMEMBER :set -3", "SRANDMEMBER :set 3"]),
    ("srem", &["SREM :set :member :member"]),
    ("sscan", &["SSCAN :set 0 [MATCH m*] [COUNT 100]"]),
    (
        "sort",
        &[
            "SORT :key [ALPHA] [DESC] [LIMIT 1 3] [STORE :key]",
            "SORT :key BY :key ALPHA [STORE :key]",
            "SORT :key ALPHA BY * GET # [GET k*] STORE :key",
            "SORT :key BY nosort [STORE :key]",
        ],
    ),
    ("sort_ro", &["SORT_RO :key [BY *] [GET *] [ALPHA]"]),
    ("strlen", &["STRLEN :key"]),
    ("sttl", &["STTL :set MEMBERS 1 :member"]),
    ("substr", &["SUBSTR :key :index :index"]),
    ("sunion", &["SUNION :set :set"]),
    ("sunioncard", &["SUNIONCARD 2 :set :set [LIMIT 2]"]),
    ("sunionstore", &["SUNIONSTORE :set :set :set"]),
    ("swapdb", &["SWAPDB :db :db"]),
    ("tdigest.add", &["TDIGEST.ADD :td :float [:float :float]", "TDIGEST.ADD :td 1 2 3 4 5 6 7 8 9"]),
    ("tdigest.byrank", &["TDIGEST.BYRANK :td 3 [:int]"]),
    ("tdigest.byrevrank", &["TDIGEST.BYREVRANK :td 3 [:int]"]),
    ("tdigest.cdf", &["TDIGEST.CDF :td :float [:float]"]),
    ("tdigest.create", &["TDIGEST.CREATE :td [COMPRESSION 2]", "TDIGEST.CREATE :td COMPRESSION :int"]),
    ("tdigest.info", &["TDIGEST.INFO :td"]),
    ("tdigest.max", &["TDIGEST.MAX :td"]),
    ("tdigest.merge", &["TDIGEST.MERGE :td 1 :td [COMPRESSION 3] [OVERRIDE]", "TDIGEST.MERGE :td 2 :td :td"]),
    ("tdigest.min", &["TDIGEST.MIN :td"]),
    ("tdigest.quantile", &["TDIGEST.QUANTILE :td 0.5 [:float]"]),
    ("tdigest.rank", &["TDIGEST.RANK :td :float [:float]"]),
    ("tdigest.reset", &["TDIGEST.RESET :td"]),
    ("tdigest.revrank", &["TDIGEST.REVRANK :td :float [:float]"]),
    ("tdigest.trimmed_mean", &["TDIGEST.TRIMMED_MEAN :td 0.1 0.9", "TDIGEST.TRIMMED_MEAN :td :float :float"]),
    ("topk.add", &["TOPK.ADD :topk :member [:member :member :member]"]),
    ("topk.count", &["TOPK.COUNT :topk :member [:member]"]),
    ("topk.incrby", &["TOPK.INCRBY :topk :member 5 [:member :int]"]),
    ("topk.info", &["TOPK.INFO :topk"]),
    ("topk.list", &["TOPK.LIST :topk [WITHCOUNT]"]),
    ("topk.query", &["TOPK.QUERY :topk :member [:member]"]),
    ("topk.reserve", &["TOPK.RESERVE :topk 3 [4 2 0.9]", "TOPK.RESERVE :topk 2"]),
    ("touch", &["TOUCH :key :key"]),
    ("ttl", &["TTL :key"]),
    ("type", &["TYPE :key"]),
    ("uniq.add", &["UNIQ.ADD u1 :value :value", "UNIQ.ADD u2 :value", "UNIQ.ADD :key a"]),
    ("uniq.count", &["UNIQ.COUNT u1 60000 3600000", "UNIQ.COUNT u2 :int", "UNIQ.COUNT :key 1"]),
    ("uniq.create", &["UNIQ.CREATE u1 100 5 [NX]", "UNIQ.CREATE u2 60000 60", "UNIQ.CREATE :key 10 10"]),
    ("unlink", &["UNLINK :key :key"]),
    ("xack", &["XACK :stream 1 0-1 0-2 0-3 0-4 0-5 0-6", "XACK :stream 1 0-1 0-2 0-3 0-4"]),
    (
        "xackdel",
        &[
            "XACKDEL :stream 1 IDS 4 0-1 0-2 0-3 0-4 [DELREF]",
            "XACKDEL :stream 1 ACKED IDS 3 0-5 0-6 0-7",
            "XACKDEL :stream 2 [KEEPREF] IDS 4 0-1 0-2 0-3 0-4",
        ],
    ),
    (
        "xadd",
        &[
            "XADD :stream 0-* :value :value",
            "XADD :stream 0-* :value :value [:value :value]",
            "XADD 72 * :value :value",
            "XADD 72 IDMP 8 :member * :value :value",
            "XADD 72 IDMPAUTO 9 [MAXLEN ~ 5] * 1 :member",
            "XADD :stream MAXLEN ~ 150 [LIMIT 200] [ACKED] 0-* 1 :value",
            "XADD 70 [NOMKSTREAM] [DELREF] MAXLEN 9 0-* 1 :value",
            "XADD 72 MINID ~ 1-1 * 1 :value",
            "XADD :key 0-* :value :value",
            "XADD :stream EXPECT 0-3 0-* :value :value",
            "XADD 72 EXPECT 0-0 [NOMKSTREAM] [MAXLEN 3] * :value :value",
        ],
    ),
    (
        "xautoclaim",
        &[
            "XAUTOCLAIM :stream 1 3 0 - [COUNT 3] [JUSTID]",
            "XAUTOCLAIM :stream 1 4 5 (0-2",
            "XAUTOCLAIM :stream 2 4 0 - COUNT 2",
        ],
    ),
    ("xcfgset", &["XCFGSET 72 IDMP-DURATION 1", "XCFGSET 72 IDMP-MAXSIZE 3 [IDMP-DURATION 2]"]),
    (
        "xclaim",
        &[
            "XCLAIM :stream 1 3 0 0-1 0-2 0-3 [FORCE] [JUSTID]",
            "XCLAIM :stream 1 4 0 0-3 0-4 [IDLE 5] [RETRYCOUNT 7] [FORCE] LASTID 0-4",
            "XCLAIM :stream 1 4 5 0-1 0-2 [TIME :soonat]",
        ],
    ),
    ("xdel", &["XDEL :stream 0-1 0-2 0-3", "XDEL :stream 0-4 0-5 0-6", "XDEL :stream 0-2"]),
    (
        "xdelex",
        &[
            "XDELEX :stream [DELREF] IDS 2 0-1 0-2",
            "XDELEX :stream ACKED IDS 3 0-1 0-2 0-3",
            "XDELEX :stream KEEPREF IDS 1 0-5",
        ],
    ),
    (
        "xgroup|create",
        &[
            "XGROUP CREATE :stream 1 0 [MKSTREAM] [ENTRIESREAD 2]",
            "XGROUP CREATE :stream 2 $ [MKSTREAM]",
            "XGROUP CREATE :stream 1 0 MKSTREAM",
        ],
    ),
    (
        "xgroup|createconsumer",
        &["XGROUP CREATECONSUMER :stream 1 :member", "XGROUP CREATECONSUMER :stream 2 4"],
    ),
    ("xgroup|delconsumer", &["XGROUP DELCONSUMER :stream 1 3", "XGROUP DELCONSUMER :stream 1 4"]),
    ("xgroup|destroy", &["XGROUP DESTROY :stream 1", "XGROUP DESTROY :stream 2"]),
    ("xgroup|help", &["XGROUP HELP"]),
    (
        "xgroup|setid",
        &[
            "XGROUP SETID :stream 1 0 [ENTRIESREAD 0]",
            "XGROUP SETID :stream 1 $",
            "XGROUP SETID :stream 2 0-2 ENTRIESREAD 9",
        ],
    ),
    ("xidmprecord", &["XIDMPRECORD :stream 8 :member 0-1", "XIDMPRECORD :stream 8 :member 0-4"]),
    ("xinfo|consumers", &["XINFO CONSUMERS :stream 1"]),
    ("xinfo|groups", &["XINFO GROUPS :stream"]),
    ("xinfo|help", &["XINFO HELP"]),
    ("xinfo|stream", &["XINFO STREAM :stream", "XINFO STREAM :stream FULL [COUNT 2]"]),
    ("xlen", &["XLEN :stream"]),
    (
        "xnack",
        &[
            "XNACK :stream 1 FAIL IDS 3 0-1 0-2 0-3",
            "XNACK :stream 1 SILENT IDS 2 0-3 0-4 [RETRYCOUNT 3] [FORCE]",
            "XNACK :stream 1 FATAL IDS 2 0-1 0-2 FORCE",
        ],
    ),
    (
        "xpending",
        &["XPENDING :stream 1", "XPENDING :stream 1 IDLE 5 - + 10 [3]", "XPENDING :stream 1 - + 10"],
    ),
    (
        "xqueue.ack",
        &[
            "XQUEUE.ACK xq1 1700000000000-0#122163200000000",
            "XQUEUE.ACK xq2 1700000000000-1#122163200000001 x",
            "XQUEUE.ACK :key x",
        ],
    ),
    ("xqueue.bind", &["XQUEUE.BIND xq1 :value [PATTERN]", "XQUEUE.BIND :key news"]),
    (
        "xqueue.call",
        &[
            "XQUEUE.CALL 2 xq1 xq2 DEADLINE 5 [NEED 1] [PRIORITY 7] [GROUP a] [HEADERS 1 :value :value] BODY :value",
            "XQUEUE.CALL 2 :key :key DEADLINE 5 BODY :value",
        ],
    ),
    (
        "xqueue.create",
        &[
            "XQUEUE.CREATE {xq}1 [MAXDELIVER 1] [LEASE 5] DLQ {xq}2",
            "XQUEUE.CREATE {xq}2 [MAXLEN 3] [DLQ {xq}1]",
            "XQUEUE.CREATE xq1 [MAXDELIVER 2] [GROUPMAX 2] [LEASE 20] [MAXLEN 9 DROPOLD]",
            "XQUEUE.CREATE xq2 [BACKOFF FIXED 5 9 JITTER 50] [DEADMAX 3] [AGING 5] [HISTORY 1]",
            "XQUEUE.CREATE :key [NX] [TTL 40 EXPIRED DEAD]",
        ],
    ),
    ("xqueue.del", &["XQUEUE.DEL xq1 1700000000000-2", "XQUEUE.DEL :key 1-1 x"]),
    ("xqueue.extend", &["XQUEUE.EXTEND xq1 50 1700000000000-0#122163200000000 x", "XQUEUE.EXTEND :key 50 x"]),
    ("xqueue.get", &["XQUEUE.GET xq1 1700000000000-0", "XQUEUE.GET :key 1-1"]),
    ("xqueue.info", &["XQUEUE.INFO xq1", "XQUEUE.INFO :key"]),
    ("xqueue.len", &["XQUEUE.LEN xq1 [STATE dead]", "XQUEUE.LEN :key"]),
    (
        "xqueue.nack",
        &[
            "XQUEUE.NACK xq1 1700000000000-0#122163200000000 [DELAY 5] [REASON :value]",
            "XQUEUE.NACK xq2 1700000000000-0#122163200000000 RELEASE",
            "XQUEUE.NACK xq2 1700000000000-1#122163200000001 DEAD",
            "XQUEUE.NACK {xq}1 1700000000000-0#122163200000000 DEAD",
        ],
    ),
    ("xqueue.pause", &["XQUEUE.PAUSE xq2 OUT FOR 5", "XQUEUE.PAUSE xq2 NONE", "XQUEUE.PAUSE :key ALL"]),
    ("xqueue.peek", &["XQUEUE.PEEK xq1 [STATE dead] [COUNT 3]", "XQUEUE.PEEK :key AFTER 5-5"]),
    (
        "xqueue.pop",
        &[
            "XQUEUE.POP 1 xq1 [COUNT 3] [LEASE 30] [CONSUMER :value]",
            "XQUEUE.POP 2 xq2 xq1 [LEASE 0]",
            "XQUEUE.POP 2 {xq}1 {xq}2 [LEASE 3]",
            "XQUEUE.POP 2 :key :key BLOCK 5",
        ],
    ),
    ("xqueue.purge", &["XQUEUE.PURGE xq2 [STATE ready]", "XQUEUE.PURGE :key"]),
    (
        "xqueue.push",
        &[
            "XQUEUE.PUSH xq1 [DELAY 7] [PRIORITY 7] [GROUP a] [TTL 30] [HEADERS 1 :value :value] BODY :value",
            "XQUEUE.PUSH xq2 [DEDUP a 20 REPLACE] [GROUP b] [MAXDELIVER 1] BODY :value",
            "XQUEUE.PUSH :key [DEDUP b 0] BODY :value",
            "XQUEUE.PUSH xq2 [GROUP a] BODIES 3 :value b c",
            "XQUEUE.PUSH {xq}1 [GROUP a] BODIES 2 :value b",
        ],
    ),
    (
        "xqueue.redrive",
        &[
            "XQUEUE.REDRIVE xq1 [COUNT 2] [RATE 100]",
            "XQUEUE.REDRIVE xq2 TO xq1",
            "XQUEUE.REDRIVE :key IDS 1 1-1 TO :key",
        ],
    ),
    (
        "xqueue.reply",
        &["XQUEUE.REPLY xq1 1700000000000-0#122163200000000 :value", "XQUEUE.REPLY :key x :value"],
    ),
    ("xqueue.unbind", &["XQUEUE.UNBIND xq1 :value", "XQUEUE.UNBIND :key news"]),
    ("xrange", &["XRANGE :stream - + [COUNT 3]", "XRANGE :stream (0-2 0-9"]),
    (
        "xread",
        &["XREAD [COUNT 2] STREAMS :stream :stream 0 0-2", "XREAD BLOCK 5 STREAMS :stream :stream $ $"],
    ),
    (
        "xreadgroup",
        &[
            "XREADGROUP GROUP 1 3 [COUNT 2] STREAMS :stream >",
            "XREADGROUP GROUP 1 4 [COUNT 1] STREAMS :stream :stream > >",
            "XREADGROUP GROUP 1 3 [NOACK] STREAMS :stream 0",
            "XREADGROUP GROUP 2 4 COUNT 2 NOACK STREAMS :stream >",
            "XREADGROUP GROUP 1 4 [COUNT 3] CLAIM 5 STREAMS :stream >",
            "XREADGROUP GROUP 1 3 BLOCK 5 CLAIM 0 STREAMS :stream >",
            "XREADGROUP GROUP 1 3 BLOCK 5 STREAMS :stream >",
        ],
    ),
    ("xrevrange", &["XREVRANGE :stream + - [COUNT 3]"]),
    (
        "xsetid",
        &["XSETID 72 0-99999", "XSETID 72 9-999 ENTRIESADDED 5", "XSETID :stream 0-20 MAXDELETEDID 0-3"],
    ),
    (
        "xtrim",
        &[
            "XTRIM :stream MAXLEN 5 [ACKED]",
            "XTRIM :stream MINID 0-5 [DELREF]",
            "XTRIM :stream MAXLEN ~ 1 LIMIT 500",
            "XTRIM :stream MINID ~ 0-400",
        ],
    ),
    (
        "zadd",
        &[
            "ZADD :zset [CH] :score :member :score :member",
            "ZADD :zset [NX] :score :member",
            "ZADD :zset XX GT :score :member",
            "ZADD :zset LT INCR :score :member",
            "ZADD :zset 1 a 2 b 3 c 4 d 5 e 6 f 7 g 8 h 9 i",
        ],
    ),
    ("zcard", &["ZCARD :zset"]),
    ("zcount", &["ZCOUNT :zset :bound :bound"]),
    ("zdiff", &["ZDIFF 2 :zset :zset [WITHSCORES]"]),
    ("zdiffstore", &["ZDIFFSTORE :zset 2 :zset :set"]),
    (
        "zexpire",
        &["ZEXPIRE :zset :s [NX] MEMBERS 2 :member :member", "ZEXPIRE :zset :s MEMBERS 8 a b c 1 2 3 4 5"],
    ),
    ("zexpireat", &["ZEXPIREAT :zset :at [LT] MEMBERS 1 :member", "ZEXPIREAT :zset :at MEMBERS 3 a b c"]),
    ("zexpiretime", &["ZEXPIRETIME :zset MEMBERS 1 :member"]),
    ("zincrby", &["ZINCRBY :zset :score :member"]),
    ("zinter", &["ZINTER 2 :zset :set [WEIGHTS 2 :score] [AGGREGATE MAX] [WITHSCORES]"]),
    ("zintercard", &["ZINTERCARD 2 :zset :zset [LIMIT 2]"]),
    ("zinterstore", &["ZINTERSTORE :zset 2 :zset :zset [WEIGHTS 2 :score] [AGGREGATE COUNT]"]),
    ("zlexcount", &["ZLEXCOUNT :zlex :lex :lex"]),
    ("zmpop", &["ZMPOP 2 :zset :zset MIN [COUNT 2]", "ZMPOP 1 :zset MAX"]),
    ("zmscore", &["ZMSCORE :zset :member :member"]),
    ("zpersist", &["ZPERSIST :zset MEMBERS 2 :member :member", "ZPERSIST :zset MEMBERS 8 a b c 1 2 3 4 5"]),
    (
        "zpexpire",
        &["ZPEXPIRE :zset :soon MEMBERS 2 :member :member", "ZPEXPIRE :zset :soon [NX] MEMBERS 3 a b c"],
    ),
    (
        "zpexpireat",
        &["ZPEXPIREAT :zset :soonat MEMBERS 2 :member :member", "ZPEXPIREAT :zset :soonat MEMBERS 3 a b c"],
    ),
    ("zpexpiretime", &["ZPEXPIRETIME :zset MEMBERS 1 :member"]),
    ("zpopmax", &["ZPOPMAX :zset [2]"]),
    ("zpopmin", &["ZPOPMIN :zset", "ZPOPMIN :zset :index"]),
    ("zpttl", &["ZPTTL :zset MEMBERS 1 :member"]),
    ("zrandmember", &["ZRANDMEMBER :zset", "ZRANDMEMBER :zset -3 [WITHSCORES]", "ZRANDMEMBER :zset 3"]),
    (
        "zrange",
        &[
            "ZRANGE :zset :index :index [REV] [WITHSCORES]",
            "ZRANGE :zset :bound :bound BYSCORE [REV] [LIMIT 1 2]",
            "ZRANGE :zlex :lex :lex BYLEX",
        ],
    ),
    ("zrangebylex", &["ZRANGEBYLEX :zlex :lex :lex [LIMIT 1 2]"]),
    ("zrangebyscore", &["ZRANGEBYSCORE :zset :bound :bound [WITHSCORES] [LIMIT 1 2]"]),
    (
        "zrangestore",
        &[
            "ZRANGESTORE :zset :zset :index :index [REV]",
            "ZRANGESTORE :zset :zset :bound :bound BYSCORE [LIMIT 1 2]",
        ],
    ),
    ("zrank", &["ZRANK :zset :member [WITHSCORE]"]),
    ("zrem", &["ZREM :zset :member :member"]),
    ("zremrangebylex", &["ZREMRANGEBYLEX :zset :lex :lex", "ZREMRANGEBYLEX :zset - +"]),
    ("zremrangebyrank", &["ZREMRANGEBYRANK :zset :index :index"]),
    ("zremrangebyscore", &["ZREMRANGEBYSCORE :zset :bound :bound"]),
    ("zrevrange", &["ZREVRANGE :zset :index :index [WITHSCORES]"]),
    ("zrevrangebylex", &["ZREVRANGEBYLEX :zlex :lex :lex [LIMIT 1 2]"]),
    ("zrevrangebyscore", &["ZREVRANGEBYSCORE :zset :bound :bound [WITHSCORES] [LIMIT 1 2]"]),
    ("zrevrank", &["ZREVRANK :zset :member [WITHSCORE]"]),
    ("zscan", &["ZSCAN :zset 0 [MATCH m*] [COUNT 100]"]),
    ("zscore", &["ZSCORE :zset :member"]),
    ("zttl", &["ZTTL :zset MEMBERS 1 :member"]),
    ("zunion", &["ZUNION 2 :zset :zset [WEIGHTS 2 :score] [AGGREGATE MIN] [WITHSCORES]"]),
    (
        "zunionstore",
        &[
            "ZUNIONSTORE :zset 2 :zset :set [WEIGHTS 2 :score] [AGGREGATE MAX]",
            "ZUNIONSTORE :zset 3 :zset :zset :zset",
        ],
    ),
];

/// The declared commands that can be called, by name, and those of them without a line.
pub(crate) fn commands() -> (Vec<String>, Vec<String>) {
    let mut names = Vec::new();
    for command in families::every().flat_map(|family| family.commands) {
        callable("", command, &mut names);
    }
    let missing = names.iter().filter(|name| !LINES.iter().any(|(with, _)| with == name)).cloned().collect();
    (names, missing)
}

fn callable(container: &str, command: &Command, names: &mut Vec<String>) {
    let name = format!("{container}{}", command.name.to_ascii_lowercase());
    for sub in command.subcommands {
        callable(&format!("{name}|"), sub, names);
    }
    if command.handler.is_some() {
        names.push(name);
    }
}

/// The kind of keys a command is for: the first place in its lines.
pub(crate) fn theme(lines: &Lines) -> &'static str {
    lines.1.iter().flat_map(|line| line.split(' ')).find(|word| word.starts_with(':')).unwrap_or_default()
}

/// Commands that fill collections. Most others empty them, so these are sent more often.
pub(crate) const FILLERS: &[&str] = &[
    "cms.initbydim",
    "hset",
    "rpush",
    "sadd",
    "sexpire",
    "tdigest.create",
    "topk.reserve",
    "xadd",
    "xreadgroup",
    "zadd",
];

/// One line of `name`, filled in; deadlines that come soon are counted from `now_ms`.
pub(crate) fn line(generator: &mut Generator, lines: &Lines, now_ms: i64) -> Args {
    let template = *generator.random.pick(lines.1);
    let mut args = Args::new();
    let mut left_out = false;
    for word in template.split(' ') {
        if word.starts_with('[') {
            left_out = generator.one_in(2);
        }
        if !left_out {
            let word = word.trim_matches(|c| "[]".contains(c));
            match word {
                ":soon" => args.push(soon(generator).to_string().into_bytes()),
                ":lock" => args.push(generator.random.pick(&["l1", "l2"]).as_bytes().to_vec()),
                ":idem" => args.push(generator.random.pick(&["id1", "id2"]).as_bytes().to_vec()),
                ":token" => args.push(token(generator, now_ms).to_string().into_bytes()),
                ":soonat" => args.push((now_ms + soon(generator)).to_string().into_bytes()),
                word => args.extend(generator.fill(word)),
            }
        }
        if word.ends_with(']') {
            left_out = false;
        }
    }
    generator.spoil(args, false)
}

/// A token that was given out now, perhaps.
fn token(generator: &mut Generator, now_ms: i64) -> i64 {
    /// 2020-01-01.
    const EPOCH_MS: i64 = 1_577_836_800_000;
    (now_ms - EPOCH_MS) * 1000 + generator.random.between(0, 2)
}

/// A deadline that the run reaches, in milliseconds from now; sometimes one that has passed.
fn soon(generator: &mut Generator) -> i64 {
    if generator.one_in(10) { generator.random.between(-5, 1) } else { generator.random.between(1, 60) }
}
