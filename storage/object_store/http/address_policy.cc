#include "storage/object_store/http/address_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace trawl::storage {
namespace {

enum class Kind { kOrdinary, kLoopback, kLinkLocal, kNever };

Kind Classify(uint32_t ip) {
  // Metadata services outside 169.254/16: Azure's wire server, Alibaba's, Oracle's.
  constexpr std::array<uint32_t, 3> kMetadata = {0xA83F8110, 0x646464C8, 0xC00000C0};
  for (const uint32_t address : kMetadata)
    if (ip == address) return Kind::kNever;
  if (ip >> 24 == 127 || ip >> 24 == 0) return Kind::kLoopback;
  if (ip >> 16 == 0xA9FE) return Kind::kLinkLocal;
  if (ip >> 28 >= 14) return Kind::kNever;  // 224/4 multicast, 240/4 reserved with broadcast
  return Kind::kOrdinary;
}

uint32_t LastFourBytes(const in6_addr& ip) {
  uint32_t v4 = 0;
  std::memcpy(&v4, ip.s6_addr + 12, sizeof v4);
  return ntohl(v4);
}

Kind Classify(const in6_addr& ip) {
  constexpr uint8_t kNat64[12] = {0x00, 0x64, 0xff, 0x9b};
  constexpr uint8_t kAmazonMetadata[4] = {0xfd, 0x00, 0x0e, 0xc2};
  if (IN6_IS_ADDR_LOOPBACK(&ip) || IN6_IS_ADDR_UNSPECIFIED(&ip)) return Kind::kLoopback;
  if (IN6_IS_ADDR_V4MAPPED(&ip) || IN6_IS_ADDR_V4COMPAT(&ip) ||
      std::memcmp(ip.s6_addr, kNat64, sizeof kNat64) == 0)
    return Classify(LastFourBytes(ip));
  if (IN6_IS_ADDR_LINKLOCAL(&ip) ||
      std::memcmp(ip.s6_addr, kAmazonMetadata, sizeof kAmazonMetadata) == 0)
    return Kind::kLinkLocal;
  if (IN6_IS_ADDR_MULTICAST(&ip)) return Kind::kNever;
  return Kind::kOrdinary;
}

bool Permits(const AddressPolicy& policy, Kind kind) {
  switch (kind) {
    case Kind::kOrdinary:
      return true;
    case Kind::kLoopback:
      return policy.loopback;
    case Kind::kLinkLocal:
      return policy.link_local;
    case Kind::kNever:
      return false;
  }
  return false;
}

}  // namespace

bool AddressPolicy::Allows(const sockaddr& address) const {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof v4);
    return Permits(*this, Classify(ntohl(v4.sin_addr.s_addr)));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof v6);
    return Permits(*this, Classify(v6.sin6_addr));
  }
  return false;
}

bool AddressPolicy::Allows(const std::string& ip) const {
  in_addr v4;
  if (inet_pton(AF_INET, ip.c_str(), &v4) == 1) return Permits(*this, Classify(ntohl(v4.s_addr)));
  in6_addr v6;
  const std::string without_zone = ip.substr(0, ip.find('%'));
  return inet_pton(AF_INET6, without_zone.c_str(), &v6) == 1 && Permits(*this, Classify(v6));
}

AddressPolicy AddressPolicy::ForConfiguredEndpoint(const std::string& host) {
  AddressPolicy policy{.loopback = true, .link_local = true};
  const AddressPolicy without{.loopback = true, .link_local = false};
  policy.link_local = policy.Allows(host) && !without.Allows(host);
  return policy;
}

}  // namespace trawl::storage
