#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Upgrades and downgrades while clients go on retrying: run by test_package.sh as root in a chroot where /opt/this.deb
# is installed, and after package_life.sh has gone. next.deb is a version whose records have a format that this one does
# not know. dpkg changes the module under the server; a graceful restart lets both versions work on one store at once, a
# full restart kills whoever runs.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
name=libapache2-mod-idempotency
load=/opt/load
ledger=/var/lib/orders/ledger
checks=0

fail() {
    echo "deb-test: $1" >&2
    tail -50 /opt/said /var/log/apache2/error.log >&2 || true
    touch $load/stop
    exit 1
}
check() { # WHAT COMMAND…
    checks=$((checks + 1))
    local what=$1
    shift
    "$@" >/opt/said 2>&1 || fail "$what"
}
seen() { # PHASE WORD: how often the clients have
    awk -v phase="$1" -v word="$2" '$1 == phase && $3 == word { n++ } END { print n + 0 }' $load/journal
}
until_seen() { # PHASE WORD COUNT
    local end=$((SECONDS + 120))
    until [ "$(seen "$1" "$2")" -ge "$3" ]; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}
begin() { printf '%s' "$1" >$load/phase.new && mv $load/phase.new $load/phase; }
runs() { # VERSION: what the newest line of a start says
    local last
    last=$(grep -o 'IDEM066: mod_idempotency/[^ ,:]*' /var/log/apache2/error.log | tail -1)
    [ "$last" = "IDEM066: mod_idempotency/$1" ]
}
change() { # PHASE PACKAGE VERSION HOW: the module is replaced and the server restarted, as loaded as before
    begin "$1"
    check "$1: dpkg under load" dpkg -i "/opt/$2.deb"
    check "$1: it goes on with the module it has" until_seen "$1" "done" 20
    check "$1: $4" apache2ctl "$4"
    local end=$((SECONDS + 60))
    until runs "$3"; do
        [ $SECONDS -lt $end ] || fail "$1: version $3 has not started"
        sleep 0.1
    done
    begin "$1-after"
    check "$1: new operations run" until_seen "$1-after" "done" 60
    check "$1: and are replayed" until_seen "$1-after" replayed 40
}

mkdir -p $load /var/lib/orders
: >$load/journal
: >$ledger
chown www-data: $ledger
cat >/usr/lib/cgi-bin/ledger <<'CGI'
#!/bin/sh
# One line for each execution, whatever has come of the body; it takes a while, so that a restart meets some.
cat >/dev/null
line="$HTTP_IDEMPOTENCY_KEY $$"
echo "$line" >>/var/lib/orders/ledger
sleep 0.05
printf 'Status: 201 Created\nContent-Type: text/plain\n\n%s\n' "$line"
CGI
chmod 755 /usr/lib/cgi-bin/ledger
cat >/etc/apache2/conf-available/orders.conf <<'CONF'
<Location "/cgi-bin/">
    IdempotencyEngine On
</Location>
CONF
this=$(cat /opt/this.version) next=$(cat /opt/next.version)

check "this version" dpkg -i /opt/this.deb
check "enabled" a2enmod idempotency
check "guarded" a2enconf orders
check "started" apache2ctl restart
begin before
perl /opt/package_load.pl run $load &
clients=$!
check "operations run" until_seen before "done" 60
change upgrade next "$next" graceful
change downgrade this "$this" graceful
check "records of the newer version are unknown to the older one" until_seen downgrade-after unknown 1
change upgrade-again next "$next" restart
change downgrade-again this "$this" restart
touch $load/stop
wait $clients
check "nothing ran twice, each answer is the first one" perl /opt/package_load.pl judge $load $ledger
sed 's/^/deb-test: /' /opt/said
! grep -qE 'exit signal (Seg|Abort|Bus)' /var/log/apache2/error.log || fail "a child crashed"
apache2ctl stop
echo "deb-test: $checks checks passed under load"
