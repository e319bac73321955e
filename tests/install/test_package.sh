#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The package in a Debian of its own, with a real apache2: test_package.sh PACKAGE.deb NEXT
# Called by `make deb-test`. NEXT is the folder of another version's module and idemctl. Makes a chroot from Debian's
# archive as apt is set up here, and runs package_life.sh and package_upgrade.sh in it with its own processes and
# network. Without the rights or an archive for that it says so, and skips.
set -euo pipefail
package=$(realpath "$1")
next=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")

skip() {
    echo "deb-test: skipped: $1"
    exit 0
}
[ "$(id -u)" = 0 ] || skip "a chroot needs root"
command -v mmdebstrap >/dev/null || skip "mmdebstrap is not installed"
unshare --mount --net --pid --fork true 2>/dev/null || skip "this machine allows no namespaces"

scratch=$(mktemp -d)
trap 'rm -rf --one-file-system "$scratch"' EXIT
apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' 'Origin: Debian' |
    sort -u >"$scratch/sources.list"
[ -s "$scratch/sources.list" ] || skip "apt knows no archive of Debian's"
grep -q " $suite " "$scratch/sources.list" || skip "apt knows no archive of $suite"

# The next version: the same package with the other module, so that an upgrade and a downgrade can be tried.
dpkg-deb -R "$package" "$scratch/next"
sed -i 's/^Version: .*/&+next/' "$scratch/next/DEBIAN/control"
install -m 644 "$next/mod_idempotency.so" "$scratch/next/usr/lib/apache2/modules/mod_idempotency.so"
install -m 755 "$next/idemctl" "$scratch/next/usr/sbin/idemctl"
(cd "$scratch/next" && find usr -type f -exec md5sum {} + >DEBIAN/md5sums)
dpkg-deb --root-owner-group -b "$scratch/next" "$scratch/next.deb" >/dev/null
cp "$package" "$scratch/this.deb"

chroot=$scratch/debian
mmdebstrap --quiet --mode=root --variant=apt --aptopt='APT::Install-Recommends "false"' --include=apache2,curl \
    --customize-hook='copy-in "'"$scratch"'/this.deb" "'"$scratch"'/next.deb" /opt' \
    --customize-hook='chroot "$1" apt-get install -y /opt/this.deb' \
    "$suite" "$chroot" "$scratch/sources.list" >"$scratch/said" 2>&1 || {
    cat "$scratch/said" >&2
    grep -qE '(Could not|Failed to|Unable to) (resolve|connect|fetch)|Temporary failure' "$scratch/said" &&
        skip "the archive cannot be reached"
    echo "deb-test: no chroot with the package could be made" >&2
    exit 1
}
install -m 755 "$here/package_life.sh" "$here/package_upgrade.sh" "$here/package_load.pl" \
    "$here/../../debian/tests/guarded-order" "$chroot/opt"
cp "$next/version" "$chroot/opt/next.version"
cp "$here/../../VERSION" "$chroot/opt/this.version"

# All processes end with this one; nothing but loopback is to be had.
unshare --mount --net --pid --fork bash -c 'ip link set lo up && mount -t proc proc "$1/proc" &&
    cd / && exec chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        sh -c "/opt/package_life.sh && /opt/package_upgrade.sh"' \
    - "$chroot"
