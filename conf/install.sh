#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts module and configuration where httpd looks for them, and says what is left to do: install.sh MODULE APXS
# [DESTDIR]
#
# Called by `make install`; places.sh says where that is. A configuration file that is there and differs is somebody's
# work: it stays, ours goes beside it as .new.
set -eu
module=$1 apxs=$2 destdir=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/places.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A running server has the old file mapped: it keeps its own until it restarts, because the new one takes over the name
# only.
put_module() {
    mkdir -p "$destdir$libexec"
    install -m 644 "$module" "$destdir$libexec/.mod_idempotency.so.new"
    mv -f "$destdir$libexec/.mod_idempotency.so.new" "$destdir$libexec/mod_idempotency.so"
    echo "installed  $destdir$libexec/mod_idempotency.so"
}

put_config() { # FILE PLACE
    there=$destdir$2
    mkdir -p "${there%/*}"
    if [ ! -e "$there" ]; then
        install -m 644 "$1" "$there"
        echo "installed  $there"
    elif cmp -s "$1" "$there"; then
        rm -f "$there.new"
        echo "unchanged  $there"
    else
        install -m 644 "$1" "$there.new"
        echo "kept       $there (it differs from ours, which is now $there.new)"
    fi
}

# The tool stands beside the module in the build folder.
put_tool() {
    mkdir -p "$destdir$sbin" "$destdir$man/man8" "$destdir$share/bash-completion/completions" \
        "$destdir$share/zsh/site-functions"
    install -m 755 "$(dirname "$module")/idemctl" "$destdir$sbin/.idemctl.new"
    mv -f "$destdir$sbin/.idemctl.new" "$destdir$sbin/idemctl"
    install -m 644 "$here/../docs/idemctl.8" "$destdir$man/man8/idemctl.8"
    install -m 644 "$here/shell/idemctl.bash" "$destdir$share/bash-completion/completions/idemctl"
    install -m 644 "$here/shell/_idemctl" "$destdir$share/zsh/site-functions/_idemctl"
    if [ -e "$(dirname "$module")/mod_idempotency.5" ]; then # made by `make man`
        mkdir -p "$destdir$man/man5"
        install -m 644 "$(dirname "$module")/mod_idempotency.5" "$destdir$man/man5/mod_idempotency.5"
    fi
    echo "installed  $destdir$sbin/idemctl (its page, and completion for bash and zsh)"
}

put_schemas() {
    mkdir -p "$destdir$schema"
    install -m 644 "$here"/schema/*.sql "$destdir$schema"
    echo "installed  $destdir$schema (tables for IdempotencyStore dbd:)"
}

# The head of each says by which line it is included: with the path that it has here.
put_policies() {
    mkdir -p "$destdir$policies"
    for policy in "$here"/policies/*.conf; do
        sed "s|^\(#  *Include \)[^ ]*/\([^/]*\.conf\)$|\1$policies/\2|" "$policy" >"$scratch/policy"
        install -m 644 "$scratch/policy" "$destdir$policies/${policy##*/}"
    done
    echo "installed  $destdir$policies (to be included where they are needed)"
}

put_monitoring() {
    mkdir -p "$destdir$monitoring"
    install -m 644 "$here"/monitoring/*.yml "$here"/monitoring/*.json "$destdir$monitoring"
    echo "installed  $destdir$monitoring (alerts for Prometheus, a dashboard for Grafana)"
}

put_openapi() {
    mkdir -p "$destdir$openapi"
    install -m 644 "$here"/openapi/*.yaml "$destdir$openapi"
    echo "installed  $destdir$openapi (what clients are answered, for an API's own description)"
}

# As text, in the folders that their links expect; and as a site, if `make html` has made it beside the module.
put_documents() {
    texts_listed | while read -r text; do
        install -D -m 644 "$here/../$text" "$destdir$documents/$text"
    done
    site=$(dirname "$module")/html
    if [ -e "$site/index.html" ]; then
        site_listed | while read -r page; do
            install -D -m 644 "$site/$page" "$destdir$documents/html/$page"
        done
        echo "installed  $destdir$documents (the documents; html/index.html is the first page)"
    else
        echo "installed  $destdir$documents (the documents as text; make html makes a site of them)"
    fi
}

sed "s|^LoadModule idempotency_module .*|LoadModule idempotency_module $libexec/mod_idempotency.so|" \
    "$here/idempotency.load" >"$scratch/idempotency.load"
grep -q "^LoadModule idempotency_module $libexec/" "$scratch/idempotency.load"

put_module
put_config "$scratch/idempotency.load" "$loading"
put_config "$here/idempotency.conf" "$config/idempotency.conf"
put_schemas
put_policies
put_monitoring
put_openapi
put_tool
put_documents

echo
if [ $layout = debian ] && [ -L "$destdir$sysconf/mods-enabled/idempotency.load" ]; then
    echo "The module is enabled. A new version takes effect with:"
    echo "    apachectl configtest"
    echo "    systemctl restart apache2"
elif [ $layout = debian ]; then
    echo "Next:"
    echo "    a2enmod idempotency"
    echo "    systemctl restart apache2"
elif [ $layout = rhel ]; then
    echo "httpd reads these files. The module takes effect with:"
    echo "    apachectl configtest"
    echo "    systemctl restart httpd"
else
    echo "Next, with these two lines in httpd.conf:"
    echo "    Include $config/idempotency.load"
    echo "    Include $config/idempotency.conf"
    echo "run:"
    echo "    apachectl configtest"
    echo "    apachectl restart"
fi
echo "Nothing is guarded until \"IdempotencyEngine On\" stands in a <Location>: see $config/idempotency.conf"
