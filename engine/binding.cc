#include "engine/binding.h"

#include <algorithm>

#include "engine/ops/dims.h"
#include "engine/value_size.h"

namespace trawl::engine {
namespace {

class Binder {
 public:
  Binder(const CompiledGraph& compiled, const BufferAssignment& assignment,
         const Addresses& addresses, Binding& binding)
      : graph_(compiled.graph()),
        assignment_(assignment),
        addresses_(addresses),
        binding_(binding) {}

  void AddShapes(int64_t images) {
    auto& shapes = binding_.shapes[images];
    shapes.resize(graph_.value_count());
    for (size_t i = 0; i < graph_.value_count(); ++i) {
      const Value& value = graph_.value(static_cast<ValueId>(i));
      if (!value.shape) continue;
      shapes[i].resize(value.shape->size());
      ConcreteShape(*value.shape, images, shapes[i]);
    }
  }

  /// The calls of a segment for `images` images, by one thread or (`team`) by all together.
  SegmentCalls BindSegment(const Segment& segment, int64_t images, size_t thread, bool team) {
    if (!binding_.shapes.contains(images)) AddShapes(images);
    SegmentCalls bound;
    bound.images = images;
    bound.calls.resize(segment.last - segment.first);
    for (size_t i = segment.first; i < segment.last; ++i) {
      SegmentCalls::Call& call = bound.calls[i - segment.first];
      const Node& node = graph_.nodes()[i];
      // Moving addresses point into these: they may not grow later.
      call.inputs.resize(node.inputs.size());
      call.outputs.resize(node.outputs.size());
      for (size_t k = 0; k < node.inputs.size(); ++k) {
        if (node.inputs[k] != kNoValue) BindInput(node.inputs[k], thread, call.inputs[k], bound);
      }
      for (size_t k = 0; k < node.outputs.size(); ++k) {
        if (node.outputs[k] != kNoValue)
          BindOutput(node.outputs[k], thread, call.outputs[k], bound);
      }
      const BufferId& scratch = team ? assignment_.team_scratch[i] : assignment_.scratch[i];
      call.scratch = addresses_.Of(scratch, thread);
    }
    return bound;
  }

 private:
  void BindInput(ValueId id, size_t thread, ConstTensorView& view, SegmentCalls& bound) const {
    const Value& value = graph_.value(id);
    view.dtype = value.dtype;
    view.shape = binding_.shapes.at(bound.images)[static_cast<size_t>(id)];
    if (value.constant) {
      view.bytes = value.constant->bytes();
      return;
    }
    const Place& place = assignment_.of_value[static_cast<size_t>(id)];
    view.image_stride = place.image_stride;
    if (place.buffer.index == kNoBuffer) {
      const auto input = std::ranges::find(graph_.inputs(), id);
      bound.reads.push_back({&view.bytes, nullptr, ValueBytes(value, 1),
                             static_cast<size_t>(input - graph_.inputs().begin())});
      return;
    }
    view.bytes = addresses_.Of(place.buffer, thread) + place.offset;
    if (place.image_bytes != 0) {
      bound.reads.push_back({&view.bytes, view.bytes, place.image_bytes});
    }
  }

  void BindOutput(ValueId id, size_t thread, TensorView& view, SegmentCalls& bound) const {
    const Place& place = assignment_.of_value[static_cast<size_t>(id)];
    view.dtype = graph_.value(id).dtype;
    view.shape = binding_.shapes.at(bound.images)[static_cast<size_t>(id)];
    view.image_stride = place.image_stride;
    view.bytes = addresses_.Of(place.buffer, thread) + place.offset;
    if (place.image_bytes != 0) {
      bound.writes.push_back({&view.bytes, view.bytes, place.image_bytes});
    }
  }

  const Graph& graph_;
  const BufferAssignment& assignment_;
  const Addresses& addresses_;
  Binding& binding_;
};

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

void SegmentCalls::MoveTo(int64_t image, std::span<const ConstTensorView> graph_inputs) {
  const auto count = static_cast<size_t>(image);
  for (const auto& read : reads) {
    const std::byte* base =
        read.graph_input == kNoBuffer ? read.base : graph_inputs[read.graph_input].bytes;
    *read.address = base + count * read.image_bytes;
  }
  for (const auto& write : writes) *write.address = write.base + count * write.image_bytes;
}

Binding Bind(const CompiledGraph& compiled, const std::vector<Segment>& segments,
             const BufferAssignment& assignment, const Addresses& addresses, int64_t batch,
             int threads) {
  Binding binding;
  Binder binder(compiled, assignment, addresses, binding);
  binder.AddShapes(batch);
  for (const Segment& segment : segments) {
    BoundSegment& bound = binding.segments.emplace_back();
    bound.by_thread = segment.images > 0 && threads > 1 && batch >= threads;
    // So many parts at least that every thread has one.
    bound.part = segment.images == 0 ? batch
                 : bound.by_thread   ? std::min(segment.images, DivideUp(batch, threads))
                                     : std::min(segment.images, batch);
    bound.parts = DivideUp(batch, bound.part);
    const bool team = threads > 1 && !bound.by_thread;
    const int64_t rest = batch - (bound.parts - 1) * bound.part;
    for (size_t thread = 0; thread < (bound.by_thread ? static_cast<size_t>(threads) : 1);
         ++thread) {
      bound.whole_parts.push_back(binder.BindSegment(segment, bound.part, thread, team));
      bound.last_part.push_back(
          rest == bound.part ? SegmentCalls{} : binder.BindSegment(segment, rest, thread, team));
    }
  }
  return binding;
}

}  // namespace trawl::engine
