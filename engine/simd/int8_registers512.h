#pragma once
// 64 bytes: AVX-512 with VNNI. Included by int8_registers.h.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace trawl::engine::simd {
namespace {

using Ints = __m512i;  // bytes, or words, or numbers of 32 bits
using Floats = __m512;
using Half = __m256i;  // half a register of bytes
struct Halves {
  Half first, second;
};
struct TwoFloats {
  Floats first, second;
};

/// Numbers of a register.
inline constexpr int kLanes = 16;
/// Groups of seven pixels whose sums, two registers each, and operands fill the 32 registers.
inline constexpr int kGroupsOfTile = 2;

// The products are written as instructions: from intrinsics GCC 12 moves the sums, which the
// instruction overwrites, to and fro between registers, which costs a third of the speed.
[[gnu::always_inline]] inline void Multiply4(Ints& sum, Ints x, Ints w) {
  asm volatile("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}
[[gnu::always_inline]] inline Ints Repeat4(const uint8_t* p) {
  Ints v;
  // volatile: loads that two pixels share are not kept in a register, of which none is left.
  asm volatile("vpbroadcastd %1, %0" : "=v"(v) : "m"(*reinterpret_cast<const int32_t*>(p)));
  return v;
}

/// `p` is aligned for a register.
[[gnu::always_inline]] inline Ints LoadInts(const void* p) { return _mm512_load_si512(p); }
[[gnu::always_inline]] inline Floats LoadFloats(const float* p) { return _mm512_load_ps(p); }
/// The weights of a tile's second register of sums.
[[gnu::always_inline]] inline Ints SecondWeights(const int8_t* p) { return LoadInts(p); }

[[gnu::always_inline]] inline Ints Zero() { return _mm512_setzero_si512(); }
[[gnu::always_inline]] inline Ints Repeat(int32_t x) { return _mm512_set1_epi32(x); }
[[gnu::always_inline]] inline Floats Repeat(float x) { return _mm512_set1_ps(x); }
[[gnu::always_inline]] inline Ints RepeatByte(uint8_t x) {
  return _mm512_set1_epi8(static_cast<char>(x));
}

[[gnu::always_inline]] inline Floats ToFloats(Ints v) { return _mm512_cvtepi32_ps(v); }
[[gnu::always_inline]] inline Ints Round(Floats v) { return _mm512_cvtps_epi32(v); }
[[gnu::always_inline]] inline Floats MultiplyAdd(Floats a, Floats b, Floats c) {
  return _mm512_fmadd_ps(a, b, c);
}
/// Of a NaN and a number, both are the second operand.
[[gnu::always_inline]] inline Floats Min(Floats a, Floats b) { return _mm512_min_ps(a, b); }
[[gnu::always_inline]] inline Floats Max(Floats a, Floats b) { return _mm512_max_ps(a, b); }
[[gnu::always_inline]] inline Ints Min(Ints a, Ints b) { return _mm512_min_epi32(a, b); }
[[gnu::always_inline]] inline Ints Max(Ints a, Ints b) { return _mm512_max_epi32(a, b); }
[[gnu::always_inline]] inline Ints MinBytes(Ints a, Ints b) { return _mm512_min_epu8(a, b); }
[[gnu::always_inline]] inline Ints MaxBytes(Ints a, Ints b) { return _mm512_max_epu8(a, b); }
[[gnu::always_inline]] inline Ints Add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
[[gnu::always_inline]] inline Ints ShiftByte(Ints v) { return _mm512_slli_epi32(v, 8); }
[[gnu::always_inline]] inline int32_t SumOf(Ints v) { return _mm512_reduce_add_epi32(v); }
/// Numbers become words, words become bytes, and what is too large or too small a bound.
[[gnu::always_inline]] inline Ints PackToWords(Ints a, Ints b) { return _mm512_packs_epi32(a, b); }
[[gnu::always_inline]] inline Ints PackToBytes(Ints a, Ints b) { return _mm512_packus_epi16(a, b); }
[[gnu::always_inline]] inline Ints UnpackLowBytes(Ints a, Ints b) {
  return _mm512_unpacklo_epi8(a, b);
}
[[gnu::always_inline]] inline Ints UnpackHighBytes(Ints a, Ints b) {
  return _mm512_unpackhi_epi8(a, b);
}
[[gnu::always_inline]] inline Ints UnpackLowWords(Ints a, Ints b) {
  return _mm512_unpacklo_epi16(a, b);
}
[[gnu::always_inline]] inline Ints UnpackHighWords(Ints a, Ints b) {
  return _mm512_unpackhi_epi16(a, b);
}
[[gnu::always_inline]] inline Ints ToWords(Half bytes) { return _mm512_cvtepu8_epi16(bytes); }

/// Eighths of two pixels in turn, as PackToBytes leaves them, to a pixel in each half.
[[gnu::always_inline]] inline Halves Separate(Ints bytes) {
  const Ints order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
  const Ints v = _mm512_permutexvar_epi64(order, bytes);
  return {_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1)};
}
/// Quarters of both registers in turn, which are channels in their order.
[[gnu::always_inline]] inline TwoFloats Alternate(Floats a, Floats b) {
  const Ints first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  return {_mm512_permutex2var_ps(a, first, b), _mm512_permutex2var_ps(a, Add(first, Repeat(8)), b)};
}

/// The first `count` bytes of a register, nothing of which is touched beyond; 0 is loaded there.
class FirstBytes {
 public:
  [[gnu::always_inline]] explicit FirstBytes(ptrdiff_t count)
      : mask_(count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1) {}
  [[gnu::always_inline]] Ints Load(const void* p) const {
    return _mm512_maskz_loadu_epi8(mask_, p);
  }
  [[gnu::always_inline]] void Store(void* p, Ints v) const { _mm512_mask_storeu_epi8(p, mask_, v); }

 private:
  __mmask64 mask_;
};

/// The same of half a register.
class FirstOfHalf {
 public:
  [[gnu::always_inline]] explicit FirstOfHalf(ptrdiff_t count)
      : mask_(count >= 32 ? ~__mmask32{0} : (__mmask32{1} << count) - 1) {}
  [[gnu::always_inline]] Half Load(const void* p) const {
    return _mm256_maskz_loadu_epi8(mask_, p);
  }
  [[gnu::always_inline]] void Store(void* p, Half v) const { _mm256_mask_storeu_epi8(p, mask_, v); }

 private:
  __mmask32 mask_;
};

/// The same of a register of numbers; none where `count` is negative.
class FirstLanes {
 public:
  [[gnu::always_inline]] explicit FirstLanes(ptrdiff_t count)
      : mask_(static_cast<__mmask16>(count >= 16  ? 0xFFFF
                                     : count <= 0 ? 0
                                                  : (1 << count) - 1)) {}
  [[gnu::always_inline]] Floats Load(const float* p) const {
    return _mm512_maskz_loadu_ps(mask_, p);
  }
  [[gnu::always_inline]] void Store(float* p, Floats v) const {
    _mm512_mask_storeu_ps(p, mask_, v);
  }
  [[gnu::always_inline]] void Store(void* p, Ints v) const {
    _mm512_mask_storeu_epi32(p, mask_, v);
  }

 private:
  __mmask16 mask_;
};

}  // namespace
}  // namespace trawl::engine::simd
