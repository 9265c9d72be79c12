// Goal: names of objects survive as text, and no name becomes another host, path or line.
// Method: every byte through the encoders; URIs with each part missing, odd or hostile.
#include "storage/object_store/uri.h"

#include <gtest/gtest.h>

namespace trawl::storage {
namespace {

TEST(PercentEncodePath, KeepsUnreservedAndSlashAndEncodesEveryOtherByte) {
  EXPECT_EQ(PercentEncodePath("sp ace/\xC3\xBC+&=%20.txt"), "sp%20ace/%C3%BC%2B%26%3D%2520.txt");
  EXPECT_EQ(PercentEncodePath("aZ09-._~/"), "aZ09-._~/");
  EXPECT_EQ(PercentEncodePath(std::string("\0\n\x7f?#", 5)), "%00%0A%7F%3F%23");
  EXPECT_EQ(PercentEncode("a/b"), "a%2Fb");
}

TEST(FormDecode, UndoesPercentEncodeForEveryByte) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(FormDecode(PercentEncode(all)), all);
}

TEST(FormDecode, ReadsPlusAsSpaceAndRefusesBrokenEscapes) {
  EXPECT_EQ(FormDecode("a+b%2Bc"), "a b+c");
  EXPECT_EQ(FormDecode("%"), std::nullopt);
  EXPECT_EQ(FormDecode("%4"), std::nullopt);
  EXPECT_EQ(FormDecode("%zz"), std::nullopt);
}

TEST(ParseS3Uri, SplitsBucketFromAKeyOfAnyBytes) {
  const auto uri = ParseS3Uri("s3://bucket/a//b%20\n?#/");
  ASSERT_TRUE(uri);
  EXPECT_EQ(uri->bucket, "bucket");
  EXPECT_EQ(uri->key, "a//b%20\n?#/");
  EXPECT_EQ(ParseS3Uri("s3://bucket")->key, "");
  EXPECT_EQ(ParseS3Uri("s3://bucket//")->key, "/");
}

TEST(ParseS3Uri, RefusesBucketsThatWouldBecomeAnotherHost) {
  for (const char* uri : {"s3://", "s3:///key", "s3://a@b/k", "s3://a:1/k", "s3://a?b/k",
                          "s3://../k", "s3://.a/k", "s3://a b/k", "s3://a#/k", "http://bucket/k"})
    EXPECT_EQ(ParseS3Uri(uri).error().code(), Code::kInvalidArgument) << uri;
}

TEST(ParseFileUri, TakesThePathByteForByte) {
  EXPECT_EQ(*ParseFileUri("file:///a b/%20\xC3"), "/a b/%20\xC3");
  EXPECT_FALSE(ParseFileUri("file://host/a"));
  EXPECT_FALSE(ParseFileUri("file://"));
  EXPECT_FALSE(ParseFileUri(std::string("file:///a\0b", 11)));
}

TEST(ParseHttpUrl, NormalisesHostAndDefaultPortAndEncodesWhatNoUrlHolds) {
  const auto url = ParseHttpUrl("http://EXAMPLE.com:80/a b/\xC3\xBC%20?q=1 2#fragment");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->authority, "example.com");
  EXPECT_EQ(url->path, "/a%20b/%C3%BC%20");
  EXPECT_EQ(url->query, "q=1%202");
  EXPECT_EQ(url->ToString(), "http://example.com/a%20b/%C3%BC%20?q=1%202");
  EXPECT_EQ(url->ToPublicString(), "http://example.com/a%20b/%C3%BC%20");
}

TEST(ParseHttpUrl, KeepsOtherPortsAndIPv6) {
  EXPECT_EQ(ParseHttpUrl("https://[::1]:8443")->ToString(), "https://[::1]:8443/");
  EXPECT_EQ(ParseHttpUrl("https://[::1]:8443")->host, "::1");
  EXPECT_EQ(ParseHttpUrl("https://host:443/")->authority, "host");
  EXPECT_EQ(ParseHttpUrl("http://host:443/")->authority, "host:443");
}

TEST(ParseHttpUrl, RefusesWhatIsNoPlainUrlWithoutRepeatingPasswords) {
  const auto refused = ParseHttpUrl("http://user:hunter2@host/");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message().find("hunter2"), std::string::npos);
  for (const char* url :
       {"ftp://host/", "host/path", "http://", "http:///path", "http://a b/", "http://h:x/",
        "http://h:123456/", "http://[::1", "http://[::1]x/", "http://h\n/", "://"})
    EXPECT_EQ(ParseHttpUrl(url).error().code(), Code::kInvalidArgument) << url;
}

TEST(IsBelow, ComparesSchemeHostAndWholePathSegments) {
  const auto below = [](const char* url, const char* base) {
    return IsBelow(*ParseHttpUrl(url), *ParseHttpUrl(base));
  };
  EXPECT_TRUE(below("http://h/base/x", "http://h/base"));
  EXPECT_TRUE(below("http://h/base/x", "http://h/base/"));
  EXPECT_TRUE(below("http://h/x", "http://H:80"));
  EXPECT_FALSE(below("http://h/basement", "http://h/base"));
  EXPECT_FALSE(below("https://h/base/x", "http://h/base"));
  EXPECT_FALSE(below("http://h/base/../admin", "http://h/base"));
  EXPECT_FALSE(below("http://h/base/%2E%2e/admin", "http://h/base"));
  EXPECT_FALSE(below("http://h/base/..", "http://h/base"));
  EXPECT_TRUE(below("http://h/base/..x/...", "http://h/base"));
  EXPECT_FALSE(below("http://h:8080/base/x", "http://h/base"));
}

TEST(Printable, IsOneLineWithoutControlCharacters) {
  EXPECT_EQ(Printable("a\nb\x1b[2J\xC3\xBC", 100), "a?b?[2J\xC3\xBC");
  EXPECT_EQ(Printable("\xff\xC3\xBC", 100), "???");  // not UTF-8 as a whole
  EXPECT_EQ(Printable("a\xC2\x85z", 100), "a?z");    // NEL, a control character in two bytes
  EXPECT_EQ(Printable("abc\xC3\xBC", 4), "abc");     // not half a character
}

}  // namespace
}  // namespace trawl::storage
