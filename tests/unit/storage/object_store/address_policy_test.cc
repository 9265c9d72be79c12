// Goal: no spelling of a metadata or local address gets past the filter, and ordinary addresses do.
// Method: addresses in text, in each family and embedding.
#include "storage/object_store/http/address_policy.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

namespace trawl::storage {
namespace {

TEST(AddressPolicy, RefusesLocalAndMetadataAddressesByDefault) {
  const AddressPolicy policy;
  for (const char* ip : {"127.0.0.1",
                         "127.8.8.8",
                         "0.0.0.0",
                         "::1",
                         "::",
                         "169.254.169.254",
                         "169.254.170.2",
                         "fe80::1",
                         "fe80::1%eth0",
                         "febf::1",
                         "fd00:ec2::254",
                         "::ffff:169.254.169.254",
                         "::169.254.169.254",
                         "::ffff:127.0.0.1",
                         "64:ff9b::a9fe:a9fe",
                         "224.0.0.1",
                         "255.255.255.255",
                         "ff02::1",
                         "100.100.100.200",
                         "168.63.129.16",
                         "192.0.0.192",
                         "",
                         "localhost",
                         "1.2.3"})
    EXPECT_FALSE(policy.Allows(std::string(ip))) << ip;
}

TEST(AddressPolicy, AllowsPublicAndPrivateNetworks) {
  const AddressPolicy policy;
  for (const char* ip : {"52.216.1.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "100.64.0.1",
                         "2600:1f18::1", "fd12::1", "::ffff:10.0.0.1", "169.253.0.1", "170.0.0.1"})
    EXPECT_TRUE(policy.Allows(std::string(ip))) << ip;
}

TEST(AddressPolicy, JudgesSocketAddressesLikeText) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  inet_pton(AF_INET, "169.254.169.254", &v4.sin_addr);
  EXPECT_FALSE(AddressPolicy{}.Allows(reinterpret_cast<const sockaddr&>(v4)));
  EXPECT_TRUE((AddressPolicy{.loopback = false, .link_local = true})
                  .Allows(reinterpret_cast<const sockaddr&>(v4)));
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  inet_pton(AF_INET6, "::ffff:169.254.169.254", &v6.sin6_addr);
  EXPECT_FALSE(AddressPolicy{}.Allows(reinterpret_cast<const sockaddr&>(v6)));
  sockaddr local{};
  local.sa_family = AF_UNIX;
  EXPECT_FALSE((AddressPolicy{true, true}).Allows(local));
}

TEST(AddressPolicy, AConfiguredEndpointReachesThisMachineAndALinkLocalAddressOnlyLiterally) {
  EXPECT_TRUE(AddressPolicy::ForConfiguredEndpoint("127.0.0.1").loopback);
  EXPECT_FALSE(AddressPolicy::ForConfiguredEndpoint("127.0.0.1").link_local);
  EXPECT_FALSE(AddressPolicy::ForConfiguredEndpoint("s3.example.com").link_local);
  EXPECT_TRUE(AddressPolicy::ForConfiguredEndpoint("169.254.10.1").link_local);
  EXPECT_TRUE(AddressPolicy::ForConfiguredEndpoint("fe80::1").link_local);
}

}  // namespace
}  // namespace trawl::storage
