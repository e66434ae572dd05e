#!/bin/sh
# Fetches a MovieLens data set from GroupLens, checks it, and says what its licence asks.
#
#   scripts/fetch_movielens.sh [NAME] [FOLDER]
#
# BACKFENCE_MOVIELENS_URL names another place to fetch from, such as a mirror.
set -eu

names='ml-latest-small ml-latest ml-25m ml-32m'
base=${BACKFENCE_MOVIELENS_URL:-https://files.grouplens.org/datasets/movielens}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

usage() {
    echo "usage: fetch_movielens.sh [NAME] [FOLDER]"
    echo "  NAME    one of: $names (default ml-latest-small)"
    echo "  FOLDER  where the files go (default data/NAME); it must not exist yet"
}

# fail CODE MESSAGE...
fail() {
    code=$1
    shift
    echo "fetch_movielens: $*" >&2
    exit "$code"
}

case ${1:-} in
-h | --help)
    usage
    exit 0
    ;;
-*) fail 2 "unknown option $1; try --help" ;;
esac
[ $# -le 2 ] || fail 2 "too many arguments; try --help"

name=${1:-ml-latest-small}
case " $names " in
*" $name "*) ;;
*) fail 2 "unknown data set '$name'; choose one of: $names" ;;
esac
folder=${2:-$root/data/$name}
[ ! -e "$folder" ] || fail 2 "$folder exists already; remove it, or name another folder"

for tool in curl unzip; do
    command -v "$tool" >/dev/null || fail 1 "$tool is not installed, and is needed"
done
if command -v md5sum >/dev/null; then
    md5() { md5sum <"$1"; }
elif command -v md5 >/dev/null; then
    md5() { command md5 -q "$1"; }
else
    fail 1 "neither md5sum nor md5 is installed, and one is needed"
fi

# Everything happens in a folder beside the wanted one, which is renamed only when all
# is well: a failure leaves nothing behind.
mkdir -p -- "$(dirname -- "$folder")" || fail 1 "cannot make $(dirname -- "$folder")"
work=$(mktemp -d "$folder.XXXXXX") || fail 1 "cannot write to $(dirname -- "$folder")"
trap 'rm -rf -- "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# download FILE
download() {
    echo "fetching $base/$1" >&2
    curl --fail --location --silent --show-error --connect-timeout 10 --retry 2 \
        --speed-limit 1000 --speed-time 60 --output "$work/$1" "$base/$1" ||
        fail 5 "cannot fetch $base/$1; is the network there?"
}

download "$name.zip.md5"
download "$name.zip"

# The site writes `MD5 (NAME.zip) = SUM` for some sets and `SUM  NAME.zip` for others.
published=$(tr 'A-F' 'a-f' <"$work/$name.zip.md5" | grep -Eo '(^|[^0-9a-z])[0-9a-f]{32}($|[^0-9a-z])' |
    grep -Eo '[0-9a-f]{32}' | head -n 1) || true
[ -n "$published" ] || fail 1 "$name.zip.md5 holds no MD5 sum"
actual=$(md5 "$work/$name.zip" | cut -c 1-32)
[ "$actual" = "$published" ] ||
    fail 1 "$name.zip is damaged: its MD5 is $actual, the site says $published; try again"

unzip -q "$work/$name.zip" -d "$work/out" || fail 1 "cannot unzip $name.zip"

# check_header FILE HEADER
check_header() {
    [ -f "$work/out/$name/$1" ] || fail 1 "$name.zip holds no $name/$1"
    header=$(head -n 1 "$work/out/$name/$1" | tr -d '\r')
    [ "$header" = "$2" ] || fail 1 "$1 begins with '$header' instead of '$2'"
}
check_header movies.csv 'movieId,title,genres'
check_header ratings.csv 'userId,movieId,rating,timestamp'

# rename(2) by way of mv would move *into* a folder that came to be in the meantime.
[ ! -e "$folder" ] || fail 1 "$folder came to be in the meantime; remove it"
mv -- "$work/out/$name" "$folder" || fail 1 "cannot make $folder"

cat >&2 <<END

The licence of $name, in short; all of it stands in $folder/README.txt:
  - Say or imply nowhere that the University of Minnesota or GroupLens endorses you.
  - Acknowledge the data set in publications, citing: F. Maxwell Harper and Joseph A.
    Konstan. 2015. The MovieLens Datasets: History and Context. ACM Transactions on
    Interactive Intelligent Systems 5, 4: 19:1-19:19. https://doi.org/10.1145/2827872
  - Make no commercial or revenue-bearing use of it without permission of GroupLens.
  - Redistribution: for ml-latest-small only under the same conditions; other sets may
    ask for a separate permission. Read the README of the set.
  - There is no warranty of any kind.

END
echo "$folder"
