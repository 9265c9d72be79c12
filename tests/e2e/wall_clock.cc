// A wall clock that is wrong, for one process: preloaded, it adds to what the kernel says as many
// seconds as there are in the file WALL_CLOCK, an int64_t that may change at any time. Clocks that
// only ever go forward are left as they are.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

/// libc's own function of this name, which knows nothing of the wrong clock.
template <typename Function>
Function* Libc(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

int Right(clockid_t clock, timespec* now) {
  static auto* const libc = Libc<int(clockid_t, timespec*)>("clock_gettime");
  return libc(clock, now);
}

const volatile int64_t* MapOffset() {
  static constexpr int64_t kNone = 0;
  const char* const path = std::getenv("WALL_CLOCK");
  if (path == nullptr) return &kNone;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  void* const mapped = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  return mapped == MAP_FAILED ? &kNone : static_cast<const volatile int64_t*>(mapped);
}

// Before main, and before anything is forbidden to the process.
const volatile int64_t* const offset_s = MapOffset();

/// Others' initialisers may ask for the time before that.
time_t Offset() { return offset_s == nullptr ? 0 : *offset_s; }

timespec Wrong() {
  timespec now{};
  Right(CLOCK_REALTIME, &now);
  now.tv_sec += Offset();
  return now;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return Right(clock, now);
  *now = Wrong();
  return 0;
}

int gettimeofday(timeval* now, void*) noexcept {
  const timespec wrong = Wrong();
  *now = {wrong.tv_sec, wrong.tv_nsec / 1000};
  return 0;
}

int timespec_get(timespec* now, int base) noexcept {
  *now = Wrong();
  return base;
}

time_t time(time_t* now) noexcept {
  const timespec wrong = Wrong();
  if (now != nullptr) *now = wrong.tv_sec;
  return wrong.tv_sec;
}

/// The kernel waits for a time of its own clock.
int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* until) {
  using Wait = int(cnd_t*, mtx_t*, const timespec*);
  static auto* const libc = Libc<Wait>("cnd_timedwait");
  timespec right = *until;
  right.tv_sec -= Offset();
  return libc(condition, mutex, &right);
}

}  // extern "C"
