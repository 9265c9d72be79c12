#pragma once
// Writes JSON for topics and for `--json`: fields in a telling order, bytes that are not UTF-8 in
// base64, numbers as short as they can be without losing a bit. The reading side is json_reader.h.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "config/object_error.h"
#include "config/records.h"

namespace trawl {

/// Keeps the order of insertion, by searching linearly: for writing only. Reading takes the sorted
/// one, which strangers cannot slow down with a million fields.
using JsonObject = nlohmann::ordered_json;

/// Sets object[name], or object["<name>_base64"] when the bytes are not UTF-8.
void PutText(JsonObject& object, const std::string& name, const std::string& bytes);
void PutTextUnlessEmpty(JsonObject& object, const std::string& name, const std::string& bytes);

/// [{"class":207,"label":"golden retriever","probability":0.9271842},…]; no label when the model
/// has none.
JsonObject ToJson(const std::vector<Prediction>& predictions);
/// {"code":"not_found","message":"…","attempts":1}; the message on one line of bounded length.
JsonObject ToJson(const ObjectError& error);

/// {"wall":1.5,"cpu":3,"decode":1.1,…}: each member of WorkerTimes, in seconds.
JsonObject ToJson(const WorkerTimes& times);
JsonObject ToJson(const DownloadTraffic& traffic);

/// One line, always UTF-8.
std::string Dump(const JsonObject& object);

}  // namespace trawl
