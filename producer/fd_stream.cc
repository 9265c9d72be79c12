#include "producer/fd_stream.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace trawl::producer {
namespace {

constexpr int kPollMs = 100;  // how soon a silent pipe notices that it should stop

}  // namespace

FdStream::Buffer::int_type FdStream::Buffer::underflow() {
  char* const begin = bytes_.data() + 1;
  const bool read_before = gptr() != nullptr;
  if (read_before) bytes_[0] = gptr()[-1];
  while (!stop_.stop_requested()) {
    pollfd readable{fd_, POLLIN, 0};
    if (::poll(&readable, 1, kPollMs) == 0) continue;
    const ssize_t got = ::read(fd_, begin, bytes_.size() - 1);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) break;
    setg(read_before ? bytes_.data() : begin, begin, begin + got);
    return traits_type::to_int_type(*begin);
  }
  return traits_type::eof();
}

}  // namespace trawl::producer
