#include "worker/control_groups.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>

namespace trawl::worker {
namespace {

/// A word of comma-separated ones holds `wanted`.
bool Lists(std::string_view words, std::string_view wanted) {
  while (!words.empty()) {
    const size_t comma = std::min(words.find(','), words.size());
    if (words.substr(0, comma) == wanted) return true;
    words.remove_prefix(std::min(comma + 1, words.size()));
  }
  return false;
}

/// mountinfo writes blanks and backslashes, which names of systemd's groups are full of, as \ooo.
std::string Unescape(std::string_view text) {
  const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string plain;
  for (size_t at = 0; at < text.size(); ++at) {
    const std::string_view digits = text.substr(at).substr(1, 3);
    if (text[at] == '\\' && digits.size() == 3 && std::ranges::all_of(digits, is_octal)) {
      plain += static_cast<char>((digits[0] - '0') * 64 + (digits[1] - '0') * 8 + digits[2] - '0');
      at += 3;
    } else {
      plain += text[at];
    }
  }
  return plain;
}

/// One hierarchy, as it can be seen from here.
struct Mount {
  int version = 2;
  std::string top;     // the group that the mount shows
  std::string folder;  // where
};

/// The mount of a line of /proc/self/mountinfo, if it is of version 2, or of version 1 with
/// `controller`:
///   36 31 0:29 /top /folder rw,relatime shared:1 - cgroup cgroup rw,cpu,cpuacct
std::optional<Mount> MountOf(const std::string& line, std::string_view controller) {
  std::istringstream words(line);
  std::string ignored, top, folder, word, type, options;
  words >> ignored >> ignored >> ignored >> top >> folder;
  while (words >> word && word != "-") {
  }
  words >> type >> ignored >> options;
  const bool is_first = type == "cgroup" && Lists(options, controller);
  if (!words || (!is_first && type != "cgroup2")) return std::nullopt;
  return Mount{is_first ? 1 : 2, Unescape(top), Unescape(folder)};
}

/// The process's group in that hierarchy, from /proc/self/cgroup ("4:cpu,cpuacct:/jobs/7",
/// "0::/jobs/7"); none when it is not in it.
std::optional<std::string> GroupIn(int version, std::string_view controller,
                                   const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string_view controllers =
        std::string_view(line).substr(first + 1, second - first - 1);
    if (version == 2 ? controllers.empty() : Lists(controllers, controller))
      return line.substr(second + 1);
  }
  return std::nullopt;
}

/// `group` below `mount`, "" for the group that the mount shows: that is all there is to see of a
/// group which lies elsewhere.
std::string Below(const Mount& mount, const std::string& group) {
  const std::string top = mount.top == "/" ? "" : mount.top;
  if (!group.starts_with(top) || group.find("/..") != std::string::npos) return "";
  std::string below = group.substr(top.size());
  if (!below.starts_with('/')) return "";
  while (below.ends_with('/')) below.pop_back();
  return below;
}

}  // namespace

std::vector<ControlGroup> ControlGroupsOf(std::string_view controller, const std::string& root) {
  std::vector<ControlGroup> groups;
  std::ifstream mounts(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    const auto mount = MountOf(line, controller);
    if (!mount) continue;
    const auto group = GroupIn(mount->version, controller, root);
    if (!group) continue;
    for (std::string below = Below(*mount, *group);; below.resize(below.rfind('/'))) {
      groups.push_back({mount->version, root + mount->folder + below});
      if (below.empty()) break;
    }
  }
  return groups;
}

}  // namespace trawl::worker
