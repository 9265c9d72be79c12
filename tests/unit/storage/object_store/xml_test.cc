// Goal: listings and errors are read exactly, and hostile documents are refused.
// Method: documents as S3 writes them, then broken ones.
#include "storage/object_store/s3/xml.h"

#include <gtest/gtest.h>

namespace trawl::storage {
namespace {

std::vector<std::byte> Bytes(const std::string& text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

Result<S3ListPage> Parse(const std::string& inside) {
  return ParseListPage(
      Bytes("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" +
            inside + "</ListBucketResult>"));
}

TEST(ParseListPage, DecodesKeysSizesAndETags) {
  const auto page = Parse(
      "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
      "<NextContinuationToken>t=&amp;</NextContinuationToken>"
      "<Contents><Key>a+b%2Bc%0A%C3%BC/%26</Key><Size>5</Size><ETag>&quot;e1&quot;</ETag></"
      "Contents>"
      "<Contents><Key>z</Key><Size>18446744073709551615</Size><ETag/></Contents>");
  ASSERT_TRUE(page) << page.error().message();
  ASSERT_EQ(page->objects.size(), 2u);
  EXPECT_EQ(page->objects[0].key, "a b+c\n\xC3\xBC/&");
  EXPECT_EQ(page->objects[0].size_bytes, 5u);
  EXPECT_EQ(page->objects[0].etag, "e1");
  EXPECT_EQ(page->objects[1].etag, "");
  EXPECT_TRUE(page->truncated);
  EXPECT_EQ(page->continuation_token, "t=&");
}

TEST(ParseListPage, TakesKeysAsTheyAreFromServersThatDoNotEncode) {
  const auto page = Parse("<Contents><Key> a%20+\r\n </Key><Size>0</Size></Contents>");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->objects[0].key, " a%20+\r\n ");
  EXPECT_FALSE(page->truncated);
}

TEST(ParseListPage, RefusesWhatIsNoListing) {
  EXPECT_FALSE(ParseListPage({}));
  EXPECT_FALSE(ParseListPage(Bytes("<html></html>")));
  EXPECT_FALSE(ParseListPage(Bytes("<ListBucketResult><Contents>")));
  EXPECT_FALSE(Parse("<Contents><Size>1</Size></Contents>"));
  EXPECT_FALSE(Parse("<Contents><Key>a</Key></Contents>"));
  EXPECT_FALSE(Parse("<Contents><Key>a</Key><Size>-1</Size></Contents>"));
  EXPECT_FALSE(Parse("<Contents><Key>a</Key><Size>1x</Size></Contents>"));
  EXPECT_FALSE(
      Parse("<EncodingType>url</EncodingType><Contents><Key>%G0</Key><Size>1</Size></Contents>"));
}

TEST(ParseListPage, SurvivesDeepNestingAndEntities) {
  std::string deep;
  for (int i = 0; i < 500'000; ++i) deep += "<a>";
  EXPECT_FALSE(ParseListPage(Bytes(deep)));
  const std::string bomb =
      "<!DOCTYPE l [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>"
      "<ListBucketResult><Contents><Key>&b;</Key><Size>1</Size></Contents></ListBucketResult>";
  const auto page = ParseListPage(Bytes(bomb));
  if (page) {
    EXPECT_EQ(page->objects[0].key, "&b;");  // not expanded
  }
}

TEST(ParseFault, ReadsCodeAndMessageOfErrorsOnly) {
  HttpReply reply;
  reply.status = 404;
  reply.body = Bytes("<Error><Code>NoSuchKey</Code><Message>Not &lt;here&gt;</Message></Error>");
  EXPECT_EQ(ParseFault(reply).code, "NoSuchKey");
  EXPECT_EQ(ParseFault(reply).message, "Not <here>");
  reply.status = 200;
  EXPECT_EQ(ParseFault(reply).code, "");
  reply.status = 500;
  reply.body = Bytes("oops");
  EXPECT_EQ(ParseFault(reply).code, "");
}

}  // namespace
}  // namespace trawl::storage
