#include "config/settings.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <type_traits>

#include "config/suggest.h"

namespace trawl {
namespace {

constexpr std::string_view kEnvironmentPrefix = "TRAWL_";

struct Suffix {
  std::string_view unit;
  std::string_view text;
  int64_t factor;
};

constexpr Suffix kSuffixes[] = {
    {"bytes", "KiB", 1LL << 10}, {"bytes", "MiB", 1LL << 20},
    {"bytes", "GiB", 1LL << 30}, {"ms", "ms", 1},
    {"ms", "s", 1'000},          {"ms", "m", 60'000},
    {"ms", "h", 3'600'000},
};

/// Errors: kInvalidArgument, worded to follow "<setting> = <text>: ".
Result<int64_t> ParseNumber(const SettingDef& def, const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view rest(end, static_cast<size_t>(text.data() + text.size() - end));
  int64_t factor = rest.empty() ? 1 : 0;
  for (const Suffix& suffix : kSuffixes)
    if (suffix.unit == def.unit && suffix.text == rest) factor = suffix.factor;
  int64_t scaled = 0;
  if (error != std::errc() || factor == 0)
    return Error(Code::kInvalidArgument, "not a whole number{}",
                 def.unit.empty() ? "" : fmt::format(" of {}", def.unit));
  if (__builtin_mul_overflow(value, factor, &scaled) || scaled < def.min || scaled > def.max)
    return Error(Code::kInvalidArgument, "must lie between {} and {}", def.min, def.max);
  return scaled;
}

Result<bool> ParseBool(const std::string& text) {
  if (text == "true" || text == "yes" || text == "on" || text == "1") return true;
  if (text == "false" || text == "no" || text == "off" || text == "0") return false;
  return Error(Code::kInvalidArgument, "must be true or false");
}

Status Assign(Settings& settings, const SettingDef& def, const std::vector<std::string>& values) {
  return std::visit(
      [&](auto member) -> Status {
        auto& target = settings.*member;
        using Target = std::remove_reference_t<decltype(target)>;
        if constexpr (std::is_same_v<Target, std::vector<std::string>>) {
          target = values;
        } else if (values.size() != 1) {
          return Error(Code::kInvalidArgument, "takes one value");
        } else if constexpr (std::is_same_v<Target, bool>) {
          TRAWL_ASSIGN(target, ParseBool(values[0]));
        } else if constexpr (std::is_integral_v<Target>) {
          TRAWL_ASSIGN(const int64_t number, ParseNumber(def, values[0]));
          target = static_cast<Target>(number);
        } else {
          if (!def.choices.empty() && std::ranges::count(def.choices, values[0]) == 0)
            return Error(Code::kInvalidArgument, "must be one of {}", fmt::join(def.choices, ", "));
          target = values[0];
        }
        return OkStatus();
      },
      def.member);
}

const SettingDef* FindSetting(const std::string& name) {
  for (const SettingDef& def : SettingTable())
    if (def.name == name) return &def;
  return nullptr;
}

std::vector<std::string> SettingNames() {
  std::vector<std::string> names;
  for (const SettingDef& def : SettingTable()) names.push_back(def.name);
  return names;
}

/// A scalar as one value, a sequence of scalars as several; nullopt for anything else.
std::optional<std::vector<std::string>> YamlValues(const YAML::Node& node) {
  if (node.IsScalar()) return std::vector<std::string>{node.Scalar()};
  if (!node.IsSequence()) return std::nullopt;
  std::vector<std::string> values;
  for (const YAML::Node& item : node) {
    if (!item.IsScalar()) return std::nullopt;
    values.push_back(item.Scalar());
  }
  return values;
}

}  // namespace

std::string SettingDef::EnvironmentName() const {
  std::string result(kEnvironmentPrefix);
  for (const char c : name)
    result += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return result;
}

std::string FormatSetting(const SettingDef& def, const Settings& settings) {
  return std::visit(
      [&](auto member) {
        if constexpr (std::is_same_v<decltype(member), std::vector<std::string> Settings::*>)
          return fmt::format("{}", fmt::join(settings.*member, ","));
        else
          return fmt::format("{}", settings.*member);
      },
      def.member);
}

void SettingsLoader::Set(const SettingDef& def, const std::vector<std::string>& values,
                         const std::string& source) {
  if (const Status status = Assign(settings_, def, values); !status.ok())
    problems_.push_back(
        fmt::format("{}: {} = {}: {}", source, def.name, fmt::join(values, ","), status.message()));
  else
    sources_[def.name] = source;
}

void SettingsLoader::SetDefault(const std::string& name, const std::string& value,
                                const std::string& source) {
  if (const SettingDef* def = FindSetting(name)) Set(*def, {value}, source);
}

void SettingsLoader::LoadYaml(const std::string& path) {
  try {
    const YAML::Node root = YAML::LoadFile(path);
    if (root.IsNull()) return;
    if (!root.IsMap()) {
      problems_.push_back(path + ": must be a map of settings");
      return;
    }
    std::vector<std::string> known = SettingNames();
    known.push_back("kafka");
    for (const auto& entry : root) {
      const std::string where = fmt::format("{}:{}", path, entry.first.Mark().line + 1);
      const std::string name = entry.first.IsScalar() ? entry.first.Scalar() : "";
      const auto values = YamlValues(entry.second);
      if (name == "kafka" && entry.second.IsMap()) {
        for (const auto& pair : entry.second)
          settings_.kafka[pair.first.as<std::string>()] = pair.second.as<std::string>();
      } else if (const SettingDef* def = FindSetting(name); def == nullptr) {
        problems_.push_back(
            fmt::format("{}: unknown setting '{}'{}", where, name, DidYouMean(name, known)));
      } else if (!values) {
        problems_.push_back(fmt::format("{}: {} must be a value or a list of values", where, name));
      } else {
        Set(*def, *values, where);
      }
    }
  } catch (const YAML::BadFile&) {
    problems_.push_back(path + ": cannot be read");
  } catch (const YAML::Exception& error) {
    problems_.push_back(fmt::format("{}:{}: {}", path, error.mark.line + 1, error.msg));
  }
}

void SettingsLoader::LoadEnvironment(const char* const* entries) {
  // Credentials are read by the object store alone, so that no table, log or --explain ever holds
  // them.
  static const std::vector<std::string> kElsewhere = {
      "TRAWL_S3_ACCESS_KEY", "TRAWL_S3_SECRET_KEY", "TRAWL_S3_SESSION_TOKEN",
      "TRAWL_CONFIG",        "TRAWL_ISA",           "TRAWL_SHARED"};
  std::vector<std::string> known, known_suffixes;
  for (const SettingDef& def : SettingTable()) {
    known.push_back(def.EnvironmentName());
    known_suffixes.push_back(known.back().substr(kEnvironmentPrefix.size()));
  }
  for (; *entries != nullptr; ++entries) {
    const std::string entry = *entries;
    const size_t equals = entry.find('=');
    if (!entry.starts_with(kEnvironmentPrefix) || equals == std::string::npos) continue;
    const std::string name = entry.substr(0, equals);
    const auto found = std::ranges::find(known, name);
    if (found != known.end()) {
      const SettingDef& def = SettingTable()[static_cast<size_t>(found - known.begin())];
      std::vector<std::string> values{entry.substr(equals + 1)};
      if (std::holds_alternative<std::vector<std::string> Settings::*>(def.member)) {
        // Lists are separated as PATH is.
        std::string rest = std::exchange(values, {}).front();
        for (size_t colon; (colon = rest.find(':')) != std::string::npos; rest.erase(0, colon + 1))
          values.push_back(rest.substr(0, colon));
        values.push_back(rest);
      }
      Set(def, values, "environment " + name);
    } else if (const std::string meant =
                   Nearest(name.substr(kEnvironmentPrefix.size()), known_suffixes);
               !meant.empty() && std::ranges::count(kElsewhere, name) == 0) {
      // Only what looks like a slip is an error: Kubernetes puts TRAWL_SERVICE_HOST and the like
      // into the environment of every container beside a service named trawl.
      problems_.push_back(fmt::format("environment: unknown setting '{}'; did you mean '{}{}'?",
                                      name, kEnvironmentPrefix, meant));
    }
  }
}

void SettingsLoader::SetFlag(const std::string& name, const std::vector<std::string>& values) {
  if (const SettingDef* def = FindSetting(name)) Set(*def, values, "flag --" + name);
}

void SettingsLoader::SetKafka(const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0)
    problems_.push_back(fmt::format("flag -X {}: must be name=value", assignment));
  else
    settings_.kafka[assignment.substr(0, equals)] = assignment.substr(equals + 1);
}

Result<Settings> SettingsLoader::Finish() {
  if (!problems_.empty()) return Error(Code::kInvalidArgument, "{}", fmt::join(problems_, "\n"));
  return settings_;
}

std::string SettingsLoader::SourceOf(const std::string& name) const {
  const auto found = sources_.find(name);
  return found == sources_.end() ? "default" : found->second;
}

std::string SettingsMarkdown() {
  std::string text =
      "# Settings\n\nGenerated by `trawl settings --markdown`. A flag beats its environment "
      "variable, which "
      "beats the YAML\nfile of `--config`, which beats the default. Units `bytes` and `ms` take "
      "suffixes: "
      "`32MiB`, `30s`.\nlibrdkafka's own settings pass through: `-X name=value`, or under `kafka:` "
      "in the "
      "file.\n";
  const Settings defaults;
  std::optional<SettingSection> section;
  for (const SettingDef& def : SettingTable()) {
    if (section != def.section) {
      text += fmt::format(
          "\n## {}\n\n| flag | environment | default | range | meaning |\n|---|---|---|---|---|\n",
          Title(def.section));
      section = def.section;
    }
    std::string range = fmt::format("{}", fmt::join(def.choices, ", "));
    if (def.max != 0) range = fmt::format("{} to {} {}", def.min, def.max, def.unit);
    while (range.ends_with(' ')) range.pop_back();
    text += fmt::format("| `--{}` | `{}` | {} | {} | {} |\n", def.name, def.EnvironmentName(),
                        FormatSetting(def, defaults), range, def.doc);
  }
  return text;
}

}  // namespace trawl
