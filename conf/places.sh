# SPDX-License-Identifier: Apache-2.0
# Where things are put: read by install.sh and uninstall.sh, which have set apxs, destdir and here.
# Debian's layout gets mods-available (a2enmod finds the module there). Fedora's and RHEL's get conf.modules.d and
# conf.d, whose files httpd reads. Any other gets SYSCONFDIR/extra.
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

# LAYOUT= says which, where a package is made on another system.
layout=${LAYOUT:-}
if [ -n "$layout" ]; then
    :
elif [ -d "$sysconf/mods-available" ] || { [ "$sysconf" = /etc/apache2 ] && [ -e /etc/debian_version ]; }; then
    layout=debian
elif [ -d "${sysconf%/conf}/conf.modules.d" ]; then
    layout=rhel
else
    layout=other
fi
case $layout in
debian) config=$sysconf/mods-available loading=$config/idempotency.load ;;
rhel) config=${sysconf%/conf}/conf.d loading=${sysconf%/conf}/conf.modules.d/10-idempotency.conf ;;
other) config=$sysconf/extra loading=$config/idempotency.load ;;
*) echo "LAYOUT is debian, rhel or other, not $layout" >&2 && exit 1 ;;
esac
