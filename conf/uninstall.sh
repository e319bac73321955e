#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Takes away what install.sh put there: uninstall.sh APXS [DESTDIR]
#
# Called by `make uninstall`. What somebody has edited stays, and so do the stores. An enabled module is not
# taken away, since httpd would not start without it.
set -eu
apxs=$1 destdir=${2:-}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/places.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

take() { # FILE…
    for gone in "$@"; do
        [ -e "$gone" ] || continue
        rm -f "$gone"
        echo "removed    $gone"
    done
}

take_config() { # FILE PLACE
    there=$destdir$2
    take "$there.new"
    if [ -e "$there" ] && ! cmp -s "$1" "$there"; then
        echo "kept       $there (it was edited)"
    else
        take "$there"
    fi
}

take_all_of() { # FOLDER PLACE: files of ours, by name; the folder goes with the last one
    for file in "$here/$1"/*; do
        take "$destdir$2/${file##*/}"
    done
    rmdir "$destdir$2" 2>/dev/null || true
}

take_documents() {
    texts_listed | sed "s|^|$destdir$documents/|" >"$scratch/documents"
    site_listed | sed "s|^|$destdir$documents/html/|" >>"$scratch/documents"
    while read -r document; do
        rm -f "$document"
    done <"$scratch/documents"
    find "$destdir$documents" -depth -type d -empty -delete
    [ -e "$destdir$documents" ] || echo "removed    $destdir$documents"
}

if [ $layout = debian ] && [ -L "$destdir$sysconf/mods-enabled/idempotency.load" ]; then
    echo "uninstall: the module is enabled. Run this first:" >&2
    echo "    a2dismod idempotency && systemctl restart apache2" >&2
    exit 1
fi
sed "s|^LoadModule idempotency_module .*|LoadModule idempotency_module $libexec/mod_idempotency.so|" \
    "$here/idempotency.load" >"$scratch/idempotency.load"

take "$destdir$libexec/mod_idempotency.so" "$destdir$sbin/idemctl" "$destdir$man/man8/idemctl.8" \
    "$destdir$man/man5/mod_idempotency.5" \
    "$destdir$share/bash-completion/completions/idemctl" "$destdir$share/zsh/site-functions/_idemctl"
take_config "$scratch/idempotency.load" "$loading"
take_config "$here/idempotency.conf" "$config/idempotency.conf"
take_all_of schema "$schema"
take_all_of policies "$policies"
take_all_of monitoring "$monitoring"
take_all_of openapi "$openapi"
rmdir "$destdir$shared" 2>/dev/null || true
[ ! -d "$destdir$documents" ] || take_documents

echo
if [ $layout = other ]; then
    echo "Take the Include lines of $config/idempotency.load and .conf out of httpd.conf."
fi
echo "Stores were not touched: each is where IdempotencyStore says."
