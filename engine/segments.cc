#include "engine/segments.h"

#include <unistd.h>

#include <algorithm>
#include <limits>

#include "engine/kernels/caches.h"
#include "engine/kernels/kernel.h"
#include "engine/value_size.h"

namespace trawl::engine {
namespace {

/// The longest segment that is looked at: the cut of n nodes is found in n · kMaxNodes steps.
constexpr size_t kMaxSegment = 512;
/// How much more a byte past the third level costs.
constexpr double kMemoryCost = 4;

constexpr size_t kNowhere = SIZE_MAX;  // the producer of a graph input

/// What the plan knows of one node.
struct Cost {
  bool by_image = false;                          // may work on a part of the batch
  double activations = 0;                         // bytes read and written per image
  double weights = 0;                             // bytes read per call
  std::vector<std::pair<size_t, double>> inputs;  // producing node and bytes per image
};

class Planner {
 public:
  Planner(const CompiledGraph& compiled, int64_t max_batch, const CacheSizes& caches)
      : batch_(max_batch), caches_(caches) {
    const Graph& graph = compiled.graph();
    std::vector<size_t> producer(graph.value_count(), kNowhere);
    for (size_t i = 0; i < graph.nodes().size(); ++i) {
      costs_.push_back(CostOf(compiled, i, producer));
      for (const ValueId id : graph.nodes()[i].outputs) {
        if (id != kNoValue) producer[static_cast<size_t>(id)] = i;
      }
    }
  }

  std::vector<Segment> Plan() const {
    const size_t count = costs_.size();
    std::vector<double> best(count + 1, std::numeric_limits<double>::infinity());
    std::vector<Segment> last(count + 1);  // of the best plan of the first k nodes
    best[0] = 0;
    const auto offer = [&](const Segment& segment, double cost) {
      // The smaller memory wins where nothing else tells them apart.
      if (best[segment.first] + cost >= best[segment.last]) return;
      best[segment.last] = best[segment.first] + cost;
      last[segment.last] = segment;
    };
    for (size_t first = 0; first < count; ++first) {
      for (int64_t images = 1; images < batch_ && costs_[first].by_image; images *= 2) {
        Offer(first, images, offer);
      }
      offer({first, first + 1, 0}, Missed(static_cast<double>(batch_) * costs_[first].activations) +
                                       costs_[first].weights);
    }
    std::vector<Segment> plan;
    for (size_t end = count; end > 0; end = last[end].first) plan.push_back(last[end]);
    std::reverse(plan.begin(), plan.end());
    return Merge(plan);
  }

 private:
  static Cost CostOf(const CompiledGraph& compiled, size_t i, const std::vector<size_t>& producer) {
    const Graph& graph = compiled.graph();
    const Node& node = graph.nodes()[i];
    Cost cost;
    cost.by_image =
        !node.outputs.empty() && node.outputs[0] != kNoValue &&
        (node.op == "Reorder" || graph.value(node.outputs[0]).layout != Layout::kPlain);
    const auto add = [&](ValueId id) {
      const Value& value = graph.value(id);
      const auto bytes = static_cast<double>(ValueBytes(value, 1));
      cost.activations += bytes;
      if (value.shape->empty() || value.shape->at(0) != kBatch) cost.by_image = false;
      return bytes;
    };
    for (const ValueId id : node.inputs) {
      if (id == kNoValue) continue;
      if (const auto& constant = graph.value(id).constant) {
        cost.weights += static_cast<double>(constant->byte_size());
      } else {
        cost.inputs.emplace_back(producer[static_cast<size_t>(id)], add(id));
      }
    }
    for (const ValueId id : node.outputs) {
      if (id != kNoValue) add(id);
    }
    if (const size_t packed = compiled.bound_kernels()[i]->PackedBytes(); packed != 0) {
      cost.weights = static_cast<double>(packed);
    }
    return cost;
  }

  /// Offers all segments from `first` on that work on `images` at a time.
  template <class Function>
  void Offer(size_t first, int64_t images, Function offer) const {
    const auto all = static_cast<double>(batch_), part = static_cast<double>(images);
    // A segment that begins finds the cache full of something else.
    auto activations = static_cast<double>(caches_.second_level);
    double largest = 0, weights = 0;
    const size_t end = std::min(costs_.size(), first + kMaxSegment);
    for (size_t i = first; i < end && costs_[i].by_image; ++i) {
      activations += all / part * Missed(part * costs_[i].activations);
      for (const auto& [producer, bytes] : costs_[i].inputs) {
        // What comes from before lies there for all images.
        if (producer == kNowhere || producer < first) activations += Missed(all * bytes);
      }
      largest = std::max(largest, part * costs_[i].activations);
      weights += costs_[i].weights;
      // Weights that do not stay in the cache are read again for each part of the batch.
      const bool stay = weights + largest <= static_cast<double>(caches_.second_level);
      offer({first, i + 1, images}, activations + (stay ? 1 : all / part) * weights);
    }
  }

  /// What a pass over `bytes` costs.
  double Missed(double bytes) const {
    const auto past = [&](int64_t cache) {
      return std::max(0.0, bytes - static_cast<double>(cache));
    };
    return past(caches_.second_level) + kMemoryCost * past(caches_.third_level);
  }

  /// Neighbours that work on the whole batch become one.
  static std::vector<Segment> Merge(const std::vector<Segment>& plan) {
    std::vector<Segment> merged;
    for (const Segment& segment : plan) {
      if (!merged.empty() && merged.back().images == 0 && segment.images == 0) {
        merged.back().last = segment.last;
      } else {
        merged.push_back(segment);
      }
    }
    return merged;
  }

  int64_t batch_;
  CacheSizes caches_;
  std::vector<Cost> costs_;
};

}  // namespace

CacheSizes CacheSizes::OfThisMachine() {
  CacheSizes sizes;
  sizes.second_level = SecondLevelCacheBytes();
  // The third level is shared; half of it is a fair guess where a few threads run.
  const int64_t third = sysconf(_SC_LEVEL3_CACHE_SIZE);
  if (third > 0) sizes.third_level = third / 2;
  return sizes;
}

std::vector<Segment> PlanSegments(const CompiledGraph& compiled, int64_t max_batch,
                                  const CacheSizes& caches) {
  return Planner(compiled, max_batch, caches).Plan();
}

}  // namespace trawl::engine
