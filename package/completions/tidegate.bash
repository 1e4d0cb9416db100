# bash completion for tidegate
_tidegate() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words=
    case $previous in
        --acl-pubsub-default) words="allchannels resetchannels" ;;
        --activedefrag) words="yes no" ;;
        --activerehashing) words="yes no" ;;
        --always-show-logo) words="yes no" ;;
        --aof-checksum) words="yes no" ;;
        --aof-disable-auto-gc) words="yes no" ;;
        --aof-load-truncated) words="yes no" ;;
        --aof-rewrite-incremental-fsync) words="yes no" ;;
        --aof-timestamp-enabled) words="yes no" ;;
        --aof-use-rdb-preamble) words="yes no" ;;
        --appendfsync) words="everysec always no" ;;
        --appendonly) words="yes no" ;;
        --appendonly-ack) words="written none" ;;
        --appendonly-bootstrap) words="yes no" ;;
        --audit-log) words="off admin write all" ;;
        --cluster-allow-pubsubshard-when-down) words="yes no" ;;
        --cluster-allow-reads-when-down) words="yes no" ;;
        --cluster-allow-replica-migration) words="yes no" ;;
        --cluster-enabled) words="yes no" ;;
        --cluster-preferred-endpoint-type) words="ip hostname unknown-endpoint" ;;
        --cluster-replica-no-failover) words="yes no" ;;
        --cluster-require-full-coverage) words="yes no" ;;
        --crash-log-enabled) words="yes no" ;;
        --crash-memcheck-enabled) words="yes no" ;;
        --daemonize) words="yes no" ;;
        --disable-thp) words="yes no" ;;
        --dynamic-hz) words="yes no" ;;
        --enable-debug-command) words="no yes local" ;;
        --enable-module-command) words="no yes local" ;;
        --enable-protected-configs) words="no yes local" ;;
        --evict-durable) words="yes no" ;;
        --hide-user-data-from-log) words="yes no" ;;
        --io-threads-do-reads) words="yes no" ;;
        --jemalloc-bg-thread) words="yes no" ;;
        --latency-tracking) words="yes no" ;;
        --lazyfree-lazy-eviction) words="yes no" ;;
        --lazyfree-lazy-expire) words="yes no" ;;
        --lazyfree-lazy-server-del) words="yes no" ;;
        --lazyfree-lazy-user-del) words="yes no" ;;
        --lazyfree-lazy-user-flush) words="yes no" ;;
        --log-format) words="text json logfmt" ;;
        --loglevel) words="debug verbose notice warning" ;;
        --maxmemory-policy) words="volatile-lru volatile-lfu volatile-random volatile-ttl allkeys-lru allkeys-lfu allkeys-random noeviction volatile-lrm allkeys-lrm allkeys-s3fifo" ;;
        --metrics-public) words="yes no" ;;
        --no-appendfsync-on-rewrite) words="yes no" ;;
        --oom-score-adj) words="no yes relative absolute" ;;
        --propagation-error-behavior) words="ignore panic panic-on-replicas" ;;
        --protected-mode) words="yes no" ;;
        --rdb-del-sync-files) words="yes no" ;;
        --rdb-save-incremental-fsync) words="yes no" ;;
        --rdbchecksum) words="yes no" ;;
        --rdbcompression) words="yes no" ;;
        --repl-disable-tcp-nodelay) words="yes no" ;;
        --repl-diskless-load) words="disabled on-empty-db swapdb" ;;
        --repl-diskless-sync) words="yes no" ;;
        --replica-announced) words="yes no" ;;
        --replica-ignore-disk-write-errors) words="yes no" ;;
        --replica-ignore-maxmemory) words="yes no" ;;
        --replica-lazy-flush) words="yes no" ;;
        --replica-read-only) words="yes no" ;;
        --replica-serve-stale-data) words="yes no" ;;
        --sanitize-dump-payload) words="no yes clients" ;;
        --set-proc-title) words="yes no" ;;
        --shutdown-on-sigint) words="default save nosave now force" ;;
        --shutdown-on-sigterm) words="default save nosave now force" ;;
        --stop-writes-on-bgsave-error) words="yes no" ;;
        --supervised) words="upstart systemd auto no" ;;
        --syslog-enabled) words="yes no" ;;
        --syslog-facility) words="user local0 local1 local2 local3 local4 local5 local6 local7" ;;
        --tls-auth-clients) words="no yes optional" ;;
        --tls-auth-clients-user) words="off CN URI" ;;
        --tls-cluster) words="yes no" ;;
        --tls-prefer-server-ciphers) words="yes no" ;;
        --tls-replication) words="yes no" ;;
        --tls-session-caching) words="yes no" ;;
    esac
    if [[ -n $words ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$current"))
    elif [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "--help --version --check-system --acl-pubsub-default --aclfile --acllog-max-len --active-defrag-cycle-max --active-defrag-cycle-min --active-defrag-ignore-bytes --active-defrag-max-scan-fields --active-defrag-threshold-lower --active-defrag-threshold-upper --active-expire-effort --activedefrag --activerehashing --always-show-logo --aof-checksum --aof-disable-auto-gc --aof-error-exit-after --aof-load-truncated --aof-rewrite-incremental-fsync --aof-timestamp-enabled --aof-use-rdb-preamble --aof_rewrite_cpulist --appenddirname --appendfilename --appendfsync --appendonly --appendonly-ack --appendonly-bootstrap --audit-log --audit-log-file --audit-log-files --audit-log-max-size --auth-failure-burst --auth-failure-delay --auto-aof-rewrite-min-size --auto-aof-rewrite-percentage --bf-error-rate --bf-expansion-factor --bf-initial-size --bgsave_cpulist --bind --bind-source-addr --bio_cpulist --busy-reply-threshold --cf-bucket-size --cf-expansion-factor --cf-initial-size --cf-max-expansions --cf-max-iterations --client-output-buffer-limit --client-query-buffer-limit --cluster-allow-pubsubshard-when-down --cluster-allow-reads-when-down --cluster-allow-replica-migration --cluster-announce-bus-port --cluster-announce-hostname --cluster-announce-ip --cluster-announce-port --cluster-announce-tls-port --cluster-config-file --cluster-enabled --cluster-link-sendbuf-limit --cluster-migration-barrier --cluster-node-timeout --cluster-port --cluster-preferred-endpoint-type --cluster-replica-no-failover --cluster-replica-validity-factor --cluster-require-full-coverage --commandlog-large-reply-max-len --commandlog-large-request-max-len --commandlog-reply-larger-than --commandlog-request-larger-than --crash-log-enabled --crash-memcheck-enabled --daemonize --databases --dbfilename --dir --disable-thp --dynamic-hz --enable-debug-command --enable-module-command --enable-protected-configs --evict-durable --hash-max-listpack-entries --hash-max-listpack-value --hide-user-data-from-log --hll-sparse-max-bytes --hz --ignore-warnings --io-threads --io-threads-do-reads --jemalloc-bg-thread --latency-monitor-threshold --latency-tracking --latency-tracking-info-percentiles --lazyfree-lazy-eviction --lazyfree-lazy-expire --lazyfree-lazy-server-del --lazyfree-lazy-user-del --lazyfree-lazy-user-flush --lfu-decay-time --lfu-log-factor --list-compress-depth --list-max-listpack-size --log-format --log-max-unwritten --logfile --loglevel --masterauth --masteruser --maxclients --maxmemory --maxmemory-clients --maxmemory-eviction-tenacity --maxmemory-policy --maxmemory-samples --metrics-port --metrics-public --min-replicas-max-lag --min-replicas-to-write --no-appendfsync-on-rewrite --notify-keyspace-events --notify-stream --notify-stream-db --notify-stream-maxlen --oom-score-adj --oom-score-adj-values --pidfile --port --preauth-timeout --proc-title-template --propagation-error-behavior --protected-mode --proto-max-bulk-len --rdb-del-sync-files --rdb-save-incremental-fsync --rdbchecksum --rdbcompression --repl-backlog-size --repl-backlog-ttl --repl-disable-tcp-nodelay --repl-diskless-load --repl-diskless-sync --repl-diskless-sync-delay --repl-diskless-sync-max-replicas --repl-ping-replica-period --repl-timeout --replica-announce-ip --replica-announce-port --replica-announced --replica-ignore-disk-write-errors --replica-ignore-maxmemory --replica-lazy-flush --replica-priority --replica-read-only --replica-serve-stale-data --replicaof --requirepass --sanitize-dump-payload --save --script-memory-limit --server_cpulist --set-max-intset-entries --set-max-listpack-entries --set-max-listpack-value --set-proc-title --shutdown-on-sigint --shutdown-on-sigterm --shutdown-timeout --slowlog-log-slower-than --slowlog-max-len --socket-mark-id --stop-writes-on-bgsave-error --stream-node-max-bytes --stream-node-max-entries --supervised --syslog-enabled --syslog-facility --syslog-ident --tcp-backlog --tcp-keepalive --timeout --tls-auth-clients --tls-auth-clients-user --tls-ca-cert-dir --tls-ca-cert-file --tls-cert-file --tls-ciphers --tls-ciphersuites --tls-client-cert-file --tls-client-key-file --tls-client-key-file-pass --tls-cluster --tls-dh-params-file --tls-key-file --tls-key-file-pass --tls-port --tls-prefer-server-ciphers --tls-protocols --tls-replication --tls-session-cache-size --tls-session-cache-timeout --tls-session-caching --tracking-table-max-keys --unixsocket --unixsocketperm --zset-max-listpack-entries --zset-max-listpack-value" -- "$current"))
    else
        COMPREPLY=($(compgen -f -- "$current"))
        [[ $COMP_CWORD == 1 ]] && COMPREPLY+=($(compgen -W "check-config check-aof check-rdb digest queue" -- "$current"))
    fi
    return 0
}
complete -o filenames -F _tidegate tidegate
