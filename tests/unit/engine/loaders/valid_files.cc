#include "tests/unit/engine/loaders/valid_files.h"

#include "tests/unit/engine/loaders/mxnet_files.h"
#include "tests/unit/engine/loaders/onnx_files.h"

namespace trawl::engine::testing {

std::string ValidOnnx() {
  return OnnxModel(
      11, OnnxInput("data", "N 3 8 8") + OnnxOutput("prob") +
              "initializer { name: 'w' data_type: 1 dims: [4, 3, 3, 3] raw_data: '" +
              std::string(4 * 3 * 3 * 3 * 4, 'A') +
              "' } initializer { name: 's' data_type: 7 dims: 2 int64_data: [0, -1] } "
              "node { op_type: 'Conv' name: 'c' input: 'data' input: 'w' output: 'm' attribute { "
              "name: 'pads' type: INTS ints: [1, 1, 1, 1] } } "
              "node { op_type: 'MaxPool' input: 'm' output: 'p' attribute { name: 'kernel_shape' "
              "type: INTS ints: [2, 2] } attribute { name: 'strides' type: INTS ints: [2, 2] } } "
              "node { op_type: 'Reshape' input: 'p' input: 's' output: 'r' } "
              "node { op_type: 'Softmax' input: 'r' output: 'prob' }");
}

std::string ValidSymbol() {
  return Symbol(
      {{"null", "data", {}, {}},
       {"null", "w", {}, {}},
       {"null", "b", {}, {}},
       {"Convolution",
        "c",
        {{"kernel", "(3, 3)"}, {"pad", "(1, 1)"}, {"num_filter", "4"}},
        {0, 1, 2}},
       {"Pooling", "p", {{"kernel", "(2, 2)"}, {"stride", "(2, 2)"}, {"pool_type", "avg"}}, {3}},
       {"Reshape", "r", {{"shape", "(0, -1)"}}, {4}},
       {"SoftmaxOutput", "softmax", {}, {5}}});
}

std::string ValidParams() { return Params({{"arg:w", {4, 3, 3, 3}}, {"arg:b", {4}}}); }

MxnetOptions ValidMxnetOptions() { return {.input_shape = {kBatch, 3, 8, 8}}; }

}  // namespace trawl::engine::testing
