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
source "$(dirname "${BASH_SOURCE[0]}")/java_server.sh"

VERSION=2.6.0
NAME="s3proxy $VERSION"
LIBS=${XDG_CACHE_HOME:-$HOME/.cache}/trawl/s3proxy-$VERSION

fetch() { fetch_jars "org.gaul:s3proxy:$VERSION"; }

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

# Told nothing, it logs a line for each object of the bucket whenever a page is listed.
# write_log_levels FILE
write_log_levels() {
  cat >"$1" <<XML
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date %level %logger{0}: %msg%n</pattern></encoder>
  </appender>
  <root level="warn"><appender-ref ref="out"/></root>
</configuration>
XML
}

is_ready() { (exec 3<>"/dev/tcp/127.0.0.1/$2"); }

start() {
  local dir=$1 port=$2
  check_free "$dir" "$port"
  fetch
  mkdir -p "$dir/data"
  dir=$(cd "$dir" && pwd)
  write_properties "$dir/s3proxy.properties" "$dir/data" "$port"
  write_log_levels "$dir/logback.xml"
  launch "$dir" "$port" is_ready -Xmx256m "-Dlogback.configurationFile=$dir/logback.xml" \
    org.gaul.s3proxy.Main --properties "$dir/s3proxy.properties"
}

serve 9000 "$@"
