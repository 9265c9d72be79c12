#pragma once
// One download from any store, waited for.

#include <future>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "storage/object_store/object_store.h"

namespace trawl::testing {

inline std::future<ObjectResult<storage::Download>> FetchLater(storage::ObjectStore& store,
                                                               storage::GetRequest request,
                                                               std::stop_token stop = {}) {
  auto promise = std::make_shared<std::promise<ObjectResult<storage::Download>>>();
  store.Get(std::move(request), std::move(stop), [promise](ObjectResult<storage::Download> result) {
    promise->set_value(std::move(result));
  });
  return promise->get_future();
}

inline ObjectResult<storage::Download> Fetch(storage::ObjectStore& store,
                                             storage::GetRequest request) {
  return FetchLater(store, std::move(request)).get();
}

inline std::string Text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace trawl::testing
