#pragma once
// The control groups that hold this process, where their files are: of version 2, and of version 1
// on hosts that still mount some of its hierarchies, each somewhere else.

#include <string>
#include <string_view>
#include <vector>

namespace trawl::worker {

struct ControlGroup {
  int version = 2;
  std::string folder;  // that its files are in
};

/// The process's own groups as far as `controller` ("cpu", "memory") goes, each followed by those
/// around it up to the mount: every one of them may set a limit, and the tightest holds. A group of
/// version 2 is named whether it has that controller or not: its files tell. None when the kernel
/// tells of none. `root` stands before every path that is read, for tests.
std::vector<ControlGroup> ControlGroupsOf(std::string_view controller,
                                          const std::string& root = "");

}  // namespace trawl::worker
