# What kafka.sh and s3.sh share: jars from Maven Central, one server process in a folder.
# Sourced, not run. The sourcing script sets NAME (of the server, for people) and LIBS (its jars).

die() { echo "${0##*/}: $*" >&2; exit 1; }

# fetch_jars GROUP:ARTIFACT:VERSION… : into LIBS, with what they depend on, once. The marker is
# written last, so that a download that was cut short is taken up again; the lock keeps two apart.
fetch_jars() {
  [[ -f $LIBS/.complete ]] && return
  command -v mvn >/dev/null || die "Maven is missing: apt-get install maven"
  mkdir -p "$LIBS"
  exec 9>"$LIBS/.lock"
  flock 9
  [[ -f $LIBS/.complete ]] && return
  local project jar artifact version
  project=$(mktemp -d)
  write_pom "$@" >"$project/pom.xml"
  (cd "$project" && mvn -B -q dependency:copy-dependencies -DincludeScope=runtime \
      -DoutputDirectory="$LIBS" 1>&2) || die "fetching $NAME with Maven did not work"
  rm -r "$project"
  for jar in "$@"; do
    IFS=: read -r _ artifact version <<<"$jar"
    [[ -f $LIBS/$artifact-$version.jar ]] || die "Maven left no $artifact-$version.jar in $LIBS"
  done
  touch "$LIBS/.complete"
}

write_pom() {
  local jar group artifact version
  echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
  echo '<groupId>trawl.testing</groupId><artifactId>server</artifactId><version>1</version>'
  echo '<packaging>pom</packaging><dependencies>'
  for jar in "$@"; do
    IFS=: read -r group artifact version <<<"$jar"
    echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId>"
    echo "<version>$version</version></dependency>"
  done
  echo '</dependencies></project>'
}

# Fails when a server runs in the folder, or when one of the ports is taken: check_free DIR PORT…
check_free() {
  local dir=$1 port
  shift
  command -v java >/dev/null || die "Java is missing: apt-get install openjdk-17-jre-headless"
  if [[ -f $dir/pid ]] && kill -0 "$(<"$dir/pid")" 2>/dev/null; then
    die "$NAME is already running in $dir (process $(<"$dir/pid"))"
  fi
  for port in "$@"; do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then die "port $port is in use"; fi
  done
}

# launch DIR PORT READY JAVA-ARGUMENT… : starts the server and waits until READY DIR PORT holds.
# A session of its own: Ctrl-C in this terminal must not stop it. UTF-8, or Java cannot name files
# beyond ASCII.
launch() {
  local dir=$1 port=$2 ready=$3
  shift 3
  LC_ALL=C.UTF-8 setsid java -cp "$LIBS/*" "$@" >"$dir/server.log" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/pid"
  for _ in $(seq 900); do  # three minutes: a machine may be busy with much else
    if "$ready" "$dir" "$port" 2>/dev/null; then
      echo "$NAME serves 127.0.0.1:$port (process $(<"$dir/pid"), log $dir/server.log)"
      return
    fi
    kill -0 "$(<"$dir/pid")" 2>/dev/null || break
    sleep 0.2
  done
  kill "$(<"$dir/pid")" 2>/dev/null || true
  rm -f "$dir/pid"
  die "$NAME did not start: $(tail -n 3 "$dir/server.log" | tr '\n' ' ')(see $dir/server.log)"
}

# stop DIR : the server of this folder, or those of its node-* folders, all at once.
stop() {
  local node stopping=()
  if [[ ! -d $1/node-1 ]]; then stop_server "$1"; return; fi
  for node in "$1"/node-*; do stop_server "$node" & stopping+=($!); done
  for node in "${stopping[@]}"; do wait "$node" || exit 1; done  # it has said why
}

stop_server() {
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

# serve DEFAULT-PORT ARGUMENT… : the command line of both scripts.
serve() {
  local default_port=$1
  shift
  case "${1:-fetch}" in
    fetch) fetch; echo "$LIBS" ;;
    start)
      [[ $# -ge 2 ]] || die "usage: start DIR [PORT …]"
      start "$2" "${3:-$default_port}" "${@:4}" ;;
    stop) [[ $# -ge 2 ]] || die "usage: stop DIR"; stop "$2" ;;
    *) die "usage: [fetch | start DIR [PORT] | stop DIR]" ;;
  esac
}
