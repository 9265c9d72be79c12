#pragma once
// How a running job shows on standard error: a bar that is redrawn on a terminal, a line now and
// then elsewhere.

#include <chrono>
#include <cstdint>
#include <string>

namespace trawl::ops {

struct Progress {
  uint64_t enqueued = 0;
  bool listing = true;  // enqueued may still grow
  uint64_t done = 0;
  uint64_t failed = 0;
  double rate_per_second = 0;
};

/// One line: "[=====>    ] 150/300 · 2 failed · 92/s · 2 s left".
std::string FormatProgress(const Progress& progress, int columns);

/// One line: "1203000 keys listed, 401000 enqueued  8431/s".
std::string FormatListing(uint64_t listed, uint64_t enqueued, double listed_per_second);

/// Not thread-safe.
class ProgressLine {
 public:
  ProgressLine();
  void Show(const Progress& progress);
  void ShowLine(const std::string& line);
  /// Ends the bar's line, so that what follows starts on a line of its own.
  void Finish();

 private:
  bool terminal_ = false;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace trawl::ops
