#pragma once
// The kernel tables, one per family; engine/kernels/registry.cc joins them.

#include <span>

#include "engine/kernels/kernel.h"

namespace trawl::engine {

// Plain loops, one at least for every operator: the oracle.
std::span<const KernelDef> ReferenceElementwiseKernels();
std::span<const KernelDef> ReferenceWindowKernels();
std::span<const KernelDef> ReferenceMatMulKernels();
std::span<const KernelDef> ReferenceNormalizeKernels();
std::span<const KernelDef> ReferenceReduceKernels();
std::span<const KernelDef> ReferenceReshapeKernels();
std::span<const KernelDef> ReferenceMovementKernels();
std::span<const KernelDef> ReferenceQuantizeKernels();
std::span<const KernelDef> ReferenceQuantizedKernels();

// Fast ones.
std::span<const KernelDef> ConvKernels();
std::span<const KernelDef> DepthwiseKernels();
std::span<const KernelDef> MatMulKernels();
std::span<const KernelDef> PackedGemmKernels();
std::span<const KernelDef> PoolKernels();
std::span<const KernelDef> ElementwiseKernels();
std::span<const KernelDef> MovementKernels();
std::span<const KernelDef> SoftmaxKernels();
std::span<const KernelDef> NormalizeKernels();

// Fast ones on blocked values.
std::span<const KernelDef> ReorderKernels();
std::span<const KernelDef> DirectConvKernels();
std::span<const KernelDef> StackedConvKernels();
std::span<const KernelDef> Bf16ConvKernels();
std::span<const KernelDef> Bf16GemmKernels();
std::span<const KernelDef> PlanarConvKernels();
std::span<const KernelDef> WinogradConvKernels();
std::span<const KernelDef> BlockedDepthwiseKernels();
std::span<const KernelDef> BlockedPoolKernels();
std::span<const KernelDef> BlockedElementwiseKernels();
std::span<const KernelDef> BlockedConcatKernels();

// Fast ones on quantised, interleaved values.
std::span<const KernelDef> QuantizedConvKernels();
std::span<const KernelDef> InterleavedKernels();
std::span<const KernelDef> BlockedMovementKernels();

}  // namespace trawl::engine
