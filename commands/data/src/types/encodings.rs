//! When a collection changes its encoding: figures that the user sets, and that commands and the codec obey.

use super::{hash::HashLimits, list::NodeLimit, set::SetLimits, zset};

/// The directives that decide when a small collection becomes a large one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encodings {
    /// `hash-max-listpack-entries`, fields
    pub hash_max_listpack_entries: usize,
    /// `hash-max-listpack-value`, bytes
    pub hash_max_listpack_value: usize,
    /// `list-max-listpack-size`: entries of a node, or -1 to -5: 4, 8, 16, 32 or 64 KiB of a node
    pub list_max_listpack_size: i32,
    /// `DEBUG QUICKLIST-PACKED-THRESHOLD`: elements of so many bytes get nodes of their own
    pub list_alone_len: usize,
    /// `list-compress-depth`
    pub list_compress_depth: u32,
    /// `set-max-intset-entries`, members
    pub set_max_intset_entries: usize,
    /// `set-max-listpack-entries`, members
    pub set_max_listpack_entries: usize,
    /// `set-max-listpack-value`, bytes
    pub set_max_listpack_value: usize,
    /// `zset-max-listpack-entries`, members
    pub zset_max_listpack_entries: usize,
    /// `zset-max-listpack-value`, bytes
    pub zset_max_listpack_value: usize,
    /// `hll-sparse-max-bytes`
    pub hll_sparse_max_bytes: usize,
    /// `stream-node-max-bytes`; 0 means no limit
    pub stream_node_max_bytes: usize,
    /// `stream-node-max-entries`; 0 means no limit
    pub stream_node_max_entries: u64,
}

impl Default for Encodings {
    fn default() -> Self {
        Encodings {
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            list_max_listpack_size: -2,
            list_alone_len: NodeLimit::ALONE_LEN,
            list_compress_depth: 0,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            hll_sparse_max_bytes: 3000,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
        }
    }
}

impl Encodings {
    /// Up to what size hashes are packed.
    pub fn hash_limits(&self) -> HashLimits {
        HashLimits { entries: self.hash_max_listpack_entries, value: self.hash_max_listpack_value }
    }

    /// What goes into one node of a list.
    pub fn list_limit(&self) -> NodeLimit {
        NodeLimit { alone_len: self.list_alone_len, ..NodeLimit::of_directive(self.list_max_listpack_size) }
    }

    /// Up to what size sets are packed.
    pub fn set_limits(&self) -> SetLimits {
        SetLimits {
            ints_len_max: self.set_max_intset_entries,
            strings_len_max: self.set_max_listpack_entries,
            string_len_max: self.set_max_listpack_value,
        }
    }

    /// Up to what size sorted sets are packed.
    pub fn zset_limits(&self) -> zset::Limits {
        zset::Limits { len: self.zset_max_listpack_entries, name_len: self.zset_max_listpack_value }
    }
}
