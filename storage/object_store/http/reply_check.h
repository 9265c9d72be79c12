#pragma once
// Is this reply the object that was listed? The decoders would accept a picture cut to a tenth, so
// integrity has to come from here: status 200, the announced and the listed length, the listed
// ETag, and the MD5 that a plain S3 ETag is.

#include <cstdint>
#include <optional>
#include <string>

#include "storage/object_store/http/http_message.h"
#include "storage/object_store/http/verdict.h"

namespace trawl::storage {

/// What the server itself says about a failure (S3's <Code> and <Message>); both empty for plain
/// HTTP.
struct ServerFault {
  std::string code;
  std::string message;
};

struct ObjectExpectation {
  std::string subject;                 // the URL without query, for messages
  std::optional<uint64_t> size_bytes;  // as listed
  std::string etag;                    // as listed, without quotes; empty: unknown
  bool etag_may_be_md5 = false;        // S3 alone makes that promise
};

/// The way to go for every reply that is not a complete one with status 200; kAccept for that one.
Verdict JudgeStatus(const HttpReply& reply, const ServerFault& fault, const std::string& subject);

/// As JudgeStatus, and a complete reply with status 200 is compared with what was listed.
Verdict JudgeObject(const HttpReply& reply, const ServerFault& fault,
                    const ObjectExpectation& expected);

}  // namespace trawl::storage
