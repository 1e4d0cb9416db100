# fish completion for tidegate
complete -c tidegate -n __fish_use_subcommand -a check-config -d 'say everything that is wrong with a configuration file'
complete -c tidegate -n __fish_use_subcommand -a check-aof -d 'check an append-only file, or shorten it to what is whole'
complete -c tidegate -n __fish_use_subcommand -a check-rdb -d 'check an RDB file'
complete -c tidegate -n __fish_use_subcommand -a digest -d 'compare data sets by their fingerprints'
complete -c tidegate -n __fish_use_subcommand -a queue -d 'show the work queues of a running server, again and again or once'
complete -c tidegate -l help -d 'say how the program is called'
complete -c tidegate -l version -d 'say which version this is'
complete -c tidegate -l check-system -d 'look for settings of the system that hurt'
complete -c tidegate -l acl-pubsub-default -x -a 'allchannels resetchannels'
complete -c tidegate -l aclfile -r -F
complete -c tidegate -l acllog-max-len -x
complete -c tidegate -l active-defrag-cycle-max -x
complete -c tidegate -l active-defrag-cycle-min -x
complete -c tidegate -l active-defrag-ignore-bytes -x
complete -c tidegate -l active-defrag-max-scan-fields -x
complete -c tidegate -l active-defrag-threshold-lower -x
complete -c tidegate -l active-defrag-threshold-upper -x
complete -c tidegate -l active-expire-effort -x
complete -c tidegate -l activedefrag -x -a 'yes no'
complete -c tidegate -l activerehashing -x -a 'yes no'
complete -c tidegate -l always-show-logo -x -a 'yes no'
complete -c tidegate -l aof-checksum -x -a 'yes no'
complete -c tidegate -l aof-disable-auto-gc -x -a 'yes no'
complete -c tidegate -l aof-error-exit-after -x
complete -c tidegate -l aof-load-truncated -x -a 'yes no'
complete -c tidegate -l aof-rewrite-incremental-fsync -x -a 'yes no'
complete -c tidegate -l aof-timestamp-enabled -x -a 'yes no'
complete -c tidegate -l aof-use-rdb-preamble -x -a 'yes no'
complete -c tidegate -l aof_rewrite_cpulist -x
complete -c tidegate -l appenddirname -x
complete -c tidegate -l appendfilename -x
complete -c tidegate -l appendfsync -x -a 'everysec always no'
complete -c tidegate -l appendonly -x -a 'yes no'
complete -c tidegate -l appendonly-ack -x -a 'written none'
complete -c tidegate -l appendonly-bootstrap -x -a 'yes no'
complete -c tidegate -l audit-log -x -a 'off admin write all'
complete -c tidegate -l audit-log-file -r -F
complete -c tidegate -l audit-log-files -x
complete -c tidegate -l audit-log-max-size -x
complete -c tidegate -l auth-failure-burst -x
complete -c tidegate -l auth-failure-delay -x
complete -c tidegate -l auto-aof-rewrite-min-size -x
complete -c tidegate -l auto-aof-rewrite-percentage -x
complete -c tidegate -l bf-error-rate -x
complete -c tidegate -l bf-expansion-factor -x
complete -c tidegate -l bf-initial-size -x
complete -c tidegate -l bgsave_cpulist -x
complete -c tidegate -l bind -x
complete -c tidegate -l bind-source-addr -x
complete -c tidegate -l bio_cpulist -x
complete -c tidegate -l busy-reply-threshold -x
complete -c tidegate -l cf-bucket-size -x
complete -c tidegate -l cf-expansion-factor -x
complete -c tidegate -l cf-initial-size -x
complete -c tidegate -l cf-max-expansions -x
complete -c tidegate -l cf-max-iterations -x
complete -c tidegate -l client-output-buffer-limit -x
complete -c tidegate -l client-query-buffer-limit -x
complete -c tidegate -l cluster-allow-pubsubshard-when-down -x -a 'yes no'
complete -c tidegate -l cluster-allow-reads-when-down -x -a 'yes no'
complete -c tidegate -l cluster-allow-replica-migration -x -a 'yes no'
complete -c tidegate -l cluster-announce-bus-port -x
complete -c tidegate -l cluster-announce-hostname -x
complete -c tidegate -l cluster-announce-ip -x
complete -c tidegate -l cluster-announce-port -x
complete -c tidegate -l cluster-announce-tls-port -x
complete -c tidegate -l cluster-config-file -r -F
complete -c tidegate -l cluster-enabled -x -a 'yes no'
complete -c tidegate -l cluster-link-sendbuf-limit -x
complete -c tidegate -l cluster-migration-barrier -x
complete -c tidegate -l cluster-node-timeout -x
complete -c tidegate -l cluster-port -x
complete -c tidegate -l cluster-preferred-endpoint-type -x -a 'ip hostname unknown-endpoint'
complete -c tidegate -l cluster-replica-no-failover -x -a 'yes no'
complete -c tidegate -l cluster-replica-validity-factor -x
complete -c tidegate -l cluster-require-full-coverage -x -a 'yes no'
complete -c tidegate -l commandlog-large-reply-max-len -x
complete -c tidegate -l commandlog-large-request-max-len -x
complete -c tidegate -l commandlog-reply-larger-than -x
complete -c tidegate -l commandlog-request-larger-than -x
complete -c tidegate -l crash-log-enabled -x -a 'yes no'
complete -c tidegate -l crash-memcheck-enabled -x -a 'yes no'
complete -c tidegate -l daemonize -x -a 'yes no'
complete -c tidegate -l databases -x
complete -c tidegate -l dbfilename -x
complete -c tidegate -l dir -r -F
complete -c tidegate -l disable-thp -x -a 'yes no'
complete -c tidegate -l dynamic-hz -x -a 'yes no'
complete -c tidegate -l enable-debug-command -x -a 'no yes local'
complete -c tidegate -l enable-module-command -x -a 'no yes local'
complete -c tidegate -l enable-protected-configs -x -a 'no yes local'
complete -c tidegate -l evict-durable -x -a 'yes no'
complete -c tidegate -l hash-max-listpack-entries -x
complete -c tidegate -l hash-max-listpack-value -x
complete -c tidegate -l hide-user-data-from-log -x -a 'yes no'
complete -c tidegate -l hll-sparse-max-bytes -x
complete -c tidegate -l hz -x
complete -c tidegate -l ignore-warnings -x
complete -c tidegate -l io-threads -x
complete -c tidegate -l io-threads-do-reads -x -a 'yes no'
complete -c tidegate -l jemalloc-bg-thread -x -a 'yes no'
complete -c tidegate -l latency-monitor-threshold -x
complete -c tidegate -l latency-tracking -x -a 'yes no'
complete -c tidegate -l latency-tracking-info-percentiles -x
complete -c tidegate -l lazyfree-lazy-eviction -x -a 'yes no'
complete -c tidegate -l lazyfree-lazy-expire -x -a 'yes no'
complete -c tidegate -l lazyfree-lazy-server-del -x -a 'yes no'
complete -c tidegate -l lazyfree-lazy-user-del -x -a 'yes no'
complete -c tidegate -l lazyfree-lazy-user-flush -x -a 'yes no'
complete -c tidegate -l lfu-decay-time -x
complete -c tidegate -l lfu-log-factor -x
complete -c tidegate -l list-compress-depth -x
complete -c tidegate -l list-max-listpack-size -x
complete -c tidegate -l log-format -x -a 'text json logfmt'
complete -c tidegate -l log-max-unwritten -x
complete -c tidegate -l logfile -r -F
complete -c tidegate -l loglevel -x -a 'debug verbose notice warning'
complete -c tidegate -l masterauth -x
complete -c tidegate -l masteruser -x
complete -c tidegate -l maxclients -x
complete -c tidegate -l maxmemory -x
complete -c tidegate -l maxmemory-clients -x
complete -c tidegate -l maxmemory-eviction-tenacity -x
complete -c tidegate -l maxmemory-policy -x -a 'volatile-lru volatile-lfu volatile-random volatile-ttl allkeys-lru allkeys-lfu allkeys-random noeviction volatile-lrm allkeys-lrm allkeys-s3fifo'
complete -c tidegate -l maxmemory-samples -x
complete -c tidegate -l metrics-port -x
complete -c tidegate -l metrics-public -x -a 'yes no'
complete -c tidegate -l min-replicas-max-lag -x
complete -c tidegate -l min-replicas-to-write -x
complete -c tidegate -l no-appendfsync-on-rewrite -x -a 'yes no'
complete -c tidegate -l notify-keyspace-events -x
complete -c tidegate -l notify-stream -x
complete -c tidegate -l notify-stream-db -x
complete -c tidegate -l notify-stream-maxlen -x
complete -c tidegate -l oom-score-adj -x -a 'no yes relative absolute'
complete -c tidegate -l oom-score-adj-values -x
complete -c tidegate -l pidfile -r -F
complete -c tidegate -l port -x
complete -c tidegate -l preauth-timeout -x
complete -c tidegate -l proc-title-template -x
complete -c tidegate -l propagation-error-behavior -x -a 'ignore panic panic-on-replicas'
complete -c tidegate -l protected-mode -x -a 'yes no'
complete -c tidegate -l proto-max-bulk-len -x
complete -c tidegate -l rdb-del-sync-files -x -a 'yes no'
complete -c tidegate -l rdb-save-incremental-fsync -x -a 'yes no'
complete -c tidegate -l rdbchecksum -x -a 'yes no'
complete -c tidegate -l rdbcompression -x -a 'yes no'
complete -c tidegate -l repl-backlog-size -x
complete -c tidegate -l repl-backlog-ttl -x
complete -c tidegate -l repl-disable-tcp-nodelay -x -a 'yes no'
complete -c tidegate -l repl-diskless-load -x -a 'disabled on-empty-db swapdb'
complete -c tidegate -l repl-diskless-sync -x -a 'yes no'
complete -c tidegate -l repl-diskless-sync-delay -x
complete -c tidegate -l repl-diskless-sync-max-replicas -x
complete -c tidegate -l repl-ping-replica-period -x
complete -c tidegate -l repl-timeout -x
complete -c tidegate -l replica-announce-ip -x
complete -c tidegate -l replica-announce-port -x
complete -c tidegate -l replica-announced -x -a 'yes no'
complete -c tidegate -l replica-ignore-disk-write-errors -x -a 'yes no'
complete -c tidegate -l replica-ignore-maxmemory -x -a 'yes no'
complete -c tidegate -l replica-lazy-flush -x -a 'yes no'
complete -c tidegate -l replica-priority -x
complete -c tidegate -l replica-read-only -x -a 'yes no'
complete -c tidegate -l replica-serve-stale-data -x -a 'yes no'
complete -c tidegate -l replicaof -x
complete -c tidegate -l requirepass -x
complete -c tidegate -l sanitize-dump-payload -x -a 'no yes clients'
complete -c tidegate -l save -x
complete -c tidegate -l script-memory-limit -x
complete -c tidegate -l server_cpulist -x
complete -c tidegate -l set-max-intset-entries -x
complete -c tidegate -l set-max-listpack-entries -x
complete -c tidegate -l set-max-listpack-value -x
complete -c tidegate -l set-proc-title -x -a 'yes no'
complete -c tidegate -l shutdown-on-sigint -x -a 'default save nosave now force'
complete -c tidegate -l shutdown-on-sigterm -x -a 'default save nosave now force'
complete -c tidegate -l shutdown-timeout -x
complete -c tidegate -l slowlog-log-slower-than -x
complete -c tidegate -l slowlog-max-len -x
complete -c tidegate -l socket-mark-id -x
complete -c tidegate -l stop-writes-on-bgsave-error -x -a 'yes no'
complete -c tidegate -l stream-node-max-bytes -x
complete -c tidegate -l stream-node-max-entries -x
complete -c tidegate -l supervised -x -a 'upstart systemd auto no'
complete -c tidegate -l syslog-enabled -x -a 'yes no'
complete -c tidegate -l syslog-facility -x -a 'user local0 local1 local2 local3 local4 local5 local6 local7'
complete -c tidegate -l syslog-ident -x
complete -c tidegate -l tcp-backlog -x
complete -c tidegate -l tcp-keepalive -x
complete -c tidegate -l timeout -x
complete -c tidegate -l tls-auth-clients -x -a 'no yes optional'
complete -c tidegate -l tls-auth-clients-user -x -a 'off CN URI'
complete -c tidegate -l tls-ca-cert-dir -r -F
complete -c tidegate -l tls-ca-cert-file -r -F
complete -c tidegate -l tls-cert-file -r -F
complete -c tidegate -l tls-ciphers -x
complete -c tidegate -l tls-ciphersuites -x
complete -c tidegate -l tls-client-cert-file -r -F
complete -c tidegate -l tls-client-key-file -r -F
complete -c tidegate -l tls-client-key-file-pass -x
complete -c tidegate -l tls-cluster -x -a 'yes no'
complete -c tidegate -l tls-dh-params-file -r -F
complete -c tidegate -l tls-key-file -r -F
complete -c tidegate -l tls-key-file-pass -x
complete -c tidegate -l tls-port -x
complete -c tidegate -l tls-prefer-server-ciphers -x -a 'yes no'
complete -c tidegate -l tls-protocols -x
complete -c tidegate -l tls-replication -x -a 'yes no'
complete -c tidegate -l tls-session-cache-size -x
complete -c tidegate -l tls-session-cache-timeout -x
complete -c tidegate -l tls-session-caching -x -a 'yes no'
complete -c tidegate -l tracking-table-max-keys -x
complete -c tidegate -l unixsocket -r -F
complete -c tidegate -l unixsocketperm -x
complete -c tidegate -l zset-max-listpack-entries -x
complete -c tidegate -l zset-max-listpack-value -x
