// Goal: what SOURCE on the command line means is fixed. Method: one line for each form, good and
// bad.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "producer/producer.h"

namespace trawl::producer {
namespace {

using testing::HasSubstr;

void ExpectSource(const std::string& text, bool manifest, const std::string& source,
                  const std::string& prefix) {
  const auto resolved = ResolveSource(text, manifest);
  ASSERT_TRUE(resolved) << text << ": " << resolved.error().message();
  EXPECT_EQ(resolved->source, source) << text;
  EXPECT_EQ(resolved->prefix, prefix) << text;
}

TEST(Source, ABucketIsListedBelowItsPrefixAndItsKeysStayWhole) {
  ExpectSource("s3://photos/2026/cats", false, "s3://photos/", "2026/cats");
  ExpectSource("s3://photos", false, "s3://photos/", "");
  ExpectSource("s3://photos/", false, "s3://photos/", "");
}

TEST(Source, AManifestsKeysLieBelowThePrefix) {
  ExpectSource("s3://photos/2026/cats", true, "s3://photos/2026/cats/", "");
  ExpectSource("s3://photos", true, "s3://photos/", "");
  ExpectSource("https://host/base", true, "https://host/base/", "");
}

TEST(Source, FoldersAreAbsoluteWithLinksResolved) {
  const std::string folder = std::filesystem::canonical(testing::TempDir()).string();
  ExpectSource(folder, false, "file://" + folder + "/", "");
  ExpectSource("file://" + folder + "/./", false, "file://" + folder + "/", "");
  ExpectSource("", true, "file://" + std::filesystem::current_path().string() + "/", "");
}

TEST(Source, WhatCannotBeASourceSaysWhy) {
  const auto message = [](const std::string& text) {
    return ResolveSource(text, false).error().message();
  };
  EXPECT_THAT(message("/nowhere/at/all"), HasSubstr("no such folder"));
  EXPECT_THAT(message("/etc/passwd"), HasSubstr("not a folder"));
  EXPECT_THAT(message("s3:///key"), HasSubstr("names no bucket"));
  EXPECT_THAT(message("http://host/"), HasSubstr("--manifest"));
  EXPECT_THAT(message("gopher://host/"), HasSubstr("unknown scheme 'gopher'"));
}

TEST(JobId, GeneratedOnesAreValidAndDiffer) {
  const std::string id = GenerateJobId();
  EXPECT_TRUE(CheckJobId(id).ok());
  EXPECT_NE(id, GenerateJobId());
}

TEST(JobId, OddNamesAreRefused) {
  for (const std::string& id : {std::string(), std::string("a/b"), std::string("ü"),
                                std::string("a b"), std::string(101, 'x')})
    EXPECT_EQ(CheckJobId(id).code(), Code::kInvalidArgument) << id;
}

}  // namespace
}  // namespace trawl::producer
