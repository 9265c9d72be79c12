#pragma once
// Small MXNet files, written as MXNet writes them.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace trawl::engine::testing {

/// Little-endian bytes.
class Bytes {
 public:
  Bytes& U32(uint32_t value) { return Number(value, 4); }
  Bytes& U64(uint64_t value) { return Number(value, 8); }
  Bytes& F32(float value);
  Bytes& Text(std::string_view text);
  const std::string& str() const { return bytes_; }

 private:
  Bytes& Number(uint64_t value, int size);
  std::string bytes_;
};

/// One f32 array of a .params file, in the form of MXNet 1.x (V2), with all elements `value`.
struct Array {
  std::string name;  // "arg:fc_weight"
  std::vector<int64_t> shape;
  float value = 1;
};

std::string Params(const std::vector<Array>& arrays);

/// One node of a symbol file: inputs are indices of earlier nodes.
struct SymbolEntry {
  std::string op;
  std::string name;
  std::map<std::string, std::string> attributes;
  std::vector<int> inputs;
};

/// The last node is the head. `attribute_key`: "attrs" since 1.0, "attr" or "param" before.
std::string Symbol(const std::vector<SymbolEntry>& nodes, std::string_view attribute_key = "attrs");

}  // namespace trawl::engine::testing
