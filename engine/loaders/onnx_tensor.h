#pragma once
// TensorProto to Tensor.

#include "config/status.h"
#include "engine/loaders/file.h"
#include "engine/loaders/onnx_wire.h"
#include "engine/tensor.h"

namespace onnx {
class TensorProto;
}

namespace trawl::engine {

/// The engine's type for ONNX's: float16 and double become f32, in which everything is computed.
/// Errors: kUnimplemented naming the type.
Result<DType> ToDType(int onnx_type);

/// Errors: kUnimplemented (type, external data), kDataLoss (the data is not as long as the shape
/// says), kInvalidArgument (shape).
Result<Tensor> ToTensor(const onnx::TensorProto& proto);
/// The same of an initialiser whose raw_data is at `raw` of `source`.
Result<Tensor> ToTensor(const onnx::TensorProto& proto, const ByteSource& source, ByteRange raw);

}  // namespace trawl::engine
