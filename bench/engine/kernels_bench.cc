// Every blocked convolution kernel on the shapes of real models: GFLOP/s of the direct definition,
// however few operations a kernel makes of it. One thread; TRAWL_ISA chooses the instruction set.
#include <fmt/core.h>

#include <deque>
#include <vector>

#include "benchmark/benchmark.h"
#include "engine/blocked.h"
#include "engine/kernels/tables.h"
#include "engine/kernels/weight_buffer.h"

namespace trawl::engine {
namespace {

struct Layer {
  const char* model;
  int64_t channels, outputs, size, kernel, stride = 1, group = 1;
};

/// Images are square; pads keep sizes.
constexpr Layer kLayers[] = {
    {"resnet18", 3, 64, 224, 7, 2},
    {"resnet18", 64, 64, 56, 3},
    {"resnet18", 64, 128, 56, 3, 2},
    {"resnet18", 64, 128, 56, 1, 2},
    {"resnet18", 128, 128, 28, 3},
    {"resnet18", 128, 256, 28, 3, 2},
    {"resnet18", 256, 256, 14, 3},
    {"resnet18", 256, 512, 14, 3, 2},
    {"resnet18", 512, 512, 7, 3},
    {"resnet50", 64, 64, 56, 1},
    {"resnet50", 64, 256, 56, 1},
    {"resnet50", 256, 64, 56, 1},
    {"resnet50", 256, 512, 56, 1, 2},
    {"resnet50", 512, 128, 28, 1},
    {"resnet50", 1024, 256, 14, 1},
    {"resnet50", 256, 1024, 14, 1},
    {"resnet50", 512, 2048, 7, 1},
    {"resnet50", 2048, 512, 7, 1},
    {"resnext50", 128, 128, 56, 3, 1, 32},
    {"resnext50", 256, 256, 56, 3, 2, 32},
    {"resnext50", 256, 256, 28, 3, 1, 32},
    {"resnext50", 512, 512, 28, 3, 2, 32},
    {"resnext50", 512, 512, 14, 3, 1, 32},
    {"resnext50", 1024, 1024, 14, 3, 2, 32},
    {"resnext50", 1024, 1024, 7, 3, 1, 32},
    {"mobilenet_v1_025", 3, 8, 128, 3, 2},
    {"mobilenet_v1_025", 16, 16, 64, 3, 2, 16},
    {"mobilenet_v1_025", 128, 128, 8, 3, 1, 128},
    {"mobilenet_v1_025", 256, 1000, 1, 1},
    {"mobilenet_v2", 3, 32, 224, 3, 2},
    {"mobilenet_v2", 16, 96, 112, 1},
    {"mobilenet_v2", 96, 96, 112, 3, 2, 96},
    {"mobilenet_v2", 96, 24, 56, 1},
    {"mobilenet_v2", 144, 144, 56, 3, 1, 144},
    {"mobilenet_v2", 144, 24, 56, 1},
    {"mobilenet_v2", 384, 64, 14, 1},
    {"mobilenet_v2", 160, 960, 7, 1},
    {"mobilenet_v2", 320, 1280, 7, 1},
    {"squeezenet", 3, 96, 224, 7, 2},
    {"squeezenet", 16, 64, 55, 3},
    {"squeezenet", 128, 16, 55, 1},
    {"squeezenet", 48, 192, 27, 3},
    {"squeezenet", 64, 256, 13, 3},
    {"squeezenet", 512, 1000, 13, 1},
    {"vgg16", 3, 64, 224, 3},
    {"vgg16", 64, 64, 224, 3},
    {"vgg16", 512, 512, 28, 3},
    {"resnet_cifar", 3, 16, 32, 3},
    {"resnet_cifar", 16, 16, 32, 3},
    {"resnet_cifar", 32, 32, 16, 3},
    {"resnet_cifar", 64, 64, 8, 3},
    {"mnist", 1, 8, 28, 5},
};

/// A node, what it is bound to and its operands.
class Bench {
 public:
  explicit Bench(const Layer& layer) : layer_(layer) {
    const int64_t pad = layer.kernel / 2;
    Attributes attributes;
    attributes.Set("group", layer.group);
    attributes.Set("strides", std::vector<int64_t>{layer.stride, layer.stride});
    attributes.Set("pads", std::vector<int64_t>{pad, pad, pad, pad});
    attributes.Set("activation", std::string("Relu"));
    const ValueId x =
        graph_.AddInput("x", DType::kF32, {kBatch, layer.channels, layer.size, layer.size});
    const ValueId w = graph_.AddConstant(
        "w", Tensor(DType::kF32,
                    {layer.outputs, layer.channels / layer.group, layer.kernel, layer.kernel}));
    const ValueId b = graph_.AddConstant("b", Tensor(DType::kF32, {layer.outputs}));
    graph_.outputs() = {graph_.AddNode("conv", "FusedConv", {x, w, b}, attributes, "y")};
    contents_ = InferShapes(graph_, false).value();
  }

  NodeView Node() const { return NodeView(graph_, graph_.nodes()[0], contents_); }

  double Flops(int64_t batch) const {
    const Shape& y = Node().output_shape(0);
    return 2.0 * static_cast<double>(batch * layer_.outputs * y[2] * y[3] * layer_.kernel *
                                     layer_.kernel * (layer_.channels / layer_.group));
  }

  void Run(benchmark::State& state, const KernelDef& def, int64_t batch) const {
    const auto isa = simd::ChooseIsa();
    if (!isa) return state.SkipWithError(isa.error().message().c_str());
    const auto kernel = def.make_simd(Node(), simd::MicrokernelsFor(*isa)).value();
    Shape x_shape = Node().shape(0), y_shape = Node().output_shape(0);
    x_shape[0] = y_shape[0] = batch;
    WeightBuffer x = Filled(batch * BlockedImageSize(x_shape));
    WeightBuffer y = Filled(batch * BlockedImageSize(y_shape));
    WeightBuffer scratch(kernel->ScratchBytes(batch, 1) / sizeof(float) + 1);
    const int64_t x_stride = def.plain_input ? 0 : BlockedImageSize(x_shape);
    const ConstTensorView inputs[] = {{DType::kF32, x_shape, Bytes(x), x_stride}, {}, {}};
    const TensorView outputs[] = {{DType::kF32, y_shape, Bytes(y), BlockedImageSize(y_shape)}};
    ThreadTeam team(1);
    for (auto _ : state) {
      benchmark::DoNotOptimize(kernel->Run({.batch = batch,
                                            .inputs = inputs,
                                            .outputs = outputs,
                                            .scratch = Bytes(scratch),
                                            .team = &team}));
    }
    state.counters["GFLOP/s"] =
        benchmark::Counter(Flops(batch) * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  }

 private:
  static std::byte* Bytes(WeightBuffer& buffer) {
    return reinterpret_cast<std::byte*>(buffer.data());
  }
  static WeightBuffer Filled(int64_t floats) {
    WeightBuffer buffer(static_cast<size_t>(floats));
    std::fill_n(buffer.data(), floats, 0.5f);
    return buffer;
  }

  Layer layer_;
  Graph graph_;
  ContentsTable contents_;
};

void RegisterAll() {
  static std::deque<Bench> benches;  // the closures below refer to them
  for (const Layer& layer : kLayers) {
    const Bench& bench = benches.emplace_back(layer);
    for (const auto table : {PlanarConvKernels(), WinogradConvKernels(), DirectConvKernels(),
                             BlockedDepthwiseKernels()}) {
      for (const KernelDef& def : table) {
        if (def.op != "FusedConv" || !def.why_not(bench.Node()).empty()) continue;
        for (const int64_t batch : {1, 8}) {
          const std::string name =
              fmt::format("{}/{}to{}@{}/{}x{}/stride:{}/group:{}/{}/batch:{}", layer.model,
                          layer.channels, layer.outputs, layer.size, layer.kernel, layer.kernel,
                          layer.stride, layer.group, def.name, batch);
          benchmark::RegisterBenchmark(name.c_str(), [&bench, &def, batch](benchmark::State& s) {
            bench.Run(s, def, batch);
          });
        }
      }
    }
  }
}

}  // namespace
}  // namespace trawl::engine

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  trawl::engine::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
