#include "producer/line_reader.h"

#include <utility>

namespace trawl::producer {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

LineReader::LineReader(std::unique_ptr<std::istream> stream, std::string name, std::stop_token stop)
    : stream_(std::move(stream)), name_(std::move(name)), stop_(std::move(stop)) {
  if (!IsGzip(*stream_)) return;
  auto unpacked = std::make_unique<GunzipStream>(std::move(stream_));
  gunzip_ = unpacked.get();
  stream_ = std::move(unpacked);
}

Result<std::optional<std::string>> LineReader::Next() {
  std::string line;
  while (Read(line)) {
    // What was read when a stop or damage came may be half a line.
    if (stop_.stop_requested() || stream_->bad() || !Unpacked().ok()) break;
    ++line_;
    if (line_ == 1 && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
    if (line.ends_with('\r')) line.pop_back();
    if (line.size() > kMaxLineBytes)
      return Error(Code::kInvalidArgument, "{}, line {}: longer than {} bytes", name_, line_,
                   kMaxLineBytes);
    if (!line.empty()) return line;
  }
  if (stop_.stop_requested()) return Error(Code::kCancelled, "interrupted while reading {}", name_);
  if (stream_->bad())
    return Error(Code::kDataLoss, "{}: reading stopped after line {}", name_, line_);
  if (!Unpacked().ok()) return Annotate(Unpacked(), "{}, after line {}", name_, line_);
  return std::nullopt;
}

Status LineReader::Unpacked() const { return gunzip_ == nullptr ? OkStatus() : gunzip_->status(); }

bool LineReader::Read(std::string& line) {
  line.clear();
  // One byte more, so that a line that is too long can be told from the longest.
  for (int c = stream_->get(); c != std::istream::traits_type::eof(); c = stream_->get()) {
    if (c == '\n') return true;
    line.push_back(static_cast<char>(c));
    if (line.size() > kMaxLineBytes + 1) return true;
  }
  return !line.empty();
}

}  // namespace trawl::producer
