#include "engine/buffers.h"

#include <algorithm>

#include "engine/kernels/kernel.h"
#include "engine/value_size.h"

namespace trawl::engine {
namespace {

size_t At(ValueId id) { return static_cast<size_t>(id); }

/// When a value is made and last read, in node indices; outputs of the graph outlive all nodes.
struct Life {
  int made = -1;  // -1: by no node
  int last = -1;
};

class Assigner {
 public:
  Assigner(const CompiledGraph& compiled, const std::vector<Segment>& segments, int64_t max_batch,
           int threads)
      : compiled_(compiled),
        graph_(compiled.graph()),
        segments_(segments),
        max_batch_(max_batch),
        threads_(threads),
        lives_(graph_.value_count()),
        homes_(graph_.value_count()) {
    for (size_t s = 0; s < segments.size(); ++s) {
      segment_of_.insert(segment_of_.end(), segments[s].last - segments[s].first, s);
    }
  }

  BufferAssignment Run() {
    FindLives();
    FindHomes();
    assignment_.of_value.resize(graph_.value_count());
    assignment_.local.resize(segments_.size());
    for (size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      for (size_t k = 0; k < node.outputs.size(); ++k) {
        if (node.outputs[k] != kNoValue) PlaceOutput(i, k);
      }
      AddScratch(i);
    }
    return std::move(assignment_);
  }

 private:
  /// The value into which another is laid, and how far behind its beginning, in floats.
  struct Home {
    ValueId value = kNoValue;
    int64_t offset = 0;
  };

  void FindLives() {
    const auto count = static_cast<int>(graph_.nodes().size());
    for (int i = 0; i < count; ++i) {
      const Node& node = graph_.nodes()[static_cast<size_t>(i)];
      for (const ValueId id : node.inputs) {
        if (id != kNoValue) lives_[At(id)].last = i;
      }
      for (const ValueId id : node.outputs) {
        if (id != kNoValue) lives_[At(id)] = {i, i};
      }
    }
    for (const ValueId id : graph_.outputs()) lives_[At(id)].last = count;
  }

  /// Inputs of blocked Concats move into their outputs. A value has one home at most, and what has
  /// moved in may itself be a home.
  void FindHomes() {
    has_guests_.assign(graph_.value_count(), false);
    for (const Node& node : graph_.nodes()) {
      if (node.op != "Concat" || node.outputs[0] == kNoValue) continue;
      const Value& out = graph_.value(node.outputs[0]);
      if (out.layout != Layout::kBlocked) continue;
      int64_t channel = 0;
      for (const ValueId id : node.inputs) {
        const bool free = lives_[At(id)].made >= 0 && homes_[At(id)].value == kNoValue;
        if (free && channel % simd::kBlock == 0) {
          homes_[At(id)] = {node.outputs[0], channel * out.shape->at(2) * out.shape->at(3)};
          has_guests_[At(node.outputs[0])] = true;
        }
        channel += graph_.value(id).shape->at(1);
      }
    }
    // All that share a buffer live as long as any of them does.
    for (size_t v = 0; v < homes_.size(); ++v) {
      if (homes_[v].value == kNoValue) continue;
      Life& root = lives_[At(RootOf(static_cast<ValueId>(v)).value)];
      root.made = std::min(root.made, lives_[v].made);
      root.last = std::max(root.last, lives_[v].last);
    }
  }

  /// The outermost home, and the way to it.
  Home RootOf(ValueId id) const {
    Home root{id, 0};
    while (homes_[At(root.value)].value != kNoValue) {
      root.offset += homes_[At(root.value)].offset;
      root.value = homes_[At(root.value)].value;
    }
    return root;
  }

  bool SharesBuffer(ValueId id) const {
    return homes_[At(id)].value != kNoValue || has_guests_[At(id)];
  }

  /// The segment inside which a value that works image by image is made and used up, or kNoBuffer.
  size_t OnlySegment(ValueId id) const {
    const Life& life = lives_[At(id)];
    if (life.last >= static_cast<int>(segment_of_.size())) return kNoBuffer;
    const size_t made = segment_of_[static_cast<size_t>(life.made)];
    const size_t last = segment_of_[static_cast<size_t>(life.last)];
    return made == last && segments_[made].images > 0 ? made : kNoBuffer;
  }

  /// A segment that works image by image comes back to each of its nodes: what is there for the
  /// whole batch is there from its beginning to its end.
  BufferLifetime LifetimeOf(ValueId id) const {
    const Life& life = lives_[At(id)];
    const size_t only = OnlySegment(id);
    const int64_t images = only == kNoBuffer ? max_batch_ : segments_[only].images;
    BufferLifetime lifetime{ValueBytes(graph_.value(id), images), life.made, life.last};
    if (only != kNoBuffer) return lifetime;
    const Segment& first = segments_[segment_of_[static_cast<size_t>(life.made)]];
    if (first.images > 0) lifetime.first = static_cast<int>(first.first);
    if (life.last < static_cast<int>(segment_of_.size())) {
      const Segment& last = segments_[segment_of_[static_cast<size_t>(life.last)]];
      if (last.images > 0) lifetime.last = static_cast<int>(last.last) - 1;
    }
    return lifetime;
  }

  void PlaceOutput(size_t node, size_t k) {
    const ValueId id = graph_.nodes()[node].outputs[k];
    const Home root = RootOf(id);
    const Value& value = graph_.value(root.value);
    Place& home = assignment_.of_value[At(root.value)];
    if (home.buffer.index == kNoBuffer) {
      const BufferId taken = k == 0 ? InPlaceBuffer(node) : BufferId{};
      if (taken.index != kNoBuffer) {
        int& last = Buffers(taken.segment)[taken.index].last;
        last = std::max(last, LifetimeOf(root.value).last);
      }
      home.buffer = taken.index != kNoBuffer ? taken : NewBuffer(root.value);
      if (value.layout == Layout::kBlocked) home.image_stride = BlockedImageSize(*value.shape);
      if (home.buffer.segment == kNoBuffer) home.image_bytes = ValueBytes(value, 1);
    }
    const Place place = home;
    assignment_.of_value[At(id)] = place;
    assignment_.of_value[At(id)].offset = static_cast<size_t>(root.offset) * sizeof(float);
  }

  std::vector<BufferLifetime>& Buffers(size_t segment) {
    return segment == kNoBuffer ? assignment_.shared : assignment_.local[segment];
  }

  BufferId Add(size_t segment, const BufferLifetime& buffer) {
    Buffers(segment).push_back(buffer);
    return {segment, Buffers(segment).size() - 1};
  }

  BufferId NewBuffer(ValueId id) { return Add(OnlySegment(id), LifetimeOf(id)); }

  /// The buffer that the node's first output may take over from a dying input, or kNoBuffer.
  BufferId InPlaceBuffer(size_t i) const {
    const Node& node = graph_.nodes()[i];
    const int position = compiled_.bound_kernels()[i]->InPlaceInput();
    if (position < 0) return {};
    const ValueId input = node.inputs[static_cast<size_t>(position)], output = node.outputs[0];
    const BufferId buffer = assignment_.of_value[At(input)].buffer;
    if (buffer.index == kNoBuffer || SharesBuffer(input) || SharesBuffer(output)) return {};
    const bool dies = lives_[At(input)].last == static_cast<int>(i);
    // Read twice, it would be overwritten under the other reader's eyes.
    const bool read_once = std::count(node.inputs.begin(), node.inputs.end(), input) == 1;
    const Value &from = graph_.value(input), &to = graph_.value(output);
    const bool same_size =
        from.layout == to.layout && ValueBytes(from, max_batch_) == ValueBytes(to, max_batch_);
    const bool same_list = OnlySegment(output) == buffer.segment;
    return dies && read_once && same_size && same_list ? buffer : BufferId{};
  }

  void AddScratch(size_t i) {
    const int now = static_cast<int>(i);
    const int64_t images = segments_[segment_of_[i]].images;
    // One thread is no team.
    const size_t together = images == 0    ? compiled_.ScratchBytes(i, max_batch_, threads_)
                            : threads_ > 1 ? compiled_.ScratchBytes(i, images, threads_)
                                           : 0;
    assignment_.team_scratch.push_back(Add(kNoBuffer, {together, now, now}));
    assignment_.scratch.push_back(
        images == 0 ? assignment_.team_scratch.back()
                    : Add(segment_of_[i], {compiled_.ScratchBytes(i, images, 1), now, now}));
  }

  const CompiledGraph& compiled_;
  const Graph& graph_;
  const std::vector<Segment>& segments_;
  int64_t max_batch_;
  int threads_;
  std::vector<size_t> segment_of_;  // by node
  std::vector<Life> lives_;
  std::vector<Home> homes_;
  std::vector<bool> has_guests_;
  BufferAssignment assignment_;
};

}  // namespace

BufferAssignment AssignBuffers(const CompiledGraph& compiled, const std::vector<Segment>& segments,
                               int64_t max_batch, int threads) {
  return Assigner(compiled, segments, max_batch, threads).Run();
}

}  // namespace trawl::engine
