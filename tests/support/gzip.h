#pragma once
// What gzip makes of a text. Whoever includes it links zlib.

#include <zlib.h>

#include <string>

#include "config/check.h"

namespace trawl::testing {

/// `text` as gzip packs it.
inline std::string Packed(const std::string& text) {
  z_stream deflater{};
  CHECK(deflateInit2(&deflater, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&deflater, text.size()) + 64, '\0');
  std::string input = text;
  deflater.next_in = reinterpret_cast<Bytef*>(input.data());
  deflater.avail_in = static_cast<uInt>(input.size());
  deflater.next_out = reinterpret_cast<Bytef*>(packed.data());
  deflater.avail_out = static_cast<uInt>(packed.size());
  CHECK(deflate(&deflater, Z_FINISH) == Z_STREAM_END);
  packed.resize(deflater.total_out);
  deflateEnd(&deflater);
  return packed;
}

}  // namespace trawl::testing
