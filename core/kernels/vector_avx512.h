#pragma once

// GCC 12's own avx512fintrin.h starts registers from themselves on purpose and is warned about wherever its functions are inlined
// (GCC bug 105593), so the warning stays off for the whole of a *_avx512.cpp.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#include <immintrin.h>

#include <cstdint>

#include "kernels/row_precision.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")

namespace rechost {

/// Sixteen 32-bit words; members as in vector_baseline.h.
struct WordsAvx512 {
  __m512i value;

  [[gnu::always_inline]] WordsAvx512(__m512i from) : value(from) {}
  [[gnu::always_inline]] WordsAvx512(std::uint32_t all) : value(_mm512_set1_epi32(static_cast<int>(all))) {}
  [[gnu::always_inline]] static WordsAvx512 counting_from(std::uint32_t first) {
    return _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first)), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  }
  template <int kBits>
  [[gnu::always_inline]] WordsAvx512 shifted_right() const {
    return _mm512_srli_epi32(value, kBits);
  }
  [[gnu::always_inline]] friend WordsAvx512 operator&(WordsAvx512 a, WordsAvx512 b) { return _mm512_and_si512(a.value, b.value); }
  [[gnu::always_inline]] friend WordsAvx512 operator^(WordsAvx512 a, WordsAvx512 b) { return _mm512_xor_si512(a.value, b.value); }
  [[gnu::always_inline]] friend WordsAvx512 operator*(WordsAvx512 a, WordsAvx512 b) { return _mm512_mullo_epi32(a.value, b.value); }
};

/// Sixteen floats in an AVX-512 register; members as in vector_baseline.h. Only for files named *_avx512.cpp.
struct VectorAvx512 {
  static constexpr int kWidth = 16;
  using Words = WordsAvx512;
  __m512 value;

  VectorAvx512() = default;
  [[gnu::always_inline]] VectorAvx512(__m512 from) : value(from) {}
  [[gnu::always_inline]] VectorAvx512(float all) : value(_mm512_set1_ps(all)) {}

  [[gnu::always_inline]] static VectorAvx512 load(const float* from) { return _mm512_loadu_ps(from); }
  [[gnu::always_inline]] void store(float* to) const { _mm512_storeu_ps(to, value); }

  [[gnu::always_inline]] static VectorAvx512 load_first(const float* from, std::int64_t count) {
    return _mm512_maskz_loadu_ps(first(count), from);
  }
  [[gnu::always_inline]] void store_first(float* to, std::int64_t count) const { _mm512_mask_storeu_ps(to, first(count), value); }

  [[gnu::always_inline]] static VectorAvx512 load_first(const Bf16* from, std::int64_t count) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first(count), from)), 16));
  }
  [[gnu::always_inline]] static VectorAvx512 load_first(const Int8* from, std::int64_t count) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(first(count), from)));
  }
  [[gnu::always_inline]] static VectorAvx512 load_first(const Fp16* from, std::int64_t count) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(count), from));
  }
  [[gnu::always_inline]] void store_first(Bf16* to, std::int64_t count) const {
    _mm256_mask_storeu_epi16(to, first(count), _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(value), 16)));
  }
  [[gnu::always_inline]] void store_first(Fp16* to, std::int64_t count) const {
    _mm256_mask_storeu_epi16(to, first(count), _mm512_cvtps_ph(value, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC));
  }

  [[gnu::always_inline]] friend VectorAvx512 operator+(VectorAvx512 a, VectorAvx512 b) { return _mm512_add_ps(a.value, b.value); }
  [[gnu::always_inline]] friend VectorAvx512 operator-(VectorAvx512 a, VectorAvx512 b) { return _mm512_sub_ps(a.value, b.value); }
  [[gnu::always_inline]] friend VectorAvx512 operator*(VectorAvx512 a, VectorAvx512 b) { return _mm512_mul_ps(a.value, b.value); }
  [[gnu::always_inline]] friend VectorAvx512 operator/(VectorAvx512 a, VectorAvx512 b) { return _mm512_div_ps(a.value, b.value); }

  [[gnu::always_inline]] friend VectorAvx512 multiply_add(VectorAvx512 a, VectorAvx512 b, VectorAvx512 c) {
    return _mm512_fmadd_ps(a.value, b.value, c.value);
  }
  [[gnu::always_inline]] friend VectorAvx512 square_root(VectorAvx512 a) { return _mm512_sqrt_ps(a.value); }
  [[gnu::always_inline]] friend VectorAvx512 clamp(VectorAvx512 a, VectorAvx512 low, VectorAvx512 high) {
    return _mm512_min_ps(high.value, _mm512_max_ps(low.value, a.value));
  }
  [[gnu::always_inline]] friend VectorAvx512 nearest_integer(VectorAvx512 a) {
    return _mm512_roundscale_ps(a.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  [[gnu::always_inline]] friend VectorAvx512 power_of_two(VectorAvx512 a) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(a.value), _mm512_set1_epi32(127)), 23));
  }
  [[gnu::always_inline]] friend VectorAvx512 absolute(VectorAvx512 a) { return _mm512_abs_ps(a.value); }
  [[gnu::always_inline]] friend VectorAvx512 larger(VectorAvx512 a, VectorAvx512 b) { return _mm512_max_ps(a.value, b.value); }
  [[gnu::always_inline]] friend std::uint32_t greater(VectorAvx512 a, VectorAvx512 b) {
    return _mm512_cmp_ps_mask(a.value, b.value, _CMP_GT_OQ);
  }
  [[gnu::always_inline]] friend std::uint32_t not_at_most(VectorAvx512 a, VectorAvx512 b) {
    return _mm512_cmp_ps_mask(a.value, b.value, _CMP_NLE_UQ);
  }
  [[gnu::always_inline]] friend VectorAvx512 exponent_part(VectorAvx512 a) {
    return _mm512_and_ps(a.value, _mm512_castsi512_ps(_mm512_set1_epi32(0x7F800000)));
  }
  [[gnu::always_inline]] friend VectorAvx512 with_sign_of(VectorAvx512 a, VectorAvx512 sign) {
    return _mm512_or_ps(a.value, _mm512_and_ps(sign.value, _mm512_set1_ps(-0.0f)));
  }
  [[gnu::always_inline]] friend VectorAvx512 plus_bits(VectorAvx512 a, WordsAvx512 words) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.value), words.value));
  }
  [[gnu::always_inline]] static VectorAvx512 from_numbers(WordsAvx512 words) { return _mm512_cvtepi32_ps(words.value); }
  [[gnu::always_inline]] friend float sum(VectorAvx512 a) {
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a.value), _mm512_extractf32x8_ps(a.value, 1));
    const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    const __m128 pairs = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1)));
  }

 private:
  [[gnu::always_inline]] static __mmask16 first(std::int64_t count) {
    return static_cast<__mmask16>(count >= kWidth ? 0xFFFFu : (1u << count) - 1u);
  }
};

}  // namespace rechost

#pragma GCC pop_options
