#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make install and make uninstall, in folders of their own: test_install.sh MODULE
# An apxs that names other folders stands in for other systems; a real httpd loads what was installed.
set -euo pipefail
module=$1
suite=install
. "$(dirname "$0")/checks.sh"

apxs_of() { # LIBEXECDIR SYSCONFDIR DATADIR: writes an apxs that answers these
    cat >"$scratch/apxs" <<EOF
#!/bin/sh
case \$2 in LIBEXECDIR) echo $1 ;; SYSCONFDIR) echo $2 ;; DATADIR) echo $3 ;; SBINDIR) echo ${3%/share*}/sbin ;;
MANDIR) echo ${3%%/share*}/share/man ;; *) exit 1 ;; esac
EOF
    chmod +x "$scratch/apxs"
}
install_to() { "$root/conf/install.sh" "$module" "$scratch/apxs" "${1:-}" >"$scratch/said"; }
says() { grep -qF "$1" "$scratch/said"; }
mode() { stat -c %a "$1"; }
loads() { loads_in "$1" "$1"; } # FOLDER
loads_in() { # FOLDER FOLDER: does httpd accept what loads modules in one, and what stands in the other?
    local modules loading
    modules=$(apxs -q LIBEXECDIR)
    loading=$1/*.load
    [ "$1" = "$2" ] || loading=$1/*.conf
    printf '%s\n' "ServerRoot $scratch" "PidFile $scratch/pid" "Listen 127.0.0.1:1" "ErrorLog $scratch/log" \
        "ServerName install.test" "LoadModule mpm_event_module $modules/mod_mpm_event.so" \
        "LoadModule authz_core_module $modules/mod_authz_core.so" \
        "Include $loading" "Include $2/*.conf" "IdempotencyStore lmdb:$scratch/store" >"$scratch/httpd.conf"
    "$(command -v apache2 || command -v httpd)" -t -f "$scratch/httpd.conf" >"$scratch/said" 2>&1
}

# Debian, for a package: everything below DESTDIR, paths in the files as they will be.
debian=$scratch/debian
apxs_of /usr/lib/apache2/modules /etc/apache2 /usr/share/apache2
mkdir -p "$debian/etc/apache2/mods-available"
if [ -e /etc/debian_version ]; then
    install_to "$debian"
    available=$debian/etc/apache2/mods-available
    check "the module is in LIBEXECDIR" cmp -s "$module" "$debian/usr/lib/apache2/modules/mod_idempotency.so"
    check "modules are not executable" test "$(mode "$debian/usr/lib/apache2/modules/mod_idempotency.so")" = 644
    check ".load names the final path" grep -qx \
        'LoadModule idempotency_module /usr/lib/apache2/modules/mod_idempotency.so' "$available/idempotency.load"
    check ".conf is ours" cmp -s "$root/conf/idempotency.conf" "$available/idempotency.conf"
    check "schemas are where other files of httpd's are" \
        cmp -s "$root/conf/schema/postgresql.sql" "$debian/usr/share/apache2/idempotency/schema/postgresql.sql"
    check "policies are beside them, as we have them" \
        diff -r "$root/conf/policies" "$debian/usr/share/apache2/idempotency/policies"
    check "so are alerts and dashboard" \
        diff -r "$root/conf/monitoring" "$debian/usr/share/apache2/idempotency/monitoring"
    check "so is what clients are answered" \
        diff -r "$root/conf/openapi" "$debian/usr/share/apache2/idempotency/openapi"
    check "idemctl is in SBINDIR" cmp -s "$(dirname "$module")/idemctl" "$debian/usr/sbin/idemctl"
    check "idemctl is executable" test "$(mode "$debian/usr/sbin/idemctl")" = 755
    check "idemctl says what it can do" grep -q resolve <("$debian/usr/sbin/idemctl" --help)
    check "its page is beside others" test -s "$debian/usr/share/man/man8/idemctl.8"
    check "bash completes its commands" bash -c '. "$1"; PATH=$2:$PATH; COMP_WORDS=(idemctl res) COMP_CWORD=1
        _idemctl; test "${COMPREPLY[*]}" = resolve' - "$debian/usr/share/bash-completion/completions/idemctl" \
        "$debian/usr/sbin"
    check "documents are where others are" cmp -s "$root/docs/manual.md" \
        "$debian/usr/share/doc/mod_idempotency/docs/manual.md"
    check "links among them lead somewhere" test -e "$debian/usr/share/doc/mod_idempotency/docs/internals/lease.md"
    if [ -e "$(dirname "$module")/html/index.html" ]; then
        check "beside them stands the site" diff -r "$(dirname "$module")/html" \
            "$debian/usr/share/doc/mod_idempotency/html"
    fi
    check "pages are where man looks" test -e "$debian/usr/share/man/man8/idemctl.8"
    check "a2enmod is the next command" says 'a2enmod idempotency'
    check "and a restart" says 'systemctl restart apache2'
fi

# Debian's layout at a place where httpd can load it: what a2enmod does is two links.
live=$scratch/live
mkdir -p "$live/etc/mods-available" "$live/etc/mods-enabled"
apxs_of "$live/lib" "$live/etc" "$live/share"
install_to
check ".load names this place" \
    grep -qx "LoadModule idempotency_module $live/lib/mod_idempotency.so" "$live/etc/mods-available/idempotency.load"
ln -s ../mods-available/idempotency.load ../mods-available/idempotency.conf "$live/etc/mods-enabled"
check "httpd accepts the enabled module" loads "$live/etc/mods-enabled"

install_to
check "a second run says that nothing changed" says "unchanged  $live/etc/mods-available/idempotency.conf"
check "and that the module is enabled already" says 'The module is enabled'
check "no .new without a difference" test ! -e "$live/etc/mods-available/idempotency.conf.new"

echo 'IdempotencyTTL 1h' >>"$live/etc/mods-available/idempotency.conf"
cp "$live/etc/mods-available/idempotency.conf" "$scratch/edited"
install_to
check "an edited file stays" cmp -s "$scratch/edited" "$live/etc/mods-available/idempotency.conf"
check "ours goes beside it" cmp -s "$root/conf/idempotency.conf" "$live/etc/mods-available/idempotency.conf.new"
check "and is mentioned" says "idempotency.conf.new"
check "a .new file is not loaded" loads "$live/etc/mods-enabled"

# The inode of a module that a running server has mapped is not written to.
before=$(stat -c %i "$live/lib/mod_idempotency.so")
exec 9<"$live/lib/mod_idempotency.so"
install_to
check "a module in use is replaced, not overwritten" test "$before" != "$(stat -c %i "$live/lib/mod_idempotency.so")"
exec 9<&-

# Elsewhere.
other=$scratch/other
apxs_of "$other/modules" "$other/conf" "$other/share"
install_to
check "SYSCONFDIR/extra is used elsewhere" test -e "$other/conf/extra/idempotency.conf"
for engine in mysql postgresql sqlite3; do
    check "and DATADIR for the schema of $engine" \
        cmp -s "$root/conf/schema/$engine.sql" "$other/share/idempotency/schema/$engine.sql"
done
check "and DATADIR for the policies" test -e "$other/share/idempotency/policies/github-webhooks.conf"
for policy in "$other"/share/idempotency/policies/*.conf; do
    check "a policy's head names the path where it is" grep -qx "#  *Include $policy" "$policy"
    check "it is not executable" test "$(mode "$policy")" = 644
done
check "Include lines are the next step" says "Include $other/conf/extra/idempotency.load"
check "httpd accepts them" loads "$other/conf/extra"

# And away again.
uninstall_from() { "$root/conf/uninstall.sh" "$scratch/apxs" "${1:-}" >"$scratch/said" 2>&1; }
left() { find "$1" ! -type d | sort; }
is_left() { test "$(left "$1")" = "$2"; }
echo 'my own' >"$other/share/idempotency/policies/mine.conf"
uninstall_from
check "all that was installed goes, nobody else's file" is_left "$other" "$other/share/idempotency/policies/mine.conf"
check "the Include lines are the next step" says "$other/conf/extra/idempotency.load"
uninstall_from
check "a second time finds nothing to do" is_left "$other" "$other/share/idempotency/policies/mine.conf"

apxs_of "$live/lib" "$live/etc" "$live/share"
before=$(left "$live")
! uninstall_from || fail "an enabled module is not taken away"
check "nothing of it" is_left "$live" "$before"
check "a2dismod is to be run first" says "a2dismod idempotency"
rm "$live"/etc/mods-enabled/*
uninstall_from
check "an edited file stays" is_left "$live" "$live/etc/mods-available/idempotency.conf"
check "as it was edited" cmp -s "$scratch/edited" "$live/etc/mods-available/idempotency.conf"
check "and is mentioned" says "kept       $live/etc/mods-available/idempotency.conf"

# As httpd-devel's apxs answers on Fedora and RHEL; httpd reads conf.modules.d first, conf.d behind it.
rhel=$scratch/rhel
mkdir -p "$rhel/etc/httpd/conf" "$rhel/etc/httpd/conf.modules.d" "$rhel/etc/httpd/conf.d"
apxs_of "$rhel/usr/lib64/httpd/modules" "$rhel/etc/httpd/conf" "$rhel/usr/share/httpd"
install_to
check "conf.modules.d loads it" grep -qx \
    "LoadModule idempotency_module $rhel/usr/lib64/httpd/modules/mod_idempotency.so" \
    "$rhel/etc/httpd/conf.modules.d/10-idempotency.conf"
check "conf.d has its configuration" cmp -s "$root/conf/idempotency.conf" "$rhel/etc/httpd/conf.d/idempotency.conf"
check "nothing stands where httpd does not look" test ! -e "$rhel/etc/httpd/conf/extra"
check "httpd is called httpd there" says 'systemctl restart httpd'
check "httpd accepts them" loads_in "$rhel/etc/httpd/conf.modules.d" "$rhel/etc/httpd/conf.d"
echo 'IdempotencyTTL 1h' >>"$rhel/etc/httpd/conf.d/idempotency.conf"
install_to
check "ours beside an edited file is not read" test -e "$rhel/etc/httpd/conf.d/idempotency.conf.new"
check "so httpd still accepts them" loads_in "$rhel/etc/httpd/conf.modules.d" "$rhel/etc/httpd/conf.d"
uninstall_from
check "the edited file stays alone" is_left "$rhel" "$rhel/etc/httpd/conf.d/idempotency.conf"

# A package for another system than this one.
elsewhere=$scratch/elsewhere
apxs_of /usr/lib64/httpd/modules /etc/httpd/conf /usr/share/httpd
LAYOUT=rhel install_to "$elsewhere"
check "LAYOUT= says for which" test -e "$elsewhere/etc/httpd/conf.modules.d/10-idempotency.conf"
LAYOUT=rhel uninstall_from "$elsewhere"
check "and from where" is_left "$elsewhere" ""
! LAYOUT=rhell install_to "$elsewhere" 2>"$scratch/said" || fail "a layout that does not exist is refused"
check "with its name" says rhell

if [ -e /etc/debian_version ]; then
    apxs_of /usr/lib/apache2/modules /etc/apache2 /usr/share/apache2
    uninstall_from "$debian"
    check "below DESTDIR nothing stays" is_left "$debian" ""
fi

echo "install: $checks checks passed"
