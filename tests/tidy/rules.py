"""What tidy holds the tree to. Data only: to change a rule, change it here and say why."""

import re

LINE_COLUMNS = 100
FUNCTION_LINES = 70

# Floors of the building: a folder may include itself and what lies on a lower floor. The longest
# matching name counts, so storage/collector is not storage. What has no floor may include anything.
FLOORS = {
    "config": 0,
    "engine": 1,
    "ops/telemetry": 1,
    "storage": 2,
    "producer": 3,
    "worker": 3,
    "storage/collector": 3,
    "ops/cli": 4,
    "ops/dashboard": 4,
    "tests": 5,
    "bench": 5,
}
# Lower, and still not to be included: neither side may learn that the other exists.
STRANGERS = {("storage", "engine"), ("engine", "ops/telemetry")}

# Library headers that belong behind one adapter: pattern, folder, why. Tests and benchmarks may.
FENCED_HEADERS = [
    (r"<(librdkafka/|curl/|sqlite3\.h)", "storage/", "lives behind a storage port"),
    (r"<(onnx|google/protobuf)/", "engine/loaders/", "is the loaders' own"),
    (r"<(jpeglib\.h|png\.h|webp/)", "worker/image/", "is the decoders' own"),
]
# Headers too heavy for headers: every file that includes ours would pay for them.
HEAVY_HEADERS = re.compile(
    r"<(nlohmann/json\.hpp|yaml-cpp/|google/protobuf/|onnx/|spdlog/|pugixml\.hpp|CLI/"
    r"|iostream|regex)")

CODE = (".h", ".cc")
TEXT = (".h", ".cc", ".py", ".sh", ".cmake", ".txt", ".md", ".sql", ".yaml", ".yml")


class Ban:
    """`pattern` must not occur in files of these kinds, except below `allowed`, nor where `unless`
    occurs in the same statement."""

    def __init__(self, pattern, instead, kinds=CODE, allowed=(), unless=None, in_comments=True):
        self.pattern, self.instead, self.kinds = re.compile(pattern), instead, kinds
        self.allowed, self.in_comments = allowed, in_comments
        self.unless = re.compile(unless) if unless else None


BANS = [
    Ban(r"(?i)\bfailed to\b", "context in gerunds: `reading X: no such file`", TEXT),
    Ban(r"using namespace std;", "the names that you need, qualified"),
    # GoogleTest owns its environments.
    Ban(r"\bnew\s+[A-Za-z_:]+", "std::make_unique, or a container",
        unless=r"_ptr<|\breset\(|\bAddGlobalTestEnvironment\(", in_comments=False),
    Ban(r"(?<!= )(?<!operator )\bdelete\b", "an owner that frees in its destructor",
        in_comments=False),
    Ban(r"\bsleep_(for|until)\b|\bu?sleep\(", "the Clock of config/clock.h",
        allowed=("config/clock",), in_comments=False),
    Ban(r"catch \(\.\.\.\)", "the exception type that the library throws"),
    # CLI11 asks its callbacks to report by throwing its own errors.
    Ban(r"\bthrow\b(?! CLI::)", "a Status or Result", in_comments=False),
    Ban(r"(?<!static_)\bassert\(", "CHECK or DCHECK of config/check.h", in_comments=False),
    Ban(r"\bstd::endl\b", "'\\n'"),
    # The Kafka client's destructor must not wait for ever for a library that may.
    Ban(r"\.detach\(\)", "a std::jthread that somebody joins", in_comments=False,
        allowed=("storage/message_log/kafka_client.cc",)),
    Ban(r"\b(TODO|FIXME|XXX|HACK)\b", "doing it, or leaving it out", TEXT),
    Ban(r"(?<![\w.])/(work|home|root|Users)/", "a path that every machine has", TEXT),
    Ban(r"\b(pypi\.org|repo1?\.maven|deb\.debian\.org|registry\.npmjs|proxy\.golang)",
        "the registry's ordinary client", TEXT),
]
