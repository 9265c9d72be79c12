#include "ops/cli/exit_code.h"

#include <cstdio>
#include <string_view>

#include "ops/cli/text.h"
#include "ops/telemetry/log.h"

namespace trawl::ops {

int ExitCodeOf(const Status& status) {
  switch (status.code()) {
    case Code::kOk:
      return kExitDone;
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
      return kExitUnreachable;
    case Code::kCancelled:
      return kExitInterrupted;
    case Code::kInternal:
      return kExitInternal;
    default:
      return kExitUsage;
  }
}

int Fail(const Status& status) {
  std::string_view rest = status.message();
  while (true) {
    const size_t end = rest.find('\n');
    std::fprintf(stderr, "trawl: %s\n", EscapeForTerminal(rest.substr(0, end)).c_str());
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  return ExitCodeOf(status);
}

int FailJob(const Status& status) {
  const int code = Fail(status);
  return status.code() == Code::kNotFound ? kExitNoSuchJob : code;
}

}  // namespace trawl::ops
