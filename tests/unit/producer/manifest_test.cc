// Goal: a manifest means the same however it was written, and a line that means nothing is named.
// Method: small manifests from memory; random line ends with a printed seed.
#include "producer/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <sstream>

namespace trawl::producer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct ReadManifest {
  std::vector<std::string> keys;
  std::vector<std::string> uris;
  std::string digest;
  std::string error;
};

ReadManifest Read(const std::string& text, const std::string& source = "file:///data/") {
  std::istringstream stream(text);
  ManifestReader reader(stream, "keys.txt", source);
  ReadManifest result;
  while (true) {
    auto entry = reader.Next();
    if (!entry) {
      result.error = entry.error().message();
      break;
    }
    if (!*entry) break;
    result.keys.push_back((*entry)->key);
    result.uris.push_back((*entry)->uri);
  }
  result.digest = reader.DigestHex();
  return result;
}

TEST(Manifest, TakesPlainLinesAsTheyStand) {
  const ReadManifest read = Read("a.jpg\n# b.jpg\n sp ace \n%41+&.jpg");
  EXPECT_THAT(read.keys, ElementsAre("a.jpg", "# b.jpg", " sp ace ", "%41+&.jpg"));
  EXPECT_THAT(read.uris, ElementsAre("", "", "", ""));
}

TEST(Manifest, AbsoluteNamesBecomeUris) {
  EXPECT_THAT(Read("s3://b/k.jpg\nhttps://h/k.jpg\n/abs/k.jpg\nk.jpg").uris,
              ElementsAre("s3://b/k.jpg", "https://h/k.jpg", "file:///abs/k.jpg", ""));
  EXPECT_THAT(Read("/abs/k.jpg", "s3://bucket/").uris,
              ElementsAre(""));  // a key may begin with a slash
}

TEST(Manifest, LineEndsBlankLinesAndAByteOrderMarkDoNotMatter) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::vector<std::string> keys = {"a", "b b", "ü", "d,e", "f"};
  const std::string digest = Read("a\nb b\nü\nd,e\nf\n").digest;
  for (int round = 0; round < 50; ++round) {
    std::string text = random() % 2 ? "\xEF\xBB\xBF" : "";
    for (const std::string& key : keys) {
      text += key + (random() % 2 ? "\r\n" : "\n");
      while (random() % 3 == 0) text += random() % 2 ? "\n" : "\r\n";
    }
    while (random() % 2 && (text.ends_with('\n') || text.ends_with('\r'))) text.pop_back();
    const ReadManifest read = Read(text);
    EXPECT_EQ(read.keys, keys);
    EXPECT_EQ(read.digest, digest);
  }
}

TEST(Manifest, ReadsJsonLinesWithSizeAndEtag) {
  std::istringstream stream(
      "{\"uri\": \"s3://b/k\", \"size\": 12, \"etag\": \"abc\", \"id\": 7}\n{\"key\": \"x\"}\n");
  ManifestReader reader(stream, "keys.jsonl", "s3://bucket/");
  const ObjectRef first = **reader.Next();
  EXPECT_EQ(first.key, "s3://b/k");
  EXPECT_EQ(first.uri, "s3://b/k");
  EXPECT_EQ(first.size_bytes, 12u);
  EXPECT_EQ(first.etag, "abc");
  EXPECT_EQ((**reader.Next()).key, "x");
  EXPECT_FALSE(*reader.Next());
}

TEST(Manifest, NamesTheLineThatMeansNothing) {
  EXPECT_THAT(Read("{\"key\": \"a\"}\nb.jpg\n").error, HasSubstr("keys.txt, line 2"));
  EXPECT_THAT(Read("{\"size\": 1}\n").error, HasSubstr("key"));
  EXPECT_THAT(Read("{\"key\": \"\"}\n").error, HasSubstr("empty"));
  EXPECT_THAT(Read("{\"key\": \"a\", \"size\": -1}\n").error, HasSubstr("size"));
  EXPECT_THAT(Read("a\n" + std::string(70'000, 'x') + "\n").error,
              HasSubstr("line 2: longer than"));
}

TEST(Manifest, TheDigestTellsPrefixesApart) {
  EXPECT_NE(Read("ab\nc\n").digest, Read("a\nbc\n").digest);
  EXPECT_NE(Read("a\nb\n").digest, Read("b\na\n").digest);
}

TEST(Manifest, AMissingFileIsNotFound) {
  EXPECT_EQ(ManifestReader::Open("/nowhere/keys.txt", "").error().code(), Code::kNotFound);
  EXPECT_EQ(ManifestReader::Open("/tmp", "").error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace trawl::producer
