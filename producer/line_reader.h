#pragma once
// Lines of a text that strangers wrote, packed by gzip or not.

#include <cstdint>
#include <istream>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "config/status.h"
#include "producer/gunzip_stream.h"

namespace trawl::producer {

/// Not thread-safe.
class LineReader {
 public:
  /// S3 keys end at 1,024 bytes, URIs at 8 kB in practice.
  static constexpr size_t kMaxLineBytes = 64 << 10;

  /// Unpacks the stream when it begins as gzip files do. `name`: for messages. The stream may end
  /// early once `stop` is requested.
  LineReader(std::unique_ptr<std::istream> stream, std::string name, std::stop_token stop);

  /// The next line that is not blank, without its end and a leading byte order mark, or none at the
  /// end. Errors: kInvalidArgument (too long), kDataLoss (gzip's data is damaged, or reading stops
  /// before the end), kCancelled.
  Result<std::optional<std::string>> Next();

  /// Of the line that came last, from 1.
  uint64_t line() const { return line_; }
  const std::string& name() const { return name_; }

 private:
  /// How unpacking goes, if there is something to unpack.
  Status Unpacked() const;
  /// One line without its end, or as much of it as is too much.
  bool Read(std::string& line);

  std::unique_ptr<std::istream> stream_;
  const GunzipStream* gunzip_ = nullptr;  // `stream_`, when it unpacks
  const std::string name_;
  const std::stop_token stop_;
  uint64_t line_ = 0;
};

}  // namespace trawl::producer
