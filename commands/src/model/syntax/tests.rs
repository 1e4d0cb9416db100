use super::*;

/// A tree in short: `name:kind`, `?` optional, `+` multiple, `#` key spec, `!token`.
fn shape(arguments: &[Argument]) -> String {
    let one = |argument: &Argument| {
        let mut text = format!("{}:{}", argument.name, argument.kind.name());
        for (set, sign) in
            [(argument.optional, "?"), (argument.multiple, "+"), (argument.multiple_token, "+!")]
        {
            text += if set { sign } else { "" };
        }
        text += &argument.key_spec.map(|index| format!("#{index}")).unwrap_or_default();
        text += &argument.token.as_ref().map(|token| format!("!{token}")).unwrap_or_default();
        text += &argument.since.as_ref().map(|since| format!("@{since}")).unwrap_or_default();
        text += &argument.deprecated_since.as_ref().map(|since| format!("@-{since}")).unwrap_or_default();
        if !argument.arguments.is_empty() {
            text += &["(", &shape(&argument.arguments), ")"].concat();
        }
        text
    };
    arguments.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn parsed(syntax: &str) -> String {
    shape(&arguments(syntax, &[KeySpec::first()]).unwrap())
}

#[test]
fn arguments_and_their_types() {
    assert_eq!(parsed(""), "");
    assert_eq!(parsed("key seconds value"), "key:key#0 seconds:integer value:string");
    assert_eq!(parsed("end(string) ID(string)"), "end:string ID:string");
    assert_eq!(parsed("ip:port"), "ip:port:string");
    assert_eq!(shape(&arguments("key", &[]).unwrap()), "key:string");
}

#[test]
fn words_join_what_follows() {
    assert_eq!(parsed("EX seconds"), "seconds:integer!EX");
    assert_eq!(parsed("[LIMIT offset count]"), "offset_count:block?!LIMIT(offset:integer count:integer)");
    assert_eq!(parsed("NO ONE"), "no:pure-token!NO one:pure-token!ONE");
    assert_eq!(parsed("<NO> member"), "no:pure-token!NO member:string");
    assert_eq!(parsed("<box: <BYBOX width> height>"), "box:block(width:double!BYBOX height:double)");
    assert_eq!(
        parsed("[count: COUNT count [ANY@6.2.0]]"),
        "count:block?(count:integer!COUNT any:pure-token?!ANY@6.2.0)"
    );
}

#[test]
fn choices() {
    assert_eq!(
        parsed("[condition: NX|XX]@2.6.12"),
        "condition:oneof?@2.6.12(nx:pure-token!NX xx:pure-token!XX)"
    );
    assert_eq!(
        parsed("<wherefrom: LEFT|RIGHT>"),
        "wherefrom:oneof(left:pure-token!LEFT right:pure-token!RIGHT)"
    );
    assert_eq!(parsed("where: LEFT|RIGHT"), "where:oneof(left:pure-token!LEFT right:pure-token!RIGHT)");
    assert_eq!(parsed("ON|OFF key"), "on_off:oneof(on:pure-token!ON off:pure-token!OFF) key:key#0");
    assert_eq!(
        parsed("[expiration: EX seconds|KEEPTTL]"),
        "expiration:oneof?(seconds:integer!EX keepttl:pure-token!KEEPTTL)"
    );
    assert_eq!(
        parsed("[TYPE <'master'|'replica'>]"),
        "master_replica:oneof?!TYPE(master:pure-token!master replica:pure-token!replica)"
    );
    assert_eq!(parsed("[TYPE kind: A|B]@5.0.0"), "kind:oneof?!TYPE@5.0.0(a:pure-token!A b:pure-token!B)");
    assert_eq!(parsed("<auto_id:*|ID(string)>"), "auto_id_ID:oneof(auto_id:pure-token!* ID:string)");
    assert_eq!(parsed("[increment: INCR]"), "increment:pure-token?!INCR");
    assert_eq!(parsed("ip:port@-2.8.12"), "ip:port:string@-2.8.12");
}

#[test]
fn repetitions() {
    assert_eq!(parsed("key [key ...]"), "key:key+#0");
    assert_eq!(parsed("[element [element ...]]"), "element:string?+");
    assert_eq!(
        parsed("key score member [score member ...]"),
        "key:key#0 score_member:block+(score:double member:string)"
    );
    assert_eq!(parsed("[GET pattern [GET pattern ...]]"), "pattern:pattern?++!!GET");
    assert_eq!(parsed("[WEIGHTS weight [weight ...]]"), "weight:integer?+!WEIGHTS");
    assert_eq!(
        parsed("STREAMS key [key ...] ID(string) [ID(string) ...]"),
        "key_ID:block!STREAMS(key:key+#0 ID:string+)"
    );
    assert_eq!(
        parsed("<operation: GET key|FAIL>..."),
        "operation:oneof+(key:key#0!GET fail:pure-token!FAIL)"
    );
}

#[test]
fn mistakes_are_told() {
    for wrong in ["[key", "key]", "<a]", "key [other ...]", "[...]", "a(word)", "a||b", "|", "a [b c:]"] {
        assert!(arguments(wrong, &[]).is_err(), "{wrong}");
    }
}

#[test]
fn lengths_follow_from_the_tree() {
    let lengths = |syntax: &str| {
        let tree = arguments(syntax, &[KeySpec::first()]).unwrap();
        let max: Option<usize> = tree.iter().map(Argument::words_max).sum();
        (tree.iter().map(Argument::words_min).sum::<usize>(), max)
    };
    assert_eq!(lengths("key value [NX|XX] [EX seconds]"), (2, Some(5)));
    assert_eq!(lengths("key [key ...]"), (1, None));
    assert_eq!(lengths("<a|LIMIT b c>"), (1, Some(3)));
}
