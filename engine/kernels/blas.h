#pragma once
// OpenBLAS behind one seam: its set-up, and the one call that kernels make.

#include <cstdint>

#include "config/status.h"

namespace trawl::engine {

/// Once per process, before the first Sgemm: one thread per call (sessions are the threads).
/// Errors: kFailedPrecondition when the OpenBLAS build is not the pthread one (OpenMP builds ignore
/// the setting, serial ones corrupt concurrent calls).
Status InitialiseBlas();

/// Row-major c[m, n] = alpha · op(a)[m, k] · op(b)[k, n] + beta · c.
struct SgemmCall {
  bool trans_a = false, trans_b = false;
  int64_t m = 0, n = 0, k = 0;
  float alpha = 1;
  const float* a = nullptr;
  int64_t lda = 0;
  const float* b = nullptr;
  int64_t ldb = 0;
  float beta = 0;
  float* c = nullptr;
  int64_t ldc = 0;
};
void Sgemm(const SgemmCall& call);

}  // namespace trawl::engine
