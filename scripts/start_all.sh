#!/usr/bin/env bash
# Builds Backfence and runs `backfence up` with the project's data: a registry, servers
# and a front end on this machine, and a client in this terminal. `--help` lists the
# options.
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
manifest=$project/Cargo.toml

cargo build --release --locked --manifest-path "$manifest" \
    -p backfence -p backfence-registry -p backfence-replica -p backfence-frontend >&2
programs=$(cargo metadata --format-version 1 --no-deps --offline --locked \
    --manifest-path "$manifest" |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release

exec "$programs/backfence" up --data "$project/data" "$@"
