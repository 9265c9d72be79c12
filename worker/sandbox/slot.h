#pragma once
// The memory that a worker and one of its decoders share: a fixed header, the objects' bytes, the
// model's levels. One request at a time, of one object or of a few small ones; a byte on the
// channel between them says whose turn it is.

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

inline constexpr size_t kMostAtOnce = 16;  // objects in one request

/// What a decoder is told once, before it locks itself in.
struct Setup {
  uint64_t object_capacity = 0;  // bytes, of a request's objects together
  uint64_t level_capacity = 0;   // of its pictures together
  uint64_t memory_bytes = 0;     // to be had beyond what it starts with
  uint64_t cpu_seconds = 0;      // for all of its life
};

struct Request {
  uint32_t objects;
  uint64_t object_bytes[kMostAtOnce];  // they lie one behind the other
  uint64_t levels;                     // of each; so do these
  ImageLimits limits;
  SpecOnSlot spec;
};

/// Written by a process that may have been taken over: copied out first, then checked.
struct Reply {
  uint32_t failed = 0;
  uint32_t code = 0;  // of ObjectErrorCode
  uint32_t message_bytes = 0;
  char message[512] = {};
};

struct SlotHeader {
  Setup setup;
  uint32_t posture;  // of Layer, before the first request
  Request request;
  Reply replies[kMostAtOnce];
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
  std::span<std::byte> objects();
  std::span<uint8_t> levels();
  /// Gives back what a large object took.
  void Shrink(size_t used_bytes);

 private:
  Slot(int fd, void* memory, const Setup& setup);

  int fd_;
  void* memory_;
  size_t objects_, levels_, mapped_;
};

}  // namespace trawl::worker
