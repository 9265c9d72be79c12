#pragma once
// Goal: decoders that misbehave on demand. Method: this executable, run with a decoder's name as
// its only argument, becomes that decoder before GoogleTest sees it.

#include <string>
#include <vector>

namespace trawl::worker {

/// Does what the object's text says: "crash", "abort", "hang", "exit", "devour" (memory), "socket",
/// "open", "execute", "fork", "kill parent", "write elsewhere", "make code", "forge" (a reply that
/// is none), "fill" (the levels with the bytes of its own process id, again and again); or fails
/// with too_many_scans and the text as the message.
std::vector<std::string> ObedientDecoder();
/// PrepareImage: what workers run.
std::vector<std::string> RealDecoder();

}  // namespace trawl::worker
