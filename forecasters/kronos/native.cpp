// What PyTorch's operators, compiled or not, do more slowly on a CPU: attention of many samples over keys and values
// that they share, and what surrounds the matrix products of a context.
//
// Matrices are row-major; keys lie transposed, so that both products of an attention read along rows. Attention is
// float32 throughout; what the matrix products take and give is float32 or bfloat16.

#include <ATen/cpu/vec/functional.h>
#include <ATen/cpu/vec/vec.h>

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <vector>

namespace {

using Lanes = at::vec::Vectorized<float>;

constexpr int64_t LANES = Lanes::size();
constexpr int64_t TALL = 6;                        // rows and vectors of a tile: its sums fill the registers
constexpr int64_t BROAD = LANES >= 16 ? 4 : 2;
constexpr int64_t BLOCK = 48;                      // rows whose scores are held at once, in the nearest caches

// out = left right, for ROWS rows and VECTORS vectors of columns, the last of which holds `last` columns
template <int ROWS, int VECTORS>
void tile(const float* left, int64_t left_stride, const float* right, int64_t right_stride, float* out,
          int64_t out_stride, int64_t depth, int64_t last) {
  Lanes sums[ROWS][VECTORS];
#pragma GCC unroll 8
  for (int row = 0; row < ROWS; ++row)
#pragma GCC unroll 8
    for (int each = 0; each < VECTORS; ++each) sums[row][each] = Lanes(0.0f);
  const bool whole = last == LANES;
  for (int64_t index = 0; index < depth; ++index) {
    Lanes held[VECTORS];
#pragma GCC unroll 8
    for (int each = 0; each < VECTORS - 1; ++each) held[each] = Lanes::loadu(right + index * right_stride + each * LANES);
    const float* end = right + index * right_stride + (VECTORS - 1) * LANES;
    held[VECTORS - 1] = whole ? Lanes::loadu(end) : Lanes::loadu(end, last);
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row) {
      const Lanes factor(left[row * left_stride + index]);
#pragma GCC unroll 8
      for (int each = 0; each < VECTORS; ++each) sums[row][each] = at::vec::fmadd(factor, held[each], sums[row][each]);
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < ROWS; ++row)
#pragma GCC unroll 8
    for (int each = 0; each < VECTORS; ++each)
      sums[row][each].store(out + row * out_stride + each * LANES, each == VECTORS - 1 ? last : LANES);
}

template <int VECTORS>
void panel(const float* left, int64_t left_stride, const float* right, int64_t right_stride, float* out,
           int64_t out_stride, int64_t rows, int64_t depth, int64_t last) {
  for (; rows >= TALL; rows -= TALL, left += TALL * left_stride, out += TALL * out_stride)
    tile<TALL, VECTORS>(left, left_stride, right, right_stride, out, out_stride, depth, last);
  switch (rows) {
    case 1: return tile<1, VECTORS>(left, left_stride, right, right_stride, out, out_stride, depth, last);
    case 2: return tile<2, VECTORS>(left, left_stride, right, right_stride, out, out_stride, depth, last);
    case 3: return tile<3, VECTORS>(left, left_stride, right, right_stride, out, out_stride, depth, last);
    case 4: return tile<4, VECTORS>(left, left_stride, right, right_stride, out, out_stride, depth, last);
    case 5: return tile<5, VECTORS>(left, left_stride, right, right_stride, out, out_stride, depth, last);
  }
}

// [rows, depth] [depth, columns] -> [rows, columns]
void multiply(const float* left, int64_t left_stride, const float* right, int64_t right_stride, float* out,
              int64_t out_stride, int64_t rows, int64_t depth, int64_t columns) {
  constexpr int64_t MOST = BROAD * LANES;
  for (int64_t first = 0; first < columns; first += MOST) {
    const int64_t count = std::min(columns - first, MOST), vectors = (count + LANES - 1) / LANES;
    const int64_t last = count - (vectors - 1) * LANES;
    const float* from = right + first;
    float* to = out + first;
    switch (vectors) {
      case 1: panel<1>(left, left_stride, from, right_stride, to, out_stride, rows, depth, last); break;
      case 2: panel<2>(left, left_stride, from, right_stride, to, out_stride, rows, depth, last); break;
      case 3: panel<3>(left, left_stride, from, right_stride, to, out_stride, rows, depth, last); break;
      case 4: panel<4>(left, left_stride, from, right_stride, to, out_stride, rows, depth, last); break;
    }
  }
}

float total(const Lanes& lanes) {
  return at::vec::vec_reduce_all<float>([](Lanes& one, Lanes& two) { return one + two; }, lanes);
}

float dot(const float* one, const float* two, int64_t count) {
  Lanes sum(0.0f);
  int64_t index = 0;
  for (; index + LANES <= count; index += LANES)
    sum = at::vec::fmadd(Lanes::loadu(one + index), Lanes::loadu(two + index), sum);
  if (index < count)
    sum = at::vec::fmadd(Lanes::loadu(one + index, count - index), Lanes::loadu(two + index, count - index), sum);
  return total(sum);
}

// out += weight added
void add_scaled(float* out, const float* added, float weight, int64_t count) {
  const Lanes factor(weight);
  int64_t index = 0;
  for (; index + LANES <= count; index += LANES)
    at::vec::fmadd(factor, Lanes::loadu(added + index), Lanes::loadu(out + index)).store(out + index);
  if (index < count) {
    const int64_t rest = count - index;
    at::vec::fmadd(factor, Lanes::loadu(added + index, rest), Lanes::loadu(out + index, rest)).store(out + index, rest);
  }
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

using Half = c10::BFloat16;

Lanes load(const float* from, int64_t count) { return Lanes::loadu(from, count); }

Lanes load(const Half* from, int64_t count) {
  return std::get<0>(at::vec::convert_bfloat16_float(at::vec::Vectorized<Half>::loadu(from, count)));
}

void store(Lanes value, float* to, int64_t count) { value.store(to, count); }

void store(Lanes value, Half* to, int64_t count) { at::vec::convert_float_bfloat16(value, value).store(to, count); }

template <typename Number>
void normalise(Number* out, const Number* rows, int64_t count, int64_t width, float epsilon, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t row = 0; row < count; ++row) {
    const Number* from = rows + row * width;
    Lanes squares(0.0f);
    for (int64_t index = 0; index < width; index += LANES) {
      const Lanes each = load(from + index, std::min(width - index, LANES));
      squares = at::vec::fmadd(each, each, squares);
    }
    const Lanes factor(1.0f / std::sqrt(total(squares) / static_cast<float>(width) + epsilon));
    for (int64_t index = 0; index < width; index += LANES) {
      const int64_t part = std::min(width - index, LANES);
      store(load(from + index, part) * factor, out + row * width + index, part);
    }
  }
}

template <typename Number>
void gate(Number* out, const Number* both, int64_t count, int64_t width, int64_t threads) {
  const Lanes one(1.0f);
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t row = 0; row < count; ++row) {
    const Number *opened = both + row * 2 * width, *linear = opened + width;
    for (int64_t index = 0; index < width; index += LANES) {
      const int64_t part = std::min(width - index, LANES);
      const Lanes each = load(opened + index, part);
      store(each / (one + each.neg().exp_u20()) * load(linear + index, part), out + row * width + index, part);
    }
  }
}

template <typename Number>
void split(float* queries, float* keys, float* values, const Number* projected, const float* cosines,
           const float* sines, int64_t tokens, int64_t heads, int64_t width, int64_t threads) {
  const int64_t whole = heads * width, half = width / 2;
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t head = 0; head < heads; ++head)
    for (int64_t token = 0; token < tokens; ++token) {
      const Number* from = projected + token * 3 * whole + head * width;
      const float *cosine = cosines + token * width, *sine = sines + token * width;
      float *query = queries + token * whole + head * width, *key = keys + head * width * tokens + token;
      for (int64_t part = 0; part < 2; ++part)
        for (int64_t index = 0; index < half; ++index) {
          const int64_t here = part * half + index, there = (1 - part) * half + index;
          const float sign = part == 0 ? -1.0f : 1.0f;
          query[here] = static_cast<float>(from[here]) * cosine[here] + sign * static_cast<float>(from[there]) * sine[here];
          key[here * tokens] = static_cast<float>(from[whole + here]) * cosine[here] +
                               sign * static_cast<float>(from[whole + there]) * sine[here];
        }
      float* value = values + (head * tokens + token) * width;
      for (int64_t index = 0; index < width; ++index) value[index] = static_cast<float>(from[2 * whole + index]);
    }
}

// Weights as oneDNN packs them: panels of 64 outputs, each [depth, 64] in float32, [depth / 2, 64, 2] in bfloat16.
constexpr int64_t PANEL = 64, PARTS = PANEL / LANES;

template <int ROWS>
void collect(Lanes (&sums)[ROWS][PARTS], const float* rows, const float* panel, int64_t depth) {
  for (int64_t index = 0; index < depth; ++index) {
    Lanes held[PARTS];
#pragma GCC unroll 8
    for (int part = 0; part < PARTS; ++part) held[part] = Lanes::loadu(panel + index * PANEL + part * LANES);
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row) {
      const Lanes factor(rows[row * depth + index]);
#pragma GCC unroll 8
      for (int part = 0; part < PARTS; ++part) sums[row][part] = at::vec::fmadd(factor, held[part], sums[row][part]);
    }
  }
}

#if defined(__AVX512BF16__)
template <int ROWS>
void collect(Lanes (&sums)[ROWS][PARTS], const Half* rows, const Half* panel, int64_t depth) {
  for (int64_t index = 0; index < depth; index += 2) {
    __m512bh held[PARTS];
#pragma GCC unroll 8
    for (int part = 0; part < PARTS; ++part)
      held[part] = (__m512bh)_mm512_loadu_si512(panel + index * PANEL + part * 2 * LANES);
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row) {
      const auto pair = (__m512bh)_mm512_set1_epi32(*reinterpret_cast<const int32_t*>(rows + row * depth + index));
#pragma GCC unroll 8
      for (int part = 0; part < PARTS; ++part)
        sums[row][part] = Lanes(_mm512_dpbf16_ps(static_cast<__m512>(sums[row][part]), pair, held[part]));
    }
  }
}
#endif

template <int ROWS, typename Number>
void strip(Number* out, const Number* rows, const Number* panel, const Number* bias, int64_t depth, int64_t outputs) {
  Lanes sums[ROWS][PARTS];
#pragma GCC unroll 8
  for (int row = 0; row < ROWS; ++row)
#pragma GCC unroll 8
    for (int part = 0; part < PARTS; ++part) sums[row][part] = Lanes(0.0f);
  collect<ROWS>(sums, rows, panel, depth);
#pragma GCC unroll 8
  for (int row = 0; row < ROWS; ++row)
#pragma GCC unroll 8
    for (int part = 0; part < PARTS; ++part) {
      const Lanes added = bias == nullptr ? Lanes(0.0f) : load(bias + part * LANES, LANES);
      store(sums[row][part] + added, out + row * outputs + part * LANES, LANES);
    }
}

template <typename Number>
void apply(Number* out, const Number* rows, const Number* weight, const Number* bias, int64_t count, int64_t depth,
           int64_t outputs, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t first = 0; first < outputs; first += PANEL) {
    const Number *panel = weight + first * depth, *added = bias == nullptr ? nullptr : bias + first, *from = rows;
    Number* to = out + first;
    int64_t left = count;
    for (; left >= TALL; left -= TALL, from += TALL * depth, to += TALL * outputs)
      strip<TALL>(to, from, panel, added, depth, outputs);
    switch (left) {
      case 1: strip<1>(to, from, panel, added, depth, outputs); break;
      case 2: strip<2>(to, from, panel, added, depth, outputs); break;
      case 3: strip<3>(to, from, panel, added, depth, outputs); break;
      case 4: strip<4>(to, from, panel, added, depth, outputs); break;
      case 5: strip<5>(to, from, panel, added, depth, outputs); break;
    }
  }
}

}  // namespace

// Scaled queries [series, samples, tokens, heads, width] over the first lengths[series] places that all of them share,
// and over own places 0 .. before + token of each sample.
//
// shared_keys    [series, heads, width, places]   shared_values  [series, heads, places, width]
// own_keys, own_values  [series, heads, samples, own, width]
extern "C" void attend(float* out, const float* queries, const float* shared_keys, const float* shared_values,
                       const int64_t* lengths, const float* own_keys, const float* own_values, const int64_t* before,
                       int64_t series, int64_t samples, int64_t tokens, int64_t heads, int64_t width, int64_t places,
                       int64_t own, int64_t threads) {
  const int64_t rows = samples * tokens, stride = heads * width, room = places + own;
  const int64_t blocks = (rows + BLOCK - 1) / BLOCK;
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t item = 0; item < series * heads * blocks; ++item) {
    static thread_local std::vector<float> scratch;
    scratch.resize(BLOCK * (room + width));
    float *scores = scratch.data(), *sums = scores + BLOCK * room;
    const int64_t block = item % blocks, both = item / blocks, one = both / heads, head = both % heads;
    const int64_t first = block * BLOCK, count = std::min(rows - first, BLOCK), length = lengths[one];
    const int64_t start = (one * rows + first) * stride + head * width;
    multiply(queries + start, stride, shared_keys + both * width * places, places, scores, room, count, width, length);
    float inverse[BLOCK];
    for (int64_t row = 0; row < count; ++row) {
      const int64_t sample = (first + row) / tokens, token = (first + row) % tokens, known = before[0] + token + 1;
      const float* keys = own_keys + (both * samples + sample) * own * width;
      float* after = scores + row * room + length;
      for (int64_t index = 0; index < known; ++index)
        after[index] = dot(queries + start + row * stride, keys + index * width, width);
      inverse[row] = soften(scores + row * room, length + known);
    }
    multiply(scores, room, shared_values + both * places * width, width, sums, width, count, length, width);
    for (int64_t row = 0; row < count; ++row) {
      const int64_t sample = (first + row) / tokens, token = (first + row) % tokens, known = before[0] + token + 1;
      const float* values = own_values + (both * samples + sample) * own * width;
      for (int64_t index = 0; index < known; ++index)
        add_scaled(sums + row * width, values + index * width, scores[row * room + length + index], width);
      scale(out + start + row * stride, sums + row * width, inverse[row], width);
    }
  }
}

// Scaled queries [tokens, heads, width], each over the places up to its own.
// keys [heads, width, places]   values [heads, places, width]
extern "C" void attend_causally(float* out, const float* queries, const float* keys, const float* values, int64_t tokens,
                                int64_t heads, int64_t width, int64_t places, int64_t threads) {
  const int64_t stride = heads * width, blocks = (tokens + BLOCK - 1) / BLOCK;
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t item = 0; item < heads * blocks; ++item) {
    static thread_local std::vector<float> scratch;
    scratch.resize(BLOCK * (places + width));
    float *scores = scratch.data(), *sums = scores + BLOCK * places;
    const int64_t head = item / blocks, first = item % blocks * BLOCK, count = std::min(tokens - first, BLOCK);
    const int64_t start = first * stride + head * width, reach = first + count;
    multiply(queries + start, stride, keys + head * width * places, places, scores, places, count, width, reach);
    float inverse[BLOCK];
    for (int64_t row = 0; row < count; ++row) {
      float* own = scores + row * places;
      inverse[row] = soften(own, first + row + 1);
      std::fill(own + first + row + 1, own + reach, 0.0f);
    }
    multiply(scores, places, values + head * places * width, width, sums, width, count, reach, width);
    for (int64_t row = 0; row < count; ++row)
      scale(out + start + row * stride, sums + row * width, inverse[row], width);
  }
}

// Root mean square norm without a weight: [count, width]
extern "C" void normalise_float32(float* out, const float* rows, int64_t count, int64_t width, float epsilon,
                                  int64_t threads) {
  normalise(out, rows, count, width, epsilon, threads);
}
extern "C" void normalise_bfloat16(Half* out, const Half* rows, int64_t count, int64_t width, float epsilon,
                                   int64_t threads) {
  normalise(out, rows, count, width, epsilon, threads);
}

// silu of the first half times the second: [count, 2 width] -> [count, width]
extern "C" void gate_float32(float* out, const float* both, int64_t count, int64_t width, int64_t threads) {
  gate(out, both, count, width, threads);
}
extern "C" void gate_bfloat16(Half* out, const Half* both, int64_t count, int64_t width, int64_t threads) {
  gate(out, both, count, width, threads);
}

// [tokens, 3, heads, width] -> queries [tokens, heads, width] and keys [heads, width, tokens], turned by their position,
// and values [heads, tokens, width]; cosines and sines [tokens, width]
extern "C" void split_float32(float* queries, float* keys, float* values, const float* projected, const float* cosines,
                              const float* sines, int64_t tokens, int64_t heads, int64_t width, int64_t threads) {
  split(queries, keys, values, projected, cosines, sines, tokens, heads, width, threads);
}
extern "C" void split_bfloat16(float* queries, float* keys, float* values, const Half* projected, const float* cosines,
                               const float* sines, int64_t tokens, int64_t heads, int64_t width, int64_t threads) {
  split(queries, keys, values, projected, cosines, sines, tokens, heads, width, threads);
}

// y = x W' + b, with W as oneDNN packs it where registers are this broad: [count, depth] -> [count, outputs], a multiple
// of 64; depth is one of 32
#if defined(CPU_CAPABILITY_AVX512)
extern "C" void apply_float32(float* out, const float* rows, const float* weight, const float* bias, int64_t count,
                              int64_t depth, int64_t outputs, int64_t threads) {
  apply(out, rows, weight, bias, count, depth, outputs, threads);
}
#endif

#if defined(CPU_CAPABILITY_AVX512) && defined(__AVX512BF16__)
extern "C" void apply_bfloat16(Half* out, const Half* rows, const Half* weight, const Half* bias, int64_t count,
                               int64_t depth, int64_t outputs, int64_t threads) {
  apply(out, rows, weight, bias, count, depth, outputs, threads);
}
#endif
