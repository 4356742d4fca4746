#!/usr/bin/env bash
# A throw-away PostgreSQL that trusts everyone; gone with its pod.
set -euo pipefail
bin=$(echo /usr/lib/postgresql/*/bin)
data=$(mktemp -d /tmp/aquifer-postgres.XXXXXX)
chown postgres "$data"
trap 'rm -rf "$data"' EXIT
as() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
as "$bin/initdb" -D "$data" -A trust -U postgres --no-sync >/dev/null
echo "host all all all trust" >>"$data/pg_hba.conf"
as "$bin/postgres" -D "$data" -c listen_addresses='*' -c fsync=off -c unix_socket_directories="$data" &
pid=$!
trap 'kill -INT $pid; wait $pid; rm -rf "$data"; exit 0' TERM
wait $pid
