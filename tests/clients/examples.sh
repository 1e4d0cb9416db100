#!/usr/bin/env bash
# Runs the applications in examples/ against the server at $REDIS_PORT; tests/clients/with-server provides one. Each
# checks its own result; here its last line, and that it left no key behind.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
url=redis://127.0.0.1:$REDIS_PORT/

example() { # what it prints last, command ...
    local wanted=$1 output
    shift
    output=$("$@" "$url") || { echo "FAILED: $*" >&2 && return 1; }
    [[ $output == "$wanted" ]] || { echo "$* printed \"$output\", not \"$wanted\"" >&2 && return 1; }
    [[ $(redis-cli -u "$url" dbsize) == 0 ]] || { echo "$* left keys behind" >&2 && return 1; }
    echo "ok $*"
}

python=${PYTHON:-python3}
example "7 views in 3 minutes" "$python" examples/python/page_views.py
example "200 transfers, no money made or lost" "$python" examples/python/transfer.py
example "3 people heard 30 messages, 1 left" "$python" examples/python/chat.py
example "300 changes by 3 workers, the copy is right" "$python" examples/python/mirror.py
example "1000 reads, 1 of them by the server" "$python" examples/python/cached_profiles.py
example "40 answers, 2 computed" node examples/node/cache.js
example "5 requests served, 2 refused" "$python" examples/python/rate_limited_api.py
example "5 requests served, 2 refused" node examples/node/rate-limited-api.js
example "5 requests served, 2 refused" cargo run --quiet -p tidegate-examples --bin rate-limited-api --
cached="60 reads, 3 computed, 1 value refused that was out of date"
example "$cached" "$python" examples/python/stampede_proof_cache.py
example "$cached" node examples/node/stampede-proof-cache.js
example "$cached" cargo run --quiet -p tidegate-examples --bin stampede-proof-cache --
elected="2 terms, 3 writes, 1 refused that came from the term before"
example "$elected" "$python" examples/python/leader_election.py
example "$elected" node examples/node/leader-election.js
example "$elected" cargo run --quiet -p tidegate-examples --bin leader-election --
paid="2 payments asked for 9 times, 12 euros taken"
example "$paid" "$python" examples/python/idempotent_payments.py
example "$paid" node examples/node/idempotent-payments.js
example "$paid" cargo run --quiet -p tidegate-examples --bin idempotent-payments --
jobs="42 jobs done, 1 of them after it was dead"
example "$jobs" "$python" examples/python/worker.py
example "$jobs" node examples/node/worker.js
example "$jobs" cargo run --quiet -p tidegate-examples --bin worker --
booked="60 payments booked once, 2 workers died, 1 came too late"
example "$booked" "$python" examples/python/queued_payments.py
example "$booked" node examples/node/queued-payments.js
example "$booked" cargo run --quiet -p tidegate-examples --bin queued-payments --
example "100 additions, none lost" cargo run --quiet -p tidegate-examples --
