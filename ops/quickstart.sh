#!/usr/bin/env bash
# From nothing to answers: installs the packages, builds Trawl, classifies the sample bucket and
# shows the results. For Debian 12 and Ubuntu 24.04; as root, or with sudo.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
source ops/packages.sh
source ops/step.sh

build() {
  cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DTRAWL_TESTS=OFF
  ninja -C build -j "$(nproc)" trawl
}

# Says what it runs, as one would type it, then runs it.
show() {
  local word bold='' plain=''
  if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; fi
  printf '\n%s$' "$bold"
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_./=-]+$ ]] || word="\"$word\""
    printf ' %s' "$word"
  done
  printf '%s\n' "$plain"
  "$@"
}

ask_for_root "${BUILD_PACKAGES[@]}"
step "Installing packages" install_packages "${BUILD_PACKAGES[@]}"
step "Building build/trawl" build

db=build/sample.sqlite
rm -f "$db"*  # what an earlier quickstart left: a finished job would not run again
code=0
show build/trawl run ops/sample/bucket --model ops/sample/model-onnx --db "$db" --job sample ||
  code=$?
case $code in
  0) ;;
  1) echo "Exit code 1: done, but some files ended as failures: seven are broken on purpose." ;;
  *) echo "✗ trawl run: exit code $code" >&2; exit "$code" ;;
esac

show build/trawl results sample --db "$db" --limit 10
echo
echo "The same and more in SQL:"
show sqlite3 -box "$db" "SELECT key, rank, label, round(probability, 4) AS probability
   FROM top5 WHERE job = 'sample' ORDER BY key, rank LIMIT 10"
show sqlite3 -box "$db" "SELECT label, count
   FROM class_histogram WHERE job = 'sample' ORDER BY count DESC"
show sqlite3 -box "$db" "SELECT key, code, message
   FROM failures WHERE job = 'sample' ORDER BY key"
echo
echo "Next: build/trawl run YOUR_FOLDER --model YOUR_MODEL --db results.sqlite   (README.md)"
