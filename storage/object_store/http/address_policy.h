#pragma once
// Which addresses a download may connect to, checked on the address itself, after DNS and for every
// connection: a name that resolves to a metadata service reaches it as little as its number does.

#include <string>

struct sockaddr;

namespace trawl::storage {

/// Refused always: multicast, broadcast, and addresses of cloud metadata services other than
/// link-local ones. Everything else (public and private networks) may be reached.
struct AddressPolicy {
  bool loopback = false;  // 127/8, ::1, and 0.0.0.0 and ::, which mean this machine too
  // 169.254/16, fe80::/10 and Amazon's fd00:ec2::/32, where instance credentials are served
  bool link_local = false;

  /// IPv4 addresses inside IPv6 ones are judged as IPv4.
  bool Allows(const sockaddr& address) const;
  /// The same for an address in text ("10.0.0.1", "::1"); false when it is none.
  bool Allows(const std::string& ip) const;

  /// For the endpoint that the operator configured: this machine, and a link-local address if
  /// `host` is one literally.
  static AddressPolicy ForConfiguredEndpoint(const std::string& host);
};

}  // namespace trawl::storage
