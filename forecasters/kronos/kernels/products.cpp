// y = x W', with W in panels: see panels.cpp. A row's sums do not depend on how many rows there are beside it.
//
// Rows [count, depth] and sums lie row by row. Of all pointers here: rows, weight and bias are only read while what is
// written to is another's memory, and a weight is PANEL * depth numbers for each panel, never less.

namespace {

// What rows are multiplied as: where pairs of bfloat16 can't be, they are widened once, and weights as they are read.
#if defined(KERNELS_BFLOAT16_PAIRS)
template <typename Number>
using Factor = Number;
#else
template <typename Number>
using Factor = float;
#endif

// The panel that comes next is brought from memory while this one is multiplied: left to the processor, the first rows
// of every panel wait for it, a quarter of a step's time.
class Ahead {
 public:
  template <typename Number>
  Ahead(const Number* panel, int64_t depth, int64_t strips)
      : next_(reinterpret_cast<const char*>(panel)),
        end_(next_ + (panel == nullptr ? 0 : depth * PANEL * sizeof(Number))),
        together_((LINES + strips - 1) / strips) {}

  void ask() {  // once for every LINES lines of memory of the panel at hand, by each strip
    for (int64_t each = 0; each < together_ && next_ < end_; ++each, next_ += LINE) __builtin_prefetch(next_, 0, 2);
  }

 private:
  static constexpr int64_t LINE = 64, LINES = PANEL * sizeof(float) / LINE;  // of one input, or one pair
  const char *next_, *const end_;
  const int64_t together_;
};

// sums [ROWS, PANEL] += rows [ROWS, depth] panel [depth, PANEL]
template <int ROWS>
inline void collect(Lanes (&sums)[ROWS][PARTS], const float* rows, const float* panel, int64_t depth, Ahead& ahead) {
  for (int64_t index = 0; index < depth; ++index) {
    ahead.ask();
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

#if defined(KERNELS_BFLOAT16_PAIRS)
template <int ROWS>
inline void collect(Lanes (&sums)[ROWS][PARTS], const Half* rows, const Half* panel, int64_t depth, Ahead& ahead) {
  for (int64_t index = 0; index < depth; index += 2) {
    ahead.ask();
    __m512bh held[PARTS];
#pragma GCC unroll 8
    for (int part = 0; part < PARTS; ++part)
      held[part] = (__m512bh)_mm512_loadu_si512(panel + index * PANEL + part * 2 * LANES);
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row) {
      int32_t both;
      std::memcpy(&both, rows + row * depth + index, sizeof both);
      const auto pair = (__m512bh)_mm512_set1_epi32(both);
#pragma GCC unroll 8
      for (int part = 0; part < PARTS; ++part)
        sums[row][part] = Lanes(_mm512_dpbf16_ps(static_cast<__m512>(sums[row][part]), pair, held[part]));
    }
  }
}
#else
// LANES pairs of bfloat16 -> the first of each and the second of each: the upper half of a float32 is a bfloat16
inline std::pair<Lanes, Lanes> widened(const Half* pairs) {
#if defined(CPU_CAPABILITY_AVX512)
  const __m512i both = _mm512_loadu_si512(pairs);
  const __m512i second = _mm512_and_si512(both, _mm512_set1_epi32(-65536));
  return {Lanes(_mm512_castsi512_ps(_mm512_slli_epi32(both, 16))), Lanes(_mm512_castsi512_ps(second))};
#elif defined(CPU_CAPABILITY_AVX2)
  const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pairs));
  const __m256i second = _mm256_and_si256(both, _mm256_set1_epi32(-65536));
  return {Lanes(_mm256_castsi256_ps(_mm256_slli_epi32(both, 16))), Lanes(_mm256_castsi256_ps(second))};
#else
  float first[LANES], second[LANES];
  for (int64_t lane = 0; lane < LANES; ++lane) {
    first[lane] = static_cast<float>(pairs[2 * lane]);
    second[lane] = static_cast<float>(pairs[2 * lane + 1]);
  }
  return {Lanes::loadu(first), Lanes::loadu(second)};
#endif
}

template <int ROWS>
inline void collect(Lanes (&sums)[ROWS][PARTS], const float* rows, const Half* panel, int64_t depth, Ahead& ahead) {
  for (int64_t index = 0; index < depth; index += 2) {
    ahead.ask();
#pragma GCC unroll 8
    for (int part = 0; part < PARTS; ++part) {
      const auto [first, second] = widened(panel + index * PANEL + part * 2 * LANES);
#pragma GCC unroll 8
      for (int row = 0; row < ROWS; ++row) {
        const float* factors = rows + row * depth + index;
        sums[row][part] = at::vec::fmadd(Lanes(factors[0]), first, sums[row][part]);
        sums[row][part] = at::vec::fmadd(Lanes(factors[1]), second, sums[row][part]);
      }
    }
  }
}
#endif

// The rows themselves where they are multiplied as they are. Else they are this thread's, until it asks again.
inline const float* factors_of(const float* rows, int64_t) { return rows; }

inline const Factor<Half>* factors_of(const Half* rows, int64_t count) {
#if defined(KERNELS_BFLOAT16_PAIRS)
  return rows;
#else
  float* wide = scratch<float, 11>(count);
  convert(wide, rows, count);
  return wide;
#endif
}

template <int ROWS, typename Number, typename Finish>
void strip(const Factor<Number>* rows, const Number* panel, int64_t depth, int64_t first, Ahead& ahead,
           const Finish& finish) {
  Lanes sums[ROWS][PARTS];
#pragma GCC unroll 8
  for (int row = 0; row < ROWS; ++row)
#pragma GCC unroll 8
    for (int part = 0; part < PARTS; ++part) sums[row][part] = Lanes(0.0f);
  collect<ROWS>(sums, rows + first * depth, panel, depth, ahead);
#pragma GCC unroll 8
  for (int row = 0; row < ROWS; ++row)
#pragma GCC unroll 8
    for (int part = 0; part < PARTS; ++part) finish(first + row, part * LANES, sums[row][part]);
}

// finish(row, column within the panel, sums); a row's sums do not depend on the rows beside it
//
// next  the panel that is wanted after this one, null where there is none
template <typename Number, typename Finish>
void multiply_panel(const Factor<Number>* rows, const Number* panel, const Number* next, int64_t count, int64_t depth,
                    const Finish& finish) {
  Ahead ahead(next, depth, (count + TALL - 1) / TALL);
  int64_t first = 0;
  for (; first + TALL <= count; first += TALL) strip<TALL, Number>(rows, panel, depth, first, ahead, finish);
  switch (count - first) {
    case 1: return strip<1, Number>(rows, panel, depth, first, ahead, finish);
    case 2: return strip<2, Number>(rows, panel, depth, first, ahead, finish);
    case 3: return strip<3, Number>(rows, panel, depth, first, ahead, finish);
    case 4: return strip<4, Number>(rows, panel, depth, first, ahead, finish);
    case 5: return strip<5, Number>(rows, panel, depth, first, ahead, finish);
  }
}

// finish(row, column, sums)
template <typename Number, typename Finish>
void multiply_all(const Number* rows, const Number* weight, int64_t count, int64_t depth, int64_t outputs,
                     int64_t threads, const Finish& finish) {
  const Factor<Number>* factors = factors_of(rows, count * depth);
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t first = 0; first < outputs; first += PANEL) {
    const Number *panel = weight + first * depth, *next = first + PANEL < outputs ? panel + PANEL * depth : nullptr;
    multiply_panel(factors, panel, next, count, depth, [&](int64_t row, int64_t column, Lanes sums) {
      finish(row, first + column, sums);
    });
  }
}

// out = rows W' + bias
template <typename Number, typename To>
void apply(To* out, const Number* rows, const Number* weight, const Number* bias, int64_t count, int64_t depth,
           int64_t outputs, int64_t threads) {
  multiply_all(rows, weight, count, depth, outputs, threads, [=](int64_t row, int64_t column, Lanes sums) {
    store(bias == nullptr ? sums : sums + load(bias + column, LANES), out + row * outputs + column, LANES);
  });
}

// out += rows W' + bias
template <typename Number>
void apply_added(float* out, const Number* rows, const Number* weight, const Number* bias, int64_t count,
                 int64_t depth, int64_t outputs, int64_t threads) {
  multiply_all(rows, weight, count, depth, outputs, threads, [=](int64_t row, int64_t column, Lanes sums) {
    float* to = out + row * outputs + column;
    const Lanes before = Lanes::loadu(to);
    (before + (bias == nullptr ? sums : sums + load(bias + column, LANES))).store(to);
  });
}

// out = silu(rows W1') (rows W3'), with both in one weight, the first above: [count, depth] -> [count, outputs]
template <typename Number>
void apply_gated(Number* out, const Number* rows, const Number* weight, int64_t count, int64_t depth, int64_t outputs,
                 int64_t threads) {
  const Factor<Number>* factors = factors_of(rows, count * depth);
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t first = 0; first < outputs; first += PANEL) {
    float* opened = scratch<float, 2>(count * PANEL);
    const Number *panel = weight + first * depth, *second = panel + outputs * depth;
    const Number* next = first + PANEL < outputs ? panel + PANEL * depth : nullptr;
    multiply_panel(factors, panel, second, count, depth, [=](int64_t row, int64_t column, Lanes sums) {
      sums.store(opened + row * PANEL + column);
    });
    multiply_panel(factors, second, next, count, depth, [=](int64_t row, int64_t column, Lanes sums) {
      const Lanes each = gated(Lanes::loadu(opened + row * PANEL + column), sums);
      store(each, out + row * outputs + first + column, LANES);
    });
  }
}

}  // namespace

// [count, depth] -> [count, outputs]
extern "C" void apply_float32(float* out, const float* rows, const float* weight, const float* bias, int64_t count,
                              int64_t depth, int64_t outputs, int64_t threads) {
  apply(out, rows, weight, bias, count, depth, outputs, threads);
}

extern "C" void apply_bfloat16(Half* out, const Half* rows, const Half* weight, const Half* bias, int64_t count,
                               int64_t depth, int64_t outputs, int64_t threads) {
  apply(out, rows, weight, bias, count, depth, outputs, threads);
}
