#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The RPM's spec and its SELinux module, as far as Debian's rpm goes: test_rpm.sh. Called by `make rpm-test`.
# Builds the source and binary packages of the last commit with RHEL's paths, against the libraries that are here; looks
# at what is in them, has httpd load the module out of them, and asks rpmlint. Dependencies are not checked: they have
# other names here.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
spec=$root/packaging/rpm/mod_idempotency.spec
version=$(cat "$root/VERSION")
checks=0

for tool in rpmbuild rpmlint checkmodule semodule_package rpm2cpio cpio pandoc; do
    command -v $tool >/dev/null || { echo "rpm-test: skipped: $tool is not installed"; exit 0; }
done
fail() {
    echo "rpm-test: $1" >&2
    [ ! -e "$scratch/said" ] || tail -40 "$scratch/said" >&2
    exit 1
}
check() { # WHAT COMMAND…
    checks=$((checks + 1))
    local what=$1
    shift
    "$@" >"$scratch/said" 2>&1 || fail "$what"
}

# ---- SELinux ---------------------------------------------------------------------------------------------------------

se=$root/packaging/selinux
check "the policy module compiles" checkmodule -M -m -o "$scratch/mod_idempotency.mod" "$se/mod_idempotency.te"
check "it is packed" semodule_package -o "$scratch/mod_idempotency.pp" -m "$scratch/mod_idempotency.mod" \
    -f "$se/mod_idempotency.fc"
sed '/^allow/s/ map / mapp /' "$se/mod_idempotency.te" >"$scratch/wrong.te"
! (cd "$scratch" && checkmodule -M -m -o mod_idempotency.mod wrong.te) >/dev/null 2>&1 ||
    fail "a permission that is not required is found"

# ---- the spec --------------------------------------------------------------------------------------------------------

check "the spec has VERSION" grep -qx "Version: *$version" "$spec"
cat >"$scratch/apxs" <<'APXS'
#!/bin/sh
# httpd-devel's answers; headers are those of the httpd that is here.
case $2 in
LIBEXECDIR) echo /usr/lib64/httpd/modules ;; SYSCONFDIR) echo /etc/httpd/conf ;; SBINDIR) echo /usr/sbin ;;
DATADIR) echo /usr/share/httpd ;; MANDIR) echo /usr/share/man ;; PREFIX) echo /etc/httpd ;;
*) exec apxs "$@" ;;
esac
APXS
chmod +x "$scratch/apxs"
define=(--define "_topdir $scratch/rpm" --define "_httpd_apxs $scratch/apxs" --define '_libdir /usr/lib64'
    --define '_sbindir /usr/sbin' --define 'debug_package %{nil}' --define "_dbpath $scratch/db"
    --define '__brp_mangle_shebangs %{nil}')
mkdir -p "$scratch/rpm/SOURCES"
name=mod_idempotency-$version
if [ -e "$root/.git" ]; then
    git -C "$root" archive --prefix="$name/" -o "$scratch/rpm/SOURCES/$name.tar.gz" HEAD
else
    tar -C "$root" -czf "$scratch/rpm/SOURCES/$name.tar.gz" --transform "s|^\.|$name|" --exclude=./build .
fi
check "the spec can be read" rpmspec "${define[@]}" -P "$spec"
check "rpmlint finds nothing in it" rpmlint --strict -c "$root/packaging/rpm/rpmlint.toml" "$spec"
check "a source package" rpmbuild "${define[@]}" --nodeps -bs "$spec"
check "a binary package" rpmbuild "${define[@]}" --nodeps -bb "$spec"
binary=$(echo "$scratch"/rpm/RPMS/*/mod_idempotency-"$version"-*.rpm)
policy=$(echo "$scratch"/rpm/RPMS/noarch/mod_idempotency-selinux-*.rpm)
check "rpmlint finds nothing in them" rpmlint --strict -c "$root/packaging/rpm/rpmlint.toml" \
    "$scratch"/rpm/SRPMS/*.rpm "$binary" "$policy"

# ---- what is in it ---------------------------------------------------------------------------------------------------

rpm -qlp "$binary" >"$scratch/files"
for file in /usr/lib64/httpd/modules/mod_idempotency.so /etc/httpd/conf.modules.d/10-idempotency.conf \
    /etc/httpd/conf.d/idempotency.conf /usr/sbin/idemctl /usr/share/httpd/idempotency/policies/github-webhooks.conf \
    /usr/share/httpd/idempotency/schema/postgresql.sql /usr/share/doc/mod_idempotency/html/index.html; do
    check "it has $file" grep -qxF "$file" "$scratch/files"
done
check "it has the man pages" test "$(grep -c '/man[58]/' "$scratch/files")" = 2
check "an upgrade keeps edited files" test "$(rpm -qp --qf '[%{FILENAMES} %{FILEFLAGS:fflags}\n]' "$binary" |
    grep -c '^/etc/httpd/conf.*idempotency.conf cn$')" = 2
check "the policy is in a package of its own" grep -qx /usr/share/selinux/packages/mod_idempotency.pp \
    <(rpm -qlp "$policy")
check "its scripts load it and take it away" test "$(rpm -qp --scripts "$policy" | grep -c 'semodule -n -[ir]')" = 2
rpm -qp --scripts "$policy" | sed 's/^post.*scriptlet.*//' | sh -n || fail "its scripts can be read"

(cd "$scratch" && rpm2cpio "$binary" | cpio -idm --quiet)
check "stores with a relative path are where RHEL's httpd keeps its state" \
    grep -q /var/lib/httpd "$scratch/usr/lib64/httpd/modules/mod_idempotency.so"
check "httpd is told to load what is in the package" grep -qx \
    'LoadModule idempotency_module /usr/lib64/httpd/modules/mod_idempotency.so' \
    "$scratch/etc/httpd/conf.modules.d/10-idempotency.conf"
modules=$(apxs -q LIBEXECDIR)
sed "s| /usr/lib64| $scratch/usr/lib64|" "$scratch/etc/httpd/conf.modules.d/10-idempotency.conf" >"$scratch/load.conf"
printf '%s\n' "ServerRoot $scratch" "PidFile $scratch/pid" "Listen 127.0.0.1:1" "ErrorLog $scratch/log" \
    "ServerName rpm.test" "LoadModule mpm_event_module $modules/mod_mpm_event.so" \
    "LoadModule authz_core_module $modules/mod_authz_core.so" "Include $scratch/load.conf" \
    "Include $scratch/etc/httpd/conf.d/*.conf" "IdempotencyStore lmdb:$scratch/store" >"$scratch/httpd.conf"
check "httpd accepts module and configuration" "$(command -v apache2 || command -v httpd)" -t -f "$scratch/httpd.conf"
check "idemctl runs" "$scratch/usr/sbin/idemctl" --help
echo "rpm-test: $checks checks passed"
