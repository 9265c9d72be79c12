// Reference kernels of the normalisations.
#include <algorithm>
#include <cmath>

#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

int64_t Product(std::span<const int64_t> dims) {
  int64_t product = 1;
  for (const int64_t dim : dims) product *= dim;
  return product;
}

KernelResult MakeBatchNormalization(const NodeView& node) {
  TRAWL_ASSIGN(const float epsilon, node.attributes().Float("epsilon", 1e-5f));
  return MakeKernel(
      [epsilon](const KernelCall& call) {
        const auto shape = call.inputs[0].shape;
        const auto scale = call.inputs[1].data<float>(), bias = call.inputs[2].data<float>();
        const auto mean = call.inputs[3].data<float>(), variance = call.inputs[4].data<float>();
        const float* x = call.inputs[0].data<float>().data();
        float* y = call.outputs[0].data<float>().data();
        const int64_t plane = Product(shape.subspan(2));
        for (int64_t n = 0; n < shape[0]; ++n) {
          for (size_t c = 0; c < scale.size(); ++c) {
            const float factor = scale[c] / std::sqrt(variance[c] + epsilon);
            for (int64_t i = 0; i < plane; ++i, ++x, ++y) *y = (*x - mean[c]) * factor + bias[c];
          }
        }
        return OkStatus();
      },
      0);
}

KernelResult MakeInstanceNormalization(const NodeView& node) {
  TRAWL_ASSIGN(const float epsilon, node.attributes().Float("epsilon", 1e-5f));
  return MakeKernel([epsilon](const KernelCall& call) {
    const auto shape = call.inputs[0].shape;
    const auto scale = call.inputs[1].data<float>(), bias = call.inputs[2].data<float>();
    const float* x = call.inputs[0].data<float>().data();
    float* y = call.outputs[0].data<float>().data();
    const int64_t plane = Product(shape.subspan(2));
    for (int64_t n = 0; n < shape[0]; ++n) {
      for (size_t c = 0; c < scale.size(); ++c, x += plane, y += plane) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < plane; ++i) sum += x[i];
        const double mean = plane == 0 ? 0 : sum / static_cast<double>(plane);
        for (int64_t i = 0; i < plane; ++i) squares += (x[i] - mean) * (x[i] - mean);
        const double variance = plane == 0 ? 0 : squares / static_cast<double>(plane);
        const double factor = scale[c] / std::sqrt(variance + epsilon);
        for (int64_t i = 0; i < plane; ++i)
          y[i] = static_cast<float>((x[i] - mean) * factor + bias[c]);
      }
    }
    return OkStatus();
  });
}

/// Normalises `count` elements that lie `stride` apart; `scale` and `bias` neighbour each other.
void Normalize(const float* x, float* y, int64_t count, int64_t stride, const float* scale,
               const float* bias, float epsilon) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < count; ++i) sum += x[i * stride];
  const double mean = sum / static_cast<double>(count);
  for (int64_t i = 0; i < count; ++i) squares += (x[i * stride] - mean) * (x[i * stride] - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(count) + epsilon);
  for (int64_t i = 0; i < count; ++i) {
    const double normal = (x[i * stride] - mean) / deviation * scale[i];
    y[i * stride] = static_cast<float>(bias == nullptr ? normal : normal + bias[i]);
  }
}

/// `axis`: the first of the dimensions that are normalised together; those behind `end` are not.
KernelResult MakeNormalization(const NodeView& node, size_t axis, size_t end) {
  TRAWL_ASSIGN(const float epsilon, node.attributes().Float("epsilon", 1e-5f));
  return MakeKernel(
      [=, has_bias = node.HasInput(2)](const KernelCall& call) {
        const auto shape = call.inputs[0].shape;
        const int64_t outer = Product(shape.first(axis));
        const int64_t count = Product(shape.subspan(axis, end - axis));
        const int64_t inner = Product(shape.subspan(end));
        const float* x = call.inputs[0].data<float>().data();
        float* y = call.outputs[0].data<float>().data();
        const float* scale = call.inputs[1].data<float>().data();
        const float* bias = has_bias ? call.inputs[2].data<float>().data() : nullptr;
        if (count == 0) return OkStatus();
        for (int64_t o = 0; o < outer; ++o) {
          for (int64_t i = 0; i < inner; ++i) {
            const int64_t offset = o * count * inner + i;
            Normalize(x + offset, y + offset, count, inner, scale, bias, epsilon);
          }
        }
        return OkStatus();
      },
      0);
}

KernelResult MakeLayerNormalization(const NodeView& node) {
  const size_t rank = node.shape(0).size();
  TRAWL_ASSIGN(const int64_t given, node.attributes().Int("axis", -1));
  TRAWL_ASSIGN(const size_t axis, NodeView::Axis(given, rank));
  return MakeNormalization(node, axis, rank);
}

KernelResult MakeChannelNormalization(const NodeView& node) {
  return MakeNormalization(node, 1, 2);
}

KernelResult MakeLrn(const NodeView& node) {
  TRAWL_ASSIGN(const int64_t size, node.attributes().Int("size", 1));
  TRAWL_ASSIGN(const float alpha, node.attributes().Float("alpha", 1e-4f));
  TRAWL_ASSIGN(const float beta, node.attributes().Float("beta", 0.75f));
  TRAWL_ASSIGN(const float bias, node.attributes().Float("bias", 1));
  return MakeKernel([=](const KernelCall& call) {
    const auto shape = call.inputs[0].shape;
    const int64_t channels = shape[1], plane = Product(shape.subspan(2));
    const float* x = call.inputs[0].data<float>().data();
    float* y = call.outputs[0].data<float>().data();
    for (int64_t n = 0; n < shape[0]; ++n, x += channels * plane, y += channels * plane) {
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t first = std::max<int64_t>(0, c - (size - 1) / 2);
        const int64_t last = std::min(channels - 1, c + size / 2);
        for (int64_t i = 0; i < plane; ++i) {
          float squares = 0;
          for (int64_t k = first; k <= last; ++k) squares += x[k * plane + i] * x[k * plane + i];
          const float base = bias + alpha / static_cast<float>(size) * squares;
          y[c * plane + i] = x[c * plane + i] / std::pow(base, beta);
        }
      }
    }
    return OkStatus();
  });
}

/// Softmax over vectors of `count` elements that lie `stride` apart.
void Softmax(const float* x, float* y, int64_t count, int64_t stride, bool log) {
  float greatest = x[0];
  for (int64_t i = 1; i < count; ++i) greatest = std::max(greatest, x[i * stride]);
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float shifted = x[i * stride] - greatest;
    const float power = std::exp(shifted);
    sum += power;
    y[i * stride] = log ? shifted : power;
  }
  const float log_sum = std::log(sum);
  for (int64_t i = 0; i < count; ++i) {
    y[i * stride] = log ? y[i * stride] - log_sum : y[i * stride] / sum;
  }
}

KernelResult MakeSoftmax(const NodeView& node) {
  const auto rank = static_cast<int64_t>(node.shape(0).size());
  TRAWL_ASSIGN(int64_t axis, node.attributes().Int("axis", -1));
  TRAWL_ASSIGN(const int64_t flatten, node.attributes().Int("flatten", 0));
  if (axis < 0) axis += rank;
  const bool log = node.node().op == "LogSoftmax";
  return MakeKernel(
      [=](const KernelCall& call) {
        const auto shape = call.inputs[0].shape;
        const auto at = static_cast<size_t>(axis);
        const int64_t outer = Product(shape.first(at));
        const int64_t count = flatten ? Product(shape.subspan(at)) : shape[at];
        const int64_t inner = flatten ? 1 : Product(shape.subspan(at + 1));
        const float* x = call.inputs[0].data<float>().data();
        float* y = call.outputs[0].data<float>().data();
        if (count == 0) return OkStatus();
        for (int64_t o = 0; o < outer; ++o) {
          for (int64_t i = 0; i < inner; ++i) {
            const int64_t offset = o * count * inner + i;
            Softmax(x + offset, y + offset, count, inner, log);
          }
        }
        return OkStatus();
      },
      0);
}

constexpr KernelDef kKernels[] = {
    {.name = "reference", .op = "BatchNormalization", .make = MakeBatchNormalization},
    {.name = "reference", .op = "InstanceNormalization", .make = MakeInstanceNormalization},
    {.name = "reference", .op = "LayerNormalization", .make = MakeLayerNormalization},
    {.name = "reference", .op = "ChannelNormalization", .make = MakeChannelNormalization},
    {.name = "reference", .op = "LRN", .make = MakeLrn},
    {.name = "reference", .op = "Softmax", .make = MakeSoftmax},
    {.name = "reference", .op = "LogSoftmax", .make = MakeSoftmax},
};

}  // namespace

std::span<const KernelDef> ReferenceNormalizeKernels() { return kKernels; }

}  // namespace trawl::engine
