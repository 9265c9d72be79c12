// `trawl verify`: whether each enqueued object of a job has exactly one outcome, and which have
// not.

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "config/json_writer.h"
#include "ops/cli/commands.h"
#include "ops/cli/exit_code.h"
#include "ops/cli/job_log.h"
#include "ops/cli/text.h"
#include "ops/telemetry/log.h"
#include "producer/commands.h"

namespace trawl::ops {
namespace {

using producer::Audit;
using producer::NamedObject;
using producer::Tally;

const char* StateOf(const Audit& audit) {
  if (audit.agrees()) return audit.job.control == JobControl::kCancelled ? "cancelled" : "complete";
  if (audit.ended()) return "incomplete";
  if (audit.job.control == JobControl::kPaused) return "paused";
  if (audit.job.control == JobControl::kCancelled) return "cancelling";
  return audit.job.state == JobState::kListing ? "listing" : "running";
}

/// Prints the findings as they come: there may be as many as there are objects.
class Findings {
 public:
  explicit Findings(bool json) : json_(json) {}

  void Print(const char* what, const NamedObject& object) const {
    if (!json_) {
      fmt::print("{:<10} {}  (batch {}, object {})\n", what, EscapeForTerminal(object.key),
                 object.batch, object.index);
      return;
    }
    JsonObject line;
    line["finding"] = what;
    PutText(line, "key", object.key);
    line["batch"] = object.batch;
    line["index"] = object.index;
    fmt::print("{}\n", Dump(line));
  }

  void Print(const char* what, const std::vector<NamedObject>& objects) const {
    for (const NamedObject& object : objects) Print(what, object);
  }

 private:
  const bool json_;
};

JsonObject TallyJson(const Tally& tally) {
  JsonObject json;
  json["objects"] = tally.objects;
  json["digest"] = tally.digest.Hex();
  return json;
}

void PrintSummaryJson(const Audit& audit) {
  JsonObject json;
  PutText(json, "job", audit.job.job_id);
  json["state"] = StateOf(audit);
  json["agrees"] = audit.agrees();
  json["enqueued"] = TallyJson(audit.enqueued);
  json["work_topic"] = TallyJson(audit.work);
  json["results_topic"] = TallyJson(audit.results);
  json["database"] = TallyJson(audit.database);
  json["under_way"] = audit.pending.size() + audit.uncollected.size();
  json["missing"] = audit.missing.size() + audit.unnamed;
  json["doubled"] =
      audit.doubled_work.size() + audit.doubled_results.size() + audit.doubled_rows.size();
  json["unexpected"] = audit.unexpected.size();
  json["counters_differ"] = audit.counters_differ();
  fmt::print("{}\n", Dump(json));
}

void PrintSummary(const Audit& audit) {
  const auto row = [](const char* name, const Tally& tally) {
    return std::vector<std::string>{name, std::to_string(tally.objects), tally.digest.Hex()};
  };
  fmt::print("job        {}\nstate      {}\n\n", EscapeForTerminal(audit.job.job_id),
             StateOf(audit));
  // Topics forget: records expire, and trawl run drops outcomes that are in the database.
  fmt::print("{}\n", FormatTable({"ACCOUNT", "OBJECTS", "DIGEST"},
                                 {row("enqueued", audit.enqueued),
                                  row("work topic, as far as kept", audit.work),
                                  row("results topic, as far as kept", audit.results),
                                  row("database", audit.database)},
                                 {false, true, false}));
  if (!audit.pending.empty()) fmt::print("not done yet: {}\n", audit.pending.size());
  if (!audit.uncollected.empty()) fmt::print("not collected yet: {}\n", audit.uncollected.size());
  if (audit.unnamed > 0)
    fmt::print("missing, and no longer on the work topic: {}\n", Count(audit.unnamed, "object"));
  if (audit.counters_differ())
    fmt::print("the database counts {} rows and has {}\n", audit.kept.done + audit.kept.failed,
               audit.database.objects);
}

/// Names every object of which something is wrong.
Status PrintFindings(storage::MessageLog& log, const Audit& audit, bool json,
                     std::stop_token stop) {
  const Findings findings(json);
  const auto print = [&](const WorkBatch& batch, const std::vector<size_t>& objects) {
    for (const size_t i : objects)
      findings.Print("missing", {batch.seq, batch.IndexOf(i), batch.objects[i].key});
    return OkStatus();
  };
  TRAWL_TRY(producer::ForEachEnqueued(log, audit.job, audit.missing, print, std::move(stop)));
  findings.Print("enqueued twice", audit.doubled_work);
  findings.Print("published twice", audit.doubled_results);
  findings.Print("two rows", audit.doubled_rows);
  findings.Print("unexpected", audit.unexpected);
  return OkStatus();
}

Result<bool> VerifyJob(const VerifyArguments& arguments, const Settings& settings,
                       std::stop_token stop) {
  TRAWL_ASSIGN(const JobBooks books, OpenJobBooks(arguments.job, arguments.db, settings, stop));
  const Audit& audit = books.audit;
  arguments.json ? PrintSummaryJson(audit) : PrintSummary(audit);
  TRAWL_TRY(PrintFindings(*books.log, audit, arguments.json, std::move(stop)));
  if (audit.agrees()) {
    if (!arguments.json) fmt::print("Each enqueued object has exactly one outcome.\n");
    return true;
  }
  if (!arguments.json && (!audit.missing.empty() || audit.counters_differ()))
    fmt::print("trawl repair enqueues what is missing again.\n");
  return false;
}

}  // namespace

int Verify(const VerifyArguments& arguments, const Settings& settings, SignalStops& signals) {
  const auto agrees = VerifyJob(arguments, settings, signals.stops().drain);
  if (!agrees) return FailJob(agrees.error());
  return *agrees ? kExitDone : kExitSomeFailed;
}

}  // namespace trawl::ops
