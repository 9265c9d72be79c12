// Goal: the microkernels for bytes compute what int8.h says, and neither read behind their operands
// nor write behind or between their results. Method: on every instruction set that has them, next
// to plain loops, for each number of channels that a panel can store; operands end where memory
// begins that must not be touched, and results lie between bytes that must stay.
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "engine/simd/microkernels.h"
#include "gtest/gtest.h"

namespace trawl::engine::simd {
namespace {

constexpr uint8_t kUntouched = 0xA5;

/// Numbers that end where memory begins that is neither readable nor writable.
template <class T>
class Guarded {
 public:
  explicit Guarded(ptrdiff_t count) : bytes_(static_cast<size_t>(count) * sizeof(T)) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t whole = (bytes_ + page - 1) / page * page;
    mapped_ = whole + page;
    void* memory =
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(memory, MAP_FAILED);
    memory_ = static_cast<std::byte*>(memory);
    EXPECT_EQ(mprotect(memory_ + whole, page, PROT_NONE), 0);
    data_ = reinterpret_cast<T*>(memory_ + whole - bytes_);
    std::memset(data_, kUntouched, bytes_);
  }
  ~Guarded() { munmap(memory_, mapped_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  T* data() { return data_; }
  T& operator[](ptrdiff_t i) { return data_[i]; }
  ptrdiff_t size() const { return static_cast<ptrdiff_t>(bytes_ / sizeof(T)); }

 private:
  size_t bytes_, mapped_ = 0;
  std::byte* memory_ = nullptr;
  T* data_ = nullptr;
};

void FillRandom(Guarded<uint8_t>& bytes) {
  std::mt19937 random(5);
  for (ptrdiff_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(random());
}

/// A weight of output channel `c` for its `i`-th byte.
int8_t Weight(ptrdiff_t c, ptrdiff_t i) { return static_cast<int8_t>((c * 37 + i * 101) % 251); }

/// The epilogue's parameters by lane; a channel's are near 0.01 and 80.
struct Parameters {
  alignas(64) std::array<float, kInt8WidePanel> multiplier, shift;
  static float Multiplier(ptrdiff_t channel) { return 0.01f + 1e-4f * static_cast<float>(channel); }
  static float Shift(ptrdiff_t channel) { return 80.0f + static_cast<float>(channel); }

  explicit Parameters(int (*channel_of)(int), int lanes) {
    for (int lane = 0; lane < lanes; ++lane) {
      multiplier[static_cast<size_t>(lane)] = Multiplier(channel_of(lane));
      shift[static_cast<size_t>(lane)] = Shift(channel_of(lane));
    }
  }
  Int8Epilogue Epilogue(bool has_residual) const {
    Int8Epilogue e{.multiplier = multiplier.data(), .shift = shift.data(), .low = 3, .high = 250};
    e.has_residual = has_residual;
    e.own_scale = 0.75f;
    e.residual_scale = 0.5f;
    e.sum_shift = -20.0f;
    e.sum_high = 240;
    return e;
  }
};

float ScaledSum(int sum, ptrdiff_t channel) {
  return std::fma(static_cast<float>(sum), Parameters::Multiplier(channel),
                  Parameters::Shift(channel));
}

int Bounded(float y, int low, int high) {
  return static_cast<int>(
      std::min(std::max(std::nearbyint(y), static_cast<float>(low)), static_cast<float>(high)));
}

uint8_t Finished(const Int8Epilogue& e, int sum, ptrdiff_t channel, int residual) {
  const int own = Bounded(ScaledSum(sum, channel), e.low, e.high);
  if (!e.has_residual) return static_cast<uint8_t>(own);
  const float rest = std::fma(static_cast<float>(residual), e.residual_scale, e.sum_shift);
  return static_cast<uint8_t>(
      Bounded(std::fma(static_cast<float>(own), e.own_scale, rest), e.sum_low, e.sum_high));
}

void ForEachIsa(const std::function<void(const Int8Microkernels&)>& test) {
  for (const Isa isa : SupportedIsas()) {
    SCOPED_TRACE(ToString(isa));
    if (MicrokernelsFor(isa).int8 != nullptr) test(*MicrokernelsFor(isa).int8);
  }
}

/// Results of `pixels` rows of `stored`, each `step` from the last, and what lies in between.
void ExpectRows(Guarded<uint8_t>& y, ptrdiff_t pixels, ptrdiff_t stored, ptrdiff_t step,
                const std::function<uint8_t(ptrdiff_t pixel, ptrdiff_t channel)>& expected) {
  for (ptrdiff_t i = 0; i < y.size(); ++i) {
    const ptrdiff_t pixel = i / step, channel = i % step;
    const uint8_t byte = channel < stored ? expected(pixel, channel) : kUntouched;
    ASSERT_EQ(y[i], byte) << stored << " of " << pixels << ": " << pixel << ", " << channel;
  }
}

/// Four-byte groups of a dense panel's input.
constexpr ptrdiff_t kGroups = 3, kDepth = kGroups * kInt8Depth;

struct DensePanel {
  alignas(64) std::array<int8_t, kDepth * kInt8Panel> weights;
  DensePanel() {
    size_t at = 0;
    for (ptrdiff_t group = 0; group < kGroups; ++group) {
      for (int lane = 0; lane < kInt8Panel; ++lane) {
        for (int i = 0; i < kInt8Depth; ++i) {
          weights[at++] = Weight(Int8Channel(lane), kInt8Depth * group + i);
        }
      }
    }
  }
};

int DenseSum(Guarded<uint8_t>& x, ptrdiff_t pixel, ptrdiff_t channel) {
  int sum = 0;
  for (ptrdiff_t i = 0; i < kDepth; ++i) sum += x[pixel * kDepth + i] * Weight(channel, i);
  return sum;
}

constexpr ptrdiff_t kOneTap[] = {0};
constexpr Int8Layer kDense{.taps = kOneTap, .tap_count = 1, .depth = kDepth, .x_step = kDepth};

TEST(Int8Conv, StoresNoMoreThanItsChannels) {
  const DensePanel panel;
  const Parameters parameters(Int8Channel, kInt8Panel);
  ForEachIsa([&](const Int8Microkernels& int8) {
    for (const ptrdiff_t pixels : {1, 6, 7, 14, 20}) {
      Guarded<uint8_t> x(pixels * kDepth);
      FillRandom(x);
      for (int stored = 1; stored <= kInt8Panel; ++stored) {
        for (const bool has_residual : {false, true}) {
          if (has_residual && stored % kInt8Depth != 0) continue;
          Int8Layer layer = kDense;
          layer.stored = stored;
          layer.y_step = stored + 5;
          const ptrdiff_t size = (pixels - 1) * layer.y_step + stored;
          Guarded<uint8_t> y(size), residual(size);
          FillRandom(residual);
          const Int8Epilogue e = parameters.Epilogue(has_residual);
          const Int8Row row{.x = x.data(),
                            .y = y.data(),
                            .residual = has_residual ? residual.data() : nullptr,
                            .pixels = pixels};
          int8.conv(layer, panel.weights.data(), e, &row, 1);
          ExpectRows(y, pixels, stored, layer.y_step, [&](ptrdiff_t p, ptrdiff_t c) {
            return Finished(e, DenseSum(x, p, c), c, residual[p * layer.y_step + c]);
          });
        }
      }
    }
  });
}

TEST(Int8Conv, StoresNoMoreThanItsFloats) {
  const DensePanel panel;
  const Parameters parameters(Int8Channel, kInt8Panel);
  constexpr ptrdiff_t kPixels = 9;
  Guarded<uint8_t> x(kPixels * kDepth);
  FillRandom(x);
  ForEachIsa([&](const Int8Microkernels& int8) {
    for (int stored = 1; stored <= kInt8Panel; ++stored) {
      Int8Layer layer = kDense;
      layer.stored = stored;
      const ptrdiff_t step = stored + 2;
      layer.y_step = step * static_cast<ptrdiff_t>(sizeof(float));
      Guarded<float> y((kPixels - 1) * step + stored);
      const float untouched = y[0];
      Int8Epilogue e = parameters.Epilogue(false);
      e.to_float = true;
      const Int8Row row{
          .x = x.data(), .y = reinterpret_cast<uint8_t*>(y.data()), .pixels = kPixels};
      int8.conv(layer, panel.weights.data(), e, &row, 1);
      for (ptrdiff_t i = 0; i < y.size(); ++i) {
        const ptrdiff_t p = i / step, c = i % step;
        ASSERT_EQ(y[i], c < stored ? ScaledSum(DenseSum(x, p, c), c) : untouched) << stored;
      }
    }
  });
}

/// Weights [quads][4][16][4] by lane; `first` of a quad's four bytes weighs as the channel's first.
template <size_t kQuads>
struct WidePanel {
  alignas(64) std::array<int8_t, kQuads * kInt8WidePanel * kInt8Depth> weights;
  explicit WidePanel(const std::array<int, kQuads>& first, int taps) {
    size_t at = 0;
    for (const int begin : first) {
      for (int lane = 0; lane < kInt8WidePanel; ++lane) {
        for (int i = 0; i < kInt8Depth; ++i) {
          const int tap = i - begin;
          weights[at++] = tap >= 0 && tap < taps ? Weight(Int8WideChannel(lane), tap) : int8_t{0};
        }
      }
    }
  }
};

TEST(Int8Depthwise, TouchesNoMoreThanItsChannels) {
  const WidePanel<1> four({0}, 4);
  const WidePanel<2> three({0, 1}, 3);
  const Parameters parameters(Int8WideChannel, kInt8WidePanel);
  ForEachIsa([&](const Int8Microkernels& int8) {
    for (int stored = kInt8Depth; stored <= kInt8WidePanel; stored += kInt8Depth) {
      for (const int taps : {3, 4}) {
        for (const bool has_residual : {false, true}) {
          constexpr ptrdiff_t kPixels = 5;
          const std::array<ptrdiff_t, 4> offsets{0, stored, 2 * stored, 3 * stored};
          const Int8Layer layer{.taps = offsets.data(),
                                .tap_count = taps == 4 ? 4 : 1,
                                .x_step = stored,
                                .y_step = stored + 5,
                                .stored = stored};
          Guarded<uint8_t> x((kPixels + taps - 1) * stored);
          FillRandom(x);
          const ptrdiff_t size = (kPixels - 1) * layer.y_step + stored;
          Guarded<uint8_t> y(size), residual(size);
          FillRandom(residual);
          const Int8Epilogue e = parameters.Epilogue(has_residual);
          const Int8Row row{.x = x.data(),
                            .y = y.data(),
                            .residual = has_residual ? residual.data() : nullptr,
                            .pixels = kPixels};
          const auto run = taps == 4 ? int8.depthwise : int8.depthwise3;
          run(layer, taps == 4 ? four.weights.data() : three.weights.data(), e, &row, 1);
          ExpectRows(y, kPixels, stored, layer.y_step, [&](ptrdiff_t p, ptrdiff_t c) {
            int sum = 0;
            for (int t = 0; t < taps; ++t) sum += x[(p + t) * stored + c] * Weight(c, t);
            return Finished(e, sum, c, residual[p * layer.y_step + c]);
          });
        }
      }
    }
  });
}

TEST(Int8Elementwise, TouchesNoMoreThanItsBytes) {
  const Parameters parameters(Int8Channel, kInt8Panel);
  const Int8Epilogue e = parameters.Epilogue(true);
  ForEachIsa([&](const Int8Microkernels& int8) {
    for (ptrdiff_t count = kInt8Depth; count <= 140; count += kInt8Depth) {
      Guarded<uint8_t> a(count), b(count), sum(count), greatest(count);
      FillRandom(a);
      for (ptrdiff_t i = 0; i < count; ++i) b[i] = static_cast<uint8_t>(255 - 3 * i);
      int8.add(e, a.data(), b.data(), sum.data(), count);
      // A window of one row and two columns, which are a and b.
      int8.maximum(a.data(), 1, 0, 2, b.data() - a.data(), greatest.data(), count);
      for (ptrdiff_t i = 0; i < count; ++i) {
        const float rest = std::fma(static_cast<float>(b[i]), e.residual_scale, e.sum_shift);
        const float both = std::fma(static_cast<float>(a[i]), e.own_scale, rest);
        ASSERT_EQ(sum[i], Bounded(both, e.sum_low, e.sum_high)) << count;
        ASSERT_EQ(greatest[i], std::max(a[i], b[i])) << count;
      }
    }
  });
}

TEST(Int8Elementwise, QuantisesAndSumsNoMoreThanItsPixels) {
  ForEachIsa([&](const Int8Microkernels& int8) {
    for (ptrdiff_t pixels = 1; pixels <= 40; ++pixels) {
      Guarded<float> plane(pixels);
      for (ptrdiff_t p = 0; p < pixels; ++p) plane[p] = 0.3f * static_cast<float>(p - 7);
      Guarded<uint8_t> bytes(kInt8Depth * pixels);
      const float* const planes[kInt8Depth] = {plane.data(), nullptr, plane.data(), nullptr};
      int8.quantize(planes, pixels, 0.25f, 30, bytes.data());
      for (ptrdiff_t i = 0; i < bytes.size(); ++i) {
        const int expected = i % 2 != 0 ? 0 : Bounded(plane[i / 4] / 0.25f, -30, 225) + 30;
        ASSERT_EQ(bytes[i], expected) << pixels;
      }
      // The same bytes as one pixel of that many.
      Guarded<int8_t> ones(bytes.size());
      int32_t expected = 0, sum = 0;
      for (ptrdiff_t i = 0; i < bytes.size(); ++i) {
        ones[i] = static_cast<int8_t>(i % 3 == 0);
        expected += 7 * ones[i] * bytes[i];
      }
      Int8Layer layer = kDense;
      layer.depth = layer.x_step = bytes.size();
      int8.sum(layer, ones.data(), 7, bytes.data(), 1, &sum);
      ASSERT_EQ(sum, expected) << pixels;
    }
  });
}

}  // namespace
}  // namespace trawl::engine::simd
