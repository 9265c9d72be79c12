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
source "$(dirname "${BASH_SOURCE[0]}")/java_server.sh"

VERSION=3.9.1   # 4.0.0 lacks what librdkafka 2.0 asks for
NAME="Kafka $VERSION"
LIBS=${XDG_CACHE_HOME:-$HOME/.cache}/trawl/kafka-$VERSION

fetch() { fetch_jars "org.apache.kafka:kafka_2.13:$VERSION" org.slf4j:slf4j-simple:1.7.36; }

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

# The cluster id is how Trawl tells one log from another, so each data folder gets its own.
format() {
  local dir=$1 cluster_id
  cluster_id=$(head -c 16 /dev/urandom | base64 | tr '+/' '__' | cut -c 1-22)
  java -Xmx128m -cp "$LIBS/*" kafka.tools.StorageTool format -t "$cluster_id" \
    -c "$dir/server.properties" >"$dir/format.log" 2>&1 ||
    die "formatting $dir: see $dir/format.log"
}

is_ready() { grep -q 'Kafka Server started' "$1/server.log"; }

start() {
  local dir=$1 port=$2
  check_free "$dir" "$port" $((port + 1))
  fetch
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  write_properties "$dir/server.properties" "$dir/data" "$port" $((port + 1))
  [[ -f $dir/data/meta.properties ]] || format "$dir"
  launch "$dir" "$port" is_ready -Xms128m -Xmx512m -XX:+UseG1GC \
    kafka.Kafka "$dir/server.properties"
}

serve 9092 "$@"
