#include "worker/sandbox/child.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "worker/sandbox/lockdown.h"
#include "worker/sandbox/slot.h"

namespace trawl::worker {
namespace {

constexpr int kUsageExit = 2, kChannelExit = 3;

/// One byte either way. False when the other side is gone.
bool Await() {
  char byte = 0;
  ssize_t got = 0;
  do got = read(kChannelFd, &byte, 1);
  while (got < 0 && errno == EINTR);
  return got == 1;
}

bool Answer() {
  const char byte = 1;
  ssize_t put = 0;
  do put = write(kChannelFd, &byte, 1);
  while (put < 0 && errno == EINTR);
  return put == 1;
}

void Describe(const ObjectError& error, Reply& reply) {
  reply.failed = 1;
  reply.code = static_cast<uint32_t>(error.code);
  const size_t bytes = std::min(error.message.size(), sizeof reply.message);
  std::memcpy(reply.message, error.message.data(), bytes);
  reply.message_bytes = static_cast<uint32_t>(bytes);
}

void Serve(PrepareFunction prepare, Slot& slot) {
  const Request& request = slot.header().request;
  const engine::PreprocessSpec spec = request.spec.ToSpec();
  std::span<const std::byte> objects = slot.objects();
  for (size_t i = 0; i < request.objects; ++i) {
    Reply reply;
    const ObjectResult<void> prepared =
        prepare(objects.first(request.object_bytes[i]), request.limits, spec,
                slot.levels().subspan(i * request.levels, request.levels));
    if (!prepared) Describe(prepared.error(), reply);
    slot.header().replies[i] = reply;
    objects = objects.subspan(request.object_bytes[i]);
  }
}

}  // namespace

std::vector<std::string> DecoderCommand() { return {"/proc/self/exe", kDecoderArgument}; }

int RunDecoder(PrepareFunction prepare) {
  auto slot = Slot::Attach(kMemoryFd);
  if (!slot) return kUsageExit;
  std::set_new_handler([] { _exit(kOutOfMemoryExit); });
  slot->header().posture = LockDown(slot->header().setup, kChannelFd);
  if (!Answer()) return kChannelExit;
  while (Await()) {
    Serve(prepare, *slot);
    if (!Answer()) break;
  }
  // No destructors, no reports of leaks: nothing is left that could run them.
  _exit(0);
}

}  // namespace trawl::worker
