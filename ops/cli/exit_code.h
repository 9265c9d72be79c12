#pragma once
// What the process answers to the shell. The same scheme for every subcommand; `trawl --help`
// prints it.

#include "config/status.h"

namespace trawl::ops {

enum ExitCode : int {
  kExitDone = 0,
  kExitSomeFailed = 1,  // done, but some objects ended as failures; or accounts differ
  kExitUsage = 2,       // usage, settings, a model or a file that is not what it should be
  kExitNoSuchJob = 4,
  kExitUnreachable = 69,  // a service cannot be reached (EX_UNAVAILABLE)
  kExitInternal = 70,     // EX_SOFTWARE
  kExitInterrupted = 130,
};

/// Prints "trawl: <message>" on standard error, a line for each line of the message, and maps the
/// code.
int Fail(const Status& status);

/// As Fail; kNotFound means that there is no such job.
int FailJob(const Status& status);

/// Maps without printing.
int ExitCodeOf(const Status& status);

}  // namespace trawl::ops
