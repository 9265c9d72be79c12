#include "tests/support/fault_server.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "config/check.h"
#include "config/clock.h"

namespace trawl::testing {
namespace {

bool SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void WaitForHangUp(int fd) {
  pollfd poll_fd{fd, POLLIN | POLLRDHUP, 0};
  poll(&poll_fd, 1, -1);
}

bool DripAll(int fd, const Step& step) {
  for (const char byte : step.bytes) {
    pollfd poll_fd{fd, POLLRDHUP, 0};
    if (poll(&poll_fd, 1, static_cast<int>(step.pause.count())) != 0) return false;
    if (!SendAll(fd, {&byte, 1})) return false;
  }
  return true;
}

void SetReset(int fd) {
  const linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

// False: the connection is finished.
bool Perform(int fd, const Step& step) {
  switch (step.kind) {
    case Step::Kind::kSend:
      return SendAll(fd, step.bytes);
    case Step::Kind::kDrip:
      return DripAll(fd, step);
    case Step::Kind::kSendForever:
      while (SendAll(fd, step.bytes)) {
      }
      return false;
    case Step::Kind::kHang:
      WaitForHangUp(fd);
      return false;
    case Step::Kind::kReset:
      SetReset(fd);
      return false;
    case Step::Kind::kClose:
      return false;
  }
  return false;
}

// Up to and with the empty line; GETs have no body.
std::optional<std::string> ReadHead(int fd) {
  std::string head;
  char byte = 0;
  while (!head.ends_with("\r\n\r\n")) {
    if (recv(fd, &byte, 1, 0) != 1) return std::nullopt;
    head += byte;
  }
  return head;
}

}  // namespace

Step Send(std::string bytes) { return {Step::Kind::kSend, std::move(bytes), {}}; }
Step SendForever(std::string bytes) { return {Step::Kind::kSendForever, std::move(bytes), {}}; }
Step Drip(std::string bytes, std::chrono::milliseconds pause) {
  return {Step::Kind::kDrip, std::move(bytes), pause};
}
Step Hang() { return {Step::Kind::kHang, "", {}}; }
Step Close() { return {Step::Kind::kClose, "", {}}; }
Step Reset() { return {Step::Kind::kReset, "", {}}; }

Step Reply(int status, std::string_view body, std::string_view headers) {
  std::string reply = "HTTP/1.1 " + std::to_string(status) + " Scripted\r\n";
  reply += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  reply += headers;
  reply += "\r\n";
  return Send(reply += body);
}

FaultServer::FaultServer() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  CHECK(listener_ >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
  CHECK(listen(listener_, 256) == 0);
  CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this] { Accept(); });
}

FaultServer::~FaultServer() {
  closing_ = true;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  std::vector<std::jthread> threads;
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : sockets_) shutdown(fd, SHUT_RDWR);
    threads.swap(threads_);
  }
}

void FaultServer::Play(const std::string& path, std::vector<Script> scripts) {
  CHECK(!scripts.empty());
  const std::lock_guard lock(mutex_);
  scripts_[path] = std::move(scripts);
}

void FaultServer::PlayForAll(std::optional<Script> script) {
  const std::lock_guard lock(mutex_);
  for_all_ = std::move(script);
}

std::string FaultServer::Url(const std::string& path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + path;
}

int FaultServer::RequestsFor(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  const auto it = requests_.find(path);
  return it == requests_.end() ? 0 : it->second;
}

std::vector<std::string> FaultServer::Heads() const {
  const std::lock_guard lock(mutex_);
  return heads_;
}

void FaultServer::Accept() {
  while (true) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const std::lock_guard lock(mutex_);
    if (closing_) {
      close(fd);
      return;
    }
    ++connections_;
    sockets_.push_back(fd);
    threads_.emplace_back([this, fd] { Serve(fd); });
  }
}

void FaultServer::Serve(int fd) {
  bool open = true;
  while (open) {
    const std::optional<std::string> head = ReadHead(fd);
    if (!head) break;
    for (const Step& step : NextScript(*head))
      if (open) open = Perform(fd, step);
  }
  const std::lock_guard lock(mutex_);
  std::erase(sockets_, fd);
  close(fd);
}

Script FaultServer::NextScript(const std::string& head) {
  const size_t begin = head.find(' ') + 1;
  const std::string path = head.substr(begin, head.find_first_of(" ?", begin) - begin);
  const std::lock_guard lock(mutex_);
  heads_.push_back(head);
  const auto request = static_cast<size_t>(requests_[path]++);
  if (for_all_) return *for_all_;
  const auto it = scripts_.find(path);
  if (it == scripts_.end()) return {Reply(404, "nothing here")};
  return it->second[std::min(request, it->second.size() - 1)];
}

}  // namespace trawl::testing
