use crate::model::check::{Bench, check, check_changes, check_effects};

fn get(bench: &mut Bench, target: &str) -> String {
    bench.run(&format!("QUOTA GET {target}")).text()
}

fn shown(target: &str, kind: &str, policy: &str, figures: [usize; 3]) -> String {
    let [limit, bytes, keys] = figures;
    let [target, kind, policy] = [target, kind, policy].map(|word| format!("${} {word}", word.len()));
    format!(
        "*18 $6 target {target} $4 kind {kind} $6 policy {policy} $5 limit :{limit} $5 bytes :{bytes} $4 keys \
         :{keys} $7 evicted :0 $7 refused :0 $8 counting :0"
    )
}

#[test]
fn set() {
    check(&["QUOTA SET tenant: 1000"], "+OK");
    check(&["QUOTA SET 15 1000 allkeys-lru"], "+OK");
    check(&["QUOTA SET 16 1000"], "-ERR DB index is out of range");
    check(&["QUOTA SET 99999999999999999999999 1000"], "-ERR DB index is out of range");
    for bytes in ["0", "-1", "x", "1.5", "9223372036854775808"] {
        check(&[&format!("QUOTA SET t {bytes}")], "-ERR bytes of a quota must be a positive integer");
    }
    check(&["QUOTA SET t 1 mru"], "-ERR unknown policy of a quota");
    check(&["QUOTA SET t 1 noeviction x"], "-ERR syntax error");
    check(&[&format!("QUOTA SET {} 1", "p".repeat(513))], "-ERR prefix of a quota is too long");
    check_changes(&["QUOTA SET t 1"], 1);
    check_effects(&["QUOTA SET t 1 VOLATILE-TTL"], &["QUOTA SET t 1 VOLATILE-TTL"]);
}

#[test]
fn get_tells_what_is_used() {
    let mut bench = Bench::default();
    assert_eq!(get(&mut bench, "t:"), "$-1");
    bench.run("QUOTA SET t: 1000 allkeys-LFU");
    bench.run("QUOTA SET 0 5000");
    bench.run("SET t:a 1");
    bench.run("SET other 1");
    let record = tidegate_data::Record::new_int(b"t:a", 1, None).heap_size();
    let other = tidegate_data::Record::new_int(b"other", 1, None).heap_size();
    assert_eq!(get(&mut bench, "t:"), shown("t:", "prefix", "allkeys-lfu", [1000, record, 1]));
    assert_eq!(get(&mut bench, "0"), shown("0", "database", "noeviction", [5000, record + other, 2]));
    bench.run("DEL t:a other");
    bench.run("QUOTA SET t: 2000");
    assert_eq!(get(&mut bench, "t:"), shown("t:", "prefix", "noeviction", [2000, 0, 0]));
}

#[test]
fn list_and_del() {
    let mut bench = Bench::default();
    assert_eq!(bench.run("QUOTA LIST").text(), "*0");
    bench.run("QUOTA SET b: 10");
    bench.run("QUOTA SET a: 10");
    bench.run("QUOTA SET 3 10");
    let all = bench.run("QUOTA LIST").text();
    let [three, a, b] = ["3", "a:", "b:"].map(|name| get(&mut bench, name));
    assert_eq!(all, format!("*3 {three} {a} {b}"));
    assert_eq!(bench.run("QUOTA LIST ?:").text(), format!("*2 {a} {b}"));
    assert_eq!(bench.run("QUOTA LIST x y").text(), "-ERR syntax error");
    assert_eq!(bench.run("QUOTA DEL nosuch").text(), ":0");
    assert_eq!(bench.run("QUOTA DEL a: nosuch 3").text(), ":2");
    assert_eq!(bench.run("QUOTA LIST").text(), format!("*1 {b}"));
    check_effects(&["QUOTA SET t 1", "QUOTA DEL t u"], &["QUOTA DEL t u"]);
    check_effects(&["QUOTA DEL t"], &[]);
}
