// Attention: keys lie transposed, so that both of its products read along rows.
//
// Matrices lie row by row, `stride` numbers from row to row. Of all pointers here: they are valid for the shape that is
// said at each function, for as long as the call lasts, and what is written overlaps nothing that is read.

namespace {

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

// scores of one query with each of `count` keys [count, width], several at a time: a sum waits for the one before it
void score(float* out, const float* query, const float* keys, int64_t count, int64_t width) {
  constexpr int64_t TOGETHER = 4;
  for (int64_t first = 0; first < count; first += TOGETHER) {
    const int64_t some = std::min(count - first, TOGETHER);
    Lanes sums[TOGETHER] = {Lanes(0.0f), Lanes(0.0f), Lanes(0.0f), Lanes(0.0f)};
    for (int64_t index = 0; index < width; index += LANES) {
      const int64_t part = std::min(width - index, LANES);
      const Lanes asked = Lanes::loadu(query + index, part);
      for (int64_t each = 0; each < some; ++each)
        sums[each] = at::vec::fmadd(asked, Lanes::loadu(keys + (first + each) * width + index, part), sums[each]);
    }
    for (int64_t each = 0; each < some; ++each) out[first + each] = total(sums[each]);
  }
}

// out = (sums + weights values) factor, with values [count, width]
void gather(float* out, const float* sums, const float* weights, const float* values, float factor, int64_t count,
            int64_t width) {
  for (int64_t index = 0; index < width; index += LANES) {
    const int64_t part = std::min(width - index, LANES);
    Lanes sum = Lanes::loadu(sums + index, part);
    for (int64_t each = 0; each < count; ++each)
      sum = at::vec::fmadd(Lanes(weights[each]), Lanes::loadu(values + each * width + index, part), sum);
    (sum * Lanes(factor)).store(out + index, part);
  }
}

// one row of a head, turned by its position
template <typename Number>
void turn(float* __restrict out, const Number* __restrict from, const float* __restrict cosines,
          const float* __restrict sines, int64_t width) {
  const int64_t half = width / 2;
  for (int64_t index = 0; index < half; ++index) {
    const float one = static_cast<float>(from[index]), two = static_cast<float>(from[half + index]);
    out[index] = one * cosines[index] - two * sines[index];
    out[half + index] = two * cosines[half + index] + one * sines[half + index];
  }
}

template <typename Number>
void split(float* queries, float* keys, float* values, const Number* projected, const float* cosines,
           const float* sines, int64_t tokens, int64_t heads, int64_t width, int64_t threads) {
  constexpr int64_t TOGETHER = 16;  // keys are turned so many at a time, so that a line of memory is written whole
  const int64_t whole = heads * width;
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t head = 0; head < heads; ++head) {
    float* turned = scratch<float, 1>(TOGETHER * width);
    for (int64_t first = 0; first < tokens; first += TOGETHER) {
      const int64_t count = std::min(tokens - first, TOGETHER);
      for (int64_t token = first; token < first + count; ++token) {
        const Number* from = projected + token * 3 * whole + head * width;
        const float *cosine = cosines + token * width, *sine = sines + token * width;
        turn(queries + token * whole + head * width, from, cosine, sine, width);
        turn(turned + (token - first) * width, from + whole, cosine, sine, width);
        float* value = values + (head * tokens + token) * width;
        for (int64_t index = 0; index < width; ++index) value[index] = static_cast<float>(from[2 * whole + index]);
      }
      at::vec::transpose_mxn<float>(turned, width, keys + head * width * tokens + first, tokens, count, width);
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
    float *scores = scratch<float, 0>(BLOCK * (room + width)), *sums = scores + BLOCK * room;
    const int64_t block = item % blocks, both = item / blocks, one = both / heads, head = both % heads;
    const int64_t first = block * BLOCK, count = std::min(rows - first, BLOCK), length = lengths[one];
    const int64_t start = (one * rows + first) * stride + head * width;
    multiply(queries + start, stride, shared_keys + both * width * places, places, scores, room, count, width, length);
    float inverse[BLOCK];
    for (int64_t row = 0; row < count; ++row) {
      const int64_t sample = (first + row) / tokens, token = (first + row) % tokens, known = before[0] + token + 1;
      const float* keys = own_keys + (both * samples + sample) * own * width;
      score(scores + row * room + length, queries + start + row * stride, keys, known, width);
      inverse[row] = soften(scores + row * room, length + known);
    }
    multiply(scores, room, shared_values + both * places * width, width, sums, width, count, length, width);
    for (int64_t row = 0; row < count; ++row) {
      const int64_t sample = (first + row) / tokens, token = (first + row) % tokens, known = before[0] + token + 1;
      const float* values = own_values + (both * samples + sample) * own * width;
      const float* weights = scores + row * room + length;
      gather(out + start + row * stride, sums + row * width, weights, values, inverse[row], known, width);
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
    float *scores = scratch<float, 0>(BLOCK * (places + width)), *sums = scores + BLOCK * places;
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
