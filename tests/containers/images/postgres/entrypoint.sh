#!/bin/sh
# What the entry point of the official image does, as far as docker-compose.yml uses it.
# https://github.com/docker-library/docs/blob/master/postgres/README.md
set -eu
: "${POSTGRES_PASSWORD:?}" "${POSTGRES_USER:=postgres}" "${POSTGRES_DB:=$POSTGRES_USER}"
sockets=/run/postgresql
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p -m 0700 "$PGDATA"
    printf '%s\n' "$POSTGRES_PASSWORD" > /tmp/password
    # shellcheck disable=SC2086  # the arguments are separated by blanks
    initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile=/tmp/password ${POSTGRES_INITDB_ARGS:-}
    rm /tmp/password
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    pg_ctl --wait --options="-c listen_addresses='' -k $sockets" start
    query() { psql -v ON_ERROR_STOP=1 --no-psqlrc --host=$sockets --username="$POSTGRES_USER" "$@"; }
    [ "$POSTGRES_DB" = postgres ] || query --dbname=postgres --command="CREATE DATABASE \"$POSTGRES_DB\""
    for file in /docker-entrypoint-initdb.d/*.sql; do
        query --dbname="$POSTGRES_DB" --file="$file"
    done
    pg_ctl --wait stop
fi
exec "$@" -c listen_addresses='*' -k $sockets
