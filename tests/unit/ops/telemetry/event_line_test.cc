// Goal: one event is one line, whatever strangers put into its fields. Method: both formats of
// chosen events, byte for byte, and every single byte as a value.

#include "ops/telemetry/event_line.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace trawl::ops {
namespace {

constexpr int64_t kNoon = 1'767'268'800'123;  // 2026-01-01T12:00:00.123Z

TEST(TextLine, ReadsAsTimeLevelMessageAndFields) {
  const LogField fields[] = {{"job", "a"}, {"count", 3}, {"why", "two \"words\""}, {"none", ""}};
  EXPECT_EQ(TextLine(kNoon, LogLevel::kWarn, "model refused", fields),
            "2026-01-01T12:00:00.123Z warn  model refused job=a count=3 "
            "why=\"two \\\"words\\\"\" none=\"\"");
}

TEST(JsonLine, HoldsTheSameAsTheText) {
  const LogField fields[] = {{"key", "a\n\xC3\xBC\xFF"}};
  EXPECT_EQ(JsonLine(kNoon, LogLevel::kError, "stopped", fields),
            R"({"time":"2026-01-01T12:00:00.123Z","level":"error","message":"stopped",)"
            R"("key":"a\n\u00fc\ufffd"})");
}

TEST(EventLine, StaysOnOneLineOfHarmlessCharactersForEveryByte) {
  for (int byte = 0; byte < 256; ++byte) {
    const LogField fields[] = {{"key", std::string("a") + static_cast<char>(byte) + "b"}};
    for (const std::string& line : {TextLine(kNoon, LogLevel::kInfo, "m", fields),
                                    JsonLine(kNoon, LogLevel::kInfo, "m", fields)}) {
      EXPECT_TRUE(
          std::all_of(line.begin(), line.end(), [](char c) { return c >= 0x20 && c < 0x7F; }))
          << byte << ": " << line;
    }
  }
}

TEST(EscapeForTerminal, KeepsLettersAndEscapesWhatMovesTheCursorOrTurnsTheText) {
  EXPECT_EQ(EscapeForTerminal("Gemälde/日本 🎣"), "Gemälde/日本 🎣");
  EXPECT_EQ(EscapeForTerminal("\x1B[2J"), "\\x1b[2J");
  EXPECT_EQ(EscapeForTerminal("a\xE2\x80\xAE"
                              "b"),
            "a\\u{202e}b");
  EXPECT_EQ(EscapeForTerminal("\xC2\x9B"), "\\u{9b}");
  EXPECT_EQ(EscapeForTerminal("\xF0\x9F"), "\\xf0\\x9f");
}

}  // namespace
}  // namespace trawl::ops
