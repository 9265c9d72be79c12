#include "storage/object_store/http/http_call.h"

#include <curl/curl.h>

#include <utility>

#include "config/clock.h"

namespace trawl::storage {

HttpReply CallHttp(HttpRequest request, const TransferLimits& limits) {
  InitCurlOnce();
  Transfer transfer(std::move(request), limits, Reuse::kNothing, SystemClock().Now());
  return transfer.Finish(curl_easy_perform(transfer.handle()));
}

}  // namespace trawl::storage
