#include "worker/sandbox/slot.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <type_traits>
#include <utility>

namespace trawl::worker {
namespace {

static_assert(std::is_trivially_copyable_v<SlotHeader>);

// Objects are rarely larger; pages beyond it are given back after use.
constexpr size_t kKeptBytes = 1U << 20;

constexpr size_t kPage = 4096;
constexpr size_t RoundUp(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

constexpr size_t kHeaderBytes = RoundUp(sizeof(SlotHeader));

size_t BytesFor(const Setup& setup) {
  return kHeaderBytes + RoundUp(setup.object_capacity) + RoundUp(setup.level_capacity);
}

uint32_t CopyFloats(const std::vector<float>& from, float (&to)[4]) {
  const size_t count = std::min(from.size(), std::size(to));
  std::copy_n(from.begin(), count, to);
  return static_cast<uint32_t>(count);
}

tl::unexpected<Status> LastError(const char* doing) {
  return Error(Code::kInternal, "{}: {}", doing, std::strerror(errno));
}

}  // namespace

SpecOnSlot SpecOnSlot::From(const engine::PreprocessSpec& spec) {
  SpecOnSlot slot{.height = spec.height,
                  .width = spec.width,
                  .layout = static_cast<int32_t>(spec.layout),
                  .channels = static_cast<int32_t>(spec.channels),
                  .resize = static_cast<int32_t>(spec.resize),
                  .resize_shorter = spec.resize_shorter,
                  .resize_height = spec.resize_height,
                  .resize_width = spec.resize_width,
                  .filter = static_cast<int32_t>(spec.filter),
                  .crop_center = spec.crop_center,
                  .means = 0,
                  .deviations = 0,
                  .mean = {},
                  .deviation = {}};
  slot.means = CopyFloats(spec.mean, slot.mean);
  slot.deviations = CopyFloats(spec.std, slot.deviation);
  return slot;
}

engine::PreprocessSpec SpecOnSlot::ToSpec() const {
  engine::PreprocessSpec spec;
  spec.height = height;
  spec.width = width;
  spec.layout = static_cast<engine::TensorLayout>(layout);
  spec.channels = static_cast<engine::ChannelOrder>(channels);
  spec.resize = static_cast<engine::ResizeMode>(resize);
  spec.resize_shorter = resize_shorter;
  spec.resize_height = resize_height;
  spec.resize_width = resize_width;
  spec.filter = static_cast<engine::ResizeFilter>(filter);
  spec.crop_center = crop_center != 0;
  spec.mean.assign(mean, mean + means);
  spec.std.assign(deviation, deviation + deviations);
  return spec;
}

Result<Slot> Slot::Create(const Setup& setup) {
  const int fd = memfd_create("trawl-decoder", MFD_CLOEXEC);
  if (fd < 0) return LastError("making shared memory");
  const size_t bytes = BytesFor(setup);
  void* memory = MAP_FAILED;
  if (ftruncate(fd, static_cast<off_t>(bytes)) == 0)
    memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    const auto error = LastError("mapping shared memory");
    close(fd);
    return error;
  }
  Slot slot(fd, memory, setup);
  slot.header().setup = setup;
  return slot;
}

Result<Slot> Slot::Attach(int fd) {
  void* header = mmap(nullptr, kHeaderBytes, PROT_READ, MAP_SHARED, fd, 0);
  if (header == MAP_FAILED) return LastError("mapping shared memory");
  const Setup setup = static_cast<const SlotHeader*>(header)->setup;
  munmap(header, kHeaderBytes);
  const size_t bytes = BytesFor(setup);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return LastError("mapping shared memory");
  return Slot(fd, memory, setup);
}

Slot::Slot(int fd, void* memory, const Setup& setup)
    : fd_(fd),
      memory_(memory),
      objects_(setup.object_capacity),
      levels_(setup.level_capacity),
      mapped_(BytesFor(setup)) {}

Slot::Slot(Slot&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      memory_(std::exchange(other.memory_, nullptr)),
      objects_(other.objects_),
      levels_(other.levels_),
      mapped_(other.mapped_) {}

Slot::~Slot() {
  if (memory_ == nullptr) return;
  munmap(memory_, mapped_);
  close(fd_);
}

std::span<std::byte> Slot::objects() {
  return {static_cast<std::byte*>(memory_) + kHeaderBytes, objects_};
}

std::span<uint8_t> Slot::levels() {
  void* at = static_cast<std::byte*>(memory_) + kHeaderBytes + RoundUp(objects_);
  return {static_cast<uint8_t*>(at), levels_};
}

void Slot::Shrink(size_t used_bytes) {
  if (used_bytes <= kKeptBytes) return;
  // Of no consequence when it fails: the pages stay for the next large object.
  madvise(objects().data() + kKeptBytes, RoundUp(used_bytes) - kKeptBytes, MADV_REMOVE);
}

}  // namespace trawl::worker
