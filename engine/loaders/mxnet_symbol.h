#pragma once
// MXNet's symbol file: a list of nodes in JSON, in which every number is a text.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/status.h"

namespace trawl::engine {

/// One node of a symbol file. Reading an attribute gives `fallback` when it is absent (or "None").
/// Errors of all readers: kInvalidArgument naming the attribute.
struct SymbolNode {
  /// Output `output` of the earlier node `node`.
  struct Input {
    size_t node;
    size_t output;
  };

  std::string op;  // "null" for inputs and parameters
  std::string name;
  std::map<std::string, std::string, std::less<>> attributes;
  std::vector<Input> inputs;

  Result<int64_t> Int(std::string_view key, std::optional<int64_t> fallback) const;
  Result<float> Float(std::string_view key, std::optional<float> fallback) const;
  Result<bool> Bool(std::string_view key, bool fallback) const;
  Result<std::string> Text(std::string_view key, std::string fallback) const;
  /// "(3, 3)", "[3, 3]", "3" or, as Python 2 wrote it, "(3L, 3L)".
  Result<std::vector<int64_t>> Ints(std::string_view key, std::vector<int64_t> fallback) const;
  bool Has(std::string_view key) const;

 private:
  const std::string* Find(std::string_view key) const;
};

struct Symbol {
  std::vector<SymbolNode> nodes;         // every input of a node lies before it
  std::vector<SymbolNode::Input> heads;  // the outputs
};

/// Errors: kDataLoss (no JSON, or no symbol file), kInvalidArgument naming the node.
Result<Symbol> ParseMxnetSymbol(std::string_view json);

}  // namespace trawl::engine
