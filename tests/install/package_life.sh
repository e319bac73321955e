#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A package's life: enabled, edited, upgraded, downgraded, removed, purged. Run by test_package.sh as root in a chroot
# where /opt/this.deb has just been installed; next.deb is the next version.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
name=libapache2-mod-idempotency
conf=/etc/apache2/mods-available/idempotency.conf
store=/var/lib/apache2/idempotency
checks=0

fail() {
    echo "deb-test: $1" >&2
    cat /opt/said /var/log/apache2/error.log >&2 || true
    exit 1
}
check() { # WHAT COMMAND…
    checks=$((checks + 1))
    local what=$1
    shift
    "$@" >/opt/said 2>&1 || fail "$what"
}
refuses() { ! "$@"; }
version() { dpkg-query -W -f '${Version}' $name; }
is_replayed() { # COUNT: the order of guarded-order, after whatever happened
    apache2ctl restart
    curl -sS -i --retry 30 --retry-connrefused --retry-delay 1 -H "Idempotency-Key: $(cat /var/lib/orders/key)" \
        -d item=book http://localhost/cgi-bin/orders >/opt/answer
    grep -qi '^Idempotent-Replayed: *true' /opt/answer && grep -qx 'order 1' /opt/answer &&
        [ "$(cat /var/lib/orders/count)" = "$1" ]
}

# An order of the next version, and its retry with this one: nothing runs.
takes_order() {
    curl -sS -i -H 'Idempotency-Key: next-order' -d item=book http://localhost/cgi-bin/orders >/opt/answer
    grep -qx 'order 3' /opt/answer
}
is_unknown() {
    curl -sS -i -H 'Idempotency-Key: next-order' -d item=book http://localhost/cgi-bin/orders >/opt/answer
    grep -q '^HTTP/1.1 409' /opt/answer && grep -q outcome-unknown /opt/answer && [ "$(cat /var/lib/orders/count)" = 3 ]
}

check "installed is not enabled" test ! -e /etc/apache2/mods-enabled/idempotency.load
check "idemctl is there" idemctl --help
check "an order, its replay, a reload" /opt/guarded-order
check "the store is the default one" test -d $store

echo 'IdempotencyTTL 36h' >>$conf
cp $conf /opt/edited
first=$(version)
check "an upgrade" dpkg -i /opt/next.deb
check "to the next version" test "$(version)" = "$first+next"
check "it stays enabled" test -L /etc/apache2/mods-enabled/idempotency.load
check "the records live" is_replayed 2
check "an edited file stays" cmp $conf /opt/edited
check "it takes an order" takes_order
check "a downgrade" dpkg -i /opt/this.deb
check "to the version before" test "$(version)" = "$first"
check "the records live then, too" is_replayed 3
check "a record in a format that is not known yet is an unknown outcome" is_unknown
check "an edited file stays then, too" cmp $conf /opt/edited

check "a site that needs the module is disabled" a2disconf orders
check "removal" apt-get remove -y $name
check "nothing is enabled any more" test ! -e /etc/apache2/mods-enabled/idempotency.load
check "httpd starts without it" apache2ctl restart
check "the edited file stays" cmp $conf /opt/edited
check "the store stays" test -e $store/data.mdb -o -n "$(ls -A $store)"
check "install it again" dpkg -i /opt/this.deb
check "enable it again" a2enmod idempotency
check "guard again" a2enconf orders
check "the records have lived on" is_replayed 3
check "with the edited file" cmp $conf /opt/edited
check "a site that needs the module is disabled" a2disconf orders

# Nobody answers: the store stays.
check "purge" apt-get purge -y $name
check "takes the configuration" test ! -e $conf
check "and leaves the store to itself" test -n "$(ls -A $store)"

# Somebody is asked, and says no; then yes.
purge_asked() { # ANSWER
    dpkg -i /opt/this.deb
    echo "$1" | DEBIAN_FRONTEND=teletype apt-get purge -y $name >/opt/asked 2>&1
}
check "purge, and no" purge_asked no
check "it asked" grep -q 'Remove the record of executed requests' /opt/asked
check "no leaves the store" test -n "$(ls -A $store)"
check "purge, and yes" purge_asked yes
check "it asked again" grep -q 'Remove the record of executed requests' /opt/asked
check "yes takes the store" test ! -e $store
check "no file of the package is left" test -z "$(find /etc /usr /var/lib/apache2 -name "*idempotency*")"
apache2ctl stop
echo "deb-test: $checks checks passed"
