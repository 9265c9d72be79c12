#pragma once
// 32 bytes: AVX2 with AVX-VNNI. Included by int8_registers.h.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace trawl::engine::simd {
namespace {

using Ints = __m256i;  // bytes, or words, or numbers of 32 bits
using Floats = __m256;
using Half = __m128i;  // half a register of bytes
struct Halves {
  Half first, second;
};
struct TwoFloats {
  Floats first, second;
};

/// Numbers of a register.
inline constexpr int kLanes = 8;
/// Groups of seven pixels whose sums, two registers each, and operands fill the 16 registers.
inline constexpr int kGroupsOfTile = 1;

/// The weights of a tile's second register of sums, which no register is left for.
struct InMemory {
  const int8_t* p;
};
[[gnu::always_inline]] inline InMemory SecondWeights(const int8_t* p) { return {p}; }

// The products are written as instructions: from intrinsics GCC 12 moves the sums, which the
// instruction overwrites, to and fro between registers, which costs a third of the speed. The
// assembler would take AVX-512's form of it, were it not told.
[[gnu::always_inline]] inline void Multiply4(Ints& sum, Ints x, Ints w) {
  asm volatile("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w));
}
[[gnu::always_inline]] inline void Multiply4(Ints& sum, Ints x, InMemory w) {
  asm volatile("%{vex%} vpdpbusd %2, %1, %0"
               : "+x"(sum)
               : "x"(x), "m"(*reinterpret_cast<const Ints*>(w.p)));
}
[[gnu::always_inline]] inline Ints Repeat4(const uint8_t* p) {
  Ints v;
  // volatile: loads that two pixels share are not kept in a register, of which none is left.
  asm volatile("vpbroadcastd %1, %0" : "=x"(v) : "m"(*reinterpret_cast<const int32_t*>(p)));
  return v;
}

/// `p` is aligned for a register.
[[gnu::always_inline]] inline Ints LoadInts(const void* p) {
  return _mm256_load_si256(static_cast<const Ints*>(p));
}
[[gnu::always_inline]] inline Floats LoadFloats(const float* p) { return _mm256_load_ps(p); }

[[gnu::always_inline]] inline Ints Zero() { return _mm256_setzero_si256(); }
[[gnu::always_inline]] inline Ints Repeat(int32_t x) { return _mm256_set1_epi32(x); }
[[gnu::always_inline]] inline Floats Repeat(float x) { return _mm256_set1_ps(x); }
[[gnu::always_inline]] inline Ints RepeatByte(uint8_t x) {
  return _mm256_set1_epi8(static_cast<char>(x));
}

[[gnu::always_inline]] inline Floats ToFloats(Ints v) { return _mm256_cvtepi32_ps(v); }
[[gnu::always_inline]] inline Ints Round(Floats v) { return _mm256_cvtps_epi32(v); }
[[gnu::always_inline]] inline Floats MultiplyAdd(Floats a, Floats b, Floats c) {
  return _mm256_fmadd_ps(a, b, c);
}
/// Of a NaN and a number, both are the second operand.
[[gnu::always_inline]] inline Floats Min(Floats a, Floats b) { return _mm256_min_ps(a, b); }
[[gnu::always_inline]] inline Floats Max(Floats a, Floats b) { return _mm256_max_ps(a, b); }
[[gnu::always_inline]] inline Ints Min(Ints a, Ints b) { return _mm256_min_epi32(a, b); }
[[gnu::always_inline]] inline Ints Max(Ints a, Ints b) { return _mm256_max_epi32(a, b); }
[[gnu::always_inline]] inline Ints MinBytes(Ints a, Ints b) { return _mm256_min_epu8(a, b); }
[[gnu::always_inline]] inline Ints MaxBytes(Ints a, Ints b) { return _mm256_max_epu8(a, b); }
[[gnu::always_inline]] inline Ints Add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
[[gnu::always_inline]] inline Ints ShiftByte(Ints v) { return _mm256_slli_epi32(v, 8); }
[[gnu::always_inline]] inline int32_t SumOf(Ints v) {
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(two) + _mm_extract_epi32(two, 1);
}
/// Numbers become words, words become bytes, and what is too large or too small a bound.
[[gnu::always_inline]] inline Ints PackToWords(Ints a, Ints b) { return _mm256_packs_epi32(a, b); }
[[gnu::always_inline]] inline Ints PackToBytes(Ints a, Ints b) { return _mm256_packus_epi16(a, b); }
[[gnu::always_inline]] inline Ints UnpackLowBytes(Ints a, Ints b) {
  return _mm256_unpacklo_epi8(a, b);
}
[[gnu::always_inline]] inline Ints UnpackHighBytes(Ints a, Ints b) {
  return _mm256_unpackhi_epi8(a, b);
}
[[gnu::always_inline]] inline Ints UnpackLowWords(Ints a, Ints b) {
  return _mm256_unpacklo_epi16(a, b);
}
[[gnu::always_inline]] inline Ints UnpackHighWords(Ints a, Ints b) {
  return _mm256_unpackhi_epi16(a, b);
}
[[gnu::always_inline]] inline Ints ToWords(Half bytes) { return _mm256_cvtepu8_epi16(bytes); }

/// Quarters of two pixels in turn, as PackToBytes leaves them, to a pixel in each half.
[[gnu::always_inline]] inline Halves Separate(Ints bytes) {
  const Ints v = _mm256_permute4x64_epi64(bytes, _MM_SHUFFLE(3, 1, 2, 0));
  return {_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)};
}
/// Halves of both registers in turn, which are channels in their order.
[[gnu::always_inline]] inline TwoFloats Alternate(Floats a, Floats b) {
  return {_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)};
}

/// All bits of the first `count` lanes.
[[gnu::always_inline]] inline Ints MaskOf(ptrdiff_t count) {
  const Ints lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(Repeat(static_cast<int32_t>(count < kLanes ? count : kLanes)), lanes);
}

/// The first `count` bytes of a register, nothing of which is touched beyond; 0 is loaded there.
/// Masks are of whole lanes.
class FirstBytes {
 public:
  [[gnu::always_inline]] explicit FirstBytes(ptrdiff_t count)
      : whole_(count >= 32), mask_(MaskOf(count / 4)) {}
  [[gnu::always_inline]] Ints Load(const void* p) const {
    return whole_ ? _mm256_loadu_si256(static_cast<const Ints*>(p))
                  : _mm256_maskload_epi32(static_cast<const int*>(p), mask_);
  }
  [[gnu::always_inline]] void Store(void* p, Ints v) const {
    if (whole_) {
      _mm256_storeu_si256(static_cast<Ints*>(p), v);
    } else {
      _mm256_maskstore_epi32(static_cast<int*>(p), mask_, v);
    }
  }

 private:
  bool whole_;
  Ints mask_;
};

/// The same of half a register; any number of bytes is stored.
class FirstOfHalf {
 public:
  [[gnu::always_inline]] explicit FirstOfHalf(ptrdiff_t count) : count_(count) {}
  [[gnu::always_inline]] Half Load(const void* p) const {
    if (count_ >= 16) return _mm_loadu_si128(static_cast<const Half*>(p));
    return _mm_maskload_epi32(static_cast<const int*>(p),
                              _mm256_castsi256_si128(MaskOf(count_ / 4)));
  }
  [[gnu::always_inline]] void Store(void* p, Half v) const {
    if (count_ >= 16) {
      _mm_storeu_si128(static_cast<Half*>(p), v);
    } else {
      StoreFew(static_cast<uint8_t*>(p), v, count_);
    }
  }

 private:
  [[gnu::noinline]] static void StoreFew(uint8_t* p, Half v, ptrdiff_t count) {
    alignas(16) uint8_t bytes[16];
    _mm_store_si128(reinterpret_cast<Half*>(bytes), v);
    for (ptrdiff_t i = 0; i < count; ++i) p[i] = bytes[i];
  }

  ptrdiff_t count_;
};

/// The same of a register of numbers; none where `count` is negative.
class FirstLanes {
 public:
  [[gnu::always_inline]] explicit FirstLanes(ptrdiff_t count) : mask_(MaskOf(count)) {}
  [[gnu::always_inline]] Floats Load(const float* p) const { return _mm256_maskload_ps(p, mask_); }
  [[gnu::always_inline]] void Store(float* p, Floats v) const { _mm256_maskstore_ps(p, mask_, v); }
  [[gnu::always_inline]] void Store(void* p, Ints v) const {
    _mm256_maskstore_epi32(static_cast<int*>(p), mask_, v);
  }

 private:
  Ints mask_;
};

}  // namespace
}  // namespace trawl::engine::simd
