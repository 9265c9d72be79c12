#pragma once
// The engine's limits on what a model file may ask for. A file beyond them is refused at load, by
// name of node.

#include <cstddef>
#include <cstdint>

namespace trawl::engine {

/// Tensors and arena buffers start on a cache line, which is also the widest vector register.
inline constexpr size_t kAlignment = 64;

/// Kernels keep shapes and strides in arrays of this size on the stack.
inline constexpr size_t kMaxRank = 8;

/// Elements of one value at batch 1: 1 GiB of f32. The largest activation of VGG-16 has 3.2
/// million.
inline constexpr int64_t kMaxElements = int64_t{1} << 28;

/// Nodes and values of a graph; the largest classifiers in use have a few thousand.
inline constexpr size_t kMaxNodes = 20'000;
inline constexpr size_t kMaxValues = 100'000;

/// Kernel sizes, strides, dilations and pads: products of two of them with a dimension stay far
/// from overflow.
inline constexpr int64_t kMaxWindow = 1 << 16;

/// Folding may add at most this much, plus kFoldGrowth bytes per byte of constant in the file (u8
/// weights become f32).
inline constexpr size_t kFoldFreeBytes = size_t{64} << 20;
inline constexpr size_t kFoldGrowth = 8;

/// Elements of an integer value whose contents shape inference follows symbolically (shapes, axes,
/// pads).
inline constexpr int64_t kMaxTrackedElements = 64;

/// Images in one Run. Sizes at it stay below 2^63: kMaxElements times 8 bytes times this is 2^51.
inline constexpr int64_t kMaxBatch = 1 << 20;

/// Threads of one execution.
inline constexpr int kMaxThreads = 1024;

/// Activations of one execution.
inline constexpr size_t kMaxArenaBytes = size_t{16} << 30;

}  // namespace trawl::engine
