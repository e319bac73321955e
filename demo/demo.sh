#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A small shop, as CGI and as PHP under FPM, behind a private httpd with mod_idempotency: demo.sh start|stop BUILD
#
# Everything it makes is in BUILD/demo, and everything listens on 127.0.0.1 or on a socket in there. Two exceptions,
# both said: where root runs it in a folder that the server's own user cannot enter, or where that path is too long for
# a socket's name, a folder below /tmp is used, and removed by stop.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$2" && pwd)
demo=$build/demo
export LC_ALL=C.UTF-8 PATH=$PATH:/usr/sbin:/usr/local/sbin
port=0
SOCKET_PATH_MAX=100 # bytes; the kernel takes 107, mod_cgid adds a process id

fail() {
    echo "demo: $*" >&2
    [ ! -s "$demo/error.log" ] || { echo "demo: the end of $demo/error.log:" && tail -n 15 "$demo/error.log"; } >&2
    exit 1
}
program() { command -v "$@" 2>/dev/null | head -n 1; }
until_true() { # SECONDS COMMAND…: looks twenty times a second
    local looks=$(($1 * 20))
    shift
    until "$@"; do
        [ $((looks--)) -gt 0 ] || return 1
        sleep 0.05
    done
}

# ---- processes: known by a file with the process id, and only ended if they are still what we started ----------------

ours() { [ -s "$1" ] && { tr '\0' ' ' <"/proc/$(cat "$1")/cmdline"; } 2>/dev/null | grep -qF "$demo/"; }
gone() { ! ours "$1"; }
end() { # PIDFILE
    if ours "$1"; then
        kill -TERM "$(cat "$1")"
        until_true 15 gone "$1" || kill -KILL "$(cat "$1")"
    fi
    rm -f "$1"
}
launch() { # PIDFILE COMMAND…: in the background, surviving this script
    local file=$1
    shift
    setsid "$@" </dev/null >>"$demo/start.log" 2>&1 &
    echo $! >"$file"
    disown
}

# ---- start -----------------------------------------------------------------------------------------------------------

choose_user() {
    user='' group=''
    [ "$(id -u)" -eq 0 ] || return 0
    for user in www-data apache httpd nobody; do
        id "$user" >/dev/null 2>&1 && break
    done
    group=$(id -gn "$user")
}
as_user() { if [ -n "$user" ]; then setpriv --reuid="$user" --regid="$group" --clear-groups "$@"; else "$@"; fi; }

make_folders() {
    home=$demo
    rm -rf "$demo"
    mkdir -p "$demo"
    if ! as_user test -x "$demo" 2>/dev/null; then
        home=$(mktemp -d /tmp/idempotency-demo.XXXXXX)
        chmod 755 "$home"
        echo "(user $user cannot enter $demo: the shop is in $home)"
    fi
    run=$home/run
    mkdir -p "$demo/answers" "$home/shop" "$home/ledger" "$home/bank" "$home/run"
    if [ ${#run} -gt $((SOCKET_PATH_MAX - 10)) ]; then
        run=$(mktemp -d /tmp/idempotency-demo.XXXXXX)
        echo "(the path is too long for sockets: they are in $run)"
    fi
    printf '%s\n' "$home" "$run" >"$demo/folders"
    cp "$here/shop/"* "$home/shop/"
    cp "$build/mod_idempotency.so" "$home/"
    [ -z "$user" ] || chown "$user:$group" "$home/ledger" "$home/bank" "$run"
}

fill() { # TEMPLATE FILE USER-LINES
    local text
    text=$(cat "$1")
    text=${text//@IDEMPOTENCY@/$(cat "$here/idempotency.conf.in")}
    text=${text//@USER@/$3}
    text=${text//@MODULES@/$modules}
    text=${text//@PORT@/$port}
    text=${text//@RUN@/$run}
    text=${text//@DEMO@/$demo}
    printf '%s\n' "${text//@HOME@/$home}" >"$2"
}

free_port() {
    perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}
answers() { curl -s -o "$demo/probe" --max-time 5 "http://127.0.0.1:$port/shop/$1"; }
started_or_dead() { answers cgi || gone "$demo/httpd.started"; }

start_php() {
    local users=''
    [ -z "$user" ] ||
        users=$(printf '%s\n' "user = $user" "group = $group" "listen.owner = $user" "listen.group = $group")
    fill "$here/fpm.conf.in" "$demo/fpm.conf" "$users"
    launch "$demo/php.started" "$php" --nodaemonize --fpm-config "$demo/fpm.conf"
    until_true 10 test -S "$run/php.sock" || fail "PHP did not start: $(tail -n 3 "$demo/start.log")"
}

start_httpd() {
    launch "$demo/httpd.started" "$httpd" -DFOREGROUND -f "$demo/httpd.conf"
    until_true 10 started_or_dead
    ours "$demo/httpd.started"
}

start_shop() {
    local attempt users=''
    [ -z "$user" ] || users=$(printf '%s\n' "User $user" "Group $group")
    # Somebody else may take the port between our question and httpd's start.
    for attempt in 1 2 3; do
        port=$(free_port)
        fill "$here/httpd.conf.in" "$demo/httpd.conf" "$users"
        start_httpd && return
        rm -f "$demo/httpd.started"
        grep -q 'Address already in use' "$demo/start.log" "$demo/error.log" 2>/dev/null || break
    done
    fail "httpd did not start: $(tail -n 3 "$demo/start.log")"
}

start() {
    httpd=$(program apache2 httpd) || fail "httpd is not installed: make deps-demo"
    php=$(program php-fpm8.2 php-fpm8.4 php-fpm8.3 php-fpm) || fail "PHP-FPM is not installed: make deps-demo"
    modules=$("${APXS:-apxs}" -q LIBEXECDIR)
    stop quietly
    choose_user
    make_folders
    trap 'stop quietly' EXIT
    start_php
    start_shop
    # shellcheck source=dialogue.sh
    . "$here/dialogue.sh"
    dialogue
    trap - EXIT
}

# ---- stop ------------------------------------------------------------------------------------------------------------

stop() {
    local folder was=''
    ! ours "$demo/httpd.started" || was=1
    end "$demo/httpd.started"
    end "$demo/php.started"
    [ ! -e "$demo/folders" ] || while read -r folder; do
        case $folder in /tmp/idempotency-demo.*) rm -rf "$folder" ;; esac
    done <"$demo/folders"
    if [ "${1:-}" != quietly ]; then
        [ -n "$was" ] && echo "The demo is stopped. Its logs are in $demo." || echo "The demo was not running."
    fi
}

case $1 in
start) start ;;
stop) stop ;;
*) echo "usage: demo.sh start|stop BUILD" >&2 && exit 2 ;;
esac
