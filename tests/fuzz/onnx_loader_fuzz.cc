// Goal: no ONNX file crashes the loader or shape inference, hangs them, or makes them take memory
// that the file is not worth. Method: libFuzzer; the input is the file.

#include <cstdint>

#include "tests/fuzz/load.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  trawl::fuzz::Follow(trawl::engine::ParseOnnx(bytes));
  return 0;
}
