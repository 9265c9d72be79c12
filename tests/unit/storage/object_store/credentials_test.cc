// Goal: the chain of credential sources has the order that it says, and half a source is an error
// that names its half. Method: environments made up per test; credential files in a temporary
// folder.
#include "storage/object_store/s3/credentials.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/support/temp_dir.h"

namespace trawl::storage {
namespace {

using Variables = std::map<std::string, std::string>;

Environment Of(Variables values) {
  return [values = std::move(values)](const std::string& name) {
    const auto it = values.find(name);
    return it == values.end() ? std::string() : it->second;
  };
}

TEST(FindCredentials, OwnVariablesComeBeforeAwsOnesAndBeforeTheFile) {
  const testing::TempDir dir;
  dir.Write(".aws/credentials", "[default]\naws_access_key_id=file\naws_secret_access_key=s\n");
  std::map<std::string, std::string> values = {{"HOME", dir.path().string()}};
  EXPECT_EQ(FindCredentials(Of(values))->Get()->access_key, "file");
  values["AWS_ACCESS_KEY_ID"] = "aws";
  values["AWS_SECRET_ACCESS_KEY"] = "s";
  EXPECT_EQ(FindCredentials(Of(values))->Get()->access_key, "aws");
  values["TRAWL_S3_ACCESS_KEY"] = "own";
  values["TRAWL_S3_SECRET_KEY"] = "secret\n";
  values["TRAWL_S3_SESSION_TOKEN"] = "token";
  const auto own = FindCredentials(Of(values))->Get();
  ASSERT_TRUE(own);
  EXPECT_EQ(own->access_key, "own");
  EXPECT_EQ(own->secret_key.Reveal(), "secret");  // trimmed
  EXPECT_EQ(own->session_token.Reveal(), "token");
}

TEST(FindCredentials, ReadsTheNamedProfileOfTheNamedFile) {
  const testing::TempDir dir;
  const auto file =
      dir.Write("keys",
                "# comment\n[default]\naws_access_key_id = d\naws_secret_access_key = ds\n"
                "[ work ]\n; comment\n aws_access_key_id = w\r\naws_secret_access_key = a=b+c/\n"
                "aws_session_token=t\n[other]\naws_access_key_id=o\n");
  const auto found =
      FindCredentials(Of({{"AWS_SHARED_CREDENTIALS_FILE", file.string()}, {"AWS_PROFILE", "work"}}))
          ->Get();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->access_key, "w");
  EXPECT_EQ(found->secret_key.Reveal(), "a=b+c/");
  EXPECT_EQ(found->session_token.Reveal(), "t");
}

TEST(FindCredentials, ReadsKeysAndRolesFromTheConfigFile) {
  const testing::TempDir dir;
  dir.Write(".aws/config",
            "[default]\nregion=eu-west-1\n[profile work]\naws_access_key_id=w\n"
            "aws_secret_access_key=ws\n[profile half]\nrole_arn=arn\nsource_profile=work\n");
  Variables values = {{"HOME", dir.path().string()}, {"AWS_PROFILE", "work"}};
  EXPECT_EQ(FindCredentials(Of(values))->Get()->access_key, "w");
  dir.Write(".aws/credentials", "[work]\naws_access_key_id=k\naws_secret_access_key=ks\n");
  EXPECT_EQ(FindCredentials(Of(values))->Get()->access_key, "k");
  values["AWS_PROFILE"] = "half";
  EXPECT_NE(FindCredentials(Of(values))->Get().error().message().find("lacks"), std::string::npos);
  // A default profile that holds a region only is passed over.
  values["AWS_PROFILE"] = "";
  values["AWS_EC2_METADATA_DISABLED"] = "true";
  EXPECT_NE(FindCredentials(Of(values))->Get().error().message().find("no S3 credentials"),
            std::string::npos);
}

TEST(FindCredentials, NamesWhatIsMissing) {
  const testing::TempDir dir;
  const auto message = [](std::map<std::string, std::string> values) {
    const auto found = FindCredentials(Of(std::move(values)))->Get();
    return found ? "found"
                 : std::string(ToString(found.error().code())) + ": " + found.error().message();
  };
  EXPECT_EQ(message({{"AWS_ACCESS_KEY_ID", "a"}}),
            "permission_denied: AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not");
  EXPECT_EQ(message({{"TRAWL_S3_SECRET_KEY", "s"}}),
            "permission_denied: TRAWL_S3_SECRET_KEY is set but TRAWL_S3_ACCESS_KEY is not");
  EXPECT_NE(message({{"HOME", dir.path().string()}, {"AWS_EC2_METADATA_DISABLED", "true"}})
                .find("AWS_ACCESS_KEY_ID"),
            std::string::npos);
  EXPECT_NE(message({{"HOME", dir.path().string()}, {"AWS_PROFILE", "x"}}).find("cannot be read"),
            std::string::npos);
  const auto file = dir.Write("keys", "[half]\naws_access_key_id=o\n");
  EXPECT_NE(message({{"AWS_SHARED_CREDENTIALS_FILE", file.string()}, {"AWS_PROFILE", "none"}})
                .find("no profile 'none'"),
            std::string::npos);
  EXPECT_NE(message({{"AWS_SHARED_CREDENTIALS_FILE", file.string()}, {"AWS_PROFILE", "half"}})
                .find("lacks"),
            std::string::npos);
}

}  // namespace
}  // namespace trawl::storage
