//! String commands on keys of another type: refused, except where Redis replaces or skips the value.

use crate::transcript::check;

#[test]
fn set_replaces_any_type_but_cannot_return_it() {
    check(
        r#"
        > RPUSH list a
        1
        > SET list v GET
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > GET list
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SET list v
        OK
        > GET list
        "v"
        "#,
    );
}

#[test]
fn reading_and_changing() {
    check(
        r#"
        > RPUSH list a
        1
        > GETSET list v
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > GETDEL list
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > GETEX list
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn many_keys() {
    check(
        r#"
        > MSET a 1 b 2
        OK
        > RPUSH list x
        1
        > MGET a list b
        ["1" nil "2"]
        > MSETNX list 1 g 2
        0
        > MSET list 1
        OK
        > TYPE list
        string
        "#,
    );
}

#[test]
fn pieces() {
    check(
        r#"
        > RPUSH list a
        1
        > APPEND list x
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > STRLEN list
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SETRANGE list 0 x
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > GETRANGE list 0 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > SUBSTR list 0 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn integers() {
    check(
        r#"
        > RPUSH list a
        1
        > INCR list
        -WRONGTYPE Operation against a key holding the wrong kind of value
        > DECRBY list 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn floats() {
    check(
        r#"
        > RPUSH list a
        1
        > INCRBYFLOAT list 1
        -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn subsequences() {
    check(
        r#"
        > SET a ohmytext
        OK
        > RPUSH list a
        1
        > LCS a list
        -ERR The specified keys must contain string values
        "#,
    );
}

#[test]
fn types_have_names() {
    check(
        r#"
        > RPUSH l 1
        1
        > TYPE l
        list
        "#,
    );
}
