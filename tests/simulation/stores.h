#pragma once
// The object store and the result store as processes of a simulation see them.

#include <set>
#include <string>
#include <vector>

#include "storage/object_store/object_store.h"
#include "storage/result_store/result_store.h"
#include "tests/simulation/simulator.h"

namespace trawl::simulation {

/// What lies in the bucket: never changes.
struct Bucket {
  std::vector<std::string> keys;   // in order
  std::string picture;             // the bytes of those that are pictures
  std::set<std::string> pictures;  // all others are something else, or missing
  std::set<std::string> deadly;    // whoever asks for one dies
};

/// A process's connection. Downloads end when EndOne is called, in any order; they may be refused,
/// as by a store that asked to slow down until patience was at its end.
class SimulatedObjects final : public storage::ObjectStore {
 public:
  SimulatedObjects(Simulator& simulator, const Bucket& bucket, Process& process)
      : simulator_(simulator), bucket_(bucket), process_(process) {}

  Result<storage::ListPage> List(const std::string& source, const std::string& prefix,
                                 const std::string& start_after, int max_keys) override;
  void Get(storage::GetRequest request, std::stop_token stop, storage::GetCallback done) override;

  /// Ends one of the downloads under way. False: there is none.
  bool EndOne();

 private:
  struct Pending {
    std::string key;
    std::stop_token stop;
    storage::GetCallback done;
  };
  ObjectResult<storage::Download> Answer(const Pending& pending);

  Simulator& simulator_;
  const Bucket& bucket_;
  Process& process_;
  std::vector<Pending> pending_;
};

/// The real database below; its disk is full now and then, or it is locked.
class SimulatedResults final : public storage::ResultStore {
 public:
  /// What Write has stored, for the end to be noticed.
  using Written = std::function<void(const storage::CollectedBatch&)>;

  /// `apart`: with a bug; rows and their offsets are two transactions.
  SimulatedResults(Simulator& simulator, storage::ResultStore& inner, Process& process,
                   Written written, bool apart)
      : simulator_(simulator),
        inner_(inner),
        process_(process),
        written_(std::move(written)),
        apart_(apart) {}

  Result<std::vector<storage::StoredOffset>> Offsets(const std::string& log_identity) override;
  Result<storage::WriteReport> Write(const storage::CollectedBatch& batch) override;

 private:
  Simulator& simulator_;
  storage::ResultStore& inner_;
  Process& process_;
  const Written written_;
  const bool apart_;
};

}  // namespace trawl::simulation
