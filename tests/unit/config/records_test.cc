// Goal: records survive the way through a topic bit by bit, look as documented, and hostile ones
// are refused with the field's name, whatever they hold. Method: round trips of full and minimal
// records; the exact text of one of each kind; a valid record with one field broken at a time;
// random mutations of valid text.
#include "config/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace trawl {
namespace {

using testing::HasSubstr;

JobSpec Spec() {
  return {"s3://photos/", {"file:///models/resnet18", "resnet18", "ab12", "cd34"}, 5};
}

WorkBatch Batch() {
  return {"nightly",
          3,
          2,
          Spec(),
          {{"a.jpg", "", 1234, "9b2c"}, {"b c+%&ü.png", "s3://other/b.png", std::nullopt, ""}}};
}

ResultRecord Success() {
  return {"nightly",
          3,
          7,
          1,
          "cats/1.jpg",
          std::vector<Prediction>{{207, "golden retriever", 0.9312345F}, {1, "", 0.1F}},
          "resnet18",
          "ab12",
          "host-1",
          104'233,
          {12.3456, 4, 18.5},
          1'769'903'999'123};
}

ResultRecord Failure() {
  ResultRecord record = Success();
  record.outcome = ObjectError{ObjectErrorCode::kNotFound, "getting s3://photos/x: HTTP 404", 2};
  return record;
}

JobRecord Job() {
  return {"nightly",
          Spec(),
          "prefix cats/",
          JobState::kSealed,
          {{{"cats/9.jpg", "dogs/"}, {"x\xff", ""}}, 90, "beef"},
          3,
          90,
          "0123456789abcdef0123456789abcdef",
          1'769'903'999'123,
          "urgent",
          JobControl::kPaused,
          2,
          7,
          12};
}

/// `text` with the first occurrence of `from` replaced; the test fails if there is none.
std::string With(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from << " in " << text;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

std::string Refusal(const std::string& text) {
  const auto record = DecodeResultRecord(text);
  EXPECT_FALSE(record) << text;
  if (record) return "";
  EXPECT_EQ(record.error().code(), Code::kInvalidArgument);
  return record.error().message();
}

TEST(Records, AResultReadsAsDocumented) {
  EXPECT_EQ(Encode(Success()),
            R"({"version":1,"job":"nightly","batch":3,"index":7,"attempt":1,"key":"cats/1.jpg",)"
            R"("status":"ok",)"
            R"("predictions":[{"class":207,"label":"golden retriever","probability":0.9312345},)"
            R"({"class":1,"probability":0.1}],"model":"resnet18","model_digest":"ab12",)"
            R"("worker":"host-1",)"
            R"("bytes":104233,"timings_ms":{"download":12.346,"decode":4.0,"infer":18.5},)"
            R"("finished_at":"2026-01-31T23:59:59.123Z"})");
}

TEST(Records, AResultTellsWhereTheWorkersTimeWent) {
  ResultRecord record = Success();
  EXPECT_FALSE(DecodeResultRecord(Encode(record)).value().worker_times);
  record.worker_times =
      WorkerTimes{.wall_s = 1.5, .cpu_s = 3, .decode_s = 0.25, .publish_s = 0.125};
  EXPECT_THAT(Encode(record),
              HasSubstr(R"("worker_times_s":{"wall":1.5,"cpu":3.0,"decode":0.25,"infer":0.0,)"
                        R"("await_download":0.0,"await_work":0.0,"decode_waits":0.0,)"
                        R"("infer_waits":0.0,"publish":0.125})"));
  const auto times = DecodeResultRecord(Encode(record)).value().worker_times;
  ASSERT_TRUE(times);
  EXPECT_DOUBLE_EQ(times->decode_s, 0.25);
  EXPECT_DOUBLE_EQ((*times + *times * 2 - *times).publish_s, 0.25);
}

TEST(Records, AResultTellsWhatWasDownloaded) {
  ResultRecord record = Success();
  EXPECT_FALSE(DecodeResultRecord(Encode(record)).value().downloads);
  record.downloads = DownloadTraffic{
      .requests = 12, .retries = 3, .throttled = 2, .hedges = 1, .outages = 0, .bytes = 1ULL << 40};
  EXPECT_THAT(Encode(record),
              HasSubstr(R"("downloads":{"requests":12,"retries":3,"throttled":2,"hedges":1,)"
                        R"("outages":0,"bytes":1099511627776})"));
  EXPECT_EQ(DecodeResultRecord(Encode(record)).value().downloads, record.downloads);
}

TEST(Records, SharesOfTrafficAddUp) {
  const DownloadTraffic all{.requests = 10,
                            .retries = 7,
                            .throttled = 1,
                            .hedges = 0,
                            .outages = 2,
                            .bytes = (1ULL << 53) - 1};
  DownloadTraffic sum;
  for (uint64_t i = 0; i < 3; ++i) sum = sum + (all.Share(i + 1, 3) - all.Share(i, 3));
  EXPECT_EQ(sum, all);
  EXPECT_EQ(all.Share(1, 3).requests, 3U);
}

TEST(Records, AFailureReadsAsDocumented) {
  EXPECT_THAT(Encode(Failure()),
              HasSubstr(R"("status":"failed","error":{"code":"not_found",)"
                        R"("message":"getting s3://photos/x: HTTP 404","attempts":2})"));
}

TEST(Records, AWorkBatchReadsAsDocumented) {
  EXPECT_EQ(Encode(Batch()),
            R"({"version":1,"job":"nightly","batch":3,"attempt":2,"source":"s3://photos/",)"
            R"("model":{"uri":"file:///models/resnet18","name":"resnet18","digest":"ab12",)"
            R"("preprocess_digest":"cd34"},"top_k":5,"objects":[)"
            R"({"key":"a.jpg","size":1234,"etag":"9b2c"},)"
            R"({"key":"b c+%&ü.png","uri":"s3://other/b.png"}]})");
}

TEST(Records, AWorkBatchSurvivesARoundTrip) {
  const WorkBatch batch = DecodeWorkBatch(Encode(Batch())).value();
  EXPECT_EQ(batch.job_id, "nightly");
  EXPECT_EQ(batch.seq, 3u);
  EXPECT_EQ(batch.attempt, 2);
  EXPECT_EQ(batch.spec.source, "s3://photos/");
  EXPECT_EQ(batch.spec.model.uri, "file:///models/resnet18");
  EXPECT_EQ(batch.spec.model.preprocess_digest, "cd34");
  ASSERT_EQ(batch.objects.size(), 2u);
  EXPECT_EQ(batch.objects[0].size_bytes, 1234u);
  EXPECT_EQ(batch.objects[0].etag, "9b2c");
  EXPECT_EQ(batch.objects[1].key, "b c+%&ü.png");
  EXPECT_EQ(batch.objects[1].uri, "s3://other/b.png");
  EXPECT_FALSE(batch.objects[1].size_bytes);
  EXPECT_EQ(Encode(batch), Encode(Batch()));
}

TEST(Records, AResultSurvivesARoundTrip) {
  const ResultRecord record = DecodeResultRecord(Encode(Success())).value();
  EXPECT_EQ(record.index, 7u);
  EXPECT_EQ(record.size_bytes, 104'233u);
  EXPECT_EQ(record.finished_at_ms, 1'769'903'999'123);
  EXPECT_DOUBLE_EQ(record.timings.infer_ms, 18.5);
  const auto& predictions = std::get<std::vector<Prediction>>(record.outcome);
  ASSERT_EQ(predictions.size(), 2u);
  EXPECT_EQ(predictions[0].label, "golden retriever");
  EXPECT_EQ(predictions[0].probability, 0.9312345F);
  EXPECT_EQ(Encode(record), Encode(DecodeResultRecord(Encode(record)).value()));
}

TEST(Records, AFailureSurvivesARoundTrip) {
  const ResultRecord record = DecodeResultRecord(Encode(Failure())).value();
  const auto& error = std::get<ObjectError>(record.outcome);
  EXPECT_EQ(error.code, ObjectErrorCode::kNotFound);
  EXPECT_EQ(error.message, "getting s3://photos/x: HTTP 404");
  EXPECT_EQ(error.attempts, 2);
}

TEST(Records, AJobSurvivesARoundTrip) {
  const JobRecord job = DecodeJobRecord(Encode(Job())).value();
  EXPECT_EQ(job.state, JobState::kSealed);
  EXPECT_EQ(job.input, "prefix cats/");
  ASSERT_EQ(job.cursor.left.size(), 2u);
  EXPECT_EQ(job.cursor.left[0].after, "cats/9.jpg");
  EXPECT_EQ(job.cursor.left[0].before, "dogs/");
  EXPECT_EQ(job.cursor.left[1].after, "x\xff");
  EXPECT_EQ(job.cursor.entries, 90u);
  EXPECT_EQ(job.objects, 90u);
  EXPECT_EQ(job.digest_hex, "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(job.queue, "urgent");
  EXPECT_EQ(job.control, JobControl::kPaused);
  EXPECT_EQ(job.requeued, 7u);
  EXPECT_EQ(Encode(job), Encode(Job()));
  JobRecord fresh;
  fresh.job_id = "new";
  fresh.cursor.files = 3;
  EXPECT_EQ(DecodeJobRecord(Encode(fresh)).value().cursor.files, 3u);
  EXPECT_EQ(DecodeJobRecord(Encode(fresh)).value().state, JobState::kListing);
}

TEST(Records, ALaterAttemptSaysWhereItsObjectsStood) {
  WorkBatch batch = Batch();
  batch.attempt = 2;
  batch.objects = {{"b.jpg", "", {}, ""}, {"h.jpg", "", {}, ""}};
  batch.indices = {1, 7};
  const std::string text = Encode(batch);
  const WorkBatch decoded = DecodeWorkBatch(text).value();
  EXPECT_EQ(decoded.IndexOf(1), 7u);
  EXPECT_EQ(Encode(decoded), text);
  EXPECT_EQ(Batch().IndexOf(1), 1u);
  for (const auto& [from, to] : {std::pair(R"(,"index":1})", "}"),
                                 {R"("index":1)", R"("index":7)"},
                                 {R"("index":7)", R"("index":-1)"}})
    EXPECT_FALSE(DecodeWorkBatch(With(text, from, to))) << to;
}

TEST(Records, CancellingAJobDoesNotReachWhatIsEnqueuedAfterIt) {
  JobRecord job = Job();
  job.control = JobControl::kCancelled;
  job.batches = 3;
  job.attempt = 1;
  WorkBatch batch = Batch();
  batch.seq = 2;
  batch.attempt = 1;
  EXPECT_TRUE(IsCancelled(job, batch));
  batch.attempt = 2;
  EXPECT_FALSE(IsCancelled(job, batch)) << "enqueued again";
  batch.attempt = 1;
  batch.seq = 3;
  EXPECT_FALSE(IsCancelled(job, batch)) << "listed later";
  batch.seq = 2;
  job.control = JobControl::kPaused;
  EXPECT_FALSE(IsCancelled(job, batch));
}

TEST(Records, EveryFloatSurvivesAndIsAsShortAsItCanBe) {
  std::mt19937 random(5);
  ResultRecord record = Success();
  for (int i = 0; i < 4'000; ++i) {
    const auto bits = static_cast<uint32_t>(random());
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    if (!std::isfinite(value)) continue;
    record.outcome = std::vector<Prediction>{{1, "", value}};
    const auto decoded = DecodeResultRecord(Encode(record));
    ASSERT_TRUE(decoded) << value;
    ASSERT_EQ(std::get<0>(decoded->outcome)[0].probability, value);
  }
}

TEST(Records, AnyBytesOfAKeySurvive) {
  std::string key;
  for (int byte = 255; byte >= 0; --byte) key += static_cast<char>(byte);
  WorkBatch batch = Batch();
  batch.objects[0].key = key;
  EXPECT_THAT(Encode(batch), HasSubstr(R"("key_base64":"//79)"));
  EXPECT_EQ(DecodeWorkBatch(Encode(batch)).value().objects[0].key, key);
  const std::string text_key("quote\" back\\slash \n tab\t nul\0 end", 33);
  batch.objects[0].key = text_key;
  EXPECT_EQ(Encode(batch).find('\n'), std::string::npos);
  EXPECT_EQ(DecodeWorkBatch(Encode(batch)).value().objects[0].key, text_key);
}

TEST(Records, MessagesStayOneShortLine) {
  ResultRecord record = Failure();
  std::get<ObjectError>(record.outcome).message = "two\nlines ";
  for (int i = 0; i < 500; ++i) std::get<ObjectError>(record.outcome).message += "ü";
  const auto decoded = DecodeResultRecord(Encode(record)).value();
  const std::string& message = std::get<ObjectError>(decoded.outcome).message;
  EXPECT_TRUE(message.starts_with("two lines ü"));
  EXPECT_TRUE(message.ends_with("ü…"));
  EXPECT_LE(message.size(), 520u);
}

TEST(Records, ANewerVersionIsRefusedAndNotMisread) {
  const auto newer =
      DecodeResultRecord(With(Encode(Success()), R"("version":1)", R"("version":7)"));
  EXPECT_EQ(newer.error().code(), Code::kUnimplemented);
  EXPECT_THAT(newer.error().message(),
              HasSubstr("record version 7 is newer than this trawl understands (1)"));
  EXPECT_EQ(DecodeWorkBatch(R"({"version":2,"anything":true})").error().code(),
            Code::kUnimplemented);
  EXPECT_EQ(DecodeJobRecord(R"({"version":2})").error().code(), Code::kUnimplemented);
}

TEST(Records, UnknownFieldsAreIgnored) {
  EXPECT_TRUE(DecodeResultRecord(
      With(Encode(Success()), R"("version":1)", R"("new":{"a":[1]},"version":1)")));
}

TEST(Records, AMissingOrMistypedFieldIsNamed) {
  const std::string good = Encode(Success());
  EXPECT_EQ(Refusal(With(good, R"("version":1,)", "")),
            "decoding a result record: version: missing");
  EXPECT_EQ(Refusal(With(good, R"("key":"cats/1.jpg",)", "")),
            "decoding a result record: key: missing");
  EXPECT_THAT(Refusal(With(good, R"("key":"cats/1.jpg")", R"("key":17)")),
              HasSubstr("key: not a string"));
  EXPECT_THAT(Refusal(With(good, R"("key":"cats/1.jpg")", R"("key":"")")), HasSubstr("key: empty"));
  EXPECT_THAT(Refusal(With(good, R"("key":"cats/1.jpg")", R"("key_base64":"&")")),
              HasSubstr("key_base64: not base64"));
  EXPECT_THAT(Refusal(With(good, R"("job":"nightly")", R"("job":"")")),
              HasSubstr("job: not a line"));
  EXPECT_THAT(Refusal(With(good, R"("version":1)", R"("version":"1")")),
              HasSubstr("version: not a whole number"));
  EXPECT_THAT(Refusal(With(good, R"("version":1)", R"("version":0)")),
              HasSubstr("version: not a whole number"));
  EXPECT_THAT(Refusal(With(good, R"("status":"ok")", R"("status":"fine")")),
              HasSubstr("status: neither"));
  EXPECT_THAT(Refusal(With(good, R"("predictions":[)", R"("predictions":[7,)")),
              HasSubstr("predictions[0]: not an object"));
  EXPECT_THAT(Refusal(With(good, R"("label":"golden retriever")", R"("label":[])")),
              HasSubstr("predictions[0].label: not a string"));
  EXPECT_THAT(Refusal(With(good, R"("timings_ms":{)", R"("timings_ms":1,"x":{)")),
              HasSubstr("timings_ms: not an object"));
  EXPECT_THAT(Refusal(With(good, "T23:59", "T25:59")), HasSubstr("finished_at: not a time"));
  EXPECT_THAT(Refusal(With(Encode(Failure()), "not_found", "lost")),
              HasSubstr("error.code: not an error code"));
}

TEST(Records, AJobIdIsOneLineOfText) {
  ResultRecord record = Success();
  for (const std::string& id : {std::string("a\nb"), std::string("\xFF"), std::string(256, 'j')}) {
    record.job_id = id;
    EXPECT_THAT(Refusal(Encode(record)), HasSubstr("job: not a line of 1 to 255 bytes"));
  }
}

TEST(Records, AbsurdNumbersAreNamed) {
  const std::string good = Encode(Success());
  for (const char* value :
       {"-1", "4294967296", "9223372036854775808", "1e30", "1.5", "null", "true", "\"3\""})
    EXPECT_THAT(Refusal(With(good, R"("index":7)", std::string(R"("index":)") + value)),
                HasSubstr("index: not a whole number from 0 to 4294967295"))
        << value;
  for (const char* value : {"1e39", "1e300", "null", "\"1\""})
    EXPECT_THAT(
        Refusal(With(good, R"("probability":0.1)", std::string(R"("probability":)") + value)),
        HasSubstr("predictions[1].probability: not a number"))
        << value;
  EXPECT_THAT(Refusal(With(good, R"("decode":4.0)", R"("decode":-1)")),
              HasSubstr("timings_ms.decode"));
}

TEST(Records, ANumberThatIsNotFiniteNeverGetsThrough) {
  ResultRecord record = Success();
  record.outcome = std::vector<Prediction>{{1, "", std::numeric_limits<float>::quiet_NaN()}};
  EXPECT_THAT(Refusal(Encode(record)), HasSubstr("predictions[0].probability"));
  EXPECT_THAT(Refusal(With(Encode(Success()), "0.1", "NaN")), HasSubstr("not JSON"));
  EXPECT_THAT(Refusal(With(Encode(Success()), "0.1", "1e999")), HasSubstr("result record"));
}

TEST(Records, WhatIsNotAJsonObjectIsRefused) {
  EXPECT_THAT(Refusal(""), HasSubstr("empty"));
  EXPECT_THAT(Refusal("\x01"), HasSubstr("not JSON"));
  EXPECT_THAT(Refusal("{\"a\":\"\xFF\"}"), HasSubstr("not UTF-8"));
  EXPECT_THAT(Refusal("[1]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(Refusal("null"), HasSubstr("not a JSON object"));
  EXPECT_THAT(Refusal(Encode(Success()) + "x"), HasSubstr("not JSON"));
  EXPECT_THAT(Refusal(std::string(100'000, '[')), HasSubstr("nested deeper"));
  EXPECT_THAT(Refusal(std::string(17 << 20, ' ')), HasSubstr("bytes; 16777216 are allowed"));
}

TEST(Records, OversizedTextAndListsAreNamed) {
  EXPECT_THAT(Refusal(With(Encode(Success()), "cats", std::string(70'000, 'c'))),
              HasSubstr("key: 70006 bytes"));
  std::string many = "[{}";
  for (int i = 0; i < 10'000; ++i) many += ",{}";
  EXPECT_THAT(Refusal(With(Encode(Success()), R"("predictions":[)",
                           R"("predictions":)" + many + "],\"x\":[")),
              HasSubstr("predictions: 10001 items; 10000 are allowed"));
}

TEST(Records, AnObjectWithManyFieldsIsReadInReasonableTime) {
  std::string text = Encode(Success());
  text.pop_back();
  for (int i = 0; i < 100'000; ++i) text += ",\"f" + std::to_string(i) + "\":0";
  EXPECT_TRUE(
      DecodeResultRecord(text + "}"));  // quadratic reading would run into the test's time limit
}

TEST(Records, AWorkBatchWithoutObjectsOrWithAnEmptyKeyIsRefused) {
  WorkBatch batch = Batch();
  batch.objects[1].key = "";
  EXPECT_THAT(DecodeWorkBatch(Encode(batch)).error().message(), HasSubstr("objects[1].key: empty"));
  batch.objects.clear();
  EXPECT_THAT(DecodeWorkBatch(Encode(batch)).error().message(), HasSubstr("objects: empty"));
}

TEST(Records, AJobWithABrokenDigestOrStateIsRefused) {
  EXPECT_THAT(DecodeJobRecord(With(Encode(Job()), R"("digest":"0123)", R"("digest":"x123)"))
                  .error()
                  .message(),
              HasSubstr("digest: not 32 hex digits"));
  EXPECT_THAT(DecodeJobRecord(With(Encode(Job()), "sealed", "open")).error().message(),
              HasSubstr("state: neither"));
}

TEST(Records, MutatedTextIsReadOrRefusedButNeverMore) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::string texts[] = {Encode(Success()), Encode(Failure()), Encode(Batch()),
                               Encode(Job())};
  int refused = 0;
  for (int i = 0; i < 4'000; ++i) {
    std::string text = texts[random() % 4];
    for (auto k = random() % 3; k < 3; ++k) {
      const size_t at = random() % text.size();
      if (random() % 3 == 0)
        text.erase(at, random() % 20 + 1);
      else
        text[at] = static_cast<char>(random() % 4 == 0 ? random() : "{}[]\":,0-e"[random() % 10]);
      if (text.empty()) text = "{";
    }
    refused += !DecodeResultRecord(text);
    refused += !DecodeWorkBatch(text);
    refused += !DecodeJobRecord(text);
  }
  EXPECT_GT(refused, 6'000);
}

TEST(ObjectUri, JoinsWithExactlyTheSlashOfTheSource) {
  EXPECT_EQ(ObjectUri("s3://b/", {"k.jpg", "", {}, ""}), "s3://b/k.jpg");
  EXPECT_EQ(ObjectUri("s3://b", {"k.jpg", "", {}, ""}), "s3://b/k.jpg");
  EXPECT_EQ(ObjectUri("s3://b/", {"/k.jpg", "", {}, ""}), "s3://b//k.jpg");
  EXPECT_EQ(ObjectUri("file:///data/", {"a b/%41?.jpg", "", {}, ""}), "file:///data/a b/%41?.jpg");
  EXPECT_EQ(ObjectUri("http://h/b", {"a b/%41?#.jpg", "", {}, ""}),
            "http://h/b/a%20b/%2541%3F%23.jpg");
  EXPECT_EQ(ObjectUri("s3://b/", {"k.jpg", "https://h/x", {}, ""}), "https://h/x");
}

TEST(ResultMessageKey, IsJobAndKey) {
  EXPECT_EQ(ResultMessageKey(Success()), "nightly/cats/1.jpg");
}

}  // namespace
}  // namespace trawl
