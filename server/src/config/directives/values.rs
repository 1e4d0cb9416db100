//! Up to which size values keep their compact form.

use super::{Directive, INT_MAX, INT_MIN, LONG_MAX, number};

pub(super) static ROWS: &[Directive] = &[
    number("hash-max-listpack-entries", 0..=LONG_MAX, 512)
        .unsigned()
        .alias("hash-max-ziplist-entries")
        .hot(|hot, value| hot.hash_max_listpack_entries.store(value)),
    number("hash-max-listpack-value", 0..=LONG_MAX, 64)
        .unsigned()
        .bytes()
        .alias("hash-max-ziplist-value")
        .hot(|hot, value| hot.hash_max_listpack_value.store(value)),
    number("list-max-listpack-size", INT_MIN..=INT_MAX, -2)
        .alias("list-max-ziplist-size")
        .hot(|hot, value| hot.list_max_listpack_size.store(value)),
    number("list-compress-depth", 0..=INT_MAX, 0)
        .debug()
        .hot(|hot, value| hot.list_compress_depth.store(value)),
    number("set-max-intset-entries", 0..=LONG_MAX, 512)
        .unsigned()
        .hot(|hot, value| hot.set_max_intset_entries.store(value)),
    // Of Redis 7.2: small sets that are not all integers.
    number("set-max-listpack-entries", 0..=LONG_MAX, 128)
        .unsigned()
        .hot(|hot, value| hot.set_max_listpack_entries.store(value)),
    number("set-max-listpack-value", 0..=LONG_MAX, 64)
        .unsigned()
        .bytes()
        .hot(|hot, value| hot.set_max_listpack_value.store(value)),
    number("zset-max-listpack-entries", 0..=LONG_MAX, 128)
        .unsigned()
        .alias("zset-max-ziplist-entries")
        .hot(|hot, value| hot.zset_max_listpack_entries.store(value)),
    number("zset-max-listpack-value", 0..=LONG_MAX, 64)
        .unsigned()
        .bytes()
        .alias("zset-max-ziplist-value")
        .hot(|hot, value| hot.zset_max_listpack_value.store(value)),
    number("hll-sparse-max-bytes", 0..=LONG_MAX, 3000)
        .unsigned()
        .bytes()
        .hot(|hot, value| hot.hll_sparse_max_bytes.store(value)),
    number("stream-node-max-bytes", 0..=LONG_MAX, 4096)
        .unsigned()
        .bytes()
        .hot(|hot, value| hot.stream_node_max_bytes.store(value)),
    number("stream-node-max-entries", 0..=LONG_MAX, 100)
        .hot(|hot, value| hot.stream_node_max_entries.store(value)),
];
