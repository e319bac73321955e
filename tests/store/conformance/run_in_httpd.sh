#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the store conformance suite inside a private httpd: run_in_httpd.sh MODULE [URL [MUTEX [ROUNDS [SELECT]]]]
#
# MODULE is mod_conformance.so. Without a URL: shmcb, a shmcb with little memory, dbm, and the example of a store that
# is a module of its own, mod_idem_files.so beside MODULE. MUTEX is the mechanism of the mutex "idempotency" (default,
# pthread, sysvsem, fcntl, flock). Everything is in a temporary directory; no port is used.
set -eu

apxs=${APXS:-apxs}
modules=$($apxs -q LIBEXECDIR)
httpd=$($apxs -q SBINDIR)/$($apxs -q PROGNAME)
module=$(realpath "$1")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
trap 'exit 1' INT TERM

load() {
    # what is compiled in cannot be loaded, and need not be
    if [ -e "$2/mod_$1.so" ]; then echo "LoadModule $1_module $2/mod_$1.so"; fi
}

configure() {
    load mpm_event "$modules"
    load unixd "$modules"
    load socache_shmcb "$modules"
    load socache_dbm "$modules"
    load idem_files "$(dirname "$module")"
    cat <<END
LoadModule idem_conformance_module $module
ServerRoot $root
ServerName conformance
DefaultRuntimeDir $root
PidFile $root/pid
User nobody
Group #$(id -g nobody)
ErrorLog $root/error.log
Mutex $2 idempotency
IdemConformance $1 $3 "$4"
END
}

# A mechanism that locks files wants to be told where.
mechanism() {
    case $1 in
        fcntl | flock) echo "$1:$root" ;;
        *) echo "$1" ;;
    esac
}

run() {
    rm -rf "$root"/*
    configure "$1" "$(mechanism "$2")" "$3" "$4" > "$root/httpd.conf"
    echo "# $1, Mutex $2"
    "$httpd" -t -f "$root/httpd.conf" || { test ! -e "$root/error.log" || cat "$root/error.log"; return 1; }
}

mutex=${3:-default}
rounds=${4:-0}
select=${5:-}
if [ -n "${2:-}" ]; then
    run "$2" "$mutex" "$rounds" "$select"
else
    failed=0
    for url in socache:shmcb "socache:shmcb:cache(4194304)" socache:dbm; do
        run "$url" "$mutex" "$rounds" "$select" || failed=1
    done
    run files:slots "$mutex" 1000 "$select" || failed=1 # each of its writes waits for the disk
    exit $failed
fi
