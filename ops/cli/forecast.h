#pragma once
// From what a sample cost to what the whole source will: the arithmetic of `trawl plan`.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trawl::ops {

/// Sizes in bytes. All zero for no sizes.
struct SizeSummary {
  uint64_t median = 0, p95 = 0, largest = 0, total = 0;

  static SizeSummary Of(std::vector<uint64_t> sizes);
};

/// What one object of the sample cost on average; failures, which cost something, too, included.
struct ObjectCost {
  double decode_s = 0;    // of a core
  double infer_s = 0;     // of a core
  double download_s = 0;  // of the wire, from request to last byte, among the others in flight
};

/// Whom the forecast is for.
struct Fleet {
  int workers = 1;
  int cores = 1;                // of each
  int downloads_in_flight = 1;  // of each
};

struct Forecast {
  double objects_per_second = 0;  // all workers together
  double seconds = 0;             // for `objects`
  std::string limit;              // download | decode | inference: what bounds the rate
};

/// A worker's cores decode and infer in turn, and its downloads go on beside them, so the slower of
/// the two sets its rate; workers add up as long as the store bears it. What the forecast leaves
/// out: starting, publishing, and a store that slows down under more workers.
Forecast Predict(const ObjectCost& cost, uint64_t objects, const Fleet& fleet);

/// Workers that end within `deadline_s`; none when no number would: an object takes something, and
/// a deadline of nothing leaves nothing.
std::optional<int> WorkersFor(const ObjectCost& cost, uint64_t objects, const Fleet& fleet,
                              double deadline_s);

/// So many downloads at once that `cores` never wait for them, with as much again in reserve for
/// slow ones; from 8 to 1,024, in eights.
int SuggestDownloads(const ObjectCost& cost, int cores);

/// Bytes for --memory, in 64 MiB: what `downloads` objects of the p95 size take, which get a third
/// of it, pictures of 12 megapixels for every core to decode, and a model, which gets a half.
int64_t SuggestMemory(const SizeSummary& sizes, int downloads, int cores, size_t model_bytes);

/// The price of all workers for so long, in the currency of `price_per_hour`, which is a worker's.
double Cost(double seconds, int workers, double price_per_hour);

}  // namespace trawl::ops
