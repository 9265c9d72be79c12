// Goal: no pair of MXNet files crashes the loader or shape inference, hangs them, or makes them
// take memory that the files are not worth. Method: libFuzzer; the input is the symbol file, a zero
// byte, which JSON does not have, and the parameters.

#include <cstdint>

#include "tests/fuzz/load.h"
#include "tests/unit/engine/loaders/valid_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace trawl::engine;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t split = std::min(bytes.find('\0'), size);
  const std::string_view params = bytes.substr(std::min(split + 1, size));
  trawl::fuzz::Follow(ParseMxnet(bytes.substr(0, split), params, testing::ValidMxnetOptions()));
  return 0;
}
