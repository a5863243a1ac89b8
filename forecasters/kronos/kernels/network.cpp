// A whole block at once, of a context or of what is drawn after it, and a whole step of the network: between the
// products nothing is left to wait for.
//
// B series, S samples each, D width, H heads, W = D / H, P places of a context, N own places (of drawn tokens), F
// hidden, V tokens. Of all pointers here: each lies in a tensor that the network or its cache holds for as long as the
// plan or the call lasts, contiguous and of the shape said beside it; what is written overlaps nothing that is read.

namespace {

constexpr float EPSILON = 1e-5f;

template <typename Number>
struct Weights {  // of a block, as FoldedBlock has them: in panels, see panels.cpp
  const Number *inputs, *inputs_bias;  // of [3 D, D], and [3 D]: queries, keys, values
  const Number *output, *output_bias;  // of [D, D], and [D]
  const Number *gate, *down;           // of [2 F, D], what is opened above what is multiplied by it, and of [D, F]
};

struct Kept {  // keys and values of a layer: of the contexts, and of what was drawn
  float *prefix_keys, *prefix_values;  // [B, H, W, P] and [B, H, P, W]
  float *own_keys, *own_values;        // [B, H, S, N, W]
};

struct Sizes {
  int64_t width, heads, hidden;
};

// As native.py writes it: every entry is 8 bytes.
template <typename Number>
struct Plan {
  int64_t series, samples, places, own, layers;
  Sizes sizes;
  int64_t dependency_heads, s1_tokens, s2_tokens;
  const int64_t* lengths;                                         // [B] of the contexts
  const float *cosines, *sines;                                   // [positions, W], at least lengths + N of them
  const Number *s1_table, *s2_table;                              // [V, D]
  const Number *calendar, *norm, *query_table;                    // [B, N, D], [D], [V, D]
  const Number *dependency_inputs, *dependency_inputs_bias;       // panels of [2 D, D], and [2 D]: keys, values
  const Number *dependency_output, *dependency_output_bias;       // panels of [D, D], and [D]
  const Number *s1_head, *s1_head_bias, *s2_head, *s2_head_bias;  // panels of [V, D], and [V]
  Kept dependency;
  struct {
    Weights<Number> weights;
    Kept kept;
  } layer[];
};

// rows [count, width] in place; attend makes [count, width] of the projected [count, 3, width]
template <typename Number, typename Attend>
void block(float* rows, const Weights<Number>& weights, int64_t count, const Sizes& sizes, int64_t threads,
           const Attend& attend) {
  const int64_t width = sizes.width, hidden = sizes.hidden;
  Number *narrow = scratch<Number, 3>(count * width), *opened = scratch<Number, 4>(count * hidden);
  float *projected = scratch<float, 5>(count * 3 * width), *attended = scratch<float, 6>(count * width);
  normalise<Number, float>(narrow, rows, nullptr, count, width, EPSILON, threads);
  apply(projected, narrow, weights.inputs, weights.inputs_bias, count, width, 3 * width, threads);
  attend(attended, projected);
  convert(narrow, attended, count * width);
  apply_added(rows, narrow, weights.output, weights.output_bias, count, width, width, threads);
  normalise<Number, float>(narrow, rows, nullptr, count, width, EPSILON, threads);
  apply_gated(opened, narrow, weights.gate, count, width, hidden, threads);
  apply_added(rows, opened, weights.down, static_cast<const Number*>(nullptr), count, hidden, width, threads);
}

// a context from position 0, and its keys [heads, head width, count] and values [heads, count, head width]
template <typename Number>
void read(float* rows, float* keys, float* values, const Weights<Number>& weights, const float* cosines,
          const float* sines, int64_t count, const Sizes& sizes, int64_t threads) {
  float* queries = scratch<float, 7>(count * sizes.width);
  const int64_t head = sizes.width / sizes.heads;
  block(rows, weights, count, sizes, threads, [&](float* attended, const float* projected) {
    split(queries, keys, values, projected, cosines, sines, count, sizes.heads, head, threads);
    attend_causally(attended, queries, keys, values, count, sizes.heads, head, count, threads);
  });
}

// Queries of [rows, 3, heads, width], turned; keys and values to their slot of [heads, samples, own, width].
struct Place {
  int64_t samples, own, heads, width;
};

void take(float* queries, float* own_keys, float* own_values, const float* projected, const float* cosines,
          const float* sines, int64_t sample, int64_t slot, const Place& place) {
  const int64_t whole = place.heads * place.width;
  for (int64_t head = 0; head < place.heads; ++head) {
    const float* from = projected + head * place.width;
    const int64_t to = ((head * place.samples + sample) * place.own + slot) * place.width;
    turn(queries + head * place.width, from, cosines, sines, place.width);
    turn(own_keys + to, from + whole, cosines, sines, place.width);
    std::copy_n(from + 2 * whole, place.width, own_values + to);
  }
}

// samples, each of so many tokens, after a context that they share
template <typename Number>
void follow(float* rows, const float* prefix_keys, const float* prefix_values, int64_t length,
            const Weights<Number>& weights, const float* cosines, const float* sines, int64_t samples, int64_t tokens,
            const Sizes& sizes, int64_t threads) {
  const int64_t count = samples * tokens, width = sizes.width, none = 0;
  float *queries = scratch<float, 7>(count * width), *keys = scratch<float, 8>(count * width);
  float* values = scratch<float, 9>(count * width);
  const Place place{samples, tokens, sizes.heads, width / sizes.heads};
  block(rows, weights, count, sizes, threads, [&](float* attended, const float* projected) {
    for (int64_t row = 0; row < count; ++row) {
      const int64_t token = row % tokens, turned = (length + token) * place.width;
      take(queries + row * width, keys, values, projected + row * 3 * width, cosines + turned, sines + turned,
           row / tokens, token, place);
    }
    attend(attended, queries, prefix_keys, prefix_values, &length, keys, values, &none, 1, samples, tokens,
           place.heads, place.width, length, tokens, threads);
  });
}

// The tokens [series, samples] drawn at `slot` -> [series * samples, width], what follows them.
template <typename Number>
void step(Number* out, const Plan<Number>& plan, const int64_t* s1, const int64_t* s2, int64_t slot, int64_t threads) {
  const int64_t count = plan.series * plan.samples, width = plan.sizes.width;
  float *rows = scratch<float, 10>(count * width), *queries = scratch<float, 7>(count * width);
  float* both = scratch<float, 5>(count * 3 * width);
  for (int64_t row = 0; row < count; ++row) {
    const Number *one = plan.s1_table + s1[row] * width, *two = plan.s2_table + s2[row] * width;
    const Number* when = plan.calendar + (row / plan.samples * plan.own + slot) * width;
    for (int64_t index = 0; index < width; index += LANES)
      (load(one + index, LANES) + load(two + index, LANES) + load(when + index, LANES)).store(rows + row * width + index);
  }
  const Place place{plan.samples, plan.own, plan.sizes.heads, width / plan.sizes.heads};
  const int64_t kept = plan.samples * plan.own * width;  // of one series
  for (int64_t layer = 0; layer < plan.layers; ++layer) {
    const Kept& cache = plan.layer[layer].kept;
    block(rows, plan.layer[layer].weights, count, plan.sizes, threads, [&](float* attended, const float* projected) {
      for (int64_t row = 0; row < count; ++row) {
        const int64_t one = row / plan.samples, turned = (plan.lengths[one] + slot) * place.width;
        take(queries + row * width, cache.own_keys + one * kept, cache.own_values + one * kept,
             projected + row * 3 * width, plan.cosines + turned, plan.sines + turned, row % plan.samples, slot, place);
      }
      attend(attended, queries, cache.prefix_keys, cache.prefix_values, plan.lengths, cache.own_keys, cache.own_values,
             &slot, plan.series, plan.samples, 1, place.heads, place.width, plan.places, plan.own, threads);
    });
  }
  normalise(out, rows, plan.norm, count, width, EPSILON, threads);
  apply(both, out, plan.dependency_inputs, plan.dependency_inputs_bias, count, width, 2 * width, threads);
  const int64_t heads = plan.dependency_heads, narrow = width / heads;
  for (int64_t row = 0; row < count; ++row)
    for (int64_t head = 0; head < heads; ++head) {
      const int64_t one = row / plan.samples, sample = row % plan.samples;
      const int64_t to = (((one * heads + head) * plan.samples + sample) * plan.own + slot) * narrow;
      const float* from = both + row * 2 * width + head * narrow;
      std::copy_n(from, narrow, plan.dependency.own_keys + to);
      std::copy_n(from + width, narrow, plan.dependency.own_values + to);
    }
}

// [series * samples, width] and the s1 drawn from it -> logits of s2; `slot` is the last one written, -1 for none
template <typename Number>
void second(float* logits, const Plan<Number>& plan, const Number* context, const int64_t* s1, int64_t slot,
            int64_t threads) {
  const int64_t count = plan.series * plan.samples, width = plan.sizes.width, heads = plan.dependency_heads;
  float *rows = scratch<float, 10>(count * width), *queries = scratch<float, 7>(count * width);
  float* attended = scratch<float, 6>(count * width);
  Number* narrow = scratch<Number, 3>(count * width);
  for (int64_t row = 0; row < count; ++row) convert(queries + row * width, plan.query_table + s1[row] * width, width);
  attend(attended, queries, plan.dependency.prefix_keys, plan.dependency.prefix_values, plan.lengths,
         plan.dependency.own_keys, plan.dependency.own_values, &slot, plan.series, plan.samples, 1, heads,
         width / heads, plan.places, plan.own, threads);
  convert(narrow, attended, count * width);
  convert(rows, context, count * width);
  apply_added(rows, narrow, plan.dependency_output, plan.dependency_output_bias, count, width, width, threads);
  normalise<Number, float>(narrow, rows, nullptr, count, width, EPSILON, threads);
  apply(logits, narrow, plan.s2_head, plan.s2_head_bias, count, width, plan.s2_tokens, threads);
}

}  // namespace

// What each does is said above, at the function of its name.
#define OF_ONE_DTYPE(NAME, NUMBER)                                                                                     \
  extern "C" void read_##NAME(float* rows, float* keys, float* values, const Weights<NUMBER>* weights,                 \
                              const float* cosines, const float* sines, int64_t count, int64_t width, int64_t heads,   \
                              int64_t hidden, int64_t threads) {                                                       \
    read(rows, keys, values, *weights, cosines, sines, count, {width, heads, hidden}, threads);                        \
  }                                                                                                                    \
  extern "C" void follow_##NAME(float* rows, const float* prefix_keys, const float* prefix_values, int64_t length,     \
                                const Weights<NUMBER>* weights, const float* cosines, const float* sines,              \
                                int64_t samples, int64_t tokens, int64_t width, int64_t heads, int64_t hidden,         \
                                int64_t threads) {                                                                     \
    follow(rows, prefix_keys, prefix_values, length, *weights, cosines, sines, samples, tokens,                        \
           {width, heads, hidden}, threads);                                                                           \
  }                                                                                                                    \
  extern "C" void step_##NAME(NUMBER* out, const Plan<NUMBER>* plan, const int64_t* s1, const int64_t* s2,             \
                              const int64_t* slot, int64_t threads) {                                                  \
    step(out, *plan, s1, s2, *slot, threads);                                                                          \
  }                                                                                                                    \
  extern "C" void first_##NAME(float* logits, const Plan<NUMBER>* plan, const NUMBER* context, int64_t threads) {      \
    apply(logits, context, plan->s1_head, plan->s1_head_bias, plan->series * plan->samples, plan->sizes.width,         \
          plan->s1_tokens, threads);                                                                                   \
  }                                                                                                                    \
  extern "C" void second_##NAME(float* logits, const Plan<NUMBER>* plan, const NUMBER* context, const int64_t* s1,     \
                                const int64_t* slot, int64_t threads) {                                                \
    second(logits, *plan, context, s1, *slot, threads);                                                                \
  }

OF_ONE_DTYPE(float32, float)
OF_ONE_DTYPE(bfloat16, Half)
