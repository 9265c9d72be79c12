#!/usr/bin/env bash
# A real Apache Kafka, one node or a cluster, without a tarball or a container: its jars come from
# Maven Central.
#
#   kafka.sh                    fetches the jars unless they are there, and prints their folder
#   kafka.sh start DIR [PORT [NODES]]
#                               starts a broker on 127.0.0.1:PORT (default 9092; PORT + 1 is its
#                               controller's) that keeps its data in DIR. More than one node: the
#                               next is on PORT + 2, and so on, their data in DIR/node-1, …; what
#                               Kafka keeps of its own is on three of them
#   kafka.sh stop DIR           stops them
#
# Jars are kept in ${XDG_CACHE_HOME:-~/.cache}/trawl/kafka-<version>. Needs Java 17 and, to fetch,
# Maven.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/java_server.sh"

VERSION=3.9.1   # 4.0.0 lacks what librdkafka 2.0 asks for
NAME="Kafka $VERSION"
LIBS=${XDG_CACHE_HOME:-$HOME/.cache}/trawl/kafka-$VERSION

fetch() { fetch_jars "org.apache.kafka:kafka_2.13:$VERSION" org.slf4j:slf4j-simple:1.7.36; }

# write_properties FILE DATA PORT NODE NODES : of node NODE of NODES, the first of which is on PORT.
write_properties() {
  local file=$1 data=$2 first=$3 node=$4 nodes=$5 i voters="" port replicas=$(($5 < 3 ? 1 : 3))
  port=$((first + 2 * (node - 1)))
  for ((i = 1; i <= nodes; i++)); do voters+="$i@127.0.0.1:$((first + 2 * i - 1)),"; done
  cat >"$file" <<PROPERTIES
process.roles=broker,controller
node.id=$node
controller.quorum.voters=${voters%,}
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$data
min.insync.replicas=$((replicas / 2 + 1))
offsets.topic.replication.factor=$replicas
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$((replicas / 2 + 1))
transaction.state.log.num.partitions=8
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
PROPERTIES
}

# The cluster id is how Trawl tells one log from another, so each cluster gets its own.
new_cluster_id() { head -c 16 /dev/urandom | base64 | tr '+/' '__' | cut -c 1-22; }

# format DIR CLUSTER_ID
format() {
  java -Xmx128m -cp "$LIBS/*" kafka.tools.StorageTool format -t "$2" \
    -c "$1/server.properties" >"$1/format.log" 2>&1 ||
    die "formatting $1: see $1/format.log"
}

is_ready() { grep -q 'Kafka Server started' "$1/server.log"; }

# start_node DIR FIRST-PORT NODE NODES CLUSTER_ID
start_node() {
  local dir=$1
  write_properties "$dir/server.properties" "$dir/data" "$2" "$3" "$4"
  [[ -f $dir/data/meta.properties ]] || format "$dir" "$5"
  launch "$dir" $(($2 + 2 * ($3 - 1))) is_ready -Xms128m -Xmx512m -XX:+UseG1GC \
    kafka.Kafka "$dir/server.properties"
}

start() {
  local dir=$1 first=$2 nodes=${3:-1} id i node started=()
  [[ $nodes =~ ^[1-9]$ ]] || die "nodes: 1 to 9, not $nodes"
  for ((i = 1; i <= nodes; i++)); do
    node=$(node_folder "$dir" "$i" "$nodes")
    check_free "$node" $((first + 2 * (i - 1))) $((first + 2 * i - 1))
  done
  fetch
  id=$(new_cluster_id)
  # All at once: none is ready before most are.
  for ((i = 1; i <= nodes; i++)); do
    node=$(node_folder "$dir" "$i" "$nodes")
    mkdir -p "$node"
    start_node "$(cd "$node" && pwd)" "$first" "$i" "$nodes" "$id" &
    started+=($!)
  done
  for i in "${started[@]}"; do wait "$i" || exit 1; done  # it has said why
}

# node_folder DIR NODE NODES
node_folder() { if [[ $3 -eq 1 ]]; then echo "$1"; else echo "$1/node-$2"; fi; }

serve 9092 "$@"
