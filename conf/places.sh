# SPDX-License-Identifier: Apache-2.0
# Where things are put: read by install.sh and uninstall.sh, which have set apxs and destdir.
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

if [ -d "$sysconf/mods-available" ] || { [ "$sysconf" = /etc/apache2 ] && [ -e /etc/debian_version ]; }; then
    layout=debian
    config=$sysconf/mods-available
else
    layout=other
    config=$sysconf/extra
fi
