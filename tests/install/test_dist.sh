#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make dist, in folders of its own: the same bytes from another time zone, umask and folder; what was committed and no
# more; a tree that says what it is. Called by `make install-check`.
set -euo pipefail
suite=dist
. "$(dirname "$0")/checks.sh"
version=$(cat "$root/VERSION")
name=mod_idempotency-$version

# Settings of the make that called this one are not this one's.
dist() { env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory -C "$1" dist BUILD="$2" >"$scratch/said" 2>&1; }

if [ ! -e "$root/.git" ]; then
    ! dist "$root" "$scratch/none" || fail "there is no archive of a tree that is no clone"
    check "it says so" grep -q 'this is no clone' "$scratch/said"
    echo "dist: $checks checks passed; the others need a clone"
    exit 0
fi

git clone -q "$root" "$scratch/clone"
dist "$root" "$scratch/here"
(umask 077 && TZ=Asia/Tokyo dist "$scratch/clone" "$scratch/there")
check "the same bytes" cmp "$scratch/here/dist/$name.tar.gz" "$scratch/there/dist/$name.tar.gz"
echo 'not committed' >"$scratch/clone/stray"
dist "$scratch/clone" "$scratch/again"
check "what is not committed is left out" cmp "$scratch/here/dist/$name.tar.gz" "$scratch/again/dist/$name.tar.gz"
check "and mentioned" grep -q 'not committed are left out' "$scratch/said"

tar -xzf "$scratch/here/dist/$name.tar.gz" -C "$scratch"
check "one folder of that name" test "$(cat "$scratch/$name/VERSION")" = "$version"
check "all that was committed" test "$(git -C "$root" ls-tree -r --name-only HEAD | sort)" = \
    "$(cd "$scratch/$name" && find . ! -type d | sed 's|^\./||' | sort)"
check "programs can be run" test -x "$scratch/$name/conf/install.sh"
! dist "$scratch/$name" "$scratch/none" || fail "an unpacked archive is no clone"
echo "dist: $checks checks passed"
