#pragma once
// A TCP server that plays scripted bytes: for every way in which an HTTP server, or the network
// before it, misbehaves.

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace trawl::testing {

/// One thing that the server does with the connection of a request.
struct Step {
  enum class Kind { kSend, kSendForever, kDrip, kHang, kClose, kReset };
  Kind kind = Kind::kSend;
  std::string bytes;
  std::chrono::milliseconds pause{0};
};

Step Send(std::string bytes);
/// Until the client goes away.
Step SendForever(std::string bytes);
/// One byte at a time with a pause before each.
Step Drip(std::string bytes, std::chrono::milliseconds pause);
/// Nothing, until the client goes away.
Step Hang();
Step Close();
/// Closes with a TCP reset.
Step Reset();

/// A whole reply with Content-Length; `headers` are lines that end in \r\n.
Step Reply(int status, std::string_view body, std::string_view headers = "");

/// After its last step a connection waits for the next request, unless it was closed.
using Script = std::vector<Step>;

/// Listens on a free port of 127.0.0.1 until it is destroyed. Thread-safe.
class FaultServer {
 public:
  FaultServer();
  ~FaultServer();
  FaultServer(const FaultServer&) = delete;
  FaultServer& operator=(const FaultServer&) = delete;

  /// The nth request for `path` (as in the request line, without a query) plays the nth script; the
  /// last one is played again and again. A path without scripts answers 404.
  void Play(const std::string& path, std::vector<Script> scripts);

  /// Every request plays this one from now on, whatever its path; none: as before.
  void PlayForAll(std::optional<Script> script);

  int port() const { return port_; }
  std::string Url(const std::string& path = "") const;
  int RequestsFor(const std::string& path) const;
  /// Head (request line and headers) of each request so far.
  std::vector<std::string> Heads() const;
  int Connections() const { return connections_.load(); }

 private:
  void Accept();
  void Serve(int fd);
  Script NextScript(const std::string& head);

  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> connections_ = 0;
  std::atomic<bool> closing_ = false;

  mutable std::mutex mutex_;  // guards what follows, up to the acceptor
  std::map<std::string, std::vector<Script>> scripts_;
  std::optional<Script> for_all_;
  std::map<std::string, int> requests_;
  std::vector<std::string> heads_;
  std::vector<int> sockets_;  // open ones, to shut down at the end
  std::vector<std::jthread> threads_;

  std::jthread acceptor_;
};

}  // namespace trawl::testing
