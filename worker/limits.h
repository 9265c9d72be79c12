#pragma once
// Everything that bounds a worker, in one place. With the defaults on two cores, at 224 × 224:
//
//   what waits or runs                               at most                          default
//   objects taken from the log, not yet committed    in_flight_objects + 1 message    4,096
//   downloads asked for, up to their decoding        download_slots                   72
//   bytes of those downloads                         Beside().downloads        (1)    256 MiB
//   pictures being decoded                           Beside().pictures         (2)    1,792 MiB
//   inputs prepared for the model                    prepared_images × input          32 × 0.14 MiB
//   models: weights, packed, and sessions × arena    model_bytes               (3)    1,536 MiB
//   results not yet committed                        in_flight_objects × about 1 KiB  4 MiB
//
// (1) An object whose size is not listed counts as kUnlistedBytes until its download ends.
// (2) Reserved from the header, before a picture has memory; see DecodingBytes. A 12-megapixel
//     photo counts as 72 MB. One that takes more than all of it is decoded while no other is.
// (3) Downloads and pictures share what models leave, which is a quarter at least. While a model is
//     being loaded, what it is made from comes on top.
//
// All of them together are --memory, and that is a part of what a worker may have at all
// (memory_limit.h).

#include <cstddef>
#include <cstdint>
#include <string>

#include "config/settings.h"

namespace trawl::worker {

/// Models, and refusals, that are remembered; memory seldom allows as many.
inline constexpr size_t kModels = 64;
/// What an object is taken to have when neither listing nor manifest told: a photo is seldom
/// larger.
inline constexpr size_t kUnlistedBytes = 1U << 20;
/// S3 allows 1,024 bytes. A work message with a longer key is malformed: its result might never fit
/// into a record.
inline constexpr size_t kMaxKeyBytes = 16U << 10;
/// Objects in flight, at least. While a transaction is under way the log thread takes nothing in,
/// so what it has taken keeps wire and cores busy until then: brokers at 200 ms make it 0.7 s,
/// which this covers for some 3,000 objects a second, as many more being in the transaction.
inline constexpr size_t kObjectsInFlight = 4'096;

struct WorkerLimits {
  size_t threads = 1;         // that compute: decode or infer, as is needed
  size_t sessions = 1;        // of them, at most so many infer
  size_t decode_threads = 1;  // of them, at most so many decode
  size_t batch_size = 1;
  size_t download_slots = 1;
  size_t memory = 1;
  size_t download_bytes = 1;  // of memory, at most
  size_t model_bytes = 1;     // of memory, at most
  size_t prepared_images = 1;
  /// Intake pauses at this many objects and resumes below `resume_objects`.
  size_t in_flight_objects = 1;
  size_t resume_objects = 1;

  struct Shares {
    size_t downloads = 1, pictures = 1;
  };
  /// What is left of `memory` beside models of so many bytes, and who gets it: a third of it, at
  /// most, downloads.
  Shares Beside(size_t models) const;

  /// `cores`: see AvailableCores.
  static WorkerLimits From(const Settings& settings, size_t cores);
};

/// How many cores this process may use: its affinity mask, cut by the CPU quota of its control
/// groups. At least 1. `root`: see ControlGroupsOf.
size_t AvailableCores(const std::string& root = "");

}  // namespace trawl::worker
