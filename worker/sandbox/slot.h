#pragma once
// The memory that a worker and one of its decoders share: a fixed header, the object's bytes, the
// model's levels. One request at a time; a byte on the channel between them says whose turn it is.

#include <cstddef>
#include <cstdint>
#include <span>

#include "config/status.h"
#include "worker/image/image.h"

namespace trawl::worker {

/// An engine::PreprocessSpec without pointers.
struct SpecOnSlot {
  int32_t height, width, layout, channels, resize, resize_shorter, resize_height, resize_width,
      filter, crop_center;
  uint32_t means, deviations;  // how many of the following count
  float mean[4], deviation[4];

  static SpecOnSlot From(const engine::PreprocessSpec& spec);
  engine::PreprocessSpec ToSpec() const;
};

/// What a decoder is told once, before it locks itself in.
struct Setup {
  uint64_t object_capacity = 0;  // bytes
  uint64_t level_capacity = 0;
  uint64_t memory_bytes = 0;  // to be had beyond what it starts with
  uint64_t cpu_seconds = 0;   // for all of its life
};

struct Request {
  uint64_t object_bytes;
  uint64_t levels;
  ImageLimits limits;
  SpecOnSlot spec;
};

/// Written by a process that may have been taken over: copied out first, then checked.
struct Reply {
  uint32_t posture = 0;  // of Layer, in the first reply
  uint32_t failed = 0;
  uint32_t code = 0;  // of ObjectErrorCode
  uint32_t message_bytes = 0;
  char message[512] = {};
};

struct SlotHeader {
  Setup setup;
  Request request;
  Reply reply;
};

/// A mapping of the shared memory. Not thread-safe.
class Slot {
 public:
  /// In the worker: memory for objects and levels of these sizes; it costs what is written to it.
  static Result<Slot> Create(const Setup& setup);
  /// In the decoder: the memory behind `fd`.
  static Result<Slot> Attach(int fd);
  Slot(Slot&& other) noexcept;
  Slot& operator=(Slot&&) = delete;
  ~Slot();

  int fd() const { return fd_; }
  SlotHeader& header() { return *static_cast<SlotHeader*>(memory_); }
  /// The sizes are those that this process knows, whatever the header says by now.
  std::span<std::byte> object() {
    return {static_cast<std::byte*>(memory_) + kHeaderBytes, object_};
  }
  std::span<uint8_t> levels();
  /// Gives back what a large object took.
  void Shrink(size_t used_bytes);

 private:
  static constexpr size_t kHeaderBytes = 4096;
  Slot(int fd, void* memory, const Setup& setup);

  int fd_;
  void* memory_;
  size_t object_, levels_, mapped_;
};

}  // namespace trawl::worker
