#include <fmt/format.h>

#include <cstdio>

#include "ops/cli/commands.h"
#include "ops/cli/exit_code.h"
#include "ops/cli/text.h"
#include "ops/telemetry/log.h"

namespace trawl::ops {

int PrintSettings(const SettingsArguments& arguments, const Settings& settings,
                  const SettingsLoader& loader) {
  if (arguments.markdown) {
    std::fputs(SettingsMarkdown().c_str(), stdout);
    return kExitDone;
  }
  std::vector<std::vector<std::string>> rows;
  for (const SettingDef& def : SettingTable())
    rows.push_back({def.name, EscapeForTerminal(FormatSetting(def, settings)), def.unit,
                    loader.SourceOf(def.name)});
  std::fputs(
      FormatTable({"SETTING", "VALUE", "UNIT", "FROM"}, rows, {false, true, false, false}).c_str(),
      stdout);
  return kExitDone;
}

}  // namespace trawl::ops
