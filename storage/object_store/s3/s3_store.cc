#include "storage/object_store/s3/s3_store.h"

#include <algorithm>
#include <future>

#include "config/clock.h"
#include "storage/object_store/http/object_task.h"
#include "storage/object_store/http/reply_check.h"
#include "storage/object_store/s3/sigv4.h"

namespace trawl::storage {
namespace {

constexpr int kPageKeysMax = 1'000;  // what S3 gives at most
// 1,000 keys of 1,024 bytes, each byte three characters, plus 1 KiB of other fields each: 4 MiB.
constexpr uint64_t kListingBytesMax = 16 << 20;
constexpr int kEmptyPagesMax = 10'000;

bool IsFolderMarker(const ObjectRef& object) {
  return object.key.ends_with('/') && object.size_bytes.value_or(0) == 0;
}

// An If-Match header must not be a way to write others: only what can be an ETag goes in.
bool IsHeaderSafe(const std::string& etag) {
  return !etag.empty() && etag.size() <= 256 && std::all_of(etag.begin(), etag.end(), [](char c) {
    return c > 0x20 && c < 0x7f && c != '"';
  });
}

// A page that goes backwards would make the listing lose keys or run in circles.
bool IsAfter(const std::vector<ObjectRef>& objects, const std::string& start_after) {
  const std::string* previous = &start_after;
  for (const ObjectRef& object : objects) {
    if (object.key <= *previous) return false;
    previous = &object.key;
  }
  return true;
}

Status ToStatus(const ObjectError& error, bool worth_retrying) {
  switch (error.code) {
    case ObjectErrorCode::kNotFound:
      return Error(Code::kNotFound, "{}", error.message);
    case ObjectErrorCode::kForbidden:
      return Error(Code::kPermissionDenied, "{}", error.message);
    default:
      break;
  }
  return Error(worth_retrying ? Code::kUnavailable : Code::kInvalidArgument, "{}", error.message);
}

// What the loop's thread and the waiting caller share about one page.
struct PageAnswer {
  std::promise<Result<S3ListPage>> promise;
  S3ListPage page;
  bool worth_retrying = true;
};

Verdict JudgePage(const HttpReply& reply, const std::string& subject, const std::string& after,
                  S3ListPage& page) {
  auto parsed = ParseListPage(reply.body);
  if (!parsed)
    return {Route::kRetry,
            {ObjectErrorCode::kHttpError, subject + ": " + parsed.error().message()},
            {}};
  page = std::move(*parsed);
  if (IsAfter(page.objects, after)) return {};
  return {
      Route::kRetry,
      {ObjectErrorCode::kHttpError,
       subject +
           ": the listing is not in the order of the keys' bytes, or does not go on where the last "
           "page ended; give a manifest of the keys instead"},
      {}};
}

}  // namespace

S3Store::S3Store(const Settings& settings, S3Endpoint endpoint,
                 std::unique_ptr<CredentialProvider> credentials, HttpClient& client)
    : client_(client),
      endpoint_(std::move(endpoint)),
      credentials_(std::move(credentials)),
      max_object_bytes_(static_cast<uint64_t>(settings.max_object_bytes)),
      allowed_buckets_(settings.allow_bucket),
      anonymous_(settings.anonymous),
      patience_(settings.outage_patience_ms) {}

Status S3Store::CheckBucket(const std::string& bucket) const {
  if (allowed_buckets_.empty() ||
      std::find(allowed_buckets_.begin(), allowed_buckets_.end(), bucket) != allowed_buckets_.end())
    return OkStatus();
  return Error(Code::kPermissionDenied, "bucket '{}' is none that --allow-bucket names", bucket);
}

tl::expected<HttpRequest, Verdict> S3Store::Sign(const S3Location& location, const Query& query,
                                                 uint64_t body_bytes) {
  HttpRequest request{location.url, {}, endpoint_.addresses, body_bytes};
  if (!query.empty()) request.url += "?" + CanonicalQuery(query);
  if (anonymous_) return request;
  const Result<Credentials> credentials = credentials_->Get();
  if (!credentials)
    return tl::unexpected(Verdict{
        Route::kLockedOut, {ObjectErrorCode::kForbidden, credentials.error().message()}, {}});
  SignedRequest to_sign;
  to_sign.path = location.path;
  to_sign.query = query;
  request.headers = SignS3(std::move(to_sign), location.host, endpoint_.region,
                           SystemClock().WallMillis() + clock_offset_ms_.load(), *credentials);
  return request;
}

// Adds what S3 alone knows: a clock that is wrong can be put right, a region can be named.
Verdict S3Store::Mend(Verdict verdict, const HttpReply& reply, const ServerFault& fault) {
  if (verdict.route == Route::kAccept) return verdict;
  if (fault.code == "RequestTimeTooSkewed") {
    if (const auto server = ParseHttpDate(reply.headers.Find("date"))) {
      clock_offset_ms_.store(*server - SystemClock().WallMillis());
      verdict.route = Route::kCorrected;
      return verdict;
    }
  }
  if (verdict.route == Route::kLockedOut) credentials_->OnRefused();
  const std::string_view region = reply.headers.Find("x-amz-bucket-region");
  if (!region.empty() && region != endpoint_.region)
    verdict.error.message +=
        "; the bucket is in another region: set --s3-region " + Printable(region, 40);
  return verdict;
}

Result<S3ListPage> S3Store::FetchPage(const PageRequest& page) {
  const S3Location location = Locate(endpoint_, page.bucket, "");
  Query query = {{"list-type", "2"},
                 {"encoding-type", "url"},
                 {"max-keys", std::to_string(page.max_keys)},
                 {"prefix", page.prefix}};
  if (!page.token.empty())
    query.emplace_back("continuation-token", page.token);
  else if (!page.start_after.empty())
    query.emplace_back("start-after", page.start_after);
  const auto answer = std::make_shared<PageAnswer>();
  HttpTask task;
  task.skips_queue = true;
  task.prepare = [this, location, query] { return Sign(location, query, kListingBytesMax); };
  task.judge = [this, answer, subject = "listing " + location.url,
                after = page.start_after](const HttpReply& reply) {
    const ServerFault fault = ParseFault(reply);
    Verdict verdict = JudgeStatus(reply, fault, subject);
    if (verdict.route == Route::kAccept) verdict = JudgePage(reply, subject, after, answer->page);
    answer->worth_retrying = IsPassing(verdict.route);
    return Mend(std::move(verdict), reply, fault);
  };
  task.done = [answer](HttpOutcome outcome) {
    if (outcome.reply)
      answer->promise.set_value(std::move(answer->page));
    else
      answer->promise.set_value(
          tl::unexpected(ToStatus(outcome.reply.error(), answer->worth_retrying)));
  };
  auto future = answer->promise.get_future();
  client_.Submit(std::move(task));
  return future.get();
}

Result<ListPage> S3Store::List(const std::string& source, const std::string& prefix,
                               const std::string& start_after, int max_keys) {
  TRAWL_ASSIGN(S3Uri uri, ParseS3Uri(source));
  TRAWL_TRY(CheckBucket(uri.bucket));
  if (!anonymous_) credentials_->Await();
  std::string& folder = uri.key;
  if (!folder.empty() && !folder.ends_with('/')) folder += '/';
  PageRequest request{.bucket = uri.bucket,
                      .prefix = folder + prefix,
                      .start_after = start_after.empty() ? "" : folder + start_after,
                      .token = "",
                      .max_keys = std::clamp(max_keys, 1, kPageKeysMax)};
  ListPage page;
  // A truncated page may be empty, or hold folder markers only: the caller wants objects or the
  // end.
  for (int round = 0; round < kEmptyPagesMax; ++round) {
    TRAWL_ASSIGN(S3ListPage answer, FetchPage(request));
    if (!answer.objects.empty()) request.start_after = answer.objects.back().key;
    for (ObjectRef& object : answer.objects) {
      if (IsFolderMarker(object) || object.key.size() <= folder.size()) continue;
      object.key.erase(0, folder.size());
      page.objects.push_back(std::move(object));
    }
    page.last = !answer.truncated;
    if (page.last || !page.objects.empty()) return page;
    if (answer.objects.empty() && answer.continuation_token.empty()) break;
    request.token = std::move(answer.continuation_token);
  }
  return Error(Code::kUnavailable, "listing bucket '{}': pages without objects and without an end",
               uri.bucket);
}

void S3Store::Get(GetRequest request, std::stop_token stop, GetCallback done) {
  const Result<S3Uri> uri = ParseS3Uri(request.uri);
  if (!uri)
    return Refuse(client_, {ObjectErrorCode::kForbidden, uri.error().message()}, std::move(done));
  if (const Status status = CheckBucket(uri->bucket); !status.ok())
    return Refuse(client_, {ObjectErrorCode::kForbidden, status.message()}, std::move(done));
  if (uri->key.empty())
    return Refuse(client_, {ObjectErrorCode::kNotFound, "an object's key cannot be empty"},
                  std::move(done));
  if (!anonymous_) credentials_->Await();
  const S3Location location = Locate(endpoint_, uri->bucket, uri->key);
  if (request.expected_bytes.value_or(0) > max_object_bytes_)
    return Refuse(
        client_,
        {ObjectErrorCode::kTooLarge, fmt::format("{}: {} bytes, over the limit of {}", location.url,
                                                 *request.expected_bytes, max_object_bytes_)},
        std::move(done));
  HttpTask task;
  task.expected_bytes = request.expected_bytes.value_or(0);
  task.stop = std::move(stop);
  const uint64_t bytes_max = request.expected_bytes.value_or(max_object_bytes_);
  task.prepare = [this, location, bytes_max, etag = request.etag] {
    auto signed_request = Sign(location, {}, bytes_max);
    if (signed_request && IsHeaderSafe(etag))
      signed_request->headers.push_back("If-Match: \"" + etag + "\"");
    return signed_request;
  };
  task.judge = [this,
                expected = ObjectExpectation{.subject = location.url,
                                             .size_bytes = request.expected_bytes,
                                             .etag = request.etag,
                                             .etag_may_be_md5 = true}](const HttpReply& reply) {
    const ServerFault fault = ParseFault(reply);
    return Mend(JudgeObject(reply, fault, expected), reply, fault);
  };
  task.endpoint = Locate(endpoint_, uri->bucket, "").url;
  task.patience = patience_;
  task.trusted = true;
  task.done = DeliverTo(std::move(done));
  client_.Submit(std::move(task));
}

}  // namespace trawl::storage
