//! HyperLogLogs: counting, merging, both forms, values that are none.

use crate::transcript::check;

#[test]
fn adding_counting_merging() {
    check(
        r#"
        > PFADD a x y z
        1
        > PFADD a x
        0
        > PFADD empty
        1
        > PFCOUNT a
        3
        > PFADD b z w
        1
        > PFCOUNT a b none
        4
        > PFMERGE d a b
        OK
        > PFCOUNT d
        4
        > PFCOUNT none
        0
        > STRLEN empty
        18
        > TYPE a
        string
        "#,
    );
}

#[test]
fn a_look_inside() {
    check(
        r#"
        > PFADD h a
        1
        > PFDEBUG ENCODING h
        sparse
        > PFDEBUG DECODE h
        "Z:12711 v:2,1 Z:3672"
        > PFDEBUG TODENSE h
        1
        > PFDEBUG TODENSE h
        0
        > PFDEBUG ENCODING h
        dense
        > PFDEBUG DECODE h
        -ERR HLL encoding is not sparse
        > STRLEN h
        12304
        > PFCOUNT h
        1
        > PFDEBUG ENCODING none
        -ERR The specified key does not exist
        > PFDEBUG NOSUCH h
        -ERR Unknown PFDEBUG subcommand 'NOSUCH'
        > PFDEBUG ENCODING
        -ERR wrong number of arguments for 'pfdebug' command
        > PFSELFTEST
        OK
        "#,
    );
}

#[test]
fn what_is_no_sketch() {
    check(
        r#"
        > SET k foo
        OK
        > PFADD k x
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFCOUNT k
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFMERGE d k
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFMERGE k d
        -WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFADD h a b c
        1
        > APPEND h hello
        32
        > PFCOUNT h
        -INVALIDOBJ Corrupted HLL object detected
        > PFCOUNT h none
        -INVALIDOBJ Corrupted HLL object detected
        > PFMERGE d h
        -INVALIDOBJ Corrupted HLL object detected
        > EXISTS d
        0
        "#,
    );
}
