#include "tests/support/kafka_broker.h"

#include <signal.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>

namespace trawl::testing {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr const char* kVersion = "3.9.1";

fs::path CacheFolder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0') {
    return cache;
  }
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "/" : home) / ".cache";
}

std::string Properties(const fs::path& data, int port, int controller_port) {
  return fmt::format(R"(process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{2}
listeners=PLAINTEXT://127.0.0.1:{1},CONTROLLER://127.0.0.1:{2}
advertised.listeners=PLAINTEXT://127.0.0.1:{1}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={0}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.enable=false
)",
                     data.string(), port, controller_port);
}

/// A Java virtual machine that starts fast and stays small; its class and arguments follow.
ProcessOptions Java(const std::string& classpath, const fs::path& log) {
  ProcessOptions options;
  options.argv = {"java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                  "-cp",  classpath};
  options.output = log;
  return options;
}

/// How often the broker has said that it serves; its log goes on over restarts.
int CountStarts(const fs::path& log) {
  const std::string text = ReadFile(log);
  int count = 0;
  for (size_t at = 0; (at = text.find("Kafka Server started", at)) != text.npos; ++at) ++count;
  return count;
}

std::string LastLines(const fs::path& log) {
  const std::string text = ReadFile(log);
  return text.substr(text.size() - std::min<size_t>(text.size(), 600));
}

}  // namespace

Result<std::unique_ptr<KafkaBroker>> KafkaBroker::Start() {
  const fs::path jars = CacheFolder() / "trawl" / fmt::format("kafka-{}", kVersion);
  if (!fs::exists(jars / ".complete")) {
    return Error(Code::kFailedPrecondition, "there is no Kafka {} in {}: run ops/testing/kafka.sh",
                 kVersion, jars.string());
  }
  std::unique_ptr<KafkaBroker> broker(new KafkaBroker);
  broker->classpath_ = (jars / "*").string();
  const int port = FreePort();
  int controller_port = FreePort();
  while (controller_port == port) controller_port = FreePort();
  broker->address_ = fmt::format("127.0.0.1:{}", port);
  broker->folder_.Write("server.properties",
                        Properties(broker->folder_ / "data", port, controller_port));
  TRAWL_TRY(broker->Format());
  TRAWL_TRY(broker->Restart());
  return broker;
}

Status KafkaBroker::Format() {
  const fs::path log = folder_ / "format.log";
  // A cluster id of its own: it is how one log is told from another. The folder's name is as good
  // as random.
  std::string id = folder_.path().filename().string();
  std::erase_if(id, [](unsigned char c) { return std::isalnum(c) == 0; });
  id = ("Trawl" + id + std::string(22, 'A')).substr(0, 21) + "A";
  ProcessOptions format = Java(classpath_, log);
  for (const std::string& argument :
       {std::string("kafka.tools.StorageTool"), std::string("format"), std::string("-t"), id,
        std::string("-c"), (folder_ / "server.properties").string()}) {
    format.argv.push_back(argument);
  }
  const auto code = RunProcess(format, kPatience);
  if (!code) {
    return Error(Code::kFailedPrecondition,
                 "{}; a Java runtime is needed: see ops/testing/kafka.sh", code.error().message());
  }
  if (*code != 0) return Error(Code::kUnavailable, "formatting the broker: {}", LastLines(log));
  return OkStatus();
}

Status KafkaBroker::Restart() {
  const fs::path log = folder_ / "server.log";
  ProcessOptions server = Java(classpath_, log);
  server.argv.push_back("kafka.Kafka");
  server.argv.push_back((folder_ / "server.properties").string());
  TRAWL_ASSIGN(process_, Process::Start(server));
  ++starts_;
  const auto settled = [&] { return CountStarts(log) >= starts_ || !process_->Running(); };
  if (WaitUntil(settled) && process_->Running()) return OkStatus();
  return Error(Code::kUnavailable, "the Kafka broker does not start: {}", LastLines(log));
}

void KafkaBroker::Kill() { process_->Kill(); }
void KafkaBroker::Freeze() { process_->Signal(SIGSTOP); }
void KafkaBroker::Thaw() { process_->Signal(SIGCONT); }

}  // namespace trawl::testing
