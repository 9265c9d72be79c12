// C11 threads for builds under ThreadSanitizer, and only for those. librdkafka starts and
// synchronises its threads with them, and TSan (of g++ 12 and 13) knows POSIX threads only: the
// first handle would crash. These definitions take glibc's place at load time and say the same in
// POSIX, which also shows TSan what librdkafka's locks order.

#include <errno.h>
#include <pthread.h>
#include <threads.h>

#include <cstdint>
#include <memory>

static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t) && sizeof(cnd_t) >= sizeof(pthread_cond_t));

namespace {

struct Start {
  thrd_start_t function;
  void* argument;
};

void* Run(void* raw) {
  const std::unique_ptr<Start> start(static_cast<Start*>(raw));
  return reinterpret_cast<void*>(static_cast<intptr_t>(start->function(start->argument)));
}

int Converted(int error) {
  if (error == 0) return thrd_success;
  return error == ETIMEDOUT ? thrd_timedout : thrd_error;
}

pthread_mutex_t* Posix(mtx_t* mutex) { return reinterpret_cast<pthread_mutex_t*>(mutex); }
pthread_cond_t* Posix(cnd_t* condition) { return reinterpret_cast<pthread_cond_t*>(condition); }

}  // namespace

extern "C" {

/// librdkafka itself is not instrumented, so TSan cannot see the reference counts after which it
/// frees a message that we have read, nor how one of its threads gets to know a mutex that another
/// has made. This silences what the library calls, not what its callbacks into Trawl do.
const char* __tsan_default_suppressions() {
  return "called_from_lib:librdkafka.so\n"
         "race:mtx_lock\n";
}

int thrd_create(thrd_t* thread, thrd_start_t function, void* argument) {
  auto start = std::make_unique<Start>(Start{function, argument});
  const int error = pthread_create(thread, nullptr, Run, start.get());
  if (error == 0) static_cast<void>(start.release());  // Run owns it
  return Converted(error);
}

int thrd_join(thrd_t thread, int* result) {
  void* raw = nullptr;
  const int error = pthread_join(thread, &raw);
  if (error == 0 && result != nullptr) {
    *result = static_cast<int>(reinterpret_cast<intptr_t>(raw));
  }
  return Converted(error);
}

int mtx_init(mtx_t* mutex, int type) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  if ((type & mtx_recursive) != 0) {
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  }
  const int error = pthread_mutex_init(Posix(mutex), &attributes);
  pthread_mutexattr_destroy(&attributes);
  return Converted(error);
}

int mtx_lock(mtx_t* mutex) { return Converted(pthread_mutex_lock(Posix(mutex))); }
int mtx_unlock(mtx_t* mutex) { return Converted(pthread_mutex_unlock(Posix(mutex))); }
void mtx_destroy(mtx_t* mutex) { pthread_mutex_destroy(Posix(mutex)); }

int cnd_init(cnd_t* condition) { return Converted(pthread_cond_init(Posix(condition), nullptr)); }
int cnd_signal(cnd_t* condition) { return Converted(pthread_cond_signal(Posix(condition))); }
int cnd_broadcast(cnd_t* condition) { return Converted(pthread_cond_broadcast(Posix(condition))); }
void cnd_destroy(cnd_t* condition) { pthread_cond_destroy(Posix(condition)); }

int cnd_wait(cnd_t* condition, mtx_t* mutex) {
  return Converted(pthread_cond_wait(Posix(condition), Posix(mutex)));
}

int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* until) {
  return Converted(pthread_cond_timedwait(Posix(condition), Posix(mutex), until));
}

}  // extern "C"
