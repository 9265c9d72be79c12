// Goal: after the first Run at a batch size, a session's Run allocates nothing. Method: a binary of
// its own, whose global operator new counts.
#include <atomic>
#include <cstdlib>
#include <new>

#include "engine/model.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/engine/small_model.h"

namespace {

std::atomic<int> allocations{0};

void* Count(size_t bytes) {
  ++allocations;
  void* block = std::malloc(bytes == 0 ? 1 : bytes);
  if (block == nullptr) std::abort();
  return block;
}

}  // namespace

void* operator new(size_t bytes) { return Count(bytes); }
void* operator new[](size_t bytes) { return Count(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return Count(bytes); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return Count(bytes); }
void operator delete(void* block) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }
void operator delete[](void* block, size_t) noexcept { std::free(block); }

namespace trawl::engine {
namespace {

TEST(Session, RunAllocatesNothingAfterTheFirstAtEachBatch) {
  const trawl::testing::TempDir folder;
  const auto model = Model::Load(testing::WriteSmallModel(folder.path()));
  ASSERT_TRUE(model.has_value()) << model.error().message();
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    const auto session = Session::Create(*model, 3, threads);
    ASSERT_TRUE(session.has_value());
    const std::vector<float> images(3 * 3 * 8 * 8, 0.5f);
    std::vector<float> probabilities(3 * 4);
    const auto run = [&](int n) {
      const auto count = static_cast<size_t>(n);
      return (*session)
          ->Run(std::span(images).first(count * 192), n, std::span(probabilities).first(count * 4))
          .ok();
    };
    for (const int n : {3, 1, 2}) ASSERT_TRUE(run(n));
    const int before = allocations.load();
    bool all_ok = true;
    for (const int n : {1, 3, 2, 3, 1}) all_ok = run(n) && all_ok;
    EXPECT_EQ(allocations.load(), before);
    EXPECT_TRUE(all_ok);
    EXPECT_GT(before, 0) << "the counter does not count";
  }
}

}  // namespace
}  // namespace trawl::engine
