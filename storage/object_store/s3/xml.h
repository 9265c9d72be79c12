#pragma once
// The two S3 documents that matter: a page of a listing, and an error.

#include <cstddef>
#include <string>
#include <vector>

#include "config/records.h"
#include "config/status.h"
#include "storage/object_store/http/http_message.h"
#include "storage/object_store/http/reply_check.h"

namespace trawl::storage {

/// One answer to ListObjectsV2; keys are whole (bucket-relative) and decoded.
struct S3ListPage {
  std::vector<ObjectRef> objects;
  bool truncated = false;
  std::string continuation_token;  // of the next page, when truncated
};

/// Errors: kDataLoss, saying what is wrong with the document.
Result<S3ListPage> ParseListPage(const std::vector<std::byte>& body);

/// Both empty when the body is no S3 error document.
ServerFault ParseFault(const HttpReply& reply);

}  // namespace trawl::storage
