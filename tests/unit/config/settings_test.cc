// Goal: settings come from four sources in one order of precedence, and every slip is named before
// anything starts. Method: real YAML files and hand-made environments through SettingsLoader.
#include "config/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace trawl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SettingsTest : public ::testing::Test {
 protected:
  std::string WriteYaml(const std::string& text) {
    return folder_.Write("trawl.yaml", text).string();
  }

  Settings Finish() {
    auto settings = loader_.Finish();
    EXPECT_TRUE(settings) << settings.error().message();
    return settings.value_or(Settings{});
  }

  std::string Problems() {
    const auto settings = loader_.Finish();
    return settings ? "" : settings.error().message();
  }

  testing::TempDir folder_;  // its own: tests run side by side
  SettingsLoader loader_;
};

TEST_F(SettingsTest, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  loader_.LoadYaml(WriteYaml("batch-size: 2\nsessions: 2\ntop-k: 2\n"));
  const char* const environment[] = {"TRAWL_BATCH_SIZE=3", "TRAWL_SESSIONS=3", "HOME=/", nullptr};
  loader_.LoadEnvironment(environment);
  loader_.SetFlag("batch-size", {"4"});
  const Settings settings = Finish();
  EXPECT_EQ(settings.batch_size, 4);
  EXPECT_EQ(settings.sessions, 3);
  EXPECT_EQ(settings.top_k, 2);
  EXPECT_EQ(settings.batch_keys, Settings{}.batch_keys);
  EXPECT_EQ(loader_.SourceOf("batch-size"), "flag --batch-size");
  EXPECT_EQ(loader_.SourceOf("sessions"), "environment TRAWL_SESSIONS");
  EXPECT_THAT(loader_.SourceOf("top-k"), HasSubstr("trawl.yaml:3"));
  EXPECT_EQ(loader_.SourceOf("batch-keys"), "default");
}

TEST_F(SettingsTest, ADefaultOfTheProcessIsBeatenByAnyOtherSource) {
  loader_.SetDefault("memory", "123456789", "memory.max");
  loader_.SetDefault("batch-size", "7", "somewhere");
  loader_.SetFlag("batch-size", {"4"});
  const Settings settings = Finish();
  EXPECT_EQ(settings.memory, 123'456'789);
  EXPECT_EQ(loader_.SourceOf("memory"), "memory.max");
  EXPECT_EQ(settings.batch_size, 4);
  EXPECT_EQ(loader_.SourceOf("batch-size"), "flag --batch-size");
}

TEST_F(SettingsTest, ReportsEveryProblemAtOnceWithLineAndSuggestion) {
  loader_.LoadYaml(WriteYaml("batch-sise: 2\nsessions: many\nlog-level: loud\n"));
  loader_.SetFlag("replication", {"0"});
  const std::string problems = Problems();
  EXPECT_THAT(problems,
              HasSubstr("trawl.yaml:1: unknown setting 'batch-sise'; did you mean 'batch-size'?"));
  EXPECT_THAT(problems, HasSubstr("trawl.yaml:2: sessions = many: not a whole number"));
  EXPECT_THAT(problems, HasSubstr("log-level = loud: must be one of debug, info, warn, error"));
  EXPECT_THAT(problems,
              HasSubstr("flag --replication: replication = 0: must lie between 1 and 100"));
}

TEST_F(SettingsTest, UnitsTakeSuffixesAndRefuseOverflow) {
  loader_.SetFlag("max-object-bytes", {"64MiB"});
  loader_.SetFlag("drain-timeout-ms", {"30s"});
  const Settings settings = Finish();
  EXPECT_EQ(settings.max_object_bytes, 64LL << 20);
  EXPECT_EQ(settings.drain_timeout_ms, 30'000);
  loader_.SetFlag("max-object-bytes", {"9223372036854775807GiB"});
  loader_.SetFlag("batch-size", {"8MiB"});
  EXPECT_THAT(Problems(), HasSubstr("must lie between"));
  EXPECT_THAT(Problems(), HasSubstr("batch-size = 8MiB: not a whole number"));
}

TEST_F(SettingsTest, ListsComeFromYamlSequencesRepeatedFlagsAndColons) {
  loader_.LoadYaml(WriteYaml("allow-bucket: [a, b]\nallow-root: /data\n"));
  const char* const environment[] = {"TRAWL_ALLOW_ROOT=/models:/images", nullptr};
  loader_.LoadEnvironment(environment);
  const Settings settings = Finish();
  EXPECT_THAT(settings.allow_bucket, ElementsAre("a", "b"));
  EXPECT_THAT(settings.allow_root, ElementsAre("/models", "/images"));
}

TEST_F(SettingsTest, KafkaNamesPassThroughFromFileAndFlag) {
  loader_.LoadYaml(WriteYaml("kafka:\n  security.protocol: ssl\n  linger.ms: 5\n"));
  loader_.SetKafka("linger.ms=7");
  const Settings settings = Finish();
  EXPECT_EQ(settings.kafka.at("security.protocol"), "ssl");
  EXPECT_EQ(settings.kafka.at("linger.ms"), "7");
  loader_.SetKafka("no-equals-sign");
  EXPECT_THAT(Problems(), HasSubstr("flag -X no-equals-sign: must be name=value"));
}

TEST_F(SettingsTest, SlipsInTheEnvironmentAreErrorsButStrangersAreNot) {
  const char* const environment[] = {"TRAWL_BATCH_SIZ=3", "TRAWL_SERVICE_HOST=10.0.0.1",
                                     "TRAWL_S3_SECRET_KEY=x", nullptr};
  loader_.LoadEnvironment(environment);
  EXPECT_EQ(Problems(),
            "environment: unknown setting 'TRAWL_BATCH_SIZ'; did you mean 'TRAWL_BATCH_SIZE'?");
}

TEST_F(SettingsTest, BrokenYamlIsAProblemNotACrash) {
  loader_.LoadYaml(WriteYaml("batch-size: [1, 2\n"));
  loader_.LoadYaml("/nowhere/trawl.yaml");
  loader_.LoadYaml(WriteYaml("- a list\n"));
  loader_.LoadYaml(WriteYaml("batch-size: {a: 1}\n"));
  const std::string problems = Problems();
  EXPECT_THAT(problems, HasSubstr("/nowhere/trawl.yaml: cannot be read"));
  EXPECT_THAT(problems, HasSubstr("must be a map of settings"));
  EXPECT_THAT(problems, HasSubstr("batch-size must be a value or a list of values"));
}

TEST(SettingTable, DefaultsLieInTheirOwnRangesAndNamesAreUnique) {
  std::vector<std::string> names;
  for (const SettingDef& def : SettingTable()) {
    EXPECT_THAT(names, ::testing::Not(::testing::Contains(def.name)));
    names.push_back(def.name);
    SettingsLoader loader;
    if (const std::string value = FormatSetting(def, Settings{}); !value.empty())
      loader.SetFlag(def.name, {value});
    const auto settings = loader.Finish();
    EXPECT_TRUE(settings) << def.name << ": " << settings.error().message();
    EXPECT_TRUE(def.doc.ends_with(".") || def.doc.ends_with("…"))
        << def.name << ": a sentence ends with a full stop";
  }
}

TEST(SettingTable, TheManualIsCurrent) {
  const std::string manual = testing::ReadFile(TRAWL_SOURCE_DIR "/config/SETTINGS.md");
  EXPECT_EQ(manual, SettingsMarkdown()) << "run: trawl settings --markdown > config/SETTINGS.md";
}

}  // namespace
}  // namespace trawl
