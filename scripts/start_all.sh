#!/usr/bin/env bash
# Builds Backfence, starts a registry, replicas and a front end on this machine,
# and opens a client in this terminal. What it started ends with it.
#
# stdout carries what others read or wait for: CLIENT CAN NOW CONNECT, and what
# the client prints. The script's own words go to stderr.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: scripts/start_all.sh [OPTION]...

Builds Backfence, starts everything on this machine, and opens a client here.
When the client ends, all that was started is stopped.

  --data DIR                 movies.csv and ratings.csv are in DIR; default: the
                             project's data/
  --replicas N               how many servers, from 1; default: 3
  --overload-probability P   how often a server says that it is over-loaded, from
                             0 to 1; default: 0.2
  --port PORT                the registry's port; the front end takes the next
                             one; default: 7400
  --state DIR                where logs go, and what the servers keep: started again with
                             the same folder, they go on from it; default: a fresh
                             folder, which is named. Its cluster.key protects session
                             tokens: a secret, which is made where there is none
  --no-client                run without a client until interrupted
  --help                     print this

Exit status: the client's; 1 if something could not be started; 2 for a wrong
option.
EOF
}

# --- What is asked for -------------------------------------------------------

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data=$project/data
replicas=3
overload=0.2
port=7400
state=
client=yes

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "start_all.sh: $*"
    exit 1
}

wrong() {
    say "start_all.sh: $*"
    usage >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --help | -h)
            usage
            exit 0
            ;;
        --no-client)
            client=no
            shift
            continue
            ;;
        --*=*)
            option=${1%%=*}
            value=${1#*=}
            shift
            ;;
        --data | --replicas | --overload-probability | --port | --state)
            [ $# -ge 2 ] || wrong "$1 needs a value"
            option=$1
            value=$2
            shift 2
            ;;
        *) wrong "there is no option $1" ;;
    esac
    case $option in
        --data) data=$value ;;
        --replicas) replicas=$value ;;
        --overload-probability) overload=$value ;;
        --port) port=$value ;;
        --state) state=$value ;;
        *) wrong "there is no option $option with a value" ;;
    esac
    [ -n "$value" ] || wrong "$option needs a value"
done

[[ $replicas =~ ^[1-9][0-9]{0,2}$ ]] || wrong "--replicas is a number from 1 to 999, not $replicas"
if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || [ "$port" -gt 65534 ]; then
    wrong "--port is a number from 1 to 65534, not $port"
fi
[[ $overload =~ ^(0|1|0?\.[0-9]+|0\.|1\.0*)$ ]] ||
    wrong "--overload-probability is a number from 0 to 1, not $overload"

for file in movies.csv ratings.csv; do
    [ -r "$data/$file" ] || fail "there is no $data/$file; --data names a folder that has it"
done
data=$(cd "$data" && pwd)

# --- What was started, and how it ends ---------------------------------------

registry=127.0.0.1:$port
front_end=127.0.0.1:$((port + 1))
pids=()
mark=

stop_all() {
    local index pid
    # A second signal must not leave half of them behind.
    trap '' HUP INT TERM
    # The last first, so that nobody misses who is still to say goodbye.
    for ((index = ${#pids[@]} - 1; index >= 0; index--)); do
        kill -TERM "${pids[index]}" 2>/dev/null || true
    done
    for ((index = ${#pids[@]} - 1; index >= 0; index--)); do
        pid=${pids[index]}
        end_of "$pid" || {
            say "process $pid does not end; killing it"
            kill -KILL "$pid" 2>/dev/null || true
        }
        wait "$pid" 2>/dev/null || true
    done
    pids=()
    [ -z "$mark" ] || rm -f "$mark"
}

# True once the process has ended; false if it has not within 10 s.
end_of() {
    local turn
    for ((turn = 0; turn < 200; turn++)); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.05
    done
    return 1
}

trap stop_all EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- Before anything is started ----------------------------------------------

refuse_taken() {
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
        fail "port $1 is in use; choose another with --port (it and the next one are needed)"
    fi
}

refuse_taken "$port"
refuse_taken "$((port + 1))"

if [ -z "$state" ]; then
    state=$(mktemp -d "${TMPDIR:-/tmp}/backfence.XXXXXX")
else
    mkdir -p "$state" || fail "cannot make the folder $state"
    state=$(cd "$state" && pwd)
fi
if [ -e "$state/running" ] && kill -0 "$(cat "$state/running")" 2>/dev/null; then
    fail "process $(cat "$state/running") uses $state; choose another folder with --state"
fi
mark=$state/running
printf '%s\n' "$$" >"$mark" || fail "cannot write to $state"
say "Logs are in $state"

# What front ends seal session tokens with. Moved into place whole, so that a key that is
# there is a key.
key=$state/cluster.key
if [ ! -e "$key" ]; then
    (umask 077 && head -c 32 /dev/urandom >"$key.new") && mv "$key.new" "$key" ||
        fail "cannot make a key in $state"
fi

cd "$project"
cargo build --release --locked \
    -p backfence -p backfence-registry -p backfence-replica -p backfence-frontend >&2 ||
    fail "the build failed"
programs=$(cargo metadata --format-version 1 --no-deps --offline --locked |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release

# --- Start -------------------------------------------------------------------

# start NAME PROGRAM ARGUMENT...: in a process group of its own, so that Ctrl-C in
# this terminal does not reach it.
start() {
    local name=$1 program=$2
    shift 2
    # Here and not in the background: an earlier start's log says that all are ready.
    : >"$state/$name.log"
    set -m
    NO_COLOR=1 "$programs/$program" "$@" </dev/null >>"$state/$name.log" 2>&1 &
    set +m
    pids+=("$!")
}

# wait_for NAME LINE PID: until the log of NAME has a line that begins so. Reading
# the log every 20 ms ends as soon as the line or the end of the process is there.
wait_for() {
    local name=$1 line=$2 pid=$3 turn
    for ((turn = 0; turn < 1500; turn++)); do
        ! grep -q "^$line" "$state/$name.log" || return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.02
    done
    # It may have said it between the two looks.
    ! grep -q "^$line" "$state/$name.log" || return 0
    say "--- the end of $state/$name.log"
    tail -n 20 "$state/$name.log" >&2
    if kill -0 "$pid" 2>/dev/null; then
        fail "$name did not become ready within 30 s"
    fi
    fail "$name ended before it was ready; its log is above"
}

start registry backfence-registry --listen "$registry"
wait_for registry "REGISTRY READY" "${pids[0]}"
for ((server = 1; server <= replicas; server++)); do
    start "server$server" backfence-replica --server "$server" --registry "http://$registry" \
        --listen 127.0.0.1:0 --movies "$data/movies.csv" --ratings "$data/ratings.csv" \
        --overload-probability "$overload" --data-dir "$state/server$server"
done
start frontend backfence-frontend --registry "http://$registry" --listen "$front_end" \
    --cluster-key "$key"
for ((server = 1; server <= replicas; server++)); do
    wait_for "server$server" "SERVER READY" "${pids[server]}"
done
# All servers read the same files, so the first tells what they left out of them.
sed -n 's/^.* WARN backfence_replica: skipped /skipped /p' "$state/server1.log" >&2
wait_for frontend "CLIENT CAN NOW CONNECT" "${pids[replicas + 1]}"
say "$replicas servers and a front end are ready. For another client, in another terminal:"
say "    $programs/backfence --registry http://$registry"
printf 'CLIENT CAN NOW CONNECT\n'

# --- Until the end -----------------------------------------------------------

if [ "$client" = no ]; then
    say "Ctrl-C stops everything."
    wait "${pids[@]}" || true
    fail "all servers have ended by themselves; see the logs in $state"
fi
# The client gets Ctrl-C as well and decides; this script outlives it.
trap : INT
"$programs/backfence" --registry "http://$registry"
