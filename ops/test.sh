#!/usr/bin/env bash
# Builds Trawl and runs its whole suite: what CI runs, and what to run before a commit.
#
#   ops/test.sh          unit tests under AddressSanitizer and UBSan, then everything in Release:
#                        unit, conformance, golden and e2e, on a real broker and a real S3 server;
#                        last loaders and decoders under libFuzzer, for a minute each
#   ops/test.sh --tsan   unit tests under ThreadSanitizer, nothing else
#
# For Debian 12 and Ubuntu 24.04; as root, or with sudo. A broker or an S3 server that cannot be had
# fails the suite. The tests' models and photos are in $TRAWL_SHARED, by default ../shared.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
source ops/packages.sh
source ops/step.sh

# build_units FOLDER SANITIZER : -O1 keeps sanitized tests fast enough, -g1 gives line numbers.
build_units() {
  cmake -S . -B "$1" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG="-O1 -g1" \
    -DTRAWL_TESTS=ON -DTRAWL_SANITIZE="$2"
  ninja -C "$1" -j "$(nproc)" tests/unit/all
}

build_all() {
  cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DTRAWL_TESTS=ON
  ninja -C build -j "$(nproc)"
}

build_fuzz() {
  cmake -S . -B build-fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_CXX_FLAGS_DEBUG="-O1 -g1" -DTRAWL_FUZZ=ON -DTRAWL_SANITIZE=address
  ninja -C build-fuzz -j "$(nproc)"
}

run_tests() {
  local code=0
  rm -f "$1/junit.xml"
  ctest --test-dir "$1" --output-on-failure --output-junit junit.xml --no-tests=error -j 2 \
    </dev/null || code=$?
  [[ $code -eq 0 || ! -f $1/junit.xml ]] || ops/testing/failures.py "$1/junit.xml" >&2
  return "$code"
}

tsan=0
case "${1-}" in
  "") ;;
  --tsan) tsan=1 ;;
  -h | --help) sed -n "2,10s/^# \{0,1\}//p" "${BASH_SOURCE[0]}" && exit ;;
  *) echo "ops/test.sh: unknown argument: $1 (see --help)" >&2 && exit 2 ;;
esac

ask_for_root "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
step "Installing packages" install_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
if [[ $tsan -eq 1 ]]; then
  step "Building the unit tests with ThreadSanitizer" build_units build-tsan thread
  run_tests build-tsan/tests/unit
  exit
fi
step "Fetching the Kafka broker" ops/testing/kafka.sh fetch
step "Fetching the S3 server" ops/testing/s3.sh fetch
step "Building the unit tests with AddressSanitizer and UBSan" build_units build-asan address
step "Building everything in Release" build_all
step "Building the fuzz targets" build_fuzz
run_tests build-asan/tests/unit
run_tests build
run_tests build-fuzz
