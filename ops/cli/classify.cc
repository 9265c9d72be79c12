// `trawl classify`: image files here and now, without log, store or database.

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "config/json_writer.h"
#include "ops/cli/commands.h"
#include "ops/cli/exit_code.h"
#include "ops/telemetry/log.h"
#include "worker/classifier.h"
#include "worker/models/model_source.h"

namespace trawl::ops {
namespace {

using Predictions = std::vector<Prediction>;

tl::unexpected<ObjectError> Unreadable(ObjectErrorCode code, std::string message) {
  return tl::unexpected<ObjectError>({code, std::move(message)});
}

ObjectResult<std::vector<std::byte>> ReadImageFile(const std::string& path, int64_t max_bytes) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) {
    const bool missing = error == std::errc::no_such_file_or_directory;
    return Unreadable(missing ? ObjectErrorCode::kNotFound : ObjectErrorCode::kForbidden,
                      error.message());
  }
  if (size > static_cast<uintmax_t>(max_bytes))
    return Unreadable(ObjectErrorCode::kTooLarge,
                      fmt::format("{} bytes, over the limit of {}", size, max_bytes));
  std::vector<std::byte> bytes(size);
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size)))
    return Unreadable(ObjectErrorCode::kForbidden, "cannot be read");
  return bytes;
}

std::string JsonText(const std::string& file, const ObjectResult<Predictions>& outcome) {
  JsonObject json;
  PutText(json, "file", file);
  if (outcome)
    json["predictions"] = ToJson(*outcome);
  else
    json["error"] = ToJson(outcome.error());
  return Dump(json);
}

std::string PlainText(const std::string& file, const ObjectResult<Predictions>& outcome) {
  const std::string name = EscapeForTerminal(file);
  if (!outcome)
    return fmt::format("{}\n  failed: {}: {}", name, ToString(outcome.error().code),
                       EscapeForTerminal(outcome.error().message));
  std::string text = name;
  for (const Prediction& prediction : *outcome)
    text += fmt::format("\n  {:6.2f} %  {:4}  {}", 100 * prediction.probability,
                        prediction.class_index, EscapeForTerminal(prediction.label));
  return text;
}

}  // namespace

int Classify(const ClassifyArguments& arguments, const Settings& settings, SignalStops& signals) {
  const auto named = worker::LoadNamedModel(arguments.model, arguments.model_sha256, settings,
                                            signals.stops().drain);
  if (!named) return Fail(named.error());
  const auto classifier =
      worker::Classifier::Create(named->model, worker::ImageLimits::From(settings));
  if (!classifier) return Fail(classifier.error());
  int exit_code = kExitDone;
  for (const std::string& file : arguments.files) {
    const auto bytes = ReadImageFile(file, settings.max_object_bytes);
    const ObjectResult<Predictions> outcome =
        bytes ? (*classifier)->Classify(*bytes, static_cast<int>(settings.top_k))
              : tl::unexpected(bytes.error());
    if (!outcome) exit_code = kExitSomeFailed;
    fmt::print("{}\n", arguments.json ? JsonText(file, outcome) : PlainText(file, outcome));
  }
  return exit_code;
}

}  // namespace trawl::ops
