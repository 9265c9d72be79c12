// Goal: what happens to a decoder is one picture's failure and nobody else's, and a decoder can do
// nothing but decode. Method: real processes, locked in as a worker's are, that crash, hang, devour
// memory and pry when the object says so (decoders.h).

#include "worker/sandbox/decoder_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/unit/worker/image/picture_files.h"
#include "tests/unit/worker/sandbox/decoders.h"
#include "worker/sandbox/lockdown.h"

namespace trawl::worker {
namespace {

constexpr size_t kLevels = 12;

DecoderOptions Options(std::vector<std::string> command) {
  DecoderOptions options;
  options.command = std::move(command);
  options.limits = {.max_pixels = 1'000'000};
  options.max_object_bytes = 1U << 20;
  return options;
}

std::unique_ptr<DecoderPool> StartPool(DecoderOptions options) {
  auto pool = DecoderPool::Start(std::move(options));
  EXPECT_TRUE(pool) << pool.error().message();
  return pool ? std::move(*pool) : nullptr;
}

std::unique_ptr<DecoderPool> ObedientPool() { return StartPool(Options(ObedientDecoder())); }

ObjectResult<Samples> Order(DecoderPool& pool, std::string_view order) {
  return pool.Prepare(FileOf(order), {}, kLevels);
}

/// Which process answers.
pid_t ProcessOf(DecoderPool& pool) {
  const auto filled = Order(pool, "fill");
  EXPECT_TRUE(filled) << filled.error().message;
  pid_t process = 0;
  if (filled) std::memcpy(&process, filled->data(), sizeof process);
  return process;
}

void ExpectError(const ObjectResult<Samples>& result, ObjectErrorCode code, std::string_view part) {
  ASSERT_FALSE(result);
  EXPECT_EQ(ToString(result.error().code), ToString(code)) << result.error().message;
  EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
}

TEST(DecoderPool, GivesTheNumbersAndErrorsOfDecodingHere) {
  const auto pool = StartPool(Options(RealDecoder()));
  ASSERT_NE(pool, nullptr);
  engine::PreprocessSpec spec;
  spec.height = spec.width = 24;
  spec.resize_shorter = 30;
  Samples expected(3 * 24 * 24);
  for (const File& file : {EncodeJpeg(SmoothPicture(50, 70, 3)), EncodePng(NoisePicture(40, 30, 1)),
                           FileOf("<html>no picture</html>")}) {
    const auto here = PrepareImage(file, {}, spec, expected);
    const auto there = pool->Prepare(file, spec, expected.size());
    ASSERT_EQ(here.has_value(), there.has_value());
    if (here) {
      EXPECT_EQ(*there, expected);
    } else {
      EXPECT_EQ(there.error().code, here.error().code);
      EXPECT_EQ(there.error().message, here.error().message);
    }
  }
}

TEST(DecoderPool, MakesACrashOnePicturesFailureAndANewProcess) {
  const auto pool = ObedientPool();
  ASSERT_NE(pool, nullptr);
  for (const auto& [order, part] :
       {std::pair("crash", "signal 11"), {"abort", "signal 6"}, {"exit", "ended with code 0"}}) {
    const pid_t before = ProcessOf(*pool);
    ExpectError(Order(*pool, order), ObjectErrorCode::kDecoderCrash, part);
    EXPECT_NE(ProcessOf(*pool), before);
  }
}

TEST(DecoderPool, EndsADecoderThatHangs) {
  DecoderOptions options = Options(ObedientDecoder());
  options.timeout = std::chrono::seconds(1);
  const auto pool = StartPool(std::move(options));
  ASSERT_NE(pool, nullptr);
  ExpectError(Order(*pool, "hang"), ObjectErrorCode::kTimeout, "1000 ms");
  EXPECT_GT(ProcessOf(*pool), 0);
}

TEST(DecoderPool, BoundsTheMemoryOfADecoder) {
  if (kSanitized) GTEST_SKIP() << "sanitizers reserve more address space than any limit allows";
  const auto pool = ObedientPool();
  ASSERT_NE(pool, nullptr);
  ExpectError(Order(*pool, "devour"), ObjectErrorCode::kTooLarge, "memory");
  EXPECT_GT(ProcessOf(*pool), 0);
}

TEST(DecoderPool, EndsADecoderThatReachesForAnythingElse) {
  const auto pool = ObedientPool();
  ASSERT_NE(pool, nullptr);
  ASSERT_TRUE(pool->layers() & kSystemCalls);
  for (const char* order :
       {"socket", "open", "execute", "fork", "kill parent", "trace parent", "make code"})
    ExpectError(Order(*pool, order), ObjectErrorCode::kDecoderCrash,
                kSanitized ? "denied" : "system call");
  if (kSanitized) return;  // its reports go elsewhere
  ExpectError(Order(*pool, "write elsewhere"), ObjectErrorCode::kDecoderCrash, "system call");
}

TEST(DecoderPool, BelievesNoReplyThatMakesNoSense) {
  const auto pool = ObedientPool();
  ASSERT_NE(pool, nullptr);
  ExpectError(Order(*pool, "forge"), ObjectErrorCode::kDecoderCrash, "none");
  // What it does believe cannot move a terminal's cursor.
  ExpectError(Order(*pool, "\x1B[2J"), ObjectErrorCode::kTooManyScans, "\\x1b[2J");
}

TEST(DecoderPool, MakesRoomForAModelThatTakesMore) {
  const auto pool = ObedientPool();
  ASSERT_NE(pool, nullptr);
  const size_t many = 3U << 20;
  const auto large = pool->Prepare(FileOf("fill"), {}, many);
  ASSERT_TRUE(large) << large.error().message;
  EXPECT_EQ(large->size(), many);
  EXPECT_TRUE(std::any_of(large->begin(), large->begin() + 4, [](uint8_t level) { return level; }));
  EXPECT_TRUE(std::equal(large->begin(), large->end() - 4, large->begin() + 4));
}

/// What became of each order of one request.
std::vector<std::string> OrderTogether(DecoderPool& pool,
                                       const std::vector<std::string_view>& orders) {
  std::vector<File> files;
  for (const std::string_view order : orders) files.push_back(FileOf(order));
  const std::vector<Bytes> objects(files.begin(), files.end());
  std::vector<std::string> ends;
  for (const auto& answer : pool.Prepare(objects, {}, kLevels))
    ends.emplace_back(answer ? "filled" : ToString(answer.error().code));
  return ends;
}

TEST(DecoderPool, AnswersEachOfSeveralPicturesByItself) {
  const auto pool = ObedientPool();
  ASSERT_NE(pool, nullptr);
  const pid_t before = ProcessOf(*pool);
  EXPECT_EQ(OrderTogether(*pool, {"fill", "text", "fill"}),
            (std::vector<std::string>{"filled", "too_many_scans", "filled"}));
  EXPECT_EQ(ProcessOf(*pool), before);
}

TEST(DecoderPool, FindsThePictureOfSeveralThatItsDecoderDoesNotSurvive) {
  DecoderOptions options = Options(ObedientDecoder());
  options.timeout = std::chrono::seconds(1);
  const auto pool = StartPool(std::move(options));
  ASSERT_NE(pool, nullptr);
  EXPECT_EQ(
      OrderTogether(*pool, {"fill", "crash", "text", "hang", "fill"}),
      (std::vector<std::string>{"filled", "decoder_crash", "too_many_scans", "timeout", "filled"}));
}

TEST(DecoderPool, GivesSeveralPicturesTheLevelsOfDecodingHere) {
  const auto pool = StartPool(Options(RealDecoder())), here = StartPool(Options({}));
  ASSERT_TRUE(pool != nullptr && here != nullptr);
  engine::PreprocessSpec spec;
  spec.height = spec.width = 24;
  spec.resize_shorter = 30;
  std::vector<File> files;
  for (int i = 0; i < static_cast<int>(kMostAtOnce); ++i)
    files.push_back(EncodePng(NoisePicture(30 + i, 40, i % 2 == 0 ? 1 : 3)));
  const std::vector<Bytes> objects(files.begin(), files.end());
  const auto there = pool->Prepare(objects, spec, 3 * 24 * 24);
  const auto expected = here->Prepare(objects, spec, 3 * 24 * 24);
  ASSERT_EQ(there.size(), files.size());
  for (size_t i = 0; i < files.size(); ++i) EXPECT_EQ(there[i].value(), expected[i].value()) << i;
}

TEST(DecoderPool, RefusesAnObjectThatHasNoRoom) {
  const auto pool = ObedientPool();
  ASSERT_NE(pool, nullptr);
  const auto result = pool->Prepare(File((1U << 20) + 1), {}, kLevels);
  ExpectError(result, ObjectErrorCode::kTooLarge, "max-object-bytes");
}

TEST(DecoderPool, ServesManyThreadsThroughCrashes) {
  DecoderOptions options = Options(ObedientDecoder());
  options.processes = 3;
  const auto pool = StartPool(std::move(options));
  ASSERT_NE(pool, nullptr);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&pool] {
      for (int i = 0; i < 60; ++i) {
        const bool crash = i % 20 == 7;
        EXPECT_EQ(Order(*pool, crash ? "crash" : "fill").has_value(), !crash);
      }
    });
}

TEST(DecoderPool, DecodesHereWithoutADecoder) {
  for (const auto& command :
       {std::vector<std::string>{}, {"/nonexistent/decoder"}, {"/bin/false"}}) {
    const auto pool = StartPool(Options(command));
    ASSERT_NE(pool, nullptr);
    EXPECT_EQ(pool->layers(), 0u);
    ExpectError(Order(*pool, "text"), ObjectErrorCode::kNotAnImage, "first bytes");
  }
}

TEST(DecoderPool, RefusesToStartWithoutTheSandboxThatIsRequired) {
  for (const auto& command :
       {std::vector<std::string>{}, {"/nonexistent/decoder"}, {"/bin/false"}}) {
    DecoderOptions options = Options(command);
    options.required = true;
    const auto pool = DecoderPool::Start(std::move(options));
    ASSERT_FALSE(pool);
    EXPECT_NE(pool.error().message().find("require-sandbox"), std::string::npos);
  }
}

}  // namespace
}  // namespace trawl::worker
