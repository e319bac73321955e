# SPDX-License-Identifier: Apache-2.0
# Sourced by the tests of this folder, which say suite=NAME before: checks that are counted, and a folder $scratch that
# goes at the end. What the last command said is in $scratch/said.
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
checks=0

fail() { # WHY
    echo "$suite: $1" >&2
    [ ! -e "$scratch/said" ] || cat "$scratch/said" >&2
    exit 1
}
check() { # WHAT COMMAND…
    checks=$((checks + 1))
    local what=$1
    shift
    "$@" || fail "$what"
}
