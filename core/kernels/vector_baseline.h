#pragma once

#include <smmintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/row_precision.h"

namespace rechost {

/// Four 32-bit words.
struct WordsBaseline {
  __m128i value;

  [[gnu::always_inline]] WordsBaseline(__m128i from) : value(from) {}
  [[gnu::always_inline]] WordsBaseline(std::uint32_t all) : value(_mm_set1_epi32(static_cast<int>(all))) {}
  [[gnu::always_inline]] static WordsBaseline counting_from(std::uint32_t first) {
    return _mm_add_epi32(_mm_set1_epi32(static_cast<int>(first)), _mm_setr_epi32(0, 1, 2, 3));
  }
  template <int kBits>
  [[gnu::always_inline]] WordsBaseline shifted_right() const {
    return _mm_srli_epi32(value, kBits);
  }
  [[gnu::always_inline]] friend WordsBaseline operator&(WordsBaseline a, WordsBaseline b) { return _mm_and_si128(a.value, b.value); }
  [[gnu::always_inline]] friend WordsBaseline operator^(WordsBaseline a, WordsBaseline b) { return _mm_xor_si128(a.value, b.value); }
  [[gnu::always_inline]] friend WordsBaseline operator*(WordsBaseline a, WordsBaseline b) { return _mm_mullo_epi32(a.value, b.value); }
};

/// Four floats in an SSE register. VectorBaseline, VectorAvx2 and VectorAvx512 have the same members, so kernels are templates over them;
/// each is used only in files compiled for its instruction set. Different types also keep the linker from merging one set's code with
/// another's.
struct VectorBaseline {
  static constexpr int kWidth = 4;
  using Words = WordsBaseline;
  __m128 value;

  VectorBaseline() = default;
  [[gnu::always_inline]] VectorBaseline(__m128 from) : value(from) {}
  [[gnu::always_inline]] VectorBaseline(float all) : value(_mm_set1_ps(all)) {}

  [[gnu::always_inline]] static VectorBaseline load(const float* from) { return _mm_loadu_ps(from); }
  [[gnu::always_inline]] void store(float* to) const { _mm_storeu_ps(to, value); }

  /// The first `count` of kWidth floats, the rest zero; touches no memory past them. 0 <= count <= kWidth.
  [[gnu::always_inline]] static VectorBaseline load_first(const float* from, std::int64_t count) {
    if (count >= kWidth) return load(from);
    if (count == 1) return _mm_load_ss(from);
    if (count == 2) return load_two(from);
    if (count == 3) return _mm_movelh_ps(load_two(from), _mm_load_ss(from + 2));
    return _mm_setzero_ps();
  }
  [[gnu::always_inline]] void store_first(float* to, std::int64_t count) const {
    if (count >= kWidth) {
      store(to);
    } else if (count == 1) {
      _mm_store_ss(to, value);
    } else if (count >= 2) {
      _mm_storel_epi64(reinterpret_cast<__m128i_u*>(to), _mm_castps_si128(value));
      if (count == 3) _mm_store_ss(to + 2, _mm_movehl_ps(value, value));
    }
  }

  /// As from float; exact.
  [[gnu::always_inline]] static VectorBaseline load_first(const Bf16* from, std::int64_t count) {
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(load_halves(from, count)), 16));
  }
  /// Reads kWidth bytes whatever `count` is: behind the values of a row stand as many more.
  [[gnu::always_inline]] static VectorBaseline load_first(const Int8* from, std::int64_t /*count*/) {
    static_assert(kWidth <= Int8::kRowFloats * static_cast<std::int64_t>(sizeof(float)));
    std::int32_t bytes = 0;
    std::memcpy(&bytes, from, sizeof bytes);
    return _mm_cvtepi32_ps(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes)));
  }
  [[gnu::always_inline]] static VectorBaseline load_first(const Fp16* from, std::int64_t count) {
    const __m128i halves = _mm_cvtepu16_epi32(load_halves(from, count));
    const __m128i magnitude = _mm_and_si128(halves, _mm_set1_epi32(0x7FFF));
    const __m128i sign = _mm_slli_epi32(_mm_andnot_si128(_mm_set1_epi32(0x7FFF), halves), 16);
    const __m128i shift = _mm_set1_epi32(kFp16ExponentShift);
    const __m128i endless = _mm_and_si128(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7BFF)), shift);  // infinity and NaN
    const __m128i normal = _mm_add_epi32(_mm_add_epi32(_mm_slli_epi32(magnitude, 13), shift), endless);
    const __m128 subnormal = _mm_mul_ps(_mm_cvtepi32_ps(magnitude), _mm_set1_ps(0x1p-24f));
    const __m128i is_normal = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x03FF));
    return _mm_or_ps(_mm_castsi128_ps(sign), _mm_blendv_ps(subnormal, _mm_castsi128_ps(normal), _mm_castsi128_ps(is_normal)));
  }
  /// Cut off, that is rounded towards zero. Numbers beyond the largest are not for this function.
  [[gnu::always_inline]] void store_first(Bf16* to, std::int64_t count) const {
    store_halves(to, count, _mm_srli_epi32(_mm_castps_si128(value), 16));
  }
  [[gnu::always_inline]] void store_first(Fp16* to, std::int64_t count) const {
    const __m128i bits = _mm_castps_si128(value);
    const __m128i magnitude = _mm_and_si128(bits, _mm_set1_epi32(0x7FFFFFFF));
    const __m128i normal = _mm_srli_epi32(_mm_sub_epi32(magnitude, _mm_set1_epi32(kFp16ExponentShift)), 13);
    const __m128i subnormal = _mm_cvttps_epi32(_mm_mul_ps(_mm_castsi128_ps(magnitude), _mm_set1_ps(0x1p24f)));
    const __m128i is_normal = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(kLeastNormalFp16 - 1));
    const __m128i sign = _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(0x8000));
    const __m128i rounded = _mm_blendv_epi8(subnormal, normal, is_normal);
    store_halves(to, count, _mm_or_si128(_mm_and_si128(rounded, _mm_set1_epi32(0x7FFF)), sign));
  }

  [[gnu::always_inline]] friend VectorBaseline operator+(VectorBaseline a, VectorBaseline b) { return _mm_add_ps(a.value, b.value); }
  [[gnu::always_inline]] friend VectorBaseline operator-(VectorBaseline a, VectorBaseline b) { return _mm_sub_ps(a.value, b.value); }
  [[gnu::always_inline]] friend VectorBaseline operator*(VectorBaseline a, VectorBaseline b) { return _mm_mul_ps(a.value, b.value); }
  [[gnu::always_inline]] friend VectorBaseline operator/(VectorBaseline a, VectorBaseline b) { return _mm_div_ps(a.value, b.value); }

  /// a * b + c, rounded once where the processor can.
  [[gnu::always_inline]] friend VectorBaseline multiply_add(VectorBaseline a, VectorBaseline b, VectorBaseline c) {
    return _mm_add_ps(_mm_mul_ps(a.value, b.value), c.value);
  }
  [[gnu::always_inline]] friend VectorBaseline square_root(VectorBaseline a) { return _mm_sqrt_ps(a.value); }

  /// `a` held between low and high; NaN stays NaN.
  [[gnu::always_inline]] friend VectorBaseline clamp(VectorBaseline a, VectorBaseline low, VectorBaseline high) {
    return _mm_min_ps(high.value, _mm_max_ps(low.value, a.value));
  }

  /// To the nearest whole number, ties to even.
  [[gnu::always_inline]] friend VectorBaseline nearest_integer(VectorBaseline a) {
    return _mm_round_ps(a.value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  /// 2^a for whole numbers from -126 to 127.
  [[gnu::always_inline]] friend VectorBaseline power_of_two(VectorBaseline a) {
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(_mm_cvtps_epi32(a.value), _mm_set1_epi32(127)), 23));
  }
  [[gnu::always_inline]] friend VectorBaseline absolute(VectorBaseline a) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), a.value); }
  /// The larger; `b` where one is NaN.
  [[gnu::always_inline]] friend VectorBaseline larger(VectorBaseline a, VectorBaseline b) { return _mm_max_ps(a.value, b.value); }

  /// Bit i is set where a[i] > b[i].
  [[gnu::always_inline]] friend std::uint32_t greater(VectorBaseline a, VectorBaseline b) {
    return static_cast<std::uint32_t>(_mm_movemask_ps(_mm_cmpgt_ps(a.value, b.value)));
  }

  /// Bit i is set unless a[i] <= b[i]: where one is NaN as well.
  [[gnu::always_inline]] friend std::uint32_t not_at_most(VectorBaseline a, VectorBaseline b) {
    return static_cast<std::uint32_t>(_mm_movemask_ps(_mm_cmpnle_ps(a.value, b.value)));
  }

  /// The power of two that |a| begins with; 0 for subnormal numbers.
  [[gnu::always_inline]] friend VectorBaseline exponent_part(VectorBaseline a) {
    return _mm_and_ps(a.value, _mm_castsi128_ps(_mm_set1_epi32(0x7F800000)));
  }
  /// `a`, not negative, with the sign of the other.
  [[gnu::always_inline]] friend VectorBaseline with_sign_of(VectorBaseline a, VectorBaseline sign) {
    return _mm_or_ps(a.value, _mm_and_ps(sign.value, _mm_set1_ps(-0.0f)));
  }
  /// The number whose bits are those of `a` plus `words`, both read as integers.
  [[gnu::always_inline]] friend VectorBaseline plus_bits(VectorBaseline a, WordsBaseline words) {
    return _mm_castsi128_ps(_mm_add_epi32(_mm_castps_si128(a.value), words.value));
  }
  /// Words below 2^31 as numbers.
  [[gnu::always_inline]] static VectorBaseline from_numbers(WordsBaseline words) { return _mm_cvtepi32_ps(words.value); }

  [[gnu::always_inline]] friend float sum(VectorBaseline a) {
    const __m128 pairs = _mm_add_ps(a.value, _mm_movehl_ps(a.value, a.value));
    return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1)));
  }

 private:
  static constexpr int kFp16ExponentShift = (127 - 15) << 23;  // between the exponents' biases
  static constexpr int kLeastNormalFp16 = (127 - 14) << 23;    // 2^-14

  [[gnu::always_inline]] static __m128i load_halves(const void* from, std::int64_t count) {
    if (count >= kWidth) return _mm_loadl_epi64(static_cast<const __m128i_u*>(from));
    __m128i halves = _mm_setzero_si128();
    std::memcpy(&halves, from, static_cast<std::size_t>(count) * sizeof(std::uint16_t));
    return halves;
  }
  /// `words`: each below 2^16.
  [[gnu::always_inline]] static void store_halves(void* to, std::int64_t count, __m128i words) {
    const __m128i halves = _mm_packus_epi32(words, words);
    if (count >= kWidth) {
      _mm_storel_epi64(static_cast<__m128i_u*>(to), halves);
    } else {
      std::memcpy(to, &halves, static_cast<std::size_t>(count) * sizeof(std::uint16_t));
    }
  }
  // By the one pair of instructions whose pointers need no alignment.
  [[gnu::always_inline]] static __m128 load_two(const float* from) {
    return _mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i_u*>(from)));
  }
};

}  // namespace rechost
