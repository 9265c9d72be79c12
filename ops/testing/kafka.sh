#!/usr/bin/env bash
# A real Apache Kafka broker, single node, without a tarball or a container: its jars come from
# Maven Central.
#
#   kafka.sh                    fetches the jars unless they are there, and prints their folder
#   kafka.sh start DIR [PORT]   starts a broker on 127.0.0.1:PORT (default 9092; PORT + 1 is its
#                               controller's) that keeps its data in DIR
#   kafka.sh stop DIR           stops that broker
#
# Jars are kept in ${XDG_CACHE_HOME:-~/.cache}/trawl/kafka-<version>. Needs Java 17 and, to fetch,
# Maven.
set -euo pipefail

KAFKA_VERSION=3.9.1   # 4.0.0 lacks what librdkafka 2.0 asks for
SLF4J_VERSION=1.7.36
LIBS=${XDG_CACHE_HOME:-$HOME/.cache}/trawl/kafka-$KAFKA_VERSION

die() { echo "kafka.sh: $*" >&2; exit 1; }

write_pom() {
  cat >"$1" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>trawl.testing</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>$KAFKA_VERSION</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>$SLF4J_VERSION</version>
    </dependency>
  </dependencies>
</project>
POM
}

# The marker is written last, so that a download that was cut short is taken up again.
fetch() {
  [[ -f $LIBS/.complete ]] && return
  command -v mvn >/dev/null || die "Maven is missing: apt-get install maven"
  mkdir -p "$LIBS"
  local pom
  pom=$(mktemp -d)
  write_pom "$pom/pom.xml"
  (cd "$pom" && mvn -B -q dependency:copy-dependencies -DincludeScope=runtime \
      -DoutputDirectory="$LIBS" 1>&2) || die "fetching Kafka $KAFKA_VERSION with Maven did not work"
  rm -r "$pom"
  compgen -G "$LIBS/kafka_2.13-$KAFKA_VERSION.jar" >/dev/null || die "Maven left no broker in $LIBS"
  touch "$LIBS/.complete"
}

# write_properties FILE DATA PORT CONTROLLER_PORT
write_properties() {
  cat >"$1" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$4
listeners=PLAINTEXT://127.0.0.1:$3,CONTROLLER://127.0.0.1:$4
advertised.listeners=PLAINTEXT://127.0.0.1:$3
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$2
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
PROPERTIES
}

start() {
  local dir=$1 port=$2
  command -v java >/dev/null || die "Java is missing: apt-get install openjdk-17-jre-headless"
  fetch
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  if [[ -f $dir/pid ]] && kill -0 "$(<"$dir/pid")" 2>/dev/null; then
    die "a broker is already running in $dir (process $(<"$dir/pid"))"
  fi
  local used
  for used in "$port" $((port + 1)); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$used") 2>/dev/null; then die "port $used is in use"; fi
  done
  write_properties "$dir/server.properties" "$dir/data" "$port" $((port + 1))
  if [[ ! -f $dir/data/meta.properties ]]; then
    # The cluster id is how Trawl tells one log from another, so each data folder gets its own.
    local cluster_id
    cluster_id=$(head -c 16 /dev/urandom | base64 | tr '+/' '__' | cut -c 1-22)
    java -Xmx128m -cp "$LIBS/*" kafka.tools.StorageTool format -t "$cluster_id" \
      -c "$dir/server.properties" >"$dir/format.log" 2>&1 ||
      die "formatting $dir: see $dir/format.log"
  fi
  # A session of its own: Ctrl-C in this terminal must not stop the broker.
  setsid java -Xms128m -Xmx512m -XX:+UseG1GC -cp "$LIBS/*" kafka.Kafka "$dir/server.properties" \
    >"$dir/server.log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
  for _ in $(seq 300); do
    if grep -q 'Kafka Server started' "$dir/server.log"; then
      echo "Kafka $KAFKA_VERSION serves 127.0.0.1:$port (process $(<"$dir/pid"))"
      return
    fi
    kill -0 "$(<"$dir/pid")" 2>/dev/null || break
    sleep 0.2
  done
  kill "$(<"$dir/pid")" 2>/dev/null || true
  rm -f "$dir/pid"
  die "the broker did not start: $(tail -n 3 "$dir/server.log" | tr '\n' ' ')(see $dir/server.log)"
}

stop() {
  local dir=$1 pid
  [[ -f $dir/pid ]] || die "no broker was started in $dir"
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
  start) [[ $# -ge 2 ]] || die "usage: kafka.sh start DIR [PORT]"; start "$2" "${3:-9092}" ;;
  stop) [[ $# -ge 2 ]] || die "usage: kafka.sh stop DIR"; stop "$2" ;;
  *) die "usage: kafka.sh [fetch | start DIR [PORT] | stop DIR]" ;;
esac
