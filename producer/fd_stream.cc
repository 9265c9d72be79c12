#include "producer/fd_stream.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace trawl::producer {
namespace {

constexpr int kPollMs = 100;  // how soon a silent pipe notices that it should stop

}  // namespace

FdStream::Buffer::int_type FdStream::Buffer::underflow() {
  while (!stop_.stop_requested()) {
    pollfd readable{fd_, POLLIN, 0};
    if (::poll(&readable, 1, kPollMs) == 0) continue;
    const ssize_t got = ::read(fd_, bytes_.data(), bytes_.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) break;
    setg(bytes_.data(), bytes_.data(), bytes_.data() + got);
    return traits_type::to_int_type(bytes_[0]);
  }
  return traits_type::eof();
}

}  // namespace trawl::producer
