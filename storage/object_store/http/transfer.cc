#include "storage/object_store/http/transfer.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "config/check.h"

namespace trawl::storage {
namespace {

constexpr uint64_t kHeaderBytesMax = 256 << 10;
constexpr size_t kErrorPageBytesMax = 64 << 10;  // enough for any S3 error document
constexpr size_t kLowSpeedBytesPerSecond = 1 << 10;

template <class Value>
void Set(void* easy, CURLoption option, Value value) {
  CHECK(curl_easy_setopt(easy, option, value) == CURLE_OK);
}

std::string AddressText(const sockaddr& address) {
  char text[INET6_ADDRSTRLEN] = "?";
  const void* ip =
      address.sa_family == AF_INET6
          ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr)
          : &reinterpret_cast<const sockaddr_in&>(address).sin_addr;
  inet_ntop(address.sa_family, ip, text, sizeof text);
  return text;
}

// What is sent to a machine that is gone is repeated for a quarter of an hour; with HTTP/2 all that
// time new requests would join the connection. A kernel that does not know the option does without.
void GiveUpOnDeadPeers(int fd, std::chrono::milliseconds after) {
  const auto milliseconds = static_cast<unsigned int>(after.count());
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds);
}

Wire WireOf(CURLcode result, bool body_began) {
  switch (result) {
    case CURLE_OK:
      return Wire::kComplete;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
      return Wire::kCannotConnect;
    case CURLE_HTTP2:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2_STREAM:
      return body_began ? Wire::kTruncated : Wire::kBroken;
    case CURLE_PARTIAL_FILE:
      return Wire::kTruncated;
    case CURLE_OPERATION_TIMEDOUT:
      return Wire::kTimeout;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return Wire::kUntrusted;
    default:
      return Wire::kMalformed;
  }
}

}  // namespace

void InitCurlOnce() {
  static const CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
  CHECK(result == CURLE_OK);
}

// curl calls these through C: nothing may throw through them.
struct Transfer::Callbacks {
  static size_t Header(char* data, size_t, size_t size, void* self) noexcept {
    return static_cast<Transfer*>(self)->OnHeaderLine({data, size});
  }

  static size_t Body(char* data, size_t, size_t size, void* self) noexcept {
    return static_cast<Transfer*>(self)->OnBody(data, size);
  }

  // New connections: judged before the first packet is sent.
  static curl_socket_t OpenSocket(void* self, curlsocktype, curl_sockaddr* address) noexcept {
    auto* transfer = static_cast<Transfer*>(self);
    if (!transfer->request_.addresses.Allows(address->addr)) {
      transfer->refused_address_ = AddressText(address->addr);
      return CURL_SOCKET_BAD;
    }
    const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0) GiveUpOnDeadPeers(fd, transfer->limits_.first_byte_timeout);
    return fd;
  }

  // Connections taken from the pool: another request with a wider policy may have opened them.
  static int BeforeRequest(void* self, char* remote_ip, char*, int, int) noexcept {
    auto* transfer = static_cast<Transfer*>(self);
    if (transfer->request_.addresses.Allows(remote_ip)) return CURL_PREREQFUNC_OK;
    transfer->refused_address_ = remote_ip;
    return CURL_PREREQFUNC_ABORT;
  }
};

Transfer::Transfer(HttpRequest request, const TransferLimits& limits, Reuse reuse, Time now)
    : request_(std::move(request)),
      limits_(limits),
      easy_(curl_easy_init()),
      started_(now),
      window_start_(now) {
  CHECK(easy_ != nullptr);
  Configure();
  if (reuse != Reuse::kConnection) Set(easy_, CURLOPT_FRESH_CONNECT, 1L);
  if (reuse == Reuse::kNothing) Set(easy_, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
}

Transfer::~Transfer() {
  curl_easy_cleanup(easy_);
  curl_slist_free_all(static_cast<curl_slist*>(header_list_));
}

void Transfer::Configure() {
  Set(easy_, CURLOPT_URL, request_.url.c_str());
  Set(easy_, CURLOPT_PATH_AS_IS, 1L);  // a key may hold `..`: it names that object and no other
  Set(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  Set(easy_, CURLOPT_FOLLOWLOCATION, 0L);
  Set(easy_, CURLOPT_PROXY,
      "");  // a proxy variable meant for other programs must not see our requests
  Set(easy_, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  Set(easy_, CURLOPT_NOSIGNAL, 1L);
  Set(easy_, CURLOPT_QUICK_EXIT,
      1L);  // leave a DNS look-up that hangs behind; waiting would stall every download
  Set(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  // The handshake tells whether one connection serves many: with none yet, the first request makes
  // one and the others wait for it. In clear text only an answer would tell, and it may be late.
  if (request_.url.starts_with("https://")) Set(easy_, CURLOPT_PIPEWAIT, 1L);
  Set(easy_, CURLOPT_HTTP09_ALLOWED, 0L);
  Set(easy_, CURLOPT_HTTP_CONTENT_DECODING, 0L);
  Set(easy_, CURLOPT_TCP_KEEPALIVE, 1L);
  Set(easy_, CURLOPT_BUFFERSIZE, 128L << 10);
  Set(easy_, CURLOPT_USERAGENT, "trawl/" TRAWL_VERSION);
  Set(easy_, CURLOPT_SSL_VERIFYPEER, 1L);
  Set(easy_, CURLOPT_SSL_VERIFYHOST, 2L);
  Set(easy_, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!limits_.ca_bundle.empty()) Set(easy_, CURLOPT_CAINFO, limits_.ca_bundle.c_str());
  Set(easy_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits_.connect_timeout.count()));
  Set(easy_, CURLOPT_TIMEOUT_MS, static_cast<long>(limits_.total_timeout.count()));
  Set(easy_, CURLOPT_HEADERFUNCTION, &Callbacks::Header);
  Set(easy_, CURLOPT_HEADERDATA, this);
  Set(easy_, CURLOPT_WRITEFUNCTION, &Callbacks::Body);
  Set(easy_, CURLOPT_WRITEDATA, this);
  Set(easy_, CURLOPT_OPENSOCKETFUNCTION, &Callbacks::OpenSocket);
  Set(easy_, CURLOPT_OPENSOCKETDATA, this);
  Set(easy_, CURLOPT_PREREQFUNCTION, &Callbacks::BeforeRequest);
  Set(easy_, CURLOPT_PREREQDATA, this);
  if (request_.method != "GET") {
    Set(easy_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    Set(easy_, CURLOPT_POSTFIELDSIZE, static_cast<long>(request_.body.size()));
    Set(easy_, CURLOPT_POSTFIELDS, request_.body.c_str());
  }
  curl_slist* list = curl_slist_append(nullptr, "Accept-Encoding: identity");
  for (const std::string& header : request_.headers) list = curl_slist_append(list, header.c_str());
  CHECK(list != nullptr);
  header_list_ = list;
  Set(easy_, CURLOPT_HTTPHEADER, list);
}

size_t Transfer::OnHeaderLine(std::string_view line) {
  got_header_ = true;
  header_bytes_ += line.size();
  if (header_bytes_ > kHeaderBytesMax) {
    headers_endless_ = true;
    return 0;
  }
  if (line.starts_with("HTTP/")) reply_.headers.Clear();  // what came before was a 1xx
  const bool end = line == "\r\n" || line == "\n";
  if (end && !OnHeadersEnd()) return 0;
  reply_.headers.Add(line);
  return line.size();
}

bool Transfer::OnHeadersEnd() {
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  const std::optional<uint64_t> announced = reply_.headers.ContentLength();
  if (status != 200 || !announced) return true;
  too_large_ = *announced > request_.max_body_bytes;
  // Trust the announcement with a little memory only; the rest grows with what really comes.
  if (!too_large_) reply_.body.reserve(std::min<uint64_t>(*announced, 4 << 20));
  return !too_large_;
}

size_t Transfer::OnBody(const char* data, size_t size) {
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  const bool whole = status == 200;
  const uint64_t limit = whole ? request_.max_body_bytes : kErrorPageBytesMax;
  if (reply_.body.size() + size > limit) {
    (whole ? too_large_ : body_cut_) = true;
    return 0;
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  reply_.body.insert(reply_.body.end(), bytes, bytes + size);
  return size;
}

std::string Transfer::Stalled(Time now) {
  if (!got_header_) {
    if (now - started_ < limits_.first_byte_timeout) return {};
    return fmt::format("no answer within {} ms", limits_.first_byte_timeout.count());
  }
  if (now - window_start_ < limits_.low_speed_window) return {};
  const auto window = std::chrono::duration_cast<std::chrono::milliseconds>(now - window_start_);
  const size_t came = reply_.body.size() - window_bytes_;
  window_start_ = now;
  window_bytes_ = reply_.body.size();
  if (came * 1'000 >= kLowSpeedBytesPerSecond * static_cast<size_t>(window.count())) return {};
  return fmt::format("only {} bytes in {} ms", came, window.count());
}

std::chrono::microseconds Transfer::FirstByteTook() const {
  curl_off_t took_us = 0;
  curl_easy_getinfo(easy_, CURLINFO_STARTTRANSFER_TIME_T, &took_us);
  return std::chrono::microseconds(took_us);
}

uint64_t Transfer::BodyBytes() const {
  const uint64_t announced = reply_.headers.ContentLength().value_or(0);
  return std::max<uint64_t>(reply_.body.size(), std::min(announced, request_.max_body_bytes));
}

Wire Transfer::TimeoutKind() const {
  curl_off_t connected_us = 0;
  curl_easy_getinfo(easy_, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
  return connected_us == 0 ? Wire::kConnectTimeout : Wire::kTimeout;
}

HttpReply Transfer::Finish(int result) {
  long status = 0, version = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(easy_, CURLINFO_HTTP_VERSION, &version);
  reply_.status = static_cast<int>(status);
  reply_.end_marked = version >= CURL_HTTP_VERSION_2_0 || reply_.headers.ContentLength() ||
                      !reply_.headers.Find("transfer-encoding").empty();
  const auto code = static_cast<CURLcode>(result);
  reply_.wire = body_cut_ ? Wire::kComplete : WireOf(code, !reply_.body.empty());
  if (reply_.wire == Wire::kTimeout) reply_.wire = TimeoutKind();
  if (reply_.wire != Wire::kComplete) reply_.wire_detail = curl_easy_strerror(code);
  if (too_large_) {
    reply_.wire = Wire::kTooLarge;
    reply_.wire_detail = fmt::format("more than {} bytes", request_.max_body_bytes);
  } else if (headers_endless_) {
    reply_.wire = Wire::kMalformed;
    reply_.wire_detail = fmt::format("more than {} bytes of headers", kHeaderBytesMax);
  } else if (reply_.wire != Wire::kComplete && !refused_address_.empty()) {
    reply_.wire = Wire::kRefusedAddress;
    reply_.wire_detail = "connecting to " + refused_address_ + " is not allowed";
  }
  return std::move(reply_);
}

HttpReply Transfer::FinishStalled(std::string why) {
  reply_.wire = TimeoutKind();
  reply_.wire_detail = std::move(why);
  return std::move(reply_);
}

}  // namespace trawl::storage
