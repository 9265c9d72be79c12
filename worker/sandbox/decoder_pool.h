#pragma once
// Where strangers' bytes are parsed: in processes that can do nothing else, or, where the host does
// not allow it, here.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "config/object_error.h"
#include "config/settings.h"
#include "config/status.h"
#include "worker/image/image.h"
#include "worker/sandbox/child_process.h"

namespace trawl::worker {

struct DecoderOptions {
  /// What becomes a decoder process (child.h) when it is run; empty: decode in this process.
  std::vector<std::string> command;
  size_t processes = 1;  // at least as many as threads that call Prepare
  ImageLimits limits{};
  size_t max_object_bytes = 32U << 20;
  std::chrono::milliseconds timeout{10'000};
  bool required = false;  // rather not start than decode with a layer missing

  static DecoderOptions From(const Settings& settings, std::vector<std::string> command,
                             size_t processes);
};

/// Thread-safe.
class DecoderPool {
 public:
  /// Starts the processes, and logs which layers hold. Errors: kFailedPrecondition when `required`
  /// and a layer is missing; otherwise what is missing is a warning.
  static Result<std::unique_ptr<DecoderPool>> Start(DecoderOptions options);

  /// Several objects in one call may have so many bytes together: for small ones the way to another
  /// process and back takes longer than decoding, so that it is better gone once for some of them.
  static constexpr size_t kBytesAtOnce = 64U << 10;

  /// PrepareImage of each of up to kMostAtOnce objects, elsewhere: the model's `levels` levels. A
  /// picture that its decoder does not survive is its own failure (decoder_crash, timeout,
  /// too_large), and the next one gets a new process.
  std::vector<ObjectResult<Samples>> Prepare(std::span<const Bytes> objects,
                                             const engine::PreprocessSpec& spec, size_t levels);
  ObjectResult<Samples> Prepare(Bytes object, const engine::PreprocessSpec& spec, size_t levels) {
    return std::move(Prepare(std::span(&object, 1), spec, levels).front());
  }

  const ImageLimits& limits() const { return options_.limits; }

  /// The layers that hold in every decoder (lockdown.h); 0: decoding is done in this process.
  uint32_t layers() const { return layers_; }

 private:
  /// A decoder, and what it has done. None runs in it at first, and after a crash.
  struct Seat {
    std::unique_ptr<ChildProcess> child;
    size_t pictures = 0;
    std::chrono::steady_clock::duration busy{};
  };

  explicit DecoderPool(DecoderOptions options) : options_(std::move(options)) {}
  Status StartAll();
  /// A running decoder with room for pictures of `levels` in the seat.
  Status Fill(Seat& seat, size_t levels);
  /// As Prepare. Error: the decoder's end, be it the fault of whichever of the objects.
  ObjectResult<std::vector<ObjectResult<Samples>>> AskIn(Seat& seat, std::span<const Bytes> objects,
                                                         const engine::PreprocessSpec& spec,
                                                         size_t levels);
  ObjectResult<Samples> PrepareHere(Bytes bytes, const engine::PreprocessSpec& spec,
                                    size_t levels) const;
  Setup SetupFor(size_t levels) const;

  const DecoderOptions options_;
  uint32_t layers_ = 0;
  std::mutex mutex_;  // guards free_
  std::condition_variable freed_;
  std::vector<Seat> free_;
};

}  // namespace trawl::worker
