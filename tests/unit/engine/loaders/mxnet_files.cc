#include "tests/unit/engine/loaders/mxnet_files.h"

#include <bit>
#include <nlohmann/json.hpp>

namespace trawl::engine::testing {

Bytes& Bytes::Number(uint64_t value, int size) {
  for (int i = 0; i < size; ++i) bytes_.push_back(static_cast<char>(value >> (8 * i) & 0xff));
  return *this;
}

Bytes& Bytes::F32(float value) { return U32(std::bit_cast<uint32_t>(value)); }

Bytes& Bytes::Text(std::string_view text) {
  U64(text.size());
  bytes_ += text;
  return *this;
}

std::string Params(const std::vector<Array>& arrays) {
  Bytes bytes;
  bytes.U64(0x112).U64(0).U64(arrays.size());
  for (const Array& array : arrays) {
    bytes.U32(0xF993FAC9).U32(0).U32(static_cast<uint32_t>(array.shape.size()));
    int64_t count = 1;
    for (const int64_t dim : array.shape) {
      bytes.U64(static_cast<uint64_t>(dim));
      count *= dim;
    }
    bytes.U32(1).U32(0).U32(0);  // the CPU; f32
    for (int64_t i = 0; i < count; ++i) bytes.F32(array.value);
  }
  bytes.U64(arrays.size());
  for (const Array& array : arrays) bytes.Text(array.name);
  return bytes.str();
}

std::string Symbol(const std::vector<SymbolEntry>& nodes, std::string_view attribute_key) {
  nlohmann::json json;
  json["nodes"] = nlohmann::json::array();
  for (const SymbolEntry& entry : nodes) {
    nlohmann::json node = {{"op", entry.op}, {"name", entry.name}};
    node["inputs"] = nlohmann::json::array();
    for (const int input : entry.inputs) node["inputs"].push_back({input, 0, 0});
    if (!entry.attributes.empty()) node[attribute_key] = entry.attributes;
    json["nodes"].push_back(node);
  }
  json["heads"] = {{nodes.size() - 1, 0, 0}};
  return json.dump();
}

}  // namespace trawl::engine::testing
