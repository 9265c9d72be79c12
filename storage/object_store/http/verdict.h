#pragma once
// After each attempt somebody decides where to go: accept the reply, try again, or give up. And how
// long to wait.

#include <chrono>
#include <optional>
#include <random>

#include "config/object_error.h"

namespace trawl::storage {

enum class Route {
  kAccept,
  kRetry,      // a transient fault of server or network: soon
  kUnreached,  // no connection: soon, and it says nothing about what was asked for
  kDamaged,    // an answer, but not these bytes: soon, and the server is not to blame
  kThrottled,  // the store asks to slow down: later, or when it says
  kCorrected,  // the judge mended the cause (a wrong clock): at once, but only once
  kRefused,    // not this object, as far as this answer tells
  kLockedOut,  // nothing here: credentials, region or certificate are wrong
  kFail,       // an answer, and the object's own fault
};

/// True when another attempt may do better although nobody did anything about it.
constexpr bool IsPassing(Route route) {
  return route == Route::kRetry || route == Route::kUnreached || route == Route::kDamaged ||
         route == Route::kThrottled;
}

struct Verdict {
  Route route = Route::kAccept;
  ObjectError error;  // what to report when there is no further attempt; unused for kAccept
  std::optional<std::chrono::milliseconds> retry_after;  // as the server asked
};

/// How long to wait before attempt `failed_attempts` + 1: full jitter, that is uniform between 0
/// and a ceiling that doubles from 50 ms (kRetry) or 1 s (kThrottled) up to 20 s. A server's
/// Retry-After is a floor, honoured up to 60 s.
std::chrono::milliseconds BackoffDelay(const Verdict& verdict, int failed_attempts,
                                       std::mt19937_64& random);

}  // namespace trawl::storage
