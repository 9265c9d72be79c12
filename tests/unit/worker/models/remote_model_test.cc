// Goal: a URI names one model and nothing else, and a model.yaml cannot name files elsewhere.
// Method: every form that is documented, and what a hostile model.yaml would try.

#include "worker/models/remote_model.h"

#include <gtest/gtest.h>

namespace trawl::worker {
namespace {

RemoteModel Parsed(const std::string& reference) {
  auto model = RemoteModel::Parse(reference);
  EXPECT_TRUE(model) << reference << ": " << model.error().message();
  return *model;
}

TEST(RemoteModel, AFolderIsItsModelYaml) {
  for (const char* reference : {"s3://models/zoo/resnet18", "s3://models/zoo/resnet18/",
                                "s3://models/zoo/resnet18/model.yaml"}) {
    const RemoteModel model = Parsed(reference);
    EXPECT_EQ(model.uri(), "s3://models/zoo/resnet18/model.yaml");
    EXPECT_EQ(model.folder(), "resnet18");
    EXPECT_TRUE(model.is_yaml());
  }
  EXPECT_EQ(Parsed("s3://models").uri(), "s3://models/model.yaml");
  EXPECT_EQ(Parsed("s3://models").folder(), "models");
  EXPECT_EQ(Parsed("https://host/zoo/").uri(), "https://host/zoo/model.yaml");
  EXPECT_EQ(Parsed("https://host:8443/model.yml").folder(), "host");
}

TEST(RemoteModel, AnOnnxFileIsAModelByItself) {
  const RemoteModel model = Parsed("https://host/zoo/squeeze net.onnx?signature=x%2Fy#part");
  EXPECT_FALSE(model.is_yaml());
  EXPECT_EQ(model.file(), "squeeze%20net.onnx");
  EXPECT_EQ(model.uri(), "https://host/zoo/squeeze%20net.onnx?signature=x%2Fy");
  EXPECT_EQ(model.ToPublicString(), "https://host/zoo/squeeze%20net.onnx");
  EXPECT_EQ(Parsed("s3://models/100%.onnx").uri(), "s3://models/100%.onnx");
}

TEST(RemoteModel, FilesLieBesideTheYamlAndKeepItsQuery) {
  const RemoteModel http = Parsed("https://host/zoo/model.yaml?token=t");
  EXPECT_EQ(*http.UriOf("weights/a b.params"), "https://host/zoo/weights/a%20b.params?token=t");
  const RemoteModel s3 = Parsed("s3://models/zoo");
  EXPECT_EQ(*s3.UriOf("weights/a b%.params"), "s3://models/zoo/weights/a b%.params");
}

TEST(RemoteModel, FilesLieNowhereElse) {
  for (const char* reference : {"https://host/zoo/", "s3://models/zoo"}) {
    const RemoteModel model = Parsed(reference);
    for (const std::string& name :
         {std::string(".."), std::string("../x"), std::string("a/../../x"), std::string("/etc/x"),
          std::string("a//b"), std::string("."), std::string(""), std::string("a/"),
          std::string("a\0b", 3), std::string(256, 'a')})
      EXPECT_FALSE(model.UriOf(name)) << name;
  }
}

TEST(RemoteModel, WhatIsNoModelIsRefused) {
  for (const char* reference :
       {"https://host/zoo/resnet18", "https://user:secret@host/a.onnx", "https:///a.onnx", "s3://",
        "s3://-/a.onnx", "s3://models/net-symbol.json", "s3://models/../",
        "https://host/../model.yaml"})
    EXPECT_FALSE(RemoteModel::Parse(reference)) << reference;
}

TEST(RemoteModel, PathsOfThisMachineAreNotRemote) {
  EXPECT_FALSE(IsRemoteModel("resnet18/"));
  EXPECT_FALSE(IsRemoteModel("https/model.onnx"));
  EXPECT_TRUE(IsRemoteModel("http://host/model.onnx"));
}

}  // namespace
}  // namespace trawl::worker
