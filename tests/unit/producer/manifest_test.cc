// Goal: a manifest means the same however it was written, and a line that means nothing is named.
// Method: small manifests from memory; random line ends with a printed seed.
#include "producer/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "tests/support/gzip.h"
#include "tests/support/temp_dir.h"

namespace trawl::producer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct ReadManifest {
  std::vector<std::string> keys;
  std::vector<std::string> uris;
  std::string digest;
  std::string error;
};

ReadManifest ReadAll(ManifestReader& reader) {
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

ReadManifest Read(const std::string& text, const std::string& source = "file:///data/") {
  ManifestReader reader(std::make_unique<std::istringstream>(text), "keys.txt", source);
  return ReadAll(reader);
}

ReadManifest ReadCsv(const std::string& text) {
  ManifestReader reader(std::make_unique<std::istringstream>(text), "keys.csv", "s3://bucket/",
                        "url");
  return ReadAll(reader);
}

ReadManifest ReadFile(const std::filesystem::path& path) {
  auto reader = ManifestReader::Open(path, "file:///data/", "").value();
  return ReadAll(*reader);
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
  ManifestReader reader(
      std::make_unique<std::istringstream>("{\"uri\": \"s3://b/k\", \"size\": 12, \"etag\": "
                                           "\"abc\", \"id\": 7}\n{\"key\": \"x\"}\n"),
      "keys.jsonl", "s3://bucket/");
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

TEST(Manifest, AFileOfSomethingElseIsRefused) {
  using namespace std::string_literals;
  const ReadManifest picture = Read("a.jpg\n\xFF\xD8\xFF\xE0\0\x10JFIF\n"s);
  EXPECT_THAT(picture.keys, ElementsAre("a.jpg"));
  EXPECT_THAT(picture.error, HasSubstr("line 2: a NUL byte"));
  EXPECT_THAT(ReadCsv("url\na\0b\n"s).error, HasSubstr("a NUL byte"));
}

TEST(Manifest, TheDigestTellsPrefixesApart) {
  EXPECT_NE(Read("ab\nc\n").digest, Read("a\nbc\n").digest);
  EXPECT_NE(Read("a\nb\n").digest, Read("b\na\n").digest);
}

TEST(Manifest, AMissingFileIsNotFound) {
  EXPECT_EQ(ManifestReader::Open("/nowhere/keys.txt", "", "").error().code(), Code::kNotFound);
  EXPECT_EQ(ManifestReader::Open("/tmp", "", "").error().code(), Code::kInvalidArgument);
}

TEST(Manifest, ACsvFilesNamedColumnHoldsTheKeys) {
  ManifestReader reader(std::make_unique<std::istringstream>(
                            "id,url,size,etag\r\n1,a.jpg,17,ab\r\n2,\"b, \"\"c\"\".jpg\",,\r\n"),
                        "keys.csv", "s3://bucket/", "url");
  const auto first = reader.Next().value();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->key, "a.jpg");
  EXPECT_EQ(first->size_bytes, 17U);
  EXPECT_EQ(first->etag, "ab");
  const auto second = reader.Next().value();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->key, "b, \"c\".jpg");
  EXPECT_FALSE(second->size_bytes);
  EXPECT_FALSE(reader.Next().value());
  EXPECT_EQ(reader.entries(), 2U);
}

TEST(Manifest, ABadCsvRowIsNamedByItsLine) {
  EXPECT_THAT(ReadCsv("id,uri\n").error, HasSubstr("keys.csv, line 1: the header names no column"));
  EXPECT_THAT(ReadCsv("id,url\n1,a\n2\n").error,
              HasSubstr("keys.csv, line 3: 1 cells; the header has 2"));
  EXPECT_THAT(ReadCsv("id,url\n1,\n").error, HasSubstr("line 2: nothing in column 'url'"));
  EXPECT_THAT(ReadCsv("url\n\"a\n").error, HasSubstr("line 2: a quoted cell does not end"));
  EXPECT_THAT(ReadCsv("url\n\"a\"b\n").error, HasSubstr("followed by 'b'"));
  EXPECT_THAT(ReadCsv("url,size\na,-1\n").error, HasSubstr("'-1' is no size in bytes"));
}

TEST(Manifest, PackedByGzipItIsTheSame) {
  const trawl::testing::TempDir folder("manifest");
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "photo " + std::to_string(i) + ".jpg\n";
  const auto write = [&](const std::string& bytes) {
    std::ofstream(folder / "keys.gz", std::ios::binary) << bytes;
    return folder / "keys.gz";
  };
  const ReadManifest plain = ReadFile(write(text));
  ASSERT_EQ(plain.keys.size(), 20'000U);
  EXPECT_EQ(ReadFile(write(trawl::testing::Packed(text))).digest, plain.digest);
  // Two members, one behind the other, are one file.
  EXPECT_EQ(ReadFile(write(trawl::testing::Packed(text.substr(0, 5'000)) +
                           trawl::testing::Packed(text.substr(5'000))))
                .digest,
            plain.digest);
}

TEST(Manifest, DamagedGzipDataIsAnErrorAndNoEnd) {
  const trawl::testing::TempDir folder("manifest");
  const std::string packed = trawl::testing::Packed(std::string(5'000, 'k') + "\nlast\n");
  const auto error_of = [&](const std::string& bytes) {
    std::ofstream(folder / "keys.gz", std::ios::binary) << bytes;
    return ReadFile(folder / "keys.gz").error;
  };
  EXPECT_EQ(error_of(packed), "");
  // What is left of the line at the damage is no key.
  EXPECT_EQ(ReadFile(folder / "keys.gz").keys.size(), 2U);
  std::ofstream(folder / "keys.gz", std::ios::binary) << packed.substr(0, packed.size() - 12);
  EXPECT_TRUE(ReadFile(folder / "keys.gz").keys.empty());
  EXPECT_THAT(error_of(packed.substr(0, packed.size() - 3)), HasSubstr("ends too early"));
  EXPECT_THAT(error_of(packed.substr(0, 14)), HasSubstr("ends too early"));
  EXPECT_THAT(error_of(packed + "rubbish"), HasSubstr("damaged gzip data"));
  std::string wrong_sum = packed;
  wrong_sum[wrong_sum.size() - 6] ^= 1;
  EXPECT_THAT(error_of(wrong_sum), HasSubstr("damaged gzip data"));
}

TEST(Manifest, ALineWithoutEndTakesNoMoreMemoryThanTheLongest) {
  const trawl::testing::TempDir folder("manifest");
  std::ofstream(folder / "keys.gz", std::ios::binary)
      << trawl::testing::Packed(std::string(64 << 20, 'k'));
  EXPECT_THAT(ReadFile(folder / "keys.gz").error, HasSubstr("longer than 65536 bytes"));
}

}  // namespace
}  // namespace trawl::producer
