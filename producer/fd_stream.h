#pragma once
// A file descriptor as a stream that can be stopped: a pipe that says nothing must not keep a
// producer from ending.

#include <array>
#include <istream>
#include <stop_token>
#include <streambuf>

namespace trawl::producer {

/// Reads from a descriptor that it does not own. Once `stop` is requested, it ends early: ask the
/// token to tell this from the real end. Not thread-safe.
class FdStream final : public std::istream {
 public:
  FdStream(int fd, std::stop_token stop) : std::istream(nullptr), buffer_(fd, std::move(stop)) {
    rdbuf(&buffer_);
  }

 private:
  class Buffer final : public std::streambuf {
   public:
    Buffer(int fd, std::stop_token stop) : fd_(fd), stop_(std::move(stop)) {}

   private:
    int_type underflow() override;

    const int fd_;
    const std::stop_token stop_;
    // The first is the last one of the read before, so that one byte can always be put back.
    std::array<char, 1 + (64 << 10)> bytes_;
  };

  Buffer buffer_;
};

}  // namespace trawl::producer
