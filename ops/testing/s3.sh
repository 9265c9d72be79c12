#!/usr/bin/env bash
# A real S3 server that checks signatures (s3proxy, on a local folder). Its jars come from Maven
# Central.
#
#   s3.sh                    fetches the jars unless they are there already, and prints their folder
#   s3.sh start DIR [PORT]   starts a server on 127.0.0.1:PORT (default 9000), its buckets in DIR
#   s3.sh stop DIR           stops that server
#
# Access key and secret key: $S3_ACCESS_KEY and $S3_SECRET_KEY, or "trawl" and "trawl-secret".
# Objects must be put through its API: files laid into the folder by hand are not objects.
# With S3_VIRTUAL_HOST=localhost buckets are named by the host alone: photos.localhost.
# Jars are kept in ${XDG_CACHE_HOME:-~/.cache}/trawl/s3proxy-<version>. Needs Java 11 or later and,
# to fetch, Maven.
set -euo pipefail

S3PROXY_VERSION=2.6.0
LIBS=${XDG_CACHE_HOME:-$HOME/.cache}/trawl/s3proxy-$S3PROXY_VERSION

die() { echo "s3.sh: $*" >&2; exit 1; }

write_pom() {
  cat >"$1" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>trawl.testing</groupId><artifactId>s3</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.gaul</groupId><artifactId>s3proxy</artifactId>
      <version>$S3PROXY_VERSION</version>
    </dependency>
  </dependencies>
</project>
POM
}

# The marker is written last, so that a download that was cut short is taken up again; the lock
# keeps two apart.
fetch() {
  [[ -f $LIBS/.complete ]] && return
  command -v mvn >/dev/null || die "Maven is missing: apt-get install maven"
  mkdir -p "$LIBS"
  exec 9>"$LIBS/.lock"
  flock 9
  [[ -f $LIBS/.complete ]] && return
  local pom
  pom=$(mktemp -d)
  write_pom "$pom/pom.xml"
  (cd "$pom" && mvn -B -q dependency:copy-dependencies -DincludeScope=runtime \
      -DoutputDirectory="$LIBS" 1>&2) ||
    die "fetching s3proxy $S3PROXY_VERSION with Maven did not work"
  rm -r "$pom"
  [[ -f $LIBS/s3proxy-$S3PROXY_VERSION.jar ]] || die "Maven left no server in $LIBS"
  touch "$LIBS/.complete"
}

# write_properties FILE DATA PORT
write_properties() {
  cat >"$1" <<PROPERTIES
s3proxy.endpoint=http://127.0.0.1:$3
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity=${S3_ACCESS_KEY:-trawl}
s3proxy.credential=${S3_SECRET_KEY:-trawl-secret}
${S3_VIRTUAL_HOST:+s3proxy.virtual-host=$S3_VIRTUAL_HOST}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir=$2
jclouds.identity=unused
jclouds.credential=unused
PROPERTIES
}

start() {
  local dir=$1 port=$2
  command -v java >/dev/null || die "Java is missing: apt-get install openjdk-17-jre-headless"
  fetch
  mkdir -p "$dir/data"
  dir=$(cd "$dir" && pwd)
  if [[ -f $dir/pid ]] && kill -0 "$(<"$dir/pid")" 2>/dev/null; then
    die "a server is already running in $dir (process $(<"$dir/pid"))"
  fi
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then die "port $port is in use"; fi
  write_properties "$dir/s3proxy.properties" "$dir/data" "$port"
  # UTF-8, or Java cannot name files beyond ASCII. A session of its own: Ctrl-C in this terminal
  # must not stop the server.
  LC_ALL=C.UTF-8 setsid java -Xmx256m -cp "$LIBS/*" org.gaul.s3proxy.Main \
    --properties "$dir/s3proxy.properties" >"$dir/server.log" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/pid"
  for _ in $(seq 300); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "s3proxy $S3PROXY_VERSION serves http://127.0.0.1:$port" \
        "(process $(<"$dir/pid"), log $dir/server.log)"
      return
    fi
    kill -0 "$(<"$dir/pid")" 2>/dev/null || break
    sleep 0.2
  done
  kill "$(<"$dir/pid")" 2>/dev/null || true
  rm -f "$dir/pid"
  die "the server did not start: $(tail -n 3 "$dir/server.log" | tr '\n' ' ')(see $dir/server.log)"
}

stop() {
  local dir=$1 pid
  [[ -f $dir/pid ]] || die "no server was started in $dir"
  pid=$(<"$dir/pid")
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 150); do
    kill -0 "$pid" 2>/dev/null || { rm -f "$dir/pid"; echo "stopped"; return; }
    sleep 0.2
  done
  die "process $pid does not stop; see $dir/server.log"
}

case "${1:-fetch}" in
  fetch) fetch; echo "$LIBS" ;;
  start) [[ $# -ge 2 ]] || die "usage: s3.sh start DIR [PORT]"; start "$2" "${3:-9000}" ;;
  stop) [[ $# -ge 2 ]] || die "usage: s3.sh stop DIR"; stop "$2" ;;
  *) die "usage: s3.sh [fetch | start DIR [PORT] | stop DIR]" ;;
esac
