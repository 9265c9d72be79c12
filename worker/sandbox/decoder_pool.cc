#include "worker/sandbox/decoder_pool.h"

#include <algorithm>
#include <utility>

#include "config/clock.h"
#include "ops/telemetry/log.h"
#include "worker/sandbox/lockdown.h"

namespace trawl::worker {
namespace {

using std::chrono::seconds;

constexpr auto kStartTimeout = std::chrono::milliseconds(10'000);
// Four channels at 512 × 512. A model that takes more has its decoders started again.
constexpr size_t kUsualLevels = 1U << 20;
// A decoder is replaced before what its libraries leak, or what was planted in it, gets old. It is
// never busy for longer than its processor time, so the limit on that meets only one that hangs
// while its worker is gone.
constexpr size_t kPicturesPerProcess = 50'000;
constexpr seconds kBusyPerProcess{600};
constexpr int kStartAttempts = 5;
constexpr auto kStartPause = std::chrono::milliseconds(50);  // doubled after each

/// Pixels, a progressive JPEG's coefficients, the turned copy; and what the libraries need besides.
size_t DecoderMemory(const ImageLimits& limits) {
  return static_cast<size_t>(limits.max_pixels) * 16 + (128U << 20);
}

}  // namespace

DecoderOptions DecoderOptions::From(const Settings& settings, std::vector<std::string> command,
                                    size_t processes) {
  DecoderOptions options;
  if (settings.sandbox != "off") options.command = std::move(command);
  options.processes = processes;
  options.limits = ImageLimits::From(settings);
  options.max_object_bytes = static_cast<size_t>(settings.max_object_bytes);
  options.timeout = std::chrono::milliseconds(settings.decode_timeout_ms);
  options.required = settings.require_sandbox;
  return options;
}

Result<std::unique_ptr<DecoderPool>> DecoderPool::Start(DecoderOptions options) {
  std::unique_ptr<DecoderPool> pool(new DecoderPool(std::move(options)));
  const bool wanted = !pool->options_.command.empty();
  const Status started = wanted ? pool->StartAll() : Status();
  const bool required = pool->options_.required;
  if (required && !wanted)
    return Error(Code::kFailedPrecondition,
                 "require-sandbox: pictures would be decoded in this process");
  if (required && !started.ok()) return Annotate(started, "require-sandbox");
  const uint32_t layers = pool->layers_;
  if (required && layers != kAllLayers)
    return Error(Code::kFailedPrecondition, "require-sandbox: this host gives decoders {}",
                 PostureText(layers));
  if (!wanted) {
    ops::Log(ops::LogLevel::kInfo, "decoding in the worker's own process", {});
  } else if (!started.ok()) {
    ops::Log(ops::LogLevel::kWarn, "decoding in the worker's own process: no sandbox here",
             {{"reason", started.message()}});
  } else {
    const bool complete = layers == kAllLayers;
    ops::Log(complete ? ops::LogLevel::kInfo : ops::LogLevel::kWarn,
             complete ? "decoders are sandboxed" : "decoders are sandboxed in part",
             {{"processes", pool->options_.processes}, {"layers", PostureText(layers)}});
  }
  return pool;
}

Status DecoderPool::StartAll() {
  std::vector<Seat> seats(std::max<size_t>(1, options_.processes));
  for (Seat& seat : seats) {  // all at once: each takes a while to load its libraries
    TRAWL_ASSIGN(seat.child, ChildProcess::Start(options_.command, SetupFor(kUsualLevels)));
  }
  uint32_t layers = kAllLayers;
  for (Seat& seat : seats) {
    TRAWL_ASSIGN(const uint32_t held, seat.child->Greet(kStartTimeout));
    layers &= held;
  }
  layers_ = layers;
  free_ = std::move(seats);
  return {};
}

Setup DecoderPool::SetupFor(size_t levels) const {
  const auto cpu = kBusyPerProcess + std::chrono::ceil<seconds>(options_.timeout) + seconds(60);
  return {.object_capacity = std::max(options_.max_object_bytes, kBytesAtOnce),
          .level_capacity = kMostAtOnce * std::max(levels, kUsualLevels),
          .memory_bytes = DecoderMemory(options_.limits),
          .cpu_seconds = static_cast<uint64_t>(cpu.count())};
}

Status DecoderPool::Fill(Seat& seat, size_t levels) {
  const bool old = seat.pictures >= kPicturesPerProcess || seat.busy >= kBusyPerProcess;
  if (seat.child != nullptr && seat.child->alive() && !old &&
      seat.child->level_capacity() >= kMostAtOnce * levels)
    return {};
  seat = Seat();
  TRAWL_ASSIGN(auto child, ChildProcess::Start(options_.command, SetupFor(levels)));
  TRAWL_ASSIGN(const uint32_t held, child->Greet(kStartTimeout));
  if ((held & layers_) != layers_)
    return Error(Code::kInternal, "a new decoder has {} only", PostureText(held));
  seat.child = std::move(child);
  return {};
}

std::vector<ObjectResult<Samples>> DecoderPool::Prepare(std::span<const Bytes> objects,
                                                        const engine::PreprocessSpec& spec,
                                                        size_t levels) {
  std::vector<ObjectResult<Samples>> answers;
  if (layers_ == 0) {
    for (const Bytes bytes : objects) answers.push_back(PrepareHere(bytes, spec, levels));
    return answers;
  }
  std::unique_lock lock(mutex_);
  freed_.wait(lock, [this] { return !free_.empty(); });
  Seat seat = std::move(free_.back());
  free_.pop_back();
  lock.unlock();

  if (auto together = AskIn(seat, objects, spec, levels)) {
    answers = std::move(*together);
  } else if (objects.size() == 1) {
    answers.push_back(tl::unexpected(std::move(together.error())));
  } else {
    // Whose fault it was is not for a decoder to say that may have been taken over.
    for (size_t i = 0; i < objects.size(); ++i) {
      auto alone = AskIn(seat, objects.subspan(i, 1), spec, levels);
      answers.push_back(alone ? std::move(alone->front()) : tl::unexpected(alone.error()));
    }
  }
  lock.lock();
  free_.push_back(std::move(seat));
  lock.unlock();
  freed_.notify_one();
  return answers;
}

ObjectResult<std::vector<ObjectResult<Samples>>> DecoderPool::AskIn(
    Seat& seat, std::span<const Bytes> objects, const engine::PreprocessSpec& spec, size_t levels) {
  if (objects.front().size() > options_.max_object_bytes)
    return tl::unexpected(ObjectError{ObjectErrorCode::kTooLarge, "larger than max-object-bytes"});
  Status ready = Fill(seat, levels);
  for (int attempt = 1; !ready.ok() && attempt < kStartAttempts; ++attempt) {
    ops::Log(ops::LogLevel::kWarn, "cannot start a decoder", {{"reason", ready.message()}});
    SystemClock().SleepFor(kStartPause * (1 << attempt));
    ready = Fill(seat, levels);
  }
  if (!ready.ok()) return tl::unexpected(ObjectError{ObjectErrorCode::kInternal, ready.message()});
  const auto began = std::chrono::steady_clock::now();
  auto answers = seat.child->Ask(objects, options_.limits, spec, levels, options_.timeout);
  seat.busy += std::chrono::steady_clock::now() - began;
  seat.pictures += objects.size();
  if (!answers)
    ops::Log(ops::LogLevel::kWarn,
             objects.size() == 1 ? "a decoder did not survive a picture"
                                 : "a decoder did not survive one of some pictures",
             {{"pictures", objects.size()},
              {"code", ToString(answers.error().code)},
              {"reason", answers.error().message}});
  return answers;
}

ObjectResult<Samples> DecoderPool::PrepareHere(Bytes bytes, const engine::PreprocessSpec& spec,
                                               size_t levels) const {
  Samples picture(levels);
  auto prepared = PrepareImage(bytes, options_.limits, spec, picture);
  if (!prepared) return tl::unexpected(std::move(prepared.error()));
  return picture;
}

}  // namespace trawl::worker
