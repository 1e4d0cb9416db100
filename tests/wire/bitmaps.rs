//! Bitmaps and bitfields: every option, the edges of offsets and widths, the errors.

use crate::transcript::check;

#[test]
fn single_bits() {
    check(
        r#"
        > SETBIT k 7 1
        0
        > SETBIT k 7 0
        1
        > SETBIT k 1 1
        0
        > GETBIT k 1
        1
        > GETBIT k 100
        0
        > GETBIT none 0
        0
        > GET k
        "@"
        > SETBIT k 4294967296 1
        -ERR bit offset is not an integer or out of range
        > SETBIT k -1 1
        -ERR bit offset is not an integer or out of range
        > GETBIT k -1
        -ERR bit offset is not an integer or out of range
        > SETBIT k 0 2
        -ERR bit is not an integer or out of range
        > SETBIT k 0
        -ERR wrong number of arguments for 'setbit' command
        "#,
    );
}

#[test]
fn counting_and_finding() {
    check(
        r#"
        > SET k foobar
        OK
        > BITCOUNT k
        26
        > BITCOUNT k 1 1
        6
        > BITCOUNT k 1 1 BYTE
        6
        > BITCOUNT k 5 30 BIT
        17
        > BITCOUNT k 0
        -ERR syntax error
        > BITCOUNT k 0 1 WORD
        -ERR syntax error
        > BITPOS k 1
        1
        > BITPOS k 0 1
        8
        > BITPOS k 1 8 15 BIT
        9
        > BITPOS k 1 -2 -1 BYTE
        33
        > BITPOS none 0
        0
        > BITPOS none 1
        -1
        > BITPOS k 2
        -ERR The bit argument must be 1 or 0.
        "#,
    );
}

#[test]
fn combining() {
    check(
        r#"
        > MSET a abc b "a "
        OK
        > BITOP AND d a b
        3
        > GET d
        "a \x00"
        > BITOP OR d a b none
        3
        > GET d
        "abc"
        > BITOP XOR d a b
        3
        > GET d
        "\x00Bc"
        > BITOP NOT d b
        2
        > GET d
        "\x9e\xdf"
        > BITOP NOT d a b
        -ERR BITOP NOT must be called with a single source key.
        > BITOP NOR d a b
        -ERR syntax error
        > BITOP AND d none
        0
        > EXISTS d
        0
        "#,
    );
}

#[test]
fn fields() {
    check(
        r#"
        > BITFIELD k SET u8 0 255 GET i8 0 INCRBY u4 #1 1
        [0 -1 0]
        > BITFIELD k OVERFLOW SAT INCRBY i4 #0 100 OVERFLOW FAIL INCRBY u8 8 256 INCRBY u8 8 255
        [7 nil 255]
        > BITFIELD_RO k GET u16 0 GET i64 1
        [28927 -2162290771091259392]
        > BITFIELD other OVERFLOW SAT SET i8 0 -9223372036854775808 GET i8 0
        [0 127]
        > BITFIELD k
        []
        > BITFIELD_RO k SET u8 0 1
        -ERR BITFIELD_RO only supports the GET subcommand
        > BITFIELD k GET u64 0
        -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
        > BITFIELD k OVERFLOW NEVER
        -ERR Invalid OVERFLOW type specified
        > BITFIELD k GET u8
        -ERR syntax error
        > COMMAND GETKEYSANDFLAGS BITFIELD k GET u8 0
        [["k" [RO access]]]
        > COMMAND GETKEYSANDFLAGS BITFIELD k SET u8 0 1
        [["k" [RW access update]]]
        "#,
    );
}
