#!/usr/bin/env bash
# Breaks each rule of the protocol on purpose, in a copy of the tree, and shows
# which instrument notices: mutants/run.sh [NAME...]
#
# Prints a table in Markdown on stdout. Ends with 1 if a mutant survives, or if a
# patch no longer applies.
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$project/target/mutants}
# Little differs from one mutant to the next.
export CARGO_INCREMENTAL=1
export CARGO_PROFILE_RELEASE_DEBUG=false
export RUST_BACKTRACE=0
# A mutant that runs for longer is noticed too: nothing may hang. The tree itself takes
# a tenth of it.
limit=400

say() {
    printf '%s\n' "$*" >&2
}

# What the simulation says of the tree, and how many seeds it took; of programs of two
# versions only where it has nothing to say of one. Empty if nothing.
simulated() {
    local said
    said=$(simulated_with)
    [ -n "$said" ] || said=$(simulated_with --versions)
    echo "$said"
}

simulated_with() {
    local out status=0
    out=$(timeout "$limit" "$CARGO_TARGET_DIR/release/backfence-simulate" \
        --seeds 0..2000 --jobs 1 "$@" 2>&1) || status=$?
    case $status in
        0) ;;
        1) sed -n "s/^seed \([0-9]*\) .*/seed \1/p; s/^\(I[0-9]\) at.*/\1${1:+ with} $*/p" <<<"$out" |
            head -n 2 | paste -sd ' ' | sed 's/ *$//' ;;
        124) echo "does not end" ;;
        *) echo "assertion" ;;
    esac
}

# What the tests of a crate say: the first that fails.
tested() {
    local out status=0
    out=$(timeout "$limit" cargo test -q --locked -p "$1" --no-fail-fast "${@:2}" 2>&1) || status=$?
    case $status in
        0) ;;
        124) echo "does not end" ;;
        *) grep -E '^    [a-z_0-9:]+$' <<<"$out" | head -n 1 | tr -d ' ' || echo "an assertion" ;;
    esac
}

# What the model checker says: the first configuration and promise that breaks. The
# quick configurations only; they end at the first violation.
modelled() {
    local out status=0
    out=$(timeout "$limit" "$CARGO_TARGET_DIR/release/backfence-model" \
        pair pair-retries pair-strangers trio-discard 2>&1) || status=$?
    case $status in
        0) ;;
        1) awk '/^[a-z]/ { name = $1 }
            $1 == "BROKEN" { sub(":", "", name); sub(":", "", $2); print name " " $2; exit }
            $1 == "INVALID" { sub(":", "", name); $1 = ""; print name ":" $0; exit }' <<<"$out" ;;
        124) echo "does not end" ;;
        *) echo "assertion" ;;
    esac
}

# All that is run below, so that no limit on time counts the compiler. The files of
# one mutant bear the times of their copying, so cargo notices the next.
build() {
    cargo build -q --release --locked -p backfence-simulation -p backfence-model --bins \
        2>"$copy/errors" &&
        cargo test -q --locked --no-run -p backfence-gossip --lib --tests \
            >/dev/null 2>"$copy/errors"
}

try() {
    local patch=$1 name began by_seed by_rule by_model survived=
    name=$(basename "$patch" .patch)
    began=$SECONDS
    rm -rf "$copy/crates"
    cp -r "$copy/whole" "$copy/crates"
    if ! patch -s -F0 -p1 -d "$copy" <"$patch"; then
        say "$name: the patch does not apply"
        return 1
    fi
    if ! build; then
        say "$name: does not compile"
        tail -n 20 "$copy/errors" >&2
        return 1
    fi
    by_seed=$(simulated)
    by_rule=$(tested backfence-gossip --lib --tests)
    by_model=$(modelled)
    [ -n "$by_seed$by_rule$by_model" ] || survived=' **survives**'
    printf '| %s%s | %s | %s | %s | %s |\n' "${name//_/ }" "$survived" "$(head -n 1 "$patch")" \
        "${by_seed:--}" "${by_rule:--}" "${by_model:--}"
    say "$name: $((SECONDS - began)) s${survived}"
    [ -z "$survived" ]
}

if [ $# -gt 0 ]; then
    patches=("${@/%/.patch}")
    patches=("${patches[@]/#/$project/mutants/}")
else
    patches=("$project"/mutants/*.patch)
fi

# What is committed and what is not yet, as it is now: a change that is made while
# this runs mutates nothing.
(cd "$project" && git ls-files -z | xargs -0 cp --parents -t "$copy")
mv "$copy/crates" "$copy/whole"
cd "$copy"

printf '| mutant | what is broken | simulation | rule or scenario | model |\n|---|---|---|---|---|\n'
failed=0
for patch in "${patches[@]}"; do
    try "$patch" || failed=$((failed + 1))
done
say "${#patches[@]} mutants, $failed not caught"
[ "$failed" -eq 0 ]
