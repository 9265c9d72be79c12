#pragma once
// Reads what gzip packed.

#include <array>
#include <istream>
#include <memory>
#include <streambuf>

#include "config/status.h"

namespace trawl::producer {

/// Unpacks `packed`, which it owns, as it is read, in a fixed amount of memory. Where the packed
/// data is damaged or cut, the stream ends, and `status` says so. Not thread-safe.
class GunzipStream final : public std::istream {
 public:
  explicit GunzipStream(std::unique_ptr<std::istream> packed);
  ~GunzipStream() override;

  /// kDataLoss once damage was met.
  const Status& status() const;

 private:
  class Buffer;
  std::unique_ptr<Buffer> buffer_;
};

/// Whether the stream begins as gzip files do. Reads nothing away.
bool IsGzip(std::istream& stream);

}  // namespace trawl::producer
