// Goal: a manifest on a silent pipe keeps nobody from stopping, and is not taken for a whole one.
// Method: real pipes.
#include "producer/fd_stream.h"

#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "producer/manifest.h"
#include "tests/support/gzip.h"

namespace trawl::producer {
namespace {

struct Pipe {
  Pipe() { EXPECT_EQ(pipe(ends), 0); }
  ~Pipe() {
    close(ends[0]);
    CloseWriter();
  }
  void Write(const std::string& text) {
    EXPECT_EQ(write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void CloseWriter() {
    if (ends[1] >= 0) close(ends[1]);
    ends[1] = -1;
  }
  int ends[2] = {-1, -1};
};

TEST(FdStream, ReadsToTheEnd) {
  Pipe pipe;
  pipe.Write("a\nb");
  pipe.CloseWriter();
  FdStream stream(pipe.ends[0], {});
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_EQ(text, "a\nb");
}

TEST(FdStream, AManifestOnAPipeMayBePackedAndComeInPieces) {
  Pipe pipe;
  const std::string packed = trawl::testing::Packed("a.jpg\nb.jpg\n");
  pipe.Write(packed.substr(0, 1));
  std::jthread writer([&] {
    // Once the first byte was read, and no sooner.
    for (size_t i = 1; i < packed.size(); ++i) {
      for (int unread = 1; unread > 0;) ASSERT_EQ(ioctl(pipe.ends[0], FIONREAD, &unread), 0);
      pipe.Write(packed.substr(i, 1));
    }
    pipe.CloseWriter();
  });
  ManifestReader reader(std::make_unique<FdStream>(pipe.ends[0], std::stop_token()), "-",
                        "file:///data/");
  EXPECT_EQ((*reader.Next())->key, "a.jpg");
  EXPECT_EQ((*reader.Next())->key, "b.jpg");
  EXPECT_FALSE(*reader.Next());
}

TEST(FdStream, AManifestOnASilentPipeIsCancelledAndNotEnded) {
  Pipe pipe;
  pipe.Write("a.jpg\nhalf a li");
  std::stop_source stop;
  ManifestReader reader(std::make_unique<FdStream>(pipe.ends[0], stop.get_token()), "-",
                        "file:///data/", "", stop.get_token());
  ASSERT_EQ((*reader.Next())->key, "a.jpg");
  std::jthread stopper([&] { stop.request_stop(); });
  const auto next = reader.Next();
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace trawl::producer
