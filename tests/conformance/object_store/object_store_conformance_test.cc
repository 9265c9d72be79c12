// Goal: the object_store port means the same on a local folder, a web server and an S3 server.
// Method: one list of behaviours, run on real ones: a folder, a socket server, and s3proxy, which
// checks signatures.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <set>

#include "storage/object_store/object_store.h"
#include "tests/conformance/object_store/adapters.h"
#include "tests/support/fetch.h"
#include "tests/support/s3_server.h"

namespace trawl::storage {
namespace {

using testing::Fetch;
using testing::FetchLater;
using testing::Text;

std::string AdapterName(const ::testing::TestParamInfo<const char*>& parameter) {
  return parameter.param;
}

class ObjectStoreConformance : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto place = MakePlace(GetParam());
    ASSERT_TRUE(place) << place.error().message();
    place_ = std::move(*place);
    Open(place_->StoreSettings());
  }

  void Open(const Settings& settings) {
    auto store = OpenObjectStore(settings);
    ASSERT_TRUE(store) << store.error().message();
    store_ = std::move(*store);
  }

  void Put(const std::string& key, std::string_view bytes) {
    const Status status = place_->Put(key, bytes);
    ASSERT_TRUE(status.ok()) << status.message();
  }

  GetRequest Request(const std::string& key, std::optional<uint64_t> size = {}) const {
    return {ObjectUri(place_->Source(), {.key = key, .uri = "", .size_bytes = {}, .etag = ""}),
            size, ""};
  }

  std::string CodeOf(GetRequest request) {
    const auto result = Fetch(*store_, std::move(request));
    return result ? "ok" : std::string(ToString(result.error().code));
  }

  std::unique_ptr<Place> place_;
  std::unique_ptr<ObjectStore> store_;
};

TEST_P(ObjectStoreConformance, GetGivesTheBytesThatWerePut) {
  std::string bytes;
  for (int i = 0; i < 300'000; ++i) bytes += static_cast<char>(i * 31 % 256);
  Put("folder/object.bin", bytes);
  const auto result = Fetch(*store_, Request("folder/object.bin", bytes.size()));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(Text(result->bytes), bytes);
  EXPECT_EQ(result->attempts, 1);
  EXPECT_GT(result->elapsed_ms, 0);
}

TEST_P(ObjectStoreConformance, AnEmptyObjectIsAnObject) {
  Put("empty", "");
  const auto result = Fetch(*store_, Request("empty", 0));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->bytes.empty());
}

TEST_P(ObjectStoreConformance, AMissingObjectIsNotFoundAfterOneAttempt) {
  const auto result = Fetch(*store_, Request("no/such/key"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ObjectErrorCode::kNotFound) << result.error().message;
  EXPECT_EQ(result.error().attempts, 1);
  EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
}

TEST_P(ObjectStoreConformance, KeysWithOddCharactersAreReached) {
  const std::vector<std::string> keys = {"sp ace/\xC3\xBC+&=%20.txt",
                                         "a+b",
                                         "100%",
                                         "q?x=1#f",
                                         "semi;colon,comma",
                                         "back\\slash",
                                         "quote\"'`",
                                         "tab\there",
                                         "new\nline",
                                         "emoji/\xF0\x9F\x98\x80",
                                         "[brackets]{}|^~",
                                         "<tag>&amp;",
                                         "http:/evil/x",
                                         "-dash",
                                         ".hidden",
                                         "\xE6\x97\xA5"};
  for (const std::string& key : keys) Put(key, "bytes of " + key);
  for (const std::string& key : keys) {
    const auto result = Fetch(*store_, Request(key));
    ASSERT_TRUE(result) << key << ": " << result.error().message;
    EXPECT_EQ(Text(result->bytes), "bytes of " + key);
  }
}

TEST_P(ObjectStoreConformance, AKeyOf1024BytesIsReached) {
  std::string key;
  while (key.size() < 1'024) key += key.size() % 200 == 199 ? '/' : 'k';
  // s3proxy stores keys as paths below its own folder and keeps PATH_MAX; 1,024 bytes fit.
  Put(key, "long");
  EXPECT_EQ(CodeOf(Request(key, 4)), "ok");
}

TEST_P(ObjectStoreConformance, AnotherSizeThanListedIsChanged) {
  Put("k", "hello");
  EXPECT_EQ(CodeOf(Request("k", 4)), "changed");
  EXPECT_EQ(CodeOf(Request("k", 6)), "changed");
}

TEST_P(ObjectStoreConformance, AnObjectOverTheLimitIsTooLarge) {
  Settings settings = place_->StoreSettings();
  settings.max_object_bytes = 10;
  Open(settings);
  Put("ten", "0123456789");
  Put("eleven", "0123456789a");
  EXPECT_EQ(CodeOf(Request("ten")), "ok");
  EXPECT_EQ(CodeOf(Request("eleven")), "too_large");
  EXPECT_EQ(CodeOf(Request("eleven", 11)), "too_large");
}

TEST_P(ObjectStoreConformance, ManyDownloadsAtOnceEachAnswerOnce) {
  Settings settings = place_->StoreSettings();
  settings.downloads_in_flight = 8;
  Open(settings);
  for (int i = 0; i < 20; ++i)
    Put("k" + std::to_string(i), std::string(1'000, static_cast<char>('a' + i)));
  std::vector<std::future<ObjectResult<Download>>> downloads;
  for (int i = 0; i < 200; ++i)
    downloads.push_back(FetchLater(*store_, Request("k" + std::to_string(i % 20), 1'000)));
  for (size_t i = 0; i < downloads.size(); ++i) {
    const auto result = downloads[i].get();
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(Text(result->bytes), std::string(1'000, static_cast<char>('a' + i % 20)));
  }
}

TEST_P(ObjectStoreConformance, AStoppedDownloadEndsAsCancelled) {
  Put("k", "hello");
  std::stop_source stop;
  stop.request_stop();
  const auto result = FetchLater(*store_, Request("k"), stop.get_token()).get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ObjectErrorCode::kInternal);
  EXPECT_EQ(result.error().message, "cancelled");
}

TEST_P(ObjectStoreConformance, ClosingTheStoreAnswersEverybody) {
  Put("k", "hello");
  std::vector<std::future<ObjectResult<Download>>> downloads;
  for (int i = 0; i < 500; ++i) downloads.push_back(FetchLater(*store_, Request("k")));
  store_.reset();
  for (auto& download : downloads) {
    ASSERT_EQ(download.wait_for(std::chrono::seconds(0)), std::future_status::ready);
    const auto result = download.get();
    if (!result) {
      EXPECT_EQ(result.error().message, "cancelled");
    }
  }
}

TEST_P(ObjectStoreConformance, UrisOfNoKnownSchemeAreRefused) {
  for (const char* uri :
       {"ftp://host/k", "gs://bucket/k", "/etc/passwd", "", "file://host/k", "s3:///k"})
    EXPECT_EQ(CodeOf({uri, {}, ""}), "forbidden") << uri;
  EXPECT_EQ(store_->List("gs://bucket/", "", "", 10).error().code(), Code::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Adapters, ObjectStoreConformance, ::testing::Values("local", "http", "s3"),
                         AdapterName);

// What can list.
class ObjectListingConformance : public ObjectStoreConformance {
 protected:
  // All keys, read in pages of `page_keys`.
  std::vector<std::string> ListAll(const std::string& source, const std::string& prefix,
                                   int page_keys, std::string after = "") {
    std::vector<std::string> keys;
    while (true) {
      const auto page = store_->List(source, prefix, after, page_keys);
      if (!page) {
        ADD_FAILURE() << page.error().message();
        return keys;
      }
      EXPECT_LE(page->objects.size(), static_cast<size_t>(page_keys));
      for (const ObjectRef& object : page->objects) keys.push_back(object.key);
      if (page->last) return keys;
      if (page->objects.empty()) {
        ADD_FAILURE() << "an empty page that is not the last";
        return keys;
      }
      after = keys.back();
    }
  }
};

TEST_P(ObjectListingConformance, PagesOfAnySizeGiveEveryKeyOnceInByteOrder) {
  std::set<std::string> keys = {"a.txt",     "a/b",       "a0",    "A",     "\xC3\xBC",
                                "sp ace+%&", "new\nline", "z/y/x", "a/b.c", "a/b/c"};
  keys.erase("a/b");  // a file system cannot hold it beside a/b/c
  for (int i = 0; i < 12; ++i) keys.insert("many/" + std::to_string(i));
  for (const std::string& key : keys) Put(key, key);
  const std::vector<std::string> all(keys.begin(), keys.end());
  for (const int page_keys : {1, 2, 7, 1'000})
    EXPECT_EQ(ListAll(place_->Source(), "", page_keys), all) << page_keys;
  for (const std::string& key : all)
    EXPECT_EQ(ListAll(place_->Source(), "", 1'000, key),
              std::vector<std::string>(std::upper_bound(all.begin(), all.end(), key), all.end()))
        << key;
  const std::vector<std::string> after_b(std::upper_bound(all.begin(), all.end(), "b"), all.end());
  EXPECT_EQ(ListAll(place_->Source(), "", 3, "b"), after_b);  // a key that never was
}

TEST_P(ObjectListingConformance, KeepsToPrefixAndSourceFolder) {
  for (const char* key : {"dir/a", "dir/ab", "dir/b/c", "dirt", "other"}) Put(key, "1");
  using Keys = std::vector<std::string>;
  EXPECT_EQ(ListAll(place_->Source(), "dir/a", 10), (Keys{"dir/a", "dir/ab"}));
  EXPECT_EQ(ListAll(place_->Source(), "dir", 10), (Keys{"dir/a", "dir/ab", "dir/b/c", "dirt"}));
  EXPECT_EQ(ListAll(place_->Source() + "dir/", "", 10), (Keys{"a", "ab", "b/c"}));
  EXPECT_EQ(ListAll(place_->Source() + "dir/", "a", 1), (Keys{"a", "ab"}));
  EXPECT_EQ(ListAll(place_->Source(), "nothing", 10), Keys{});
}

TEST_P(ObjectListingConformance, AnEmptySourceIsOneLastPage) {
  const auto page = store_->List(place_->Source(), "", "", 10);
  ASSERT_TRUE(page) << page.error().message();
  EXPECT_TRUE(page->objects.empty());
  EXPECT_TRUE(page->last);
}

TEST_P(ObjectListingConformance, AFullFinalPageIsTheLast) {
  for (const char* key : {"a", "b", "c", "d"}) Put(key, "1");
  const auto page = store_->List(place_->Source(), "", "b", 2);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->objects.size(), 2u);
  EXPECT_TRUE(page->last);
}

TEST_P(ObjectListingConformance, AMissingSourceIsNotFound) {
  const auto page = store_->List(place_->MissingSource(), "", "", 10);
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code(), Code::kNotFound) << page.error().message();
}

TEST_P(ObjectListingConformance, WhatIsListedCanBeFetchedAsListed) {
  for (int i = 0; i < 10; ++i)
    Put("k \xC3\xBC%" + std::to_string(i), std::string(static_cast<size_t>(i) * 100, 'x'));
  const auto page = store_->List(place_->Source(), "", "", 100);
  ASSERT_TRUE(page) << page.error().message();
  ASSERT_EQ(page->objects.size(), 10u);
  for (const ObjectRef& object : page->objects) {
    ASSERT_TRUE(object.size_bytes);
    const auto result =
        Fetch(*store_, {ObjectUri(place_->Source(), object), object.size_bytes, object.etag});
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->bytes.size(), *object.size_bytes);
  }
}

TEST_P(ObjectListingConformance, AnObjectReplacedAfterTheListingIsChanged) {
  Put("k", "before");
  const auto page = store_->List(place_->Source(), "", "", 100);
  ASSERT_TRUE(page);
  Put("k", "afterwards");
  const ObjectRef& object = page->objects.at(0);
  EXPECT_EQ(CodeOf({ObjectUri(place_->Source(), object), object.size_bytes, object.etag}),
            "changed");
}

INSTANTIATE_TEST_SUITE_P(Adapters, ObjectListingConformance, ::testing::Values("local", "s3"),
                         AdapterName);

// What only a server that checks signatures can show.
class S3Conformance : public ObjectListingConformance {
 protected:
  void TearDown() override {
    setenv("TRAWL_S3_ACCESS_KEY", testing::S3Server::kAccessKey, 1);
    setenv("TRAWL_S3_SECRET_KEY", testing::S3Server::kSecretKey, 1);
  }
};

TEST_P(S3Conformance, EveryCharacterUpToU00FFIsSignedAndListedRight) {
  std::vector<std::string> keys;
  for (int c = 1; c < 256; ++c) {
    if (c == '/') continue;  // s3proxy keeps objects as files: no empty path segments
    std::string key = "x";
    if (c < 0x80)
      key += static_cast<char>(c);
    else
      key += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
    keys.push_back(key + "y");
    Put(keys.back(), "1");
  }
  for (const std::string& key : keys) EXPECT_EQ(CodeOf(Request(key, 1)), "ok") << key;
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(ListAll(place_->Source(), "", 100), keys);
}

TEST_P(S3Conformance, AWrongSecretIsForbiddenAndSaysWhy) {
  Put("k", "hello");
  setenv("TRAWL_S3_SECRET_KEY", "wrong", 1);
  Settings settings = place_->StoreSettings();
  settings.outage_patience_ms = 0;  // to be told at once
  Open(settings);
  const auto result = Fetch(*store_, Request("k"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ObjectErrorCode::kForbidden);
  EXPECT_NE(result.error().message.find("SignatureDoesNotMatch"), std::string::npos)
      << result.error().message;
  const auto page = store_->List(place_->Source(), "", "", 10);
  EXPECT_EQ(page.error().code(), Code::kPermissionDenied) << page.error().message();
}

TEST_P(S3Conformance, AnonymousRequestsAreRefusedByAServerThatWantsSignatures) {
  Put("k", "hello");
  Settings settings = place_->StoreSettings();
  settings.anonymous = true;
  Open(settings);
  EXPECT_EQ(CodeOf(Request("k")), "forbidden");
}

TEST_P(S3Conformance, SameSizeButOtherBytesAreNoticedByTheETag) {
  Put("k", "before");
  const auto page = store_->List(place_->Source(), "", "", 100);
  ASSERT_TRUE(page);
  Put("k", "BEFORE");
  const ObjectRef& object = page->objects.at(0);
  EXPECT_EQ(CodeOf({ObjectUri(place_->Source(), object), object.size_bytes, object.etag}),
            "changed");
}

INSTANTIATE_TEST_SUITE_P(Adapters, S3Conformance, ::testing::Values("s3"), AdapterName);

// A web server has no listing.
class HttpConformance : public ObjectStoreConformance {};

TEST_P(HttpConformance, ListingAsksForAManifest) {
  const auto page = store_->List(place_->Source(), "", "", 10);
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code(), Code::kUnimplemented);
}

INSTANTIATE_TEST_SUITE_P(Adapters, HttpConformance, ::testing::Values("http"), AdapterName);

}  // namespace
}  // namespace trawl::storage
