#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/row_precision.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")

namespace rechost {

/// Eight 32-bit words; members as in vector_baseline.h.
struct WordsAvx2 {
  __m256i value;

  [[gnu::always_inline]] WordsAvx2(__m256i from) : value(from) {}
  [[gnu::always_inline]] WordsAvx2(std::uint32_t all) : value(_mm256_set1_epi32(static_cast<int>(all))) {}
  [[gnu::always_inline]] static WordsAvx2 counting_from(std::uint32_t first) {
    return _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(first)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  template <int kBits>
  [[gnu::always_inline]] WordsAvx2 shifted_right() const {
    return _mm256_srli_epi32(value, kBits);
  }
  [[gnu::always_inline]] friend WordsAvx2 operator&(WordsAvx2 a, WordsAvx2 b) { return _mm256_and_si256(a.value, b.value); }
  [[gnu::always_inline]] friend WordsAvx2 operator^(WordsAvx2 a, WordsAvx2 b) { return _mm256_xor_si256(a.value, b.value); }
  [[gnu::always_inline]] friend WordsAvx2 operator*(WordsAvx2 a, WordsAvx2 b) { return _mm256_mullo_epi32(a.value, b.value); }
};

/// Eight floats in an AVX register; members as in vector_baseline.h. Only for files named *_avx2.cpp.
struct VectorAvx2 {
  static constexpr int kWidth = 8;
  using Words = WordsAvx2;
  __m256 value;

  VectorAvx2() = default;
  [[gnu::always_inline]] VectorAvx2(__m256 from) : value(from) {}
  [[gnu::always_inline]] VectorAvx2(float all) : value(_mm256_set1_ps(all)) {}

  [[gnu::always_inline]] static VectorAvx2 load(const float* from) { return _mm256_loadu_ps(from); }
  [[gnu::always_inline]] void store(float* to) const { _mm256_storeu_ps(to, value); }

  [[gnu::always_inline]] static VectorAvx2 load_first(const float* from, std::int64_t count) {
    if (count >= kWidth) return load(from);
    return _mm256_maskload_ps(from, first(count));
  }
  [[gnu::always_inline]] void store_first(float* to, std::int64_t count) const {
    if (count >= kWidth) {
      store(to);
    } else {
      _mm256_maskstore_ps(to, first(count), value);
    }
  }

  [[gnu::always_inline]] static VectorAvx2 load_first(const Bf16* from, std::int64_t count) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_halves(from, count)), 16));
  }
  /// Reads kWidth bytes whatever `count` is: behind the values of a row stand as many more.
  [[gnu::always_inline]] static VectorAvx2 load_first(const Int8* from, std::int64_t /*count*/) {
    static_assert(kWidth <= Int8::kRowFloats * static_cast<std::int64_t>(sizeof(float)));
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i_u*>(from))));
  }
  [[gnu::always_inline]] static VectorAvx2 load_first(const Fp16* from, std::int64_t count) { return _mm256_cvtph_ps(load_halves(from, count)); }
  [[gnu::always_inline]] void store_first(Bf16* to, std::int64_t count) const {
    const __m256i halves = _mm256_srli_epi32(_mm256_castps_si256(value), 16);
    store_halves(to, count, _mm_packus_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)));
  }
  [[gnu::always_inline]] void store_first(Fp16* to, std::int64_t count) const {
    store_halves(to, count, _mm256_cvtps_ph(value, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC));
  }

  [[gnu::always_inline]] friend VectorAvx2 operator+(VectorAvx2 a, VectorAvx2 b) { return _mm256_add_ps(a.value, b.value); }
  [[gnu::always_inline]] friend VectorAvx2 operator-(VectorAvx2 a, VectorAvx2 b) { return _mm256_sub_ps(a.value, b.value); }
  [[gnu::always_inline]] friend VectorAvx2 operator*(VectorAvx2 a, VectorAvx2 b) { return _mm256_mul_ps(a.value, b.value); }
  [[gnu::always_inline]] friend VectorAvx2 operator/(VectorAvx2 a, VectorAvx2 b) { return _mm256_div_ps(a.value, b.value); }

  [[gnu::always_inline]] friend VectorAvx2 multiply_add(VectorAvx2 a, VectorAvx2 b, VectorAvx2 c) {
    return _mm256_fmadd_ps(a.value, b.value, c.value);
  }
  [[gnu::always_inline]] friend VectorAvx2 square_root(VectorAvx2 a) { return _mm256_sqrt_ps(a.value); }
  [[gnu::always_inline]] friend VectorAvx2 clamp(VectorAvx2 a, VectorAvx2 low, VectorAvx2 high) {
    return _mm256_min_ps(high.value, _mm256_max_ps(low.value, a.value));
  }
  [[gnu::always_inline]] friend VectorAvx2 nearest_integer(VectorAvx2 a) {
    return _mm256_round_ps(a.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  [[gnu::always_inline]] friend VectorAvx2 power_of_two(VectorAvx2 a) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(a.value), _mm256_set1_epi32(127)), 23));
  }
  [[gnu::always_inline]] friend VectorAvx2 absolute(VectorAvx2 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.value); }
  [[gnu::always_inline]] friend VectorAvx2 larger(VectorAvx2 a, VectorAvx2 b) { return _mm256_max_ps(a.value, b.value); }
  [[gnu::always_inline]] friend std::uint32_t greater(VectorAvx2 a, VectorAvx2 b) {
    return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a.value, b.value, _CMP_GT_OQ)));
  }
  [[gnu::always_inline]] friend std::uint32_t not_at_most(VectorAvx2 a, VectorAvx2 b) {
    return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a.value, b.value, _CMP_NLE_UQ)));
  }
  [[gnu::always_inline]] friend VectorAvx2 exponent_part(VectorAvx2 a) {
    return _mm256_and_ps(a.value, _mm256_castsi256_ps(_mm256_set1_epi32(0x7F800000)));
  }
  [[gnu::always_inline]] friend VectorAvx2 with_sign_of(VectorAvx2 a, VectorAvx2 sign) {
    return _mm256_or_ps(a.value, _mm256_and_ps(sign.value, _mm256_set1_ps(-0.0f)));
  }
  [[gnu::always_inline]] friend VectorAvx2 plus_bits(VectorAvx2 a, WordsAvx2 words) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a.value), words.value));
  }
  [[gnu::always_inline]] static VectorAvx2 from_numbers(WordsAvx2 words) { return _mm256_cvtepi32_ps(words.value); }
  [[gnu::always_inline]] friend float sum(VectorAvx2 a) {
    const __m128 half = _mm_add_ps(_mm256_castps256_ps128(a.value), _mm256_extractf128_ps(a.value, 1));
    const __m128 pairs = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1)));
  }

 private:
  [[gnu::always_inline]] static __m128i load_halves(const void* from, std::int64_t count) {
    if (count >= kWidth) return _mm_loadu_si128(static_cast<const __m128i_u*>(from));
    __m128i halves = _mm_setzero_si128();
    std::memcpy(&halves, from, static_cast<std::size_t>(count) * sizeof(std::uint16_t));
    return halves;
  }
  [[gnu::always_inline]] static void store_halves(void* to, std::int64_t count, __m128i halves) {
    if (count >= kWidth) {
      _mm_storeu_si128(static_cast<__m128i_u*>(to), halves);
    } else {
      std::memcpy(to, &halves, static_cast<std::size_t>(count) * sizeof(std::uint16_t));
    }
  }
  [[gnu::always_inline]] static __m256i first(std::int64_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

}  // namespace rechost

#pragma GCC pop_options
