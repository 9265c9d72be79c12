#include "engine/kernels/blas.h"

#include <cblas.h>
#include <dlfcn.h>

#include <cstdlib>

namespace trawl::engine {
namespace {

/// OpenBLAS chooses its kernels when it is loaded, by a list of processors that are known to it,
/// and takes its slowest for one that is not (SSE3 on a machine with AVX-512: three times as slow).
/// It obeys OPENBLAS_CORETYPE, but only if that is set before; so the library is opened here
/// instead of being linked, and told what the processor can do.
struct OpenBlas {
  decltype(&cblas_sgemm) sgemm = nullptr;
  decltype(&openblas_get_parallel) get_parallel = nullptr;
  decltype(&openblas_set_num_threads) set_num_threads = nullptr;
  bool complete() const { return sgemm && get_parallel && set_num_threads; }
};

const char* CoreType() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return "SkylakeX";
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
  return nullptr;
}

template <class Function>
void Resolve(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
}

/// A variable of the environment that is unset again; one that is set already stays as it is.
class DefaultVariable {
 public:
  DefaultVariable(const char* name, const char* value)
      : name_(value != nullptr && std::getenv(name) == nullptr ? name : nullptr) {
    if (name_ != nullptr) setenv(name_, value, 1);
  }
  DefaultVariable(const DefaultVariable&) = delete;
  DefaultVariable& operator=(const DefaultVariable&) = delete;
  ~DefaultVariable() {
    if (name_ != nullptr) unsetenv(name_);
  }

 private:
  const char* name_;
};

OpenBlas Open() {
  __builtin_cpu_init();
  const DefaultVariable core("OPENBLAS_CORETYPE", CoreType());
  // Its threads, which nobody needs, would spin for a while when they are started.
  const DefaultVariable threads("OPENBLAS_NUM_THREADS", "1");
  void* library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  OpenBlas blas;
  if (library == nullptr) return blas;
  Resolve(library, "cblas_sgemm", blas.sgemm);
  Resolve(library, "openblas_get_parallel", blas.get_parallel);
  Resolve(library, "openblas_set_num_threads", blas.set_num_threads);
  return blas;
}

/// Opened before main, while there is one thread: the environment must not change under others.
const OpenBlas kBlas = Open();

}  // namespace

Status InitialiseBlas() {
  static const Status status = []() -> Status {
    if (!kBlas.complete()) {
      return Error(Code::kFailedPrecondition,
                   "OpenBLAS (libopenblas.so.0) is not installed; libopenblas0-pthread has it");
    }
    if (const int kind = kBlas.get_parallel(); kind != OPENBLAS_THREAD) {
      return Error(Code::kFailedPrecondition,
                   "the OpenBLAS of this machine is {}; libopenblas0-pthread is needed",
                   kind == OPENBLAS_OPENMP ? "an OpenMP build" : "a serial build");
    }
    kBlas.set_num_threads(1);
    return OkStatus();
  }();
  return status;
}

void Sgemm(const SgemmCall& call) {
  const auto narrow = [](int64_t value) { return static_cast<blasint>(value); };
  kBlas.sgemm(CblasRowMajor, call.trans_a ? CblasTrans : CblasNoTrans,
              call.trans_b ? CblasTrans : CblasNoTrans, narrow(call.m), narrow(call.n),
              narrow(call.k), call.alpha, call.a, narrow(call.lda), call.b, narrow(call.ldb),
              call.beta, call.c, narrow(call.ldc));
}

}  // namespace trawl::engine
