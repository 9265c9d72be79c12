#include "storage/object_store/http/http_store.h"

#include <algorithm>

#include "storage/object_store/http/object_task.h"
#include "storage/object_store/http/reply_check.h"

namespace trawl::storage {
namespace {

// A manifest may name hosts that are nobody's here: one that went away must not hold a job up for
// as long as the operator's own store may.
constexpr std::chrono::milliseconds kPatienceMax = std::chrono::minutes(10);

}  // namespace

HttpStore::HttpStore(const Settings& settings, HttpClient& client)
    : client_(client),
      max_object_bytes_(static_cast<uint64_t>(settings.max_object_bytes)),
      trusts_everyone_(settings.brokers.empty()),
      patience_(std::min(kPatienceMax, std::chrono::milliseconds(settings.outage_patience_ms))) {
  for (const std::string& root : settings.allow_root)
    if (auto base = ParseHttpUrl(root)) allowed_bases_.push_back(std::move(*base));
}

Result<ListPage> HttpStore::List(const std::string& source, const std::string&, const std::string&,
                                 int) {
  TRAWL_ASSIGN(const HttpUrl url, ParseHttpUrl(source));
  return Error(Code::kUnimplemented,
               "{} cannot be listed over plain HTTP: give a manifest of its keys",
               url.ToPublicString());
}

AddressPolicy HttpStore::AddressesFor(const HttpUrl& url) const {
  const bool allowed = std::any_of(allowed_bases_.begin(), allowed_bases_.end(),
                                   [&url](const HttpUrl& base) { return IsBelow(url, base); });
  return {.loopback = trusts_everyone_ || allowed, .link_local = false};
}

void HttpStore::Get(GetRequest request, std::stop_token stop, GetCallback done) {
  const Result<HttpUrl> url = ParseHttpUrl(request.uri);
  if (!url)
    return Refuse(client_, {ObjectErrorCode::kHttpError, url.error().message()}, std::move(done));
  ObjectExpectation expected{.subject = url->ToPublicString(),
                             .size_bytes = request.expected_bytes,
                             .etag = std::move(request.etag),
                             .etag_may_be_md5 = false};
  if (request.expected_bytes.value_or(0) > max_object_bytes_)
    return Refuse(client_,
                  {ObjectErrorCode::kTooLarge,
                   fmt::format("{}: {} bytes, over the limit of {}", expected.subject,
                               *request.expected_bytes, max_object_bytes_)},
                  std::move(done));
  HttpTask task;
  task.expected_bytes = request.expected_bytes.value_or(0);
  task.stop = std::move(stop);
  // No byte more than was listed: the rest of another object would be read to throw it away.
  const uint64_t bytes_max = request.expected_bytes.value_or(max_object_bytes_);
  task.prepare = [request = HttpRequest{url->ToString(), {}, AddressesFor(*url), bytes_max}]()
      -> tl::expected<HttpRequest, Verdict> { return request; };
  task.judge = [this, expected = std::move(expected)](const HttpReply& reply) {
    Verdict verdict = JudgeObject(reply, {}, expected);
    if (reply.wire == Wire::kRefusedAddress && !trusts_everyone_)
      verdict.error.message += " (only below a URL that --allow-root names)";
    return verdict;
  };
  task.endpoint = url->scheme + "://" + url->authority;
  task.patience = patience_;
  task.trusted = request.patient;
  task.done = DeliverTo(std::move(done));
  client_.Submit(std::move(task));
}

}  // namespace trawl::storage
