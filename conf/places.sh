# SPDX-License-Identifier: Apache-2.0
# Where things are put: read by install.sh and uninstall.sh, which have set apxs, destdir and here.
# Debian's layout gets mods-available (a2enmod finds the module there), any other SYSCONFDIR/extra.
# shellcheck shell=sh disable=SC2034,SC2154
libexec=$($apxs -q LIBEXECDIR)
sysconf=$($apxs -q SYSCONFDIR)
sbin=$($apxs -q SBINDIR)
man=$($apxs -q MANDIR)
share=${man%/man} # PREFIX is empty on Debian
shared=$($apxs -q DATADIR)/idempotency
schema=$shared/schema
policies=$shared/policies
monitoring=$shared/monitoring
openapi=$shared/openapi
documents=$share/doc/mod_idempotency

# What conf/site/pages names: the documents as they are written, and the pages and files of the site.
texts_listed() { awk '/^[A-Za-z]/ { print $1 }' "$here/site/pages"; }
site_listed() { awk '/^[A-Za-z]/ { print $2 } $1 == "+" { print $3 }' "$here/site/pages"; }

if [ -d "$sysconf/mods-available" ] || { [ "$sysconf" = /etc/apache2 ] && [ -e /etc/debian_version ]; }; then
    layout=debian
    config=$sysconf/mods-available
else
    layout=other
    config=$sysconf/extra
fi
