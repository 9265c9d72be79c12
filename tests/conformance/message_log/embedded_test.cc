// Goal: the embedded log behaves as the port promises. Method: the list of behaviours on a SQLite
// file.

#include "storage/message_log/embedded_log.h"
#include "tests/conformance/message_log/adapter.h"
#include "tests/support/temp_dir.h"

namespace trawl::storage {
namespace {

class EmbeddedLogUnderTest final : public LogUnderTest {
 public:
  Result<std::unique_ptr<MessageLog>> Open() override { return OpenEmbeddedLog(folder_ / "log"); }

 private:
  testing::TempDir folder_{"log"};
};

const Adapter kEmbedded{"Embedded", [] { return std::make_unique<EmbeddedLogUnderTest>(); }};

INSTANTIATE_TEST_SUITE_P(Embedded, MessageLogBehaviour, ::testing::Values(kEmbedded), AdapterName);

}  // namespace
}  // namespace trawl::storage
