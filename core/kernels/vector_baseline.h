#pragma once

#include <smmintrin.h>

#include <cstdint>

namespace rechost {

/// Four floats in an SSE register. VectorBaseline, VectorAvx2 and VectorAvx512 have the same members, so kernels are templates over them;
/// each is used only in files compiled for its instruction set. Different types also keep the linker from merging one set's code with
/// another's.
struct VectorBaseline {
  static constexpr int kWidth = 4;
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

  [[gnu::always_inline]] friend float sum(VectorBaseline a) {
    const __m128 pairs = _mm_add_ps(a.value, _mm_movehl_ps(a.value, a.value));
    return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1)));
  }

 private:
  // By the one pair of instructions whose pointers need no alignment.
  [[gnu::always_inline]] static __m128 load_two(const float* from) {
    return _mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i_u*>(from)));
  }
};

}  // namespace rechost
