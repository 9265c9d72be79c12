#pragma once
// Status and Result: how every fallible function of Trawl answers. Failures are data: they cross
// threads and queues, and their code decides the route (retry, failure record, stop). Nothing in
// Trawl throws.

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace trawl {

/// The canonical codes. A caller branches on the code, never on the message.
enum class Code {
  kOk,
  kInvalidArgument,     // the input is wrong and will stay wrong
  kNotFound,            // a named thing does not exist
  kAlreadyExists,       // a named thing exists, but not as asked for
  kPermissionDenied,    // credentials, policy or allow-list
  kFailedPrecondition,  // the system is in a state that forbids this; a person has to act (fenced,
                        // wrong database)
  kAborted,             // undone as a whole; the caller may rewind and do it again
  kDataLoss,            // corrupt or missing data
  kUnavailable,         // a service cannot be reached now
  kDeadlineExceeded,
  kResourceExhausted,  // memory, disk, quota
  kUnimplemented,      // understood, but not supported
  kCancelled,          // asked to stop
  kInternal,           // a bug of ours or of a library
};

/// Snake-case name of `code`, such as "not_found".
std::string_view ToString(Code code);

/// True when the same call may succeed later without anybody changing anything.
bool IsRetryable(Code code);

/// A code and, unless it is kOk, a one-line message. A value: copy and move freely.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  /// Lets `return Error(…)` serve functions that return Status and functions that return Result<T>.
  Status(tl::unexpected<Status> failure);  // NOLINT: implicit on purpose

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

inline Status::Status(tl::unexpected<Status> failure) : Status(std::move(failure.value())) {}

inline Status OkStatus() { return {}; }

/// A value, or the Status that says why there is none (never kOk). Has std::expected's member
/// names.
template <class T>
using Result = tl::expected<T, Status>;

/// `return Error(Code::kNotFound, "no such job '{}'", job);` from a function returning Status or
/// Result<T>.
template <class... Args>
[[nodiscard]] tl::unexpected<Status> Error(Code code, fmt::format_string<Args...> format,
                                           Args&&... args) {
  return tl::unexpected<Status>(Status(code, fmt::format(format, std::forward<Args>(args)...)));
}

/// Puts context before a failure, in a gerund and outermost first: "reading model.yaml: no such
/// file".
template <class... Args>
[[nodiscard]] tl::unexpected<Status> Annotate(const Status& status,
                                              fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Status>(Status(
      status.code(), fmt::format(format, std::forward<Args>(args)...) + ": " + status.message()));
}

}  // namespace trawl

#define TRAWL_CONCAT_INNER(a, b) a##b
#define TRAWL_CONCAT(a, b) TRAWL_CONCAT_INNER(a, b)

/// Evaluates an expression of type Status; returns it from the enclosing function unless it is OK.
#define TRAWL_TRY(expression)                                            \
  do {                                                                   \
    if (::trawl::Status trawl_status = (expression); !trawl_status.ok()) \
      return ::tl::unexpected<::trawl::Status>(std::move(trawl_status)); \
  } while (false)

/// `TRAWL_ASSIGN(auto graph, LoadOnnx(path));` declares or assigns the value, or returns the
/// failure.
#define TRAWL_ASSIGN(target, expression) \
  TRAWL_ASSIGN_INNER(TRAWL_CONCAT(trawl_result_, __LINE__), target, expression)
#define TRAWL_ASSIGN_INNER(result, target, expression)                              \
  auto result = (expression);                                                       \
  if (!result) return ::tl::unexpected<::trawl::Status>(std::move(result).error()); \
  target = std::move(*result)
