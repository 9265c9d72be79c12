// Goal: our signatures are the ones that AWS expects.
// Method: published vectors: the signature test suite (aws4_testsuite) and the examples in the S3
// API reference.
#include "storage/object_store/s3/sigv4.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "storage/object_store/uri.h"

namespace trawl::storage {
namespace {

struct SuiteCase {
  const char* name;
  std::string path;
  std::vector<std::pair<std::string, std::string>> query;
  const char* signature;
};

constexpr const char* kEmptyHash =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(SigV4, MatchesThePublishedTestSuite) {
  const Credentials credentials{"AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                                Secret()};
  const std::string unreserved =
      "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  const std::vector<SuiteCase> cases = {
      {"get-vanilla", "/", {}, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"get-utf8",
       PercentEncodePath("/\xE1\x88\xB4"),
       {},
       "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
      {"get-unreserved",
       "/" + unreserved,
       {},
       "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
      {"get-vanilla-empty-query-key",
       "/",
       {{"Param1", "value1"}},
       "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
      {"get-vanilla-query-order-key-case",
       "/",
       {{"Param2", "value2"}, {"Param1", "value1"}},
       "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
      {"get-vanilla-query-unreserved",
       "/",
       {{unreserved, unreserved}},
       "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
      {"get-vanilla-utf8-query",
       "/",
       {{"\xE1\x88\xB4", "bar"}},
       "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
  };
  for (const SuiteCase& c : cases) {
    SignedRequest request;
    request.path = c.path;
    request.query = c.query;
    request.headers = {{"x-amz-date", "20150830T123600Z"}, {"host", "example.amazonaws.com"}};
    request.payload_hash = kEmptyHash;
    EXPECT_EQ(
        Authorization(request, {"us-east-1", "service"}, "20150830T123600Z", credentials),
        std::string(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            "SignedHeaders=host;x-amz-date, Signature=") +
            c.signature)
        << c.name;
  }
}

// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
class S3Examples : public ::testing::Test {
 protected:
  static constexpr int64_t kMay24th2013 = 1'369'353'600'000;
  const Credentials credentials_{"AKIAIOSFODNN7EXAMPLE",
                                 Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), Secret()};

  std::string Sign(SignedRequest request, const Credentials& credentials) const {
    return SignS3(std::move(request), "examplebucket.s3.amazonaws.com", "us-east-1", kMay24th2013,
                  credentials)
        .back();
  }
};

TEST_F(S3Examples, GetObjectWithRange) {
  SignedRequest request;
  request.path = "/test.txt";
  request.headers = {{"range", "bytes=0-9"}};
  EXPECT_EQ(Sign(request, credentials_),
            "authorization: AWS4-HMAC-SHA256 "
            "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST_F(S3Examples, ListObjects) {
  SignedRequest request;
  request.path = "/";
  request.query = {{"prefix", "J"}, {"max-keys", "2"}};
  EXPECT_TRUE(
      Sign(request, credentials_)
          .ends_with("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

TEST_F(S3Examples, QueryParameterWithoutAValue) {
  SignedRequest request;
  request.path = "/";
  request.query = {{"lifecycle", ""}};
  EXPECT_TRUE(
      Sign(request, credentials_)
          .ends_with("Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
}

TEST_F(S3Examples, ASessionTokenIsSentAndSigned) {
  Credentials temporary = credentials_;
  temporary.session_token = Secret("token");
  const auto lines = SignS3({}, "h", "us-east-1", kMay24th2013, temporary);
  EXPECT_NE(std::find(lines.begin(), lines.end(), "x-amz-security-token: token"), lines.end());
  EXPECT_NE(lines.back().find(";x-amz-security-token,"), std::string::npos);
}

TEST(AmzDate, IsBasicIsoInUtc) { EXPECT_EQ(AmzDate(1'369'353'600'999), "20130524T000000Z"); }

}  // namespace
}  // namespace trawl::storage
