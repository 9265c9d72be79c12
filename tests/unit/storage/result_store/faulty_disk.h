#pragma once
// A disk that fails at a chosen call, once or from then on, or loses power there. As SQLite's
// default file system while it lives; only files opened through it fail. Not thread-safe.

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace trawl::testing {

class FaultyDisk {
 public:
  enum class Fault { kNone, kOnce, kForGood, kPowerCut };

  FaultyDisk();
  ~FaultyDisk();
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  /// `call`: 1 is the next read, write, sync or truncation.
  void Arm(Fault fault, int call);
  /// Works again. After a power cut every file holds what it held when it was last synced; all of
  /// them must be closed.
  void Heal();
  int calls() const { return calls_; }
  bool struck() const { return struck_; }
  /// Calls succeed now.
  bool works() const { return fault_ == Fault::kNone || fault_ == Fault::kOnce; }

 private:
  struct File;
  struct Methods;

  /// True when this call has to fail.
  bool Fails();

  sqlite3_vfs* real_;
  sqlite3_vfs vfs_;
  Fault fault_ = Fault::kNone;
  int left_ = 0, calls_ = 0;
  bool struck_ = false;
  std::set<std::string> opened_;               // paths
  std::map<std::string, std::string> synced_;  // by path: contents
};

}  // namespace trawl::testing
