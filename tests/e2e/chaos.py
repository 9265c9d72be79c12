"""What the chaos tests share: brokers that can be killed, a network that can be broken, a fleet
with a supervisor, and the oracle.

The oracle believes nothing that Trawl says of itself. Its truth is the list of keys that the test
made; it compares that list with SQLite, read with Python's own module, and with the committed
records of the results topic, read by kcat.
"""

import collections
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import trawl_e2e as e2e

FAILPOINTS = os.environ.get(
    "TRAWL_FAILPOINTS", str(e2e.SOURCE / "build/tests/e2e/trawl_failpoints")
)
MUTANT = os.environ.get("TRAWL_MUTANT", str(e2e.SOURCE / "build/tests/e2e/trawl_mutant"))
EXIT_CODE = 86  # of a process that came to its failpoint
SESSION_TIMEOUT_MS = 6_000
TRANSACTION_TIMEOUT_MS = 10_000


class Network:
    """A TCP proxy in front of each broker, which advertises the proxy's address to clients."""

    def __init__(self, target_ports):
        self.delay_s = 0.0
        self.lock = threading.Lock()
        self.sockets = set()
        self.on_request = lambda api_key: None  # called for each request before it is passed on
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in target_ports]
        self.ports = [listener.getsockname()[1] for listener in self.listeners]
        # Cleared: a black hole before this broker, connections stay and nothing moves.
        self.open = [threading.Event() for _ in target_ports]
        self.speak()
        for listener, target_port, is_open in zip(self.listeners, target_ports, self.open):
            self._thread(self._accept, listener, target_port, is_open)

    def silence(self, count=None):
        """Black holes before the first `count` brokers, or all."""
        for is_open in self.open[:count]:
            is_open.clear()

    def speak(self):
        for is_open in self.open:
            is_open.set()

    def close(self):
        self.speak()
        for listener in self.listeners:
            listener.close()
        self.reset()

    def reset(self):
        """RST on every connection."""
        with self.lock:
            sockets, self.sockets = self.sockets, set()
        for each in sockets:
            self.reset_one(each)

    def reset_one(self, each):
        with contextlib.suppress(OSError):  # it was gone already
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.shutdown(socket.SHUT_RD)
            each.close()

    def _thread(self, function, *arguments):
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def _accept(self, listener, target_port, is_open):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", target_port), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self.lock:
                self.sockets |= {client, server}
            self._thread(self._pump, client, server, is_open, True)
            self._thread(self._pump, server, client, is_open, False)

    def _arrivals(self, source, _requests):
        """What comes from there, when it is due at the other end."""
        while data := source.recv(65536):
            if self.delay_s:
                time.sleep(self.delay_s)
            yield data

    def _pump(self, source, sink, is_open, requests):
        buffered = b""
        try:
            for data in self._arrivals(source, requests):
                is_open.wait()
                if requests:
                    buffered = self._observe(buffered + data)
                sink.sendall(data)
        except OSError:
            pass  # a connection's end is the point of this class
        for each in (source, sink):
            with self.lock:
                self.sockets.discard(each)
            # Closed alone, the connection would stay up as long as the other direction's thread
            # waits for data, and a client would not hear of its broker's death.
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _observe(self, data):
        """Tells of each whole request; returns the rest. A request: int32 size, int16 API key."""
        while len(data) >= 6:
            size, api_key = struct.unpack(">ih", data[:6])
            if len(data) < 4 + size:
                break
            self.on_request(api_key)
            data = data[4 + size :]
        return data


# Keys of Kafka's API.
DELETE_TOPICS, DELETE_RECORDS, END_TRANSACTION, TRANSACTION_OFFSETS = 20, 21, 26, 28


class Node:
    """One node of Apache Kafka, with its listeners: direct for the oracle and its fellow nodes,
    proxied for everybody under test."""

    def __init__(self, number, folder):
        self.number, self.folder = number, folder
        self.folder.mkdir()
        self.log = self.folder / "server.log"
        self.properties = self.folder / "server.properties"
        self.port = e2e.free_port(3)
        self.direct = f"127.0.0.1:{self.port}"
        self.controller = f"127.0.0.1:{self.port + 1}"
        self.proxied_port = self.port + 2
        self.process = None

    def write_properties(self, nodes, advertised_port):
        replicas = min(len(nodes), 3)
        voters = ",".join(f"{node.number}@{node.controller}" for node in nodes)
        proxied = f"127.0.0.1:{self.proxied_port}"
        self.properties.write_text(f"""process.roles=broker,controller
node.id={self.number}
controller.quorum.voters={voters}
listeners=DIRECT://{self.direct},PROXIED://{proxied},CONTROLLER://{self.controller}
advertised.listeners=DIRECT://{self.direct},PROXIED://127.0.0.1:{advertised_port}
listener.security.protocol.map=DIRECT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=DIRECT
log.dirs={self.folder}/data
min.insync.replicas={replicas // 2 + 1}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={replicas // 2 + 1}
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
delete.topic.enable=true
""")

    def java(self, classpath, *arguments):
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                ["java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
                + ["-cp", classpath, *arguments, self.properties],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def starts(self):
        """How often it has come up."""
        return self.log.read_text(errors="replace").count("Kafka Server started")

    def kill(self):
        """kill -9."""
        if self.process:
            self.process.kill()
            self.process.wait()


class ChaosBroker:
    """Apache Kafka on e2e.NODES nodes: `address` for the oracle, `proxied` and `network` for
    everybody under test."""

    def __init__(self, network=Network):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="trawl-chaos-broker-"))
        script = e2e.SOURCE / "ops" / "testing" / "kafka.sh"
        done = subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True, timeout=600)
        self.classpath = done.stdout.strip().splitlines()[-1] + "/*"
        self.nodes = [Node(i, self.dir / f"node-{i}") for i in range(1, e2e.NODES + 1)]
        self.network = network([node.proxied_port for node in self.nodes])
        self.address = ",".join(node.direct for node in self.nodes)
        self.proxied = ",".join(f"127.0.0.1:{port}" for port in self.network.ports)
        cluster_id = "".join(random.choices("ABCDEFGHabcdefgh0123456789", k=21)) + "A"
        for node, port in zip(self.nodes, self.network.ports):
            node.write_properties(self.nodes, port)
            format_it = ("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c")
            if node.java(self.classpath, *format_it).wait() != 0:
                raise AssertionError(f"formatting node {node.number}: {node.log.read_text()}")
        self.kills = 0
        self.start()

    def start(self):
        """Starts each node that is down, and waits for them."""
        down = {
            node: node.starts()
            for node in self.nodes
            if node.process is None or node.process.poll() is not None
        }
        for node in down:
            node.process = node.java(self.classpath, "kafka.Kafka")
        for node, before in down.items():
            e2e.wait_until(lambda: node.starts() > before, f"the start of node {node.number}")

    def kill(self):
        """kill -9 of one node, the next one each time."""
        self.nodes[self.kills % len(self.nodes)].kill()
        self.kills += 1

    def kill_all(self):
        for node in self.nodes:
            node.kill()

    def close(self):
        for node in self.nodes:
            node.kill()
        self.network.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def ask(self, node, api_key, version, body):
        """A request of Kafka's protocol, in a version without tagged fields; the answer's body."""
        header = struct.pack(">hhih", api_key, version, 1, -1)  # no client id
        host, port = node.direct.split(":")
        with socket.create_connection((host, int(port)), timeout=e2e.TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
            stream = connection.makefile("rb")
            (size,) = struct.unpack(">i", stream.read(4))
            return stream.read(size)[4:]

    def delete_records(self, topic, partition):
        """All that a partition holds, as retention does it."""
        name = struct.pack(">h", len(topic)) + topic.encode()
        body = struct.pack(">i", 1) + name + struct.pack(">iiqi", 1, partition, -1, 30_000)
        # Only its leader does it. The last field is the error code.
        answers = [self.ask(node, DELETE_RECORDS, 0, body) for node in self.nodes]
        if not any(answer.endswith(b"\0\0") for answer in answers):
            raise AssertionError(f"deleting records of {topic}/{partition}: {answers}")

    def delete_topic(self, topic):
        name = struct.pack(">h", len(topic)) + topic.encode()
        body = struct.pack(">i", 1) + name + struct.pack(">i", 30_000)
        answer = self.ask(self.nodes[0], DELETE_TOPICS, 1, body)
        if not answer.endswith(b"\0\0"):
            raise AssertionError(f"deleting {topic}: {answer}")
        for node in self.nodes:  # each hears of it for itself
            e2e.wait_until(lambda: not self.knows(node, topic), f"the end of {topic}")

    def knows(self, node, topic):
        done = subprocess.run(
            ["kcat", "-L", "-b", node.direct, "-t", topic],
            check=True,
            timeout=e2e.TIMEOUT_S,
            stdout=subprocess.PIPE,
            text=True,
        )
        return "Unknown topic" not in done.stdout

    def put(self, topic, values):
        """Lines, all over the partitions, which a producer that lingers on one would not do."""
        subprocess.run(
            ["kcat", "-P", "-b", self.address, "-t", topic]
            + ["-X", "sticky.partitioning.linger.ms=0"],
            input=b"\n".join(values) + b"\n",
            check=True,
            timeout=e2e.TIMEOUT_S,
        )

    def committed(self, topic, isolation="read_committed"):
        """All values of a topic that a read_committed consumer, or another, sees."""
        done = subprocess.run(
            ["kcat", "-C", "-b", self.address, "-t", topic, "-e", "-q", "-f", "%s\n"]
            + ["-X", f"isolation.level={isolation}", "-X", "auto.offset.reset=earliest"],
            check=True,
            timeout=e2e.TIMEOUT_S,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout.splitlines()


class Fleet:
    """Roles of one job with a supervisor that starts again whatever dies. Stop it with stop()."""

    def __init__(self, folder, broker, job, executable=None):
        self.broker = broker
        self.job = job
        self.folder = pathlib.Path(folder)
        self.db = self.folder / f"{job}.sqlite"
        self.log = open(self.folder / f"{job}.log", "ab")
        self.executable = executable or [e2e.TRAWL]
        self.environment = {
            "TRAWL_BROKERS": broker.proxied,
            "TRAWL_REPLICATION": str(e2e.NODES),
            "TRAWL_QUEUE": job,
            "TRAWL_GROUP": job,
            "TRAWL_WORK_PARTITIONS": "12",
            "TRAWL_BATCH_KEYS": "8",
            "TRAWL_COMMIT_RESULTS": "64",
            "TRAWL_LIST_PAGE_KEYS": "200",
            "TRAWL_SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS),
            "TRAWL_TRANSACTION_TIMEOUT_MS": str(TRANSACTION_TIMEOUT_MS),
            "TRAWL_SESSIONS": "1",
            "TRAWL_DECODE_THREADS": "1",
        }
        self.lock = threading.Lock()
        self.roles = {}  # name -> arguments of what has to run
        self.processes = {}
        self.exits = collections.Counter()  # (name, exit code) of what was started again
        self.longest_stall_s = 0.0  # between two rows
        self._rows, self._rows_at = 0, 0.0
        self.stopping = False
        self.supervisor = threading.Thread(target=self._supervise, daemon=True)
        self.supervisor.start()

    def run(self, name, *arguments):
        with self.lock:
            self.roles[name] = [*map(str, arguments)]
            self._start(name)

    def run_workers(self, count, roots):
        for i in range(count):
            self.run(f"worker-{i}", "worker", *(f"--allow-root={root}" for root in roots))

    def run_collector(self):
        self.run("collector", "collector", "--db", self.db)

    def _start(self, name):
        self.processes[name] = subprocess.Popen(
            [*self.executable, *self.roles[name]],
            env=e2e.environment(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )

    def _supervise(self):
        while not self.stopping:
            with self.lock:
                for name, process in self.processes.items():
                    if name in self.roles and process.poll() is not None and not self.stopping:
                        self.exits[name, process.returncode] += 1
                        self._start(name)
            self._watch()
            time.sleep(0.2)

    def _watch(self):
        rows, now = self.rows(), time.monotonic()
        if rows == self._rows:
            return
        if self._rows > 0:
            self.longest_stall_s = max(self.longest_stall_s, now - self._rows_at)
        self._rows, self._rows_at = rows, now

    def signal(self, name, number):
        with self.lock:
            self.processes[name].send_signal(number)

    def terminate(self, name):
        """SIGTERM; returns the exit code and the seconds it took. It is started again."""
        with self.lock:
            process = self.processes[name]
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=e2e.TIMEOUT_S)
        return code, time.monotonic() - began

    def retire(self, name):
        """SIGTERM, for good; returns the exit code."""
        process = self.give_up(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(timeout=e2e.TIMEOUT_S)

    def give_up(self, name):
        """Its process, which nobody starts again; the caller sees to its end."""
        with self.lock:
            del self.roles[name]
            return self.processes.pop(name)

    def produce(self, source, *extra, attempts=1):
        """Runs the producer, again if it does not end well. The last run."""
        for _ in range(attempts):
            done = e2e.trawl(
                *("producer", source, "--model", e2e.MODEL, "--job", self.job, *extra),
                env=self.environment,
                timeout=2 * e2e.TIMEOUT_S,
            )
            if done.returncode == 0:
                break
        return done

    def rows(self, job=None):
        """Rows of the job in the database, as far as it is there."""
        found = e2e.query_or_nothing(self.db, "SELECT job, done + failed FROM jobs")
        return dict(found).get(job or self.job, 0)

    def wait_for_rows(self, count, timeout, job=None):
        e2e.wait_until(lambda: self.rows(job) >= count, f"{count} rows", timeout)

    def stop(self):
        with self.lock:
            self.stopping = True
            for process in self.processes.values():
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        self.log.close()

    def tail(self, size=3000):
        return pathlib.Path(self.log.name).read_text(errors="replace")[-size:]


def cpu_seconds(process):
    """What it has used so far, without its children."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class OracleError(AssertionError):
    """What the oracle found wrong."""


def check_exactly_once(fleet, keys, failures=None, job=None):
    """Each key has exactly one outcome in SQLite and one on the committed topic, the same one, and
    no other key has any. `failures`: key -> error code of those that have to fail; every other key
    must have predictions. `job`: if it is not the fleet's."""
    failures = failures or {}
    job = job or fleet.job
    connection_rows = e2e.query(
        fleet.db,
        "SELECT o.key, o.error_code FROM objects o JOIN jobs j ON j.id = o.job_id WHERE j.job = ?",
        job,
    )
    records = [json.loads(value) for value in fleet.broker.committed("trawl.results")]
    topic_rows = [
        (each["key"], each["error"]["code"] if "error" in each else None)
        for each in records
        if each["job"] == job
    ]
    for where, rows in (("SQLite", connection_rows), ("the committed topic", topic_rows)):
        _check_rows(where, rows, keys, failures)
    [(twice,)] = e2e.query(fleet.db, "SELECT duplicates FROM jobs WHERE job = ?", job)
    if twice:
        raise OracleError(f"SQLite: {twice} records came twice")
    [(integrity,)] = e2e.query(fleet.db, "PRAGMA integrity_check")
    if integrity != "ok":
        raise OracleError(f"SQLite: {integrity}")


def _check_rows(where, rows, keys, failures):
    counts = collections.Counter(key for key, _ in rows)
    problems = {
        "missing": set(keys) - counts.keys(),
        "nobody's": counts.keys() - set(keys),
        "doubled": {key for key, count in counts.items() if count > 1},
        "with another outcome": {key for key, code in rows if failures.get(key) != code},
    }
    for problem, found in problems.items():
        if found:
            raise OracleError(f"{where}: {len(found)} {problem} keys: {sorted(found)[:3]}")


def make_bucket(folder, count):
    """A folder of `count` small pictures; returns their keys."""
    pictures = sorted(e2e.sample_pictures(), key=lambda path: path.stat().st_size)[:8]
    folder.mkdir()
    copies = []
    for i, picture in enumerate(pictures):
        copies.append(folder.parent / f"picture-{i}")
        shutil.copy(picture, copies[-1])
    keys = [f"{i % 10}/{i:06}.jpg" for i in range(count)]
    for i in range(10):
        (folder / str(i)).mkdir()
    for i, key in enumerate(keys):
        os.link(copies[i % len(copies)], folder / key)
    return keys
