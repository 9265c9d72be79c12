#include "engine/loaders/mxnet_symbol.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "engine/limits.h"

namespace trawl::engine {
namespace {

using Json = nlohmann::json;

// Numbers of an edge lie at depth 5; a node has some 30 values. A value takes some 100 bytes, so
// all take 100 MiB at most.
constexpr int kMaxDepth = 8;
constexpr size_t kMaxJsonValues = 50 * kMaxNodes;

/// Counts values and stops the parser at the first one that is too deep or too many.
class JsonMeter final : public nlohmann::json_sax<Json> {
 public:
  int deepest() const { return deepest_; }
  size_t values() const { return values_; }

  bool null() override { return Count(); }
  bool boolean(bool) override { return Count(); }
  bool number_integer(number_integer_t) override { return Count(); }
  bool number_unsigned(number_unsigned_t) override { return Count(); }
  bool number_float(number_float_t, const string_t&) override { return Count(); }
  bool string(string_t&) override { return Count(); }
  bool binary(binary_t&) override { return Count(); }
  bool key(string_t&) override { return Count(); }
  bool start_object(size_t) override { return Enter(); }
  bool end_object() override { return Leave(); }
  bool start_array(size_t) override { return Enter(); }
  bool end_array() override { return Leave(); }
  bool parse_error(size_t, const std::string&, const Json::exception&) override { return false; }

 private:
  bool Count() { return ++values_ <= kMaxJsonValues; }
  bool Enter() {
    deepest_ = std::max(deepest_, depth_);
    return ++depth_ <= kMaxDepth + 1 && Count();
  }
  bool Leave() {
    --depth_;
    return true;
  }

  int depth_ = 0, deepest_ = 0;
  size_t values_ = 0;
};

/// Few bytes of text can become a hundred in memory, so the text is measured before it is read.
/// Errors: kDataLoss, kResourceExhausted.
Result<Json> ParseJson(std::string_view text) {
  JsonMeter meter;
  const bool whole = Json::sax_parse(text, &meter);
  if (meter.deepest() > kMaxDepth) {
    return Error(Code::kDataLoss, "the symbol file nests more than {} deep", kMaxDepth);
  }
  if (meter.values() > kMaxJsonValues) {
    return Error(Code::kResourceExhausted, "more than {} values in the symbol file",
                 kMaxJsonValues);
  }
  if (!whole) return Error(Code::kDataLoss, "the symbol file is not valid JSON");
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

tl::unexpected<Status> BadValue(std::string_view key, std::string_view text, const char* type) {
  return Error(Code::kInvalidArgument, "attribute {} = '{}' is not {}", key, text, type);
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Accepts "3" and Python 2's "3L".
std::optional<int64_t> ToInt(std::string_view text) {
  text = Trim(text);
  if (text.ends_with('L')) text.remove_suffix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// [node, output] or [node, output, version], where `node` lies before `limit`.
Result<SymbolNode::Input> ParseEdge(const Json& edge, size_t limit) {
  if (!edge.is_array() || edge.size() < 2 || !edge[0].is_number_unsigned() ||
      !edge[1].is_number_unsigned()) {
    return Error(Code::kInvalidArgument, "an edge is not [node, output]");
  }
  const SymbolNode::Input input{edge[0].get<size_t>(), edge[1].get<size_t>()};
  if (input.node >= limit) {
    return Error(Code::kInvalidArgument, "an edge comes from node {}, which is not before it",
                 input.node);
  }
  return input;
}

Status ParseAttributes(const Json& json, SymbolNode& node) {
  // 0.8 keeps operator parameters in `param` and the user's in `attr`; 0.9 to 0.12 keep both in
  // `attr`, later ones in `attrs`.
  for (const char* key : {"attr", "attrs", "param"}) {
    const auto found = json.find(key);
    if (found == json.end()) continue;
    if (!found->is_object()) return Error(Code::kInvalidArgument, "its {} are no object", key);
    for (const auto& [name, value] : found->items()) {
      if (!value.is_string()) {
        return Error(Code::kInvalidArgument, "its attribute {} is no text", name);
      }
      node.attributes[name] = value.get<std::string>();
    }
  }
  return OkStatus();
}

Status ParseNode(const Json& json, size_t index, SymbolNode& node) {
  const auto field = [&](const char* key) -> const std::string* {
    const auto found = json.find(key);
    return found == json.end() ? nullptr : found->get_ptr<const std::string*>();
  };
  if (!json.is_object() || field("op") == nullptr || field("name") == nullptr) {
    return Error(Code::kInvalidArgument, "it has no op or no name");
  }
  node.op = *field("op");
  node.name = *field("name");
  TRAWL_TRY(ParseAttributes(json, node));
  const auto inputs = json.find("inputs");
  if (inputs == json.end()) return OkStatus();
  if (!inputs->is_array()) return Error(Code::kInvalidArgument, "its inputs are no list");
  for (const Json& edge : *inputs) {
    TRAWL_ASSIGN(const SymbolNode::Input input, ParseEdge(edge, index));
    node.inputs.push_back(input);
  }
  return OkStatus();
}

}  // namespace

const std::string* SymbolNode::Find(std::string_view key) const {
  const auto found = attributes.find(key);
  return found == attributes.end() || found->second == "None" ? nullptr : &found->second;
}

bool SymbolNode::Has(std::string_view key) const { return Find(key) != nullptr; }

Result<int64_t> SymbolNode::Int(std::string_view key, std::optional<int64_t> fallback) const {
  const std::string* text = Find(key);
  if (text == nullptr && fallback) return *fallback;
  if (text == nullptr) return Error(Code::kInvalidArgument, "attribute {} is missing", key);
  const std::optional<int64_t> value = ToInt(*text);
  if (!value) return BadValue(key, *text, "a whole number");
  return *value;
}

Result<float> SymbolNode::Float(std::string_view key, std::optional<float> fallback) const {
  const std::string* text = Find(key);
  if (text == nullptr && fallback) return *fallback;
  if (text == nullptr) return Error(Code::kInvalidArgument, "attribute {} is missing", key);
  const std::string_view trimmed = Trim(*text);
  double value = 0;  // some limits are written as a double's infinity, or as 1e300
  const auto [end, error] = std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), value);
  if (error != std::errc() || end != trimmed.data() + trimmed.size()) {
    return BadValue(key, *text, "a number");
  }
  return static_cast<float>(value);
}

Result<bool> SymbolNode::Bool(std::string_view key, bool fallback) const {
  const std::string* text = Find(key);
  if (text == nullptr) return fallback;
  if (*text == "True" || *text == "true" || *text == "1") return true;
  if (*text == "False" || *text == "false" || *text == "0") return false;
  return BadValue(key, *text, "True or False");
}

Result<std::string> SymbolNode::Text(std::string_view key, std::string fallback) const {
  const std::string* text = Find(key);
  return text == nullptr ? fallback : *text;
}

Result<std::vector<int64_t>> SymbolNode::Ints(std::string_view key,
                                              std::vector<int64_t> fallback) const {
  const std::string* text = Find(key);
  if (text == nullptr) return fallback;
  std::string_view rest = Trim(*text);
  const bool listed = rest.size() >= 2 && ((rest.front() == '(' && rest.back() == ')') ||
                                           (rest.front() == '[' && rest.back() == ']'));
  if (listed) rest = Trim(rest.substr(1, rest.size() - 2));
  std::vector<int64_t> values;
  while (!rest.empty()) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::optional<int64_t> value = ToInt(rest.substr(0, comma));
    if (!value || values.size() == kMaxRank * 2) return BadValue(key, *text, "a list of numbers");
    values.push_back(*value);
    rest = Trim(rest.substr(std::min(comma + 1, rest.size())));
  }
  return values;
}

Result<Symbol> ParseMxnetSymbol(std::string_view text) {
  TRAWL_ASSIGN(const Json json, ParseJson(text));
  const auto nodes = json.is_object() ? json.find("nodes") : json.end();
  const auto heads = json.is_object() ? json.find("heads") : json.end();
  if (!json.is_object() || nodes == json.end() || heads == json.end() || !nodes->is_array() ||
      !heads->is_array() || heads->empty()) {
    return Error(Code::kDataLoss, "not an MXNet symbol file: it has no nodes or no heads");
  }
  if (nodes->size() > kMaxNodes) {
    return Error(Code::kResourceExhausted, "{} nodes, at most {} are read", nodes->size(),
                 kMaxNodes);
  }
  Symbol symbol;
  symbol.nodes.resize(nodes->size());
  for (size_t i = 0; i < nodes->size(); ++i) {
    const Status status = ParseNode((*nodes)[i], i, symbol.nodes[i]);
    if (!status.ok()) return Annotate(status, "reading node {} '{}'", i, symbol.nodes[i].name);
  }
  for (const Json& head : *heads) {
    TRAWL_ASSIGN(const SymbolNode::Input edge, ParseEdge(head, symbol.nodes.size()));
    symbol.heads.push_back(edge);
  }
  return symbol;
}

}  // namespace trawl::engine
