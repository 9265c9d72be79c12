#pragma once
// Asking the services around an instance or a container: one small answer each.

#include <chrono>
#include <cstdint>
#include <string>

#include "config/status.h"
#include "storage/object_store/http/http_message.h"

namespace trawl::storage {

/// These services alone may be on link-local addresses and on this machine: operators name them,
/// never messages.
inline constexpr AddressPolicy kOperatorsOwn{.loopback = true, .link_local = true};

inline constexpr uint64_t kServiceAnswerBytesMax = 64 << 10;

struct ServiceTimeouts {
  std::chrono::milliseconds connect{3'000};
  std::chrono::milliseconds total{5'000};
};

/// The body of a reply with status 200. Messages begin with `service` and never quote the body of
/// another reply, which may hold secrets. Errors: kUnavailable (no whole reply came), kNotFound
/// (404), kPermissionDenied (any other status).
Result<std::string> AskService(HttpRequest request, const std::string& service,
                               const ServiceTimeouts& timeouts = {});

}  // namespace trawl::storage
