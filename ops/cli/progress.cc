#include "ops/cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "config/clock.h"
#include "ops/cli/text.h"

namespace trawl::ops {
namespace {

constexpr int kBarColumns = 30;
constexpr std::chrono::seconds kQuietInterval{10};  // between lines where nothing can be redrawn

int TerminalColumns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string FormatProgress(const Progress& progress, int columns) {
  const uint64_t ended = progress.done + progress.failed;
  const double share =
      progress.enqueued == 0
          ? 0
          : std::min(1.0, static_cast<double>(ended) / static_cast<double>(progress.enqueued));
  const auto filled = static_cast<size_t>(share * kBarColumns);
  std::string line = fmt::format("[{}{}] {}/{}{}", std::string(filled, '='),
                                 std::string(kBarColumns - filled, ' '), ended, progress.enqueued,
                                 progress.listing ? "+ (listing)" : "");
  if (progress.failed > 0) line += fmt::format("  {} failed", progress.failed);
  if (progress.rate_per_second > 0) {
    line += fmt::format("  {:.0f}/s", progress.rate_per_second);
    const double left = static_cast<double>(progress.enqueued - std::min(ended, progress.enqueued));
    if (!progress.listing && left > 0)
      line += "  " + FormatDuration(left / progress.rate_per_second) + " left";
  }
  return line.substr(0, static_cast<size_t>(std::max(columns, 1)));
}

ProgressLine::ProgressLine() : terminal_(isatty(STDERR_FILENO) == 1), last_(SystemClock().Now()) {}

std::string FormatListing(uint64_t listed, uint64_t enqueued, double listed_per_second) {
  return fmt::format("{} keys listed, {} enqueued  {:.0f}/s", listed, enqueued, listed_per_second);
}

void ProgressLine::Show(const Progress& progress) {
  ShowLine(FormatProgress(progress, terminal_ ? TerminalColumns() - 1 : 200));
}

void ProgressLine::ShowLine(const std::string& line) {
  if (terminal_) {
    std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
    drawn_ = true;
  } else if (SystemClock().Now() - last_ >= kQuietInterval) {
    std::fprintf(stderr, "%s\n", line.c_str());
    last_ = SystemClock().Now();
  }
}

void ProgressLine::Finish() {
  if (drawn_) std::fputc('\n', stderr);
  drawn_ = false;
}

}  // namespace trawl::ops
