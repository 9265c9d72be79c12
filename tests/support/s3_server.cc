#include "tests/support/s3_server.h"

#include <curl/curl.h>

#include <cstdlib>

#include "config/clock.h"
#include "storage/object_store/s3/sigv4.h"
#include "storage/object_store/uri.h"

namespace trawl::testing {
namespace {

using std::chrono::seconds;

// Where ops/testing/s3.sh puts them.
std::filesystem::path JarFolder() {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  const char* const home = std::getenv("HOME");
  const std::filesystem::path base =
      cache != nullptr && *cache != '\0'
          ? std::filesystem::path(cache)
          : std::filesystem::path(home == nullptr ? "/" : home) / ".cache";
  return base / "trawl" / "s3proxy-2.6.0";
}

size_t Discard(char*, size_t, size_t size, void*) { return size; }

}  // namespace

Result<std::unique_ptr<S3Server>> S3Server::Start() {
  const std::filesystem::path jars = JarFolder();
  if (!std::filesystem::exists(jars / ".complete"))
    return Error(Code::kFailedPrecondition,
                 "there is no S3 server in {}: run ops/testing/s3.sh first", jars.string());
  std::unique_ptr<S3Server> server(new S3Server);
  server->port_ = FreePort();
  std::filesystem::create_directory(server->folder_ / "data");
  const std::filesystem::path properties = server->folder_.Write(
      "s3proxy.properties",
      fmt::format("s3proxy.endpoint={}\ns3proxy.authorization=aws-v2-or-v4\n"
                  "s3proxy.identity={}\ns3proxy.credential={}\n"
                  "jclouds.provider=filesystem-nio2\njclouds.filesystem.basedir={}\n"
                  "jclouds.identity=unused\njclouds.credential=unused\n",
                  server->endpoint(), kAccessKey, kSecretKey, (server->folder_ / "data").string()));
  ProcessOptions options;
  options.argv = {
      "java",         "-Xmx256m",         "-cp", (jars / "*").string(), "org.gaul.s3proxy.Main",
      "--properties", properties.string()};
  options.environment = {{"LC_ALL", "C.UTF-8"}};  // or Java cannot name files beyond ASCII
  options.output = server->folder_ / "log";
  TRAWL_ASSIGN(server->process_, Process::Start(options));
  if (WaitForPort(server->port_)) return server;
  return Error(Code::kUnavailable, "the S3 server did not start: {}",
               ReadFile(server->folder_ / "log"));
}

Status S3Server::CreateBucket(const std::string& bucket) const {
  return Send("PUT", "/" + bucket, "");
}

Status S3Server::Put(const std::string& bucket, const std::string& key,
                     std::string_view bytes) const {
  return Send("PUT", "/" + bucket + "/" + storage::PercentEncodePath(key), bytes);
}

Status S3Server::Delete(const std::string& bucket, const std::string& key) const {
  return Send("DELETE", "/" + bucket + "/" + storage::PercentEncodePath(key), "");
}

Status S3Server::Send(const std::string& method, const std::string& path,
                      std::string_view body) const {
  storage::SignedRequest request;
  request.method = method;
  request.path = path;
  request.payload_hash = "UNSIGNED-PAYLOAD";
  const storage::Credentials credentials{kAccessKey, storage::Secret(kSecretKey),
                                         storage::Secret()};
  curl_slist* headers = curl_slist_append(nullptr, "Expect:");
  for (const std::string& line : storage::SignS3(request, endpoint().substr(7), "us-east-1",
                                                 SystemClock().WallMillis(), credentials))
    headers = curl_slist_append(headers, line.c_str());
  CURL* const easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_URL, (endpoint() + path).c_str());
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data() == nullptr ? "" : body.data());
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Discard);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT, 30L);
  const CURLcode result = curl_easy_perform(easy);
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_cleanup(easy);
  curl_slist_free_all(headers);
  if (result == CURLE_OK && status >= 200 && status < 300) return OkStatus();
  return Error(Code::kUnavailable, "{} {}: {}, status {}", method, path, curl_easy_strerror(result),
               status);
}

}  // namespace trawl::testing
