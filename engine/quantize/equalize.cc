// Channels brought to like ranges, so that the one mapping of a tensor serves them all: after Nagel
// et al., "Data-free quantization through weight equalization and bias correction", 2019. How far,
// each group's expected errors tell: rounded activations gain what rounded weights lose.

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/quantize/channel_groups.h"
#include "engine/quantize/quantize.h"

namespace trawl::engine {
namespace {

/// Squared error of rounded weights, relative to what each to its nearest and the same for all
/// channels would have: rounding them together leaves less.
constexpr double kWeightError = 0.5;
/// A range counts as this share of the greatest at least: other pictures may show more of it.
constexpr double kLeastRange = 0.03;
constexpr int kSteps = 8;  // from ranges as they are to equal ones

/// What is seen of a value by channel: the greatest magnitude in a picture on average, and the mean
/// square.
struct Seen {
  std::vector<double> ranges, squares;
};

class Observer {
 public:
  void Add(const ConstTensorView& x) {
    const auto channels = static_cast<size_t>(x.shape[1]);
    const auto numbers = x.data<float>();
    const size_t planes = static_cast<size_t>(x.shape[0]) * channels;
    const size_t plane = planes == 0 ? 0 : numbers.size() / planes;
    seen_.ranges.resize(channels);
    seen_.squares.resize(channels);
    for (size_t i = 0; i < planes; ++i) {
      float most = 0;
      double squares = 0;
      for (const float number : numbers.subspan(i * plane, plane)) {
        if (!std::isfinite(number)) continue;
        most = std::max(most, std::fabs(number));
        squares += double{number} * double{number};
      }
      seen_.ranges[i % channels] += double{most};
      seen_.squares[i % channels] += squares / static_cast<double>(plane);
    }
    pictures_ += static_cast<double>(x.shape[0]);
  }
  Seen Means() const {
    Seen means = seen_;
    for (double& range : means.ranges) range /= pictures_;
    for (double& square : means.squares) square /= pictures_;
    return means;
  }

 private:
  Seen seen_;
  double pictures_ = 0;
};

/// A product that reads a group.
class Reader {
 public:
  Reader(const Graph& graph, const Node& node, const Seen& seen)
      : layout_(graph, node),
        squares_(seen.squares),
        peaks_(layout_.outputs * layout_.inputs),
        energies_(squares_.size()) {
    const auto weights = graph.value(node.inputs[1]).constant->data<float>();
    for (size_t i = 0; i < weights.size(); ++i) {
      const size_t channel = layout_.Input(i);
      double& peak = peaks_[layout_.Output(i) * layout_.inputs + channel % layout_.inputs];
      peak = std::max(peak, std::fabs(double{weights[i]}));
      energies_[channel] += double{weights[i]} * double{weights[i]};
    }
    double total = 0;
    for (size_t c = 0; c < energies_.size(); ++c) total += energies_[c] * squares_[c];
    if (total > 0) share_ = 1 / total;
  }

  /// Of what it gives, by which share an error of variance 1 of a channel moves its square.
  double Energy(size_t channel) const { return share_ * energies_[channel]; }

  /// The same for its rounded weights when channels are divided by `scales`.
  double WeightError(const std::vector<double>& scales) const {
    const size_t outputs = layout_.outputs / layout_.group;
    double error = 0;
    for (size_t g = 0; g < layout_.group; ++g) {
      const auto own = std::span(scales).subspan(g * layout_.inputs, layout_.inputs);
      double squares = 0, steps = 0;
      for (size_t i = 0; i < own.size(); ++i) {
        squares += squares_[g * layout_.inputs + i] / (own[i] * own[i]);
      }
      for (size_t o = g * outputs; o < (g + 1) * outputs; ++o) {
        double peak = 0;
        for (size_t i = 0; i < own.size(); ++i) {
          peak = std::max(peak, peaks_[o * layout_.inputs + i] * own[i]);
        }
        steps += std::pow(peak / 127, 2);
      }
      error += squares * steps / 12;
    }
    return kWeightError * share_ * static_cast<double>(layout_.taps) * error;
  }

 private:
  WeightLayout layout_;
  std::vector<double> squares_;   // of channels, on average
  std::vector<double> peaks_;     // [outputs, inputs of a group], greatest magnitudes of weights
  std::vector<double> energies_;  // by channel: squares of weights
  double share_ = 0;
};

/// The scales of a group whose `seen` values will be rounded; all 1 where nothing is gained.
std::vector<double> BestScales(const std::vector<Reader>& readers, const std::vector<Seen>& seen,
                               size_t channels) {
  std::vector<double> ranges(channels), energies(channels);
  for (size_t c = 0; c < channels; ++c) {
    for (const Seen& value : seen) ranges[c] = std::max(ranges[c], value.ranges[c]);
    for (const Reader& reader : readers) energies[c] += reader.Energy(c);
  }
  const double most = *std::ranges::max_element(ranges);
  std::vector<double> best(channels, 1);
  if (!(most > 0)) return best;
  double least = std::numeric_limits<double>::infinity();
  for (int step = 0; step <= kSteps; ++step) {
    std::vector<double> scales(channels);
    for (size_t c = 0; c < channels; ++c) {
      const double range = std::max(ranges[c] / most, kLeastRange);
      scales[c] = std::pow(range, step / double{kSteps});
    }
    double error = 0;
    for (const Seen& value : seen) {
      double range = 0, moved = 0;
      for (size_t c = 0; c < channels; ++c) {
        range = std::max(range, value.ranges[c] / scales[c]);
        moved += scales[c] * scales[c] * energies[c];
      }
      error += std::pow(range / 255, 2) / 12 * moved;
    }
    for (const Reader& reader : readers) error += reader.WeightError(scales);
    if (error >= least) continue;
    least = error;
    best = std::move(scales);
  }
  return best;
}

}  // namespace

Result<Graph> EqualizeChannels(const Graph& graph, const QuantizationPlan& plan,
                               const Pictures& pictures, const RunOptions& options) {
  const std::vector<ChannelGroup> groups = FindChannelGroups(graph);
  std::vector<ValueId> values;
  for (const ChannelGroup& group : groups) {
    std::ranges::copy_if(group.values, std::back_inserter(values),
                         [&](ValueId id) { return plan.ranges.contains(id); });
  }
  if (values.empty()) return graph;
  std::vector<Observer> observers(values.size());
  TRAWL_ASSIGN(const auto runner, GraphRunner::Create(graph, values, options));
  TRAWL_TRY(
      runner->Run(pictures, [&](size_t i, const ConstTensorView& x) { observers[i].Add(x); }));
  std::map<ValueId, Seen> seen;
  for (size_t i = 0; i < values.size(); ++i) seen[values[i]] = observers[i].Means();
  std::vector<ChannelScales> scales;
  for (const ChannelGroup& group : groups) {
    std::vector<Seen> rounded;
    for (const ValueId id : group.values) {
      if (seen.contains(id)) rounded.push_back(seen.at(id));
    }
    std::vector<Reader> readers;
    for (const size_t i : group.readers) {
      const Node& node = graph.nodes()[i];
      if (plan.nodes[i]) readers.emplace_back(graph, node, seen.at(node.inputs[0]));
    }
    if (readers.empty()) continue;
    const std::vector<double> best = BestScales(readers, rounded, group.channels);
    scales.push_back({group, {best.begin(), best.end()}});
  }
  return ScaleChannels(graph, scales);
}

}  // namespace trawl::engine
