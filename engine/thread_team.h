#pragma once
// ThreadTeam: the threads that one session splits its kernels over.

#include <cstdint>
#include <memory>

namespace trawl::engine {

/// One member is the thread that calls ForEach; the others wait for it. A team of one has no
/// threads and costs nothing. Not thread-safe: one caller at a time.
class ThreadTeam {
 public:
  /// `size` ≥ 1, the caller included.
  explicit ThreadTeam(int size = 1);
  ~ThreadTeam();

  int size() const { return size_; }

  /// Calls `body(task, member)` once for each task in [0, tasks), members being in [0, size()), and
  /// returns when all have returned; what they wrote is then visible. Members take the next task
  /// when they are free, so that one that loses its core holds up nothing but the task that it
  /// has. `body` must not throw. Allocates nothing.
  template <class Body>
  void ForEach(int64_t tasks, const Body& body) {
    if (size_ == 1 || tasks <= 1) {
      for (int64_t task = 0; task < tasks; ++task) body(task, 0);
      return;
    }
    Run(tasks, {[](const void* context, int64_t task, int member) {
                  (*static_cast<const Body*>(context))(task, member);
                },
                &body});
  }

 private:
  struct Call {
    void (*function)(const void* context, int64_t task, int member) = nullptr;
    const void* context = nullptr;
  };
  struct State;

  void Run(int64_t tasks, Call call);

  int size_;
  std::unique_ptr<State> state_;
};

}  // namespace trawl::engine
