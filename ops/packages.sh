# The Debian 12 and Ubuntu 24.04 packages that Trawl needs, and their installing. Sourced, not run.

# To build and to run; sqlite3 is the command line that people query results with.
BUILD_PACKAGES=(
  g++ cmake ninja-build pkg-config
  libcli11-dev libcurl4-openssl-dev libexpected-dev libfmt-dev libjpeg-dev libonnx-dev
  libopenblas-dev libpng-dev libprotobuf-dev libpugixml-dev librdkafka-dev libspdlog-dev
  libsqlite3-dev libssl-dev libwebp-dev libxxhash-dev libyaml-cpp-dev nlohmann-json3-dev
  protobuf-compiler sqlite3 zlib1g-dev
)

# To test besides: Java and Maven run and fetch the Kafka broker and the S3 server; nghttp2-server
# speaks HTTP/2; clang has libFuzzer.
TEST_PACKAGES=(
  ca-certificates clang curl kcat libclang-rt-dev libgmock-dev libgtest-dev libonnx-testdata
  maven nghttp2-server openjdk-17-jre-headless openssl python3 xz-utils
)

# as_root COMMAND…
as_root() {
  local sudo=()
  [[ $EUID -eq 0 ]] || sudo=(sudo)
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive "$@"
}

# Prints which of the packages are not installed, one a line.
missing_packages() {
  local name
  for name in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null) == ii* ]] || echo "$name"
  done
}

# Asks for sudo's password where it can be typed, before a step hides its output.
ask_for_root() {
  [[ $EUID -eq 0 || ! -t 0 || -z $(missing_packages "$@") ]] || sudo -v
}

# install_packages NAME… : does nothing, and needs no root, when all are there already.
install_packages() {
  local missing
  command -v apt-get >/dev/null || {
    echo "There is no apt-get here; these scripts know Debian 12 and Ubuntu 24.04. Needed: $*" >&2
    return 1
  }
  mapfile -t missing < <(missing_packages "$@")
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if [[ $EUID -ne 0 ]] && ! command -v sudo >/dev/null; then
    echo "Packages are missing: ${missing[*]}. Run this as root, or install sudo." >&2
    return 1
  fi
  as_root apt-get -qq update
  as_root apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 install "${missing[@]}"
}
