#include "engine/quantize/rounding.h"

#include <algorithm>
#include <cmath>

#include "engine/kernels/blas.h"

namespace trawl::engine {
namespace {

/// Of a picture: early layers have many windows, which are much alike.
constexpr int64_t kMostWindows = 196;
constexpr int64_t kBlock = 64;  // columns that are factorised, or rounded, between products

/// c += factor · aᵀ · b on and below the diagonal; a, b: [depth, n]; c: [n, n] in rows of `step`.
void AddToLower(int64_t n, int64_t depth, float factor, const float* a, const float* b, float* c,
                int64_t step, ThreadTeam& team) {
  constexpr int64_t kRows = 256;
  team.ForEach((n + kRows - 1) / kRows, [&](int64_t task, int) {
    const int64_t first = task * kRows, last = std::min(n, first + kRows);
    Sgemm({.trans_a = true,
           .m = last - first,
           .n = last,
           .k = depth,
           .alpha = factor,
           .a = a + first,
           .lda = n,
           .b = b,
           .ldb = n,
           .beta = 1,
           .c = c + first * step,
           .ldc = step});
  });
}

/// Takes a symmetric matrix [n, n], given on and below the diagonal, apart into l · d · lᵀ: below
/// the diagonal there will be l, whose own diagonal is of ones, and d on it.
void Factorise(std::vector<float>& matrix, int64_t n, ThreadTeam& team) {
  float* const a = matrix.data();
  std::vector<float> scaled, factor;  // l · d and l of the rows below a block, transposed
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t last = std::min(n, first + kBlock), width = last - first, below = n - last;
    scaled.resize(static_cast<size_t>(width * below));
    factor.resize(scaled.size());
    const auto reduce = [&](int64_t i) {
      float* row = a + i * n;
      for (int64_t k = first; k < std::min(last, i); ++k) {
        for (int64_t t = first; t < k; ++t) row[k] -= row[t] * a[k * n + t];
      }
      for (int64_t k = first; k < std::min(last, i); ++k) {
        const float product = row[k];
        row[k] /= a[k * n + k];
        if (i < last) {
          row[i] -= product * row[k];
        } else {
          scaled[static_cast<size_t>((k - first) * below + i - last)] = product;
          factor[static_cast<size_t>((k - first) * below + i - last)] = row[k];
        }
      }
    };
    for (int64_t i = first; i < last; ++i) reduce(i);
    team.ForEach(below, [&](int64_t i, int) { reduce(last + i); });
    AddToLower(below, width, -1, scaled.data(), factor.data(), a + last * n + last, n, team);
  }
}

}  // namespace

WindowStatistics::WindowStatistics(const Window& window, const Shape& weights, int64_t group)
    : window_(window),
      group_(group),
      inputs_(weights[1]),
      depth_(weights[1] * window.KernelSize()),
      products_(static_cast<size_t>(group * depth_ * depth_)),
      sums_(static_cast<size_t>(group * depth_)) {}

size_t WindowStatistics::Bytes(int64_t depth, int64_t group) {
  return static_cast<size_t>(group * depth * depth) * sizeof(float);
}

void WindowStatistics::FillRow(const float* x, int64_t position, float* row) const {
  const Window& w = window_;
  const int64_t top = position / w.output[2] * w.stride[1] - w.pad_begin[1];
  const int64_t left = position % w.output[2] * w.stride[2] - w.pad_begin[2];
  for (int64_t c = 0; c < inputs_; ++c, x += w.InputSize()) {
    for (int64_t i = top; i < top + w.kernel[1] * w.dilation[1]; i += w.dilation[1]) {
      for (int64_t j = left; j < left + w.kernel[2] * w.dilation[2]; j += w.dilation[2]) {
        const bool inside = i >= 0 && i < w.input[1] && j >= 0 && j < w.input[2];
        const float number = inside ? x[i * w.input[2] + j] : 0;
        *row++ = std::isfinite(number) ? number : 0;
      }
    }
  }
}

void WindowStatistics::Add(const ConstTensorView& x, ThreadTeam& team) {
  // Odd, so that all columns of a picture have their turn.
  const int64_t step = (window_.OutputSize() + kMostWindows - 1) / kMostWindows | 1;
  const int64_t rows = (window_.OutputSize() + step - 1) / step;
  const int64_t image = group_ * inputs_ * window_.InputSize();
  windows_.resize(static_cast<size_t>(x.shape[0] * rows * depth_));
  for (int64_t g = 0; g < group_; ++g) {
    const float* first = x.data<float>().data() + g * inputs_ * window_.InputSize();
    team.ForEach(x.shape[0] * rows, [&](int64_t i, int) {
      FillRow(first + i / rows * image, i % rows * step, windows_.data() + i * depth_);
    });
    double* sums = sums_.data() + g * depth_;
    for (auto row = windows_.begin(); row != windows_.end(); row += depth_) {
      for (int64_t k = 0; k < depth_; ++k) sums[k] += double{row[k]};
    }
    AddToLower(depth_, x.shape[0] * rows, 1, windows_.data(), windows_.data(),
               products_.data() + g * depth_ * depth_, depth_, team);
  }
  rows_ += x.shape[0] * rows;
}

std::vector<float> WindowStatistics::Products(int64_t group, bool has_bias) const {
  const float* products = products_.data() + group * depth_ * depth_;
  const double* sums = sums_.data() + group * depth_;
  std::vector<float> result(static_cast<size_t>(depth_ * depth_));
  const auto count = static_cast<double>(rows_);
  for (int64_t i = 0; i < depth_; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      const double means = has_bias ? sums[i] / count * (sums[j] / count) : 0;
      result[static_cast<size_t>(i * depth_ + j)] =
          static_cast<float>(double{products[i * depth_ + j]} / count - means);
    }
  }
  return result;
}

void RoundTogether(std::span<float> weights, std::vector<float>& products, ThreadTeam& team) {
  const auto n = static_cast<int64_t>(std::llround(std::sqrt(products.size())));
  const int64_t outputs = static_cast<int64_t>(weights.size()) / n;
  double variances = 0;
  for (int64_t i = 0; i < n; ++i) variances += double{products[static_cast<size_t>(i * n + i)]};
  // Where nothing varies, anything will do.
  const double unseen = std::max(kUnseenVariance * variances / static_cast<double>(n), 1e-20);
  for (int64_t i = 0; i < n; ++i) {
    products[static_cast<size_t>(i * n + i)] += static_cast<float>(unseen);
  }
  Factorise(products, n, team);
  // With e = weights - rounded, e · l · d · lᵀ · eᵀ is least where each column of e · l is, given
  // those behind it: moved = weights + e · (l - 1).
  std::vector<float> moved(weights.begin(), weights.end()), errors(weights.size());
  for (int64_t last = n; last > 0; last -= std::min(last, kBlock)) {
    const int64_t first = std::max<int64_t>(0, last - kBlock);
    team.ForEach(outputs, [&](int64_t o, int) {
      float* row = moved.data() + o * n;
      for (int64_t k = last - 1; k >= first; --k) {
        float& weight = weights[static_cast<size_t>(o * n + k)];
        const float asked = std::isfinite(row[k]) ? row[k] : weight;
        const float rounded = std::clamp(std::nearbyint(asked), -127.0f, 127.0f);
        const float error = weight - rounded;
        weight = rounded;
        errors[static_cast<size_t>(o * n + k)] = error;
        const float* factor = products.data() + k * n;
        for (int64_t j = first; j < k; ++j) row[j] += error * factor[j];
      }
    });
    Sgemm({.m = outputs,
           .n = first,
           .k = last - first,
           .a = errors.data() + first,
           .lda = n,
           .b = products.data() + first * n,
           .ldb = n,
           .beta = 1,
           .c = moved.data(),
           .ldc = n});
  }
}

}  // namespace trawl::engine
