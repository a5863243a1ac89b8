// y = x W', with W where oneDNN has packed it: panels of 64 outputs, each [depth, 64] in float32, [depth / 2, 64, 2] in
// bfloat16. Outputs are a multiple of 64, depth is one of 32. Only where registers are as broad as that layout asks.
#if defined(CPU_CAPABILITY_AVX512)

namespace {

constexpr int64_t PANEL = 64, PARTS = PANEL / LANES;

// The panel that comes next is brought from memory while this one is multiplied: left to the processor, the first rows
// of every panel wait for it, a quarter of a step's time.
class Ahead {
 public:
  template <typename Number>
  Ahead(const Number* panel, int64_t depth, int64_t strips)
      : next_(reinterpret_cast<const char*>(panel)),
        end_(next_ + (panel == nullptr ? 0 : depth * PANEL * sizeof(Number))),
        together_((PARTS + strips - 1) / strips) {}

  void ask() {  // once for every PARTS lines of memory of the panel at hand, by each strip
    for (int64_t each = 0; each < together_ && next_ < end_; ++each, next_ += LINE) _mm_prefetch(next_, _MM_HINT_T1);
  }

 private:
  static constexpr int64_t LINE = 64;
  const char *next_, *const end_;
  const int64_t together_;
};

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

#if defined(__AVX512BF16__)
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
      const auto pair = (__m512bh)_mm512_set1_epi32(*reinterpret_cast<const int32_t*>(rows + row * depth + index));
#pragma GCC unroll 8
      for (int part = 0; part < PARTS; ++part)
        sums[row][part] = Lanes(_mm512_dpbf16_ps(static_cast<__m512>(sums[row][part]), pair, held[part]));
    }
  }
}
#endif

template <int ROWS, typename Number, typename Finish>
void strip(const Number* rows, const Number* panel, int64_t depth, int64_t first, Ahead& ahead, const Finish& finish) {
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
void multiply_panel(const Number* rows, const Number* panel, const Number* next, int64_t count, int64_t depth,
                    const Finish& finish) {
  Ahead ahead(next, depth, (count + TALL - 1) / TALL);
  int64_t first = 0;
  for (; first + TALL <= count; first += TALL) strip<TALL>(rows, panel, depth, first, ahead, finish);
  switch (count - first) {
    case 1: return strip<1>(rows, panel, depth, first, ahead, finish);
    case 2: return strip<2>(rows, panel, depth, first, ahead, finish);
    case 3: return strip<3>(rows, panel, depth, first, ahead, finish);
    case 4: return strip<4>(rows, panel, depth, first, ahead, finish);
    case 5: return strip<5>(rows, panel, depth, first, ahead, finish);
  }
}

// finish(row, column, sums)
template <typename Number, typename Finish>
void multiply_packed(const Number* rows, const Number* weight, int64_t count, int64_t depth, int64_t outputs,
                     int64_t threads, const Finish& finish) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t first = 0; first < outputs; first += PANEL) {
    const Number *panel = weight + first * depth, *next = first + PANEL < outputs ? panel + PANEL * depth : nullptr;
    multiply_panel(rows, panel, next, count, depth, [&](int64_t row, int64_t column, Lanes sums) {
      finish(row, first + column, sums);
    });
  }
}

// out = rows W' + bias
template <typename Number, typename To>
void apply(To* out, const Number* rows, const Number* weight, const Number* bias, int64_t count, int64_t depth,
           int64_t outputs, int64_t threads) {
  multiply_packed(rows, weight, count, depth, outputs, threads, [=](int64_t row, int64_t column, Lanes sums) {
    store(bias == nullptr ? sums : sums + load(bias + column, LANES), out + row * outputs + column, LANES);
  });
}

// out += rows W' + bias
template <typename Number>
void apply_added(float* out, const Number* rows, const Number* weight, const Number* bias, int64_t count,
                 int64_t depth, int64_t outputs, int64_t threads) {
  multiply_packed(rows, weight, count, depth, outputs, threads, [=](int64_t row, int64_t column, Lanes sums) {
    float* to = out + row * outputs + column;
    const Lanes before = Lanes::loadu(to);
    (before + (bias == nullptr ? sums : sums + load(bias + column, LANES))).store(to);
  });
}

// out = silu(rows W1') (rows W3'), with both in one weight, the first above: [count, depth] -> [count, outputs]
template <typename Number>
void apply_gated(Number* out, const Number* rows, const Number* weight, int64_t count, int64_t depth, int64_t outputs,
                 int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t first = 0; first < outputs; first += PANEL) {
    float* opened = scratch<float, 2>(count * PANEL);
    const Number *panel = weight + first * depth, *second = panel + outputs * depth;
    const Number* next = first + PANEL < outputs ? panel + PANEL * depth : nullptr;
    multiply_panel(rows, panel, second, count, depth, [=](int64_t row, int64_t column, Lanes sums) {
      sums.store(opened + row * PANEL + column);
    });
    multiply_panel(rows, second, next, count, depth, [=](int64_t row, int64_t column, Lanes sums) {
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

#if defined(__AVX512BF16__)
extern "C" void apply_bfloat16(Half* out, const Half* rows, const Half* weight, const Half* bias, int64_t count,
                               int64_t depth, int64_t outputs, int64_t threads) {
  apply(out, rows, weight, bias, count, depth, outputs, threads);
}
#endif

#endif  // CPU_CAPABILITY_AVX512
