#!/usr/bin/env bash
# redis-cli and redis-benchmark against the server at REDIS_PORT (started by tests/clients/with-server).
# Each check prints `ok <name>`; the first that fails ends the run with what it saw.
set -euo pipefail

cli() { timeout 60 redis-cli -p "$REDIS_PORT" "$@"; }
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

# expect NAME EXPRESSION: standard input has to match the extended regular expression.
expect() {
    local seen
    seen=$(cat)
    if grep -Eq -- "$2" <<<"$seen"; then
        echo "ok $1"
    else
        printf 'FAILED %s: expected /%s/ in:\n%s\n' "$1" "$2" "$seen"
        exit 1
    fi
}

# A few hundred keys of different sizes for the scanning modes.
fill() {
    cli flushall >/dev/null
    for number in $(seq 300); do echo "SET key:$number $(printf "%0${number}d" 0)"; done | cli >/dev/null
    cli mset small 1 big "$(printf '%05000d' 0)" | expect "filled" '^OK$'
}

# A small and a large value of each of the other types.
fill_types() {
    for size in 2 400; do
        cli rpush "list:$size" $(seq $size)
        cli sadd "set:$size" $(seq $size)
        cli hset "hash:$size" $(seq $((2 * size)))
        cli zadd "zset:$size" $(seq $((2 * size)))
        for number in $(seq $size); do echo "XADD stream:$size $number-1 field value"; done | cli
    done >/dev/null
}

cli ping | expect "a command" '^PONG$'
cli -3 hello 3 | expect "RESP3" 'proto.* 3|3\) "proto"'
cli -n 4 client info | expect "a database number" ' db=4 '
cli --json set k v | expect "output as JSON" '^"OK"$'
cli --csv mget k missing | expect "output as CSV" '^"v",NULL$'
cli --no-raw get k | expect "output for a terminal" '^"v"$'
(cli -e nosuchcommand 2>&1 || true) | expect "an error text" "ERR unknown command 'nosuchcommand'"
cli -r 3 -i 0.01 incr counter | expect "repeated commands" '^3$'
printf 'multi\nset k w\nget k\nexec\n' | cli | expect "a transaction from standard input" '^w$'
printf 'from a file' | cli -x set k | expect "a value from standard input" '^OK$'

# At a terminal redis-cli asks for COMMAND DOCS and INFO SERVER first and shows hints and help from the answers.
# The dumb terminal keeps it from asking ours where the cursor is, which nobody would answer.
terminal() { printf "$1" | TERM=dumb timeout 60 script -qec "redis-cli -p $REDIS_PORT" /dev/null; }
terminal 'SET hinted yes\nGET hinted\nQUIT\n' | expect "an interactive session" '"yes"'
terminal 'HELP SET\nQUIT\n' | expect "help for a command" 'group:.*string'
# redis-cli has a copy of Redis' own help, so the answers it asks for are looked at themselves.
cli --json command docs set getex | expect "COMMAND DOCS" '^\{"set":\{"summary":".*"group":"string".*"arguments":\[.*"getex":\{'
cli --json command info set | expect "COMMAND INFO" '^\[\["set",-3,\['
terminal 'HELP @generic\nQUIT\n' | expect "help for a group" 'EXPIRE'

fill
fill_types
cli --bigkeys >"$directory/bigkeys"
cli --memkeys >"$directory/memkeys"
for figure in "string big 5000 bytes" "list list:400 400 items" "set set:400 400 members" \
    "hash hash:400 400 fields" "zset zset:400 400 members" "stream stream:400 400 entries"; do
    read -r type key size unit <<<"$figure"
    expect "--bigkeys of type $type" "Biggest +$type found .*$key.* has $size $unit" <"$directory/bigkeys"
    expect "--memkeys of type $type" "Biggest +$type found .*$key.* has [0-9]+ bytes" <"$directory/memkeys"
done
cli --memkeys-samples 0 | expect "--memkeys-samples" 'Sampled 31[0-9] keys'
test "$(cli --scan --pattern 'key:*' | sort -u | wc -l)" -eq 300 && echo "ok --scan"
# These two never end by themselves, and lose what they printed to a pipe when they are interrupted.
until_interrupted() { script -qec "timeout -s INT $1 redis-cli -p $REDIS_PORT $2" /dev/null </dev/null || true; }
until_interrupted 2 "--stat -i 0.2" | expect "--stat" '^31[0-9] '
until_interrupted 2 "--latency-history -i 0.5" | expect "--latency-history" 'avg: [0-9.]+ \([0-9]+ samples\)'
cli --latency --raw | expect "--latency" '^[0-9]+ [0-9]+ [0-9.]+ [0-9]+'

for number in $(seq 2000); do printf '*3\r\n$3\r\nSET\r\n$%d\r\npiped:%d\r\n$1\r\nx\r\n' "$((6 + ${#number}))" "$number"; done \
    | cli --pipe | expect "--pipe" 'errors: 0, replies: 2000'
cli get piped:2000 | expect "what --pipe wrote" '^x$'
printf '*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nNOPE\r\n' | { cli --pipe || true; } | expect "--pipe with an error" 'errors: 1, replies: 2'

timeout 60 redis-cli -p "$REDIS_PORT" monitor >"$directory/monitor" &
monitor=$!
SECONDS=0
until grep -q OK "$directory/monitor" || ((SECONDS > 10)); do :; done
cli set watched "by monitor" >/dev/null
until grep -q watched "$directory/monitor" || ((SECONDS > 10)); do :; done
kill "$monitor"
expect "monitor" '"set" "watched" "by monitor"' <"$directory/monitor"

tests=ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,mset
for flags in "-n 20000 -c 50" "-n 100000 -c 50 -P 16" "-n 100000 -c 50 -P 16 --threads 2" "-n 20000 -c 10 -3"; do
    # An error reply ends the benchmark, with an exit status that ends this script.
    timeout 120 redis-benchmark -p "$REDIS_PORT" -q -r 1000 -t "$tests" $flags | tr '\r' '\n' >"$directory/bench"
    for name in PING_INLINE PING_MBULK SET GET INCR LPUSH RPUSH LPOP RPOP SADD HSET SPOP ZADD ZPOPMIN "MSET \(10 keys\)"; do
        expect "redis-benchmark $name $flags" "^$name: [0-9.]+ requests per second" <"$directory/bench"
    done
done
timeout 60 redis-benchmark -p "$REDIS_PORT" -q -n 1000 -d 100000 -t set,get | tr '\r' '\n' | expect "redis-benchmark with large values" '^GET: [0-9.]+ requests'
timeout 60 redis-benchmark -p "$REDIS_PORT" -q -n 1000 set k __rand_int__ | tr '\r' '\n' | expect "redis-benchmark with a command" 'set k __rand_int__: [0-9.]+ requests'
cli dbsize | expect "still there afterwards" '^[0-9]+$'
