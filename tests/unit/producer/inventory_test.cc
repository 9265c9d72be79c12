// Goal: an inventory yields the objects that are there, each once, whatever interrupts the
// producer, and nothing of one that is not what its manifest says. Method: inventories in the
// layout that S3 writes; the real embedded log.
#include "producer/inventory.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "producer/producer.h"
#include "storage/message_log/embedded_log.h"
#include "storage/topics.h"
#include "tests/support/faulty_log.h"
#include "tests/support/gzip.h"
#include "tests/support/temp_dir.h"

namespace trawl::producer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using trawl::testing::Packed;

std::string Md5(const std::string& bytes) {
  unsigned char digest[16];
  unsigned int length = 0;
  EXPECT_EQ(EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_md5(), nullptr), 1);
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

constexpr const char* kSchema = "Bucket, Key, IsLatest, IsDeleteMarker, Size, ETag";

class InventoryTest : public ::testing::Test {
 protected:
  InventoryTest() {
    std::filesystem::create_directories(dir_ / "data");
    std::filesystem::create_directories(dir_ / "2026-01-01T00-00Z");
  }

  /// A data file of these rows; says how the manifest names it.
  std::string AddFile(const std::string& name, const std::string& rows) {
    const std::string packed = Packed(rows);
    std::ofstream(dir_ / "data" / name, std::ios::binary) << packed;
    return fmt::format(R"({{"key":"inv/photos/daily/data/{}","size":{},"MD5checksum":"{}"}})", name,
                       packed.size(), Md5(packed));
  }

  void WriteManifest(const std::string& files, const std::string& format = "CSV",
                     const std::string& schema = kSchema) {
    std::ofstream(manifest_) << fmt::format(
        R"({{"sourceBucket":"photos","destinationBucket":"arn:aws:s3:::inv",)"
        R"("fileFormat":"{}","fileSchema":"{}","files":[{}]}})",
        format, schema, files);
  }

  void WriteTwoFiles() {
    WriteManifest(AddFile("1.csv.gz",
                          "\"photos\",\"a+b/%C3%A9.jpg\",\"true\",\"false\",\"17\",\"ab\"\n"
                          "\"photos\",\"old.jpg\",\"false\",\"false\",\"9\",\"cd\"\n"
                          "\"photos\",\"folder/\",\"true\",\"false\",\"0\",\"\"\n") +
                  "," +
                  AddFile("2.csv.gz",
                          "\"photos\",\"gone.jpg\",\"true\",\"true\",\"\",\"\"\n"
                          "\"photos\",\"z%2B.jpg\",\"true\",\"false\",\"18\",\"\"\n"));
  }

  Result<std::vector<ObjectRef>> ReadAll() {
    TRAWL_ASSIGN(auto inventory, ReadInventory(manifest_, {}, {}));
    if (!inventory) return Error(Code::kInternal, "no inventory");
    TRAWL_ASSIGN(auto documents, DocumentStore::Open({}));
    InventoryReader reader(std::move(*inventory), std::move(documents), {});
    std::vector<ObjectRef> objects;
    while (true) {
      TRAWL_ASSIGN(auto object, reader.Next());
      if (!object) return objects;
      objects.push_back(std::move(*object));
    }
  }

  std::string ErrorOf() {
    const auto objects = ReadAll();
    return objects ? "no error" : objects.error().message();
  }

  trawl::testing::TempDir dir_{"inventory"};
  const std::string manifest_ = dir_ / "2026-01-01T00-00Z" / "manifest.json";
};

TEST_F(InventoryTest, YieldsTheLatestVersionsThatAreThereWithDecodedKeys) {
  WriteTwoFiles();
  const std::vector<ObjectRef> objects = ReadAll().value();
  ASSERT_EQ(objects.size(), 2U);
  EXPECT_EQ(objects[0].key, "a b/\u00e9.jpg");
  EXPECT_EQ(objects[0].uri, "");
  EXPECT_EQ(objects[0].size_bytes, 17U);
  EXPECT_EQ(objects[0].etag, "ab");
  EXPECT_EQ(objects[1].key, "z+.jpg");
}

TEST_F(InventoryTest, AManifestIsHeldAgainstTheChecksumBesideIt) {
  WriteTwoFiles();
  std::ifstream file(manifest_, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  const std::string checksum = dir_ / "2026-01-01T00-00Z" / "manifest.checksum";
  std::ofstream(checksum) << Md5(bytes) << "\n";
  EXPECT_EQ(ReadAll().value().size(), 2U);
  std::ofstream(manifest_, std::ios::app) << " ";
  EXPECT_THAT(ErrorOf(), HasSubstr("manifest.checksum says " + Md5(bytes)));
  // Cut short it is no JSON, and must not be taken for a list of keys.
  std::ofstream(manifest_) << bytes.substr(0, bytes.size() / 2);
  EXPECT_THAT(ErrorOf(), HasSubstr("manifest.checksum says"));
  std::ofstream(checksum) << "";
  EXPECT_THAT(ErrorOf(), HasSubstr("manifest.checksum says"));
}

TEST_F(InventoryTest, OneWithoutDataFilesIsEmpty) {
  WriteManifest("");
  EXPECT_TRUE(ReadAll().value().empty());
}

TEST_F(InventoryTest, OnlyAnInventorysManifestIsOne) {
  const std::string lines = dir_ / "keys.json";
  std::ofstream(lines) << "{\"key\": \"a.jpg\"}\n{\"key\": \"b.jpg\"}\n";
  EXPECT_FALSE(ReadInventory(lines, {}, {}).value());
  EXPECT_FALSE(ReadInventory(dir_ / "missing.json", {}, {}).value());
  EXPECT_FALSE(ReadInventory("-", {}, {}).value());
}

TEST_F(InventoryTest, SaysWhyItCannotBeRead) {
  const std::string file = AddFile("1.csv.gz", "\"photos\",\"a\"\n");
  WriteManifest(file, "ORC");
  EXPECT_THAT(ErrorOf(), HasSubstr("its data files are ORC; CSV can be read"));
  WriteManifest(file, "Parquet");
  EXPECT_THAT(ErrorOf(), HasSubstr("its data files are Parquet"));
  WriteManifest(file, "CSV", "Bucket, Size");
  EXPECT_THAT(ErrorOf(), HasSubstr("no column Key"));
  WriteManifest(file, "CSV", "Bucket, Key, VersionId");
  EXPECT_THAT(ErrorOf(), HasSubstr("VersionId and no IsLatest"));
  WriteManifest(file + "," + file, "CSV", "Bucket, Key");
  EXPECT_THAT(ErrorOf(), HasSubstr("files[1].key: named twice"));
  WriteManifest(R"({"key":"data/1.csv.gz","size":1})", "CSV", "Bucket, Key");
  EXPECT_THAT(ErrorOf(), HasSubstr("MD5checksum"));
  WriteManifest(R"({"key":"data/other.csv.gz","size":1,"MD5checksum":""})", "CSV", "Bucket, Key");
  EXPECT_THAT(ErrorOf(), HasSubstr("data file other.csv.gz lies neither beside it nor in ../data"));
  WriteManifest(R"({"key":"../../..","size":1,"MD5checksum":""})", "CSV", "Bucket, Key");
  EXPECT_THAT(ErrorOf(), HasSubstr("lies neither beside it"));
}

TEST_F(InventoryTest, NamesTheRowThatMeansNothing) {
  const auto with_rows = [&](const std::string& rows) {
    WriteManifest(AddFile("1.csv.gz", rows), "CSV", "Bucket, Key, Size");
    return ErrorOf();
  };
  EXPECT_THAT(with_rows("photos,a,1\nphotos,b\n"), HasSubstr("1.csv.gz, line 2: 2 cells"));
  EXPECT_THAT(with_rows("other,a,1\n"), HasSubstr("bucket 'other' in an inventory of 'photos'"));
  EXPECT_THAT(with_rows("photos,%zz,1\n"), HasSubstr("'%zz' is no URL-encoded key"));
  EXPECT_THAT(with_rows("photos,a,-1\n"), HasSubstr("'-1' is no size"));
}

TEST_F(InventoryTest, ADataFileThatIsNotTheManifestsIsRefusedBeforeAnyOfItsRows) {
  WriteTwoFiles();
  const std::string other = Packed("\"photos\",\"other.jpg\",\"true\",\"false\",\"17\",\"\"\n");
  std::ofstream(dir_ / "data" / "1.csv.gz", std::ios::binary) << other;
  EXPECT_THAT(ErrorOf(), HasSubstr("data file"));
  // Of the right size, too.
  WriteManifest(fmt::format(R"({{"key":"data/1.csv.gz","size":{},"MD5checksum":"{}"}})",
                            other.size(), std::string(32, '0')));
  EXPECT_THAT(ErrorOf(), HasSubstr("the manifest says 0000"));
}

TEST_F(InventoryTest, GoesOnWhereAnEarlierReaderWasWithoutTheFilesBefore) {
  WriteTwoFiles();
  auto inventory = ReadInventory(manifest_, {}, {}).value().value();
  InventoryReader first(inventory, DocumentStore::Open({}).value(), {});
  ASSERT_EQ(first.Next().value()->key, "a b/\u00e9.jpg");
  ASSERT_EQ(first.Next().value()->key, "z+.jpg");
  const auto position = first.position();
  EXPECT_EQ(position.files, 1U);
  EXPECT_EQ(position.rows, 2U);
  std::filesystem::remove(dir_ / "data" / "1.csv.gz");
  InventoryReader second(inventory, DocumentStore::Open({}).value(), {});
  ASSERT_TRUE(second.GoTo(position).ok());
  EXPECT_FALSE(second.Next().value());
  InventoryReader third(inventory, DocumentStore::Open({}).value(), {});
  EXPECT_EQ(third.GoTo({.files = 1, .rows = 3}).code(), Code::kDataLoss);
}

TEST_F(InventoryTest, TheSourceIsTheInventorysBucketOrAPrefixOfIt) {
  WriteTwoFiles();
  const auto whole = ResolveInput("", manifest_, {}, {}).value();
  EXPECT_EQ(whole.source, "s3://photos/");
  EXPECT_EQ(whole.prefix, "");
  EXPECT_EQ(ResolveInput("s3://photos/2026/x", manifest_, {}, {})->prefix, "2026/x");
  EXPECT_THAT(ResolveInput("s3://other/", manifest_, {}, {}).error().message(),
              HasSubstr("lists s3://photos/, the source is s3://other/"));
}

/// Enqueueing an inventory of 4 files with 9 rows each into the real embedded log.
class InventoryJobTest : public InventoryTest {
 protected:
  InventoryJobTest() {
    settings_.batch_keys = 3;
    settings_.list_page_keys = 7;
    settings_.work_partitions = 4;
    std::string files;
    for (int file = 0; file < 4; ++file) {
      std::string rows;
      for (int row = 0; row < 9; ++row)
        rows += fmt::format("photos,{}/{}.jpg,17\n", row % 3 == 0 ? "x" : "y", 10 * file + row);
      files += (file > 0 ? "," : "") + AddFile(fmt::format("{}.csv.gz", file), rows);
    }
    WriteManifest(files, "CSV", "Bucket, Key, Size");
    spec_.source = "s3://photos/";
    spec_.model = {"file:///model", "model", "abc", "def"};
  }

  Result<ProducerReport> Produce(storage::MessageLog& log, const std::string& prefix,
                                 StopSignals stop = {},
                                 std::function<void(const JobRecord&)> on_progress = {}) {
    return RunProducer({.settings = settings_,
                        .log = log,
                        .objects = *objects_,
                        .job_id = "job",
                        .spec = spec_,
                        .prefix = prefix,
                        .manifest_path = manifest_,
                        .on_progress = std::move(on_progress)},
                       stop);
  }

  static std::map<std::string, int> Enqueued(storage::MessageLog& log) {
    std::map<std::string, int> keys;
    EXPECT_TRUE(storage::ReadToEnd(log, storage::WorkTopic("default"), [&](const auto& record) {
                  const WorkBatch batch = DecodeWorkBatch(record.value).value();
                  for (const ObjectRef& object : batch.objects) ++keys[object.key];
                }).ok());
    return keys;
  }

  static void ExpectEachKeyOnce(storage::MessageLog& log, size_t count) {
    const auto keys = Enqueued(log);
    EXPECT_EQ(keys.size(), count);
    for (const auto& [key, times] : keys) EXPECT_EQ(times, 1) << key;
  }

  std::unique_ptr<storage::MessageLog> OpenLog(const std::string& name) {
    return storage::OpenEmbeddedLog((dir_ / name).string()).value();
  }

  Settings settings_;
  JobSpec spec_;
  std::unique_ptr<storage::ObjectStore> objects_ = storage::OpenObjectStore({}).value();
};

TEST_F(InventoryJobTest, EachKeyIsEnqueuedOnceWhereverTheProducerIsStopped) {
  for (int stop_at = 1; stop_at <= 5; ++stop_at) {
    const auto log = OpenLog(fmt::format("log{}", stop_at));
    std::stop_source stop;
    int pages = 0;
    const auto stopped = Produce(*log, "", {stop.get_token(), {}}, [&](const JobRecord&) {
      if (++pages == stop_at) stop.request_stop();
    });
    EXPECT_EQ(stopped.error().code(), Code::kCancelled);
    const auto report = Produce(*log, "");
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_EQ(report->objects_before, static_cast<uint64_t>(7 * stop_at));
    ExpectEachKeyOnce(*log, 36);
  }
}

TEST_F(InventoryJobTest, AnyCommitMayFailBeforeOrAfterItTookEffect) {
  for (int commit = 1; commit <= 6; ++commit) {
    for (const bool committed : {false, true}) {
      const auto log = OpenLog(fmt::format("log{}-{}", commit, committed));
      int commits = 0;
      trawl::testing::FaultyLog faulty(*log, [&](const storage::Transaction&) {
        trawl::testing::CommitFate fate;
        if (++commits == commit) fate = {Status(Code::kAborted, "fault"), committed};
        return fate;
      });
      ASSERT_TRUE(Produce(faulty, ""));
      ExpectEachKeyOnce(*log, 36);
    }
  }
}

TEST_F(InventoryJobTest, APrefixSelectsAndMakesAnotherJob) {
  const auto log = OpenLog("log");
  ASSERT_TRUE(Produce(*log, "x/"));
  ExpectEachKeyOnce(*log, 12);
  EXPECT_THAT(Produce(*log, "y/").error().message(), HasSubstr("another input"));
}

TEST_F(InventoryJobTest, AnotherInventoryUnderTheSameNameIsRefused) {
  const auto log = OpenLog("log");
  std::stop_source stop;
  EXPECT_FALSE(
      Produce(*log, "", {stop.get_token(), {}}, [&](const JobRecord&) { stop.request_stop(); }));
  std::ofstream(manifest_, std::ios::app) << "\n";
  EXPECT_THAT(Produce(*log, "").error().message(),
              HasSubstr("manifest is not the one that this job was started with"));
}

}  // namespace
}  // namespace trawl::producer
