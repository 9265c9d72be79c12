#pragma once
// Seeds of tests that feed random bytes.

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace trawl::testing {

/// $TRAWL_SEED, or else always the same one: a change is not to be blamed for what luck has found.
/// Looking for more is a loop over seeds. Printed at once, because what is found may be a crash.
inline uint32_t FuzzSeed() {
  const char* given = std::getenv("TRAWL_SEED");
  const auto seed =
      given == nullptr ? 20'240'501U : static_cast<uint32_t>(std::strtoul(given, nullptr, 10));
  std::printf("seed %u (repeat with TRAWL_SEED=%u)\n", seed, seed);
  std::fflush(stdout);
  return seed;
}

}  // namespace trawl::testing
