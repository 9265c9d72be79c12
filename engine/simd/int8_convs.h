#pragma once
// The convolutions of Int8Microkernels, which have files of their own.

#include "engine/simd/int8.h"

namespace trawl::engine::simd::TRAWL_ISA {

void Int8Conv(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
              const Int8Row* rows, ptrdiff_t count);
void Int8Depthwise(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
                   const Int8Row* rows, ptrdiff_t count);
void Int8Depthwise3(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
                    const Int8Row* rows, ptrdiff_t count);

}  // namespace trawl::engine::simd::TRAWL_ISA
