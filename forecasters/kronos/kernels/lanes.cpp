// What PyTorch's operators, compiled or not, do more slowly on a CPU: attention of many samples over keys and values
// that they share, products of few rows with weights that memory has to bring, and all that lies between them.
//
// The files of this folder are one source, in the order that build.py names; before it stands what paths.py defines for
// the path that was chosen. Matrices are row-major. Sums, attention and what is passed from block to block are float32;
// what is multiplied by weights is float32 or bfloat16, as they are.

#if defined(CPU_CAPABILITY_AVX512) && !(defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && \
                                        defined(__AVX512VL__) && defined(__FMA__))
#error "the compiler's flags lack AVX-512"
#endif
#if defined(KERNELS_BFLOAT16_PAIRS) && !defined(__AVX512BF16__)
#error "the compiler's flags lack AVX-512 BF16"
#endif
#if defined(CPU_CAPABILITY_AVX2) && !(defined(__AVX2__) && defined(__FMA__) && defined(__F16C__))
#error "the compiler's flags lack AVX2, FMA or F16C"
#endif

#include <ATen/cpu/vec/functional.h>
#include <ATen/cpu/vec/vec.h>

#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

namespace {

using Lanes = at::vec::Vectorized<float>;
using Half = c10::BFloat16;

constexpr int64_t LANES = Lanes::size();

float total(const Lanes& lanes) {
  return at::vec::vec_reduce_all<float>([](Lanes& one, Lanes& two) { return one + two; }, lanes);
}

void scale(float* out, const float* from, float factor, int64_t count) {
  at::vec::map<float>([factor](Lanes each) { return each * Lanes(factor); }, out, from, count);
}

// exp(score - largest) in place; returns one over their sum
float soften(float* scores, int64_t count) {
  const float largest = at::vec::reduce_all<float>([](Lanes a, Lanes b) { return at::vec::maximum(a, b); }, scores, count);
  const Lanes shift(largest);
  Lanes sum(0.0f);
  int64_t index = 0;
  for (; index + LANES <= count; index += LANES) {
    const Lanes each = (Lanes::loadu(scores + index) - shift).exp_u20();
    each.store(scores + index);
    sum = sum + each;
  }
  float all = total(sum);
  if (index < count) {
    (Lanes::loadu(scores + index, count - index) - shift).exp_u20().store(scores + index, count - index);
    for (; index < count; ++index) all += scores[index];
  }
  return 1.0f / all;
}

Lanes load(const float* from, int64_t count) { return Lanes::loadu(from, count); }

Lanes load(const Half* from, int64_t count) {
  return std::get<0>(at::vec::convert_bfloat16_float(at::vec::Vectorized<Half>::loadu(from, count)));
}

void store(Lanes value, float* to, int64_t count) { value.store(to, count); }

void store(Lanes value, Half* to, int64_t count) { at::vec::convert_float_bfloat16(value, value).store(to, count); }

// Memory that is kept from call to call: it is asked for at every step
template <typename Number, int WHICH>
Number* scratch(int64_t count) {
  static thread_local std::vector<Number> kept;
  if (static_cast<int64_t>(kept.size()) < count) kept.resize(count);
  return kept.data();
}

template <typename To, typename From>
void convert(To* out, const From* from, int64_t count) {
  for (int64_t index = 0; index < count; index += LANES) {
    const int64_t part = std::min(count - index, LANES);
    store(load(from + index, part), out + index, part);
  }
}

// to a root mean square of 1, times a weight where there is one
template <typename To, typename From>
void normalise(To* out, const From* rows, const To* weight, int64_t count, int64_t width, float epsilon,
               int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t row = 0; row < count; ++row) {
    const From* from = rows + row * width;
    Lanes squares(0.0f);
    for (int64_t index = 0; index < width; index += LANES) {
      const Lanes each = load(from + index, std::min(width - index, LANES));
      squares = at::vec::fmadd(each, each, squares);
    }
    const Lanes factor(1.0f / std::sqrt(total(squares) / static_cast<float>(width) + epsilon));
    for (int64_t index = 0; index < width; index += LANES) {
      const int64_t part = std::min(width - index, LANES);
      const Lanes each = load(from + index, part) * factor;
      store(weight == nullptr ? each : each * load(weight + index, part), out + row * width + index, part);
    }
  }
}

// silu(opened) linear
Lanes gated(Lanes opened, Lanes linear) { return opened / (Lanes(1.0f) + opened.neg().exp_u20()) * linear; }

template <typename Number>
void gate(Number* out, const Number* both, int64_t count, int64_t width, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t row = 0; row < count; ++row) {
    const Number *opened = both + row * 2 * width, *linear = opened + width;
    for (int64_t index = 0; index < width; index += LANES) {
      const int64_t part = std::min(width - index, LANES);
      store(gated(load(opened + index, part), load(linear + index, part)), out + row * width + index, part);
    }
  }
}

}  // namespace

// Root mean square norm without a weight: [count, width]
extern "C" void normalise_float32(float* out, const float* rows, int64_t count, int64_t width, float epsilon,
                                  int64_t threads) {
  normalise<float, float>(out, rows, nullptr, count, width, epsilon, threads);
}
extern "C" void normalise_bfloat16(Half* out, const Half* rows, int64_t count, int64_t width, float epsilon,
                                   int64_t threads) {
  normalise<Half, Half>(out, rows, nullptr, count, width, epsilon, threads);
}

// silu of the first half times the second: [count, 2 width] -> [count, width]
extern "C" void gate_float32(float* out, const float* both, int64_t count, int64_t width, int64_t threads) {
  gate(out, both, count, width, threads);
}
extern "C" void gate_bfloat16(Half* out, const Half* both, int64_t count, int64_t width, int64_t threads) {
  gate(out, both, count, width, threads);
}
