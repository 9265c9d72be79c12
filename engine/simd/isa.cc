#include "engine/simd/isa.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "config/suggest.h"

namespace trawl::engine::simd {
namespace {

constexpr Isa kAll[] = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512};

bool MachineHas([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case Isa::kPortable:
      return true;
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::kAvx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
#endif
  return isa == Isa::kPortable;
}

}  // namespace

std::string_view ToString(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return "portable";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "?";
}

std::span<const Isa> SupportedIsas() {
  static const std::vector<Isa> isas = [] {
    std::vector<Isa> supported;
    std::copy_if(std::begin(kAll), std::end(kAll), std::back_inserter(supported), MachineHas);
    return supported;
  }();
  return isas;
}

Result<Isa> ChooseIsa() {
  const char* wanted = std::getenv("TRAWL_ISA");
  if (wanted == nullptr || *wanted == '\0') return SupportedIsas().back();
  std::vector<std::string> names;
  for (const Isa isa : kAll) {
    names.emplace_back(ToString(isa));
    if (names.back() != wanted) continue;
    if (!MachineHas(isa)) {
      return Error(Code::kFailedPrecondition, "TRAWL_ISA is {}, which this processor does not have",
                   wanted);
    }
    return isa;
  }
  return Error(Code::kInvalidArgument, "TRAWL_ISA is '{}'; it may be portable, avx2 or avx512{}",
               wanted, DidYouMean(wanted, names));
}

}  // namespace trawl::engine::simd
