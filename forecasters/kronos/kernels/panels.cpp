// How weights lie for our products: packed once, read from end to end. Nothing else knows it.
//
// A weight [outputs, depth] is cut into panels of PANEL outputs, one behind the other. A panel is
// [depth / GROUP, PANEL, GROUP]: for one input, or a pair of them in bfloat16, the numbers of all its outputs side by
// side. So a product reads a panel along memory, PARTS vectors at a time, however broad they are. A pair of bfloat16
// takes the place of one float32, and is multiplied at once where there is an instruction for it. A weight takes as
// much memory as it did.

namespace {

constexpr int64_t PARTS = LANES == 8 ? 2 : 4;  // vectors of a panel: the sums of TALL rows fill the registers
constexpr int64_t PANEL = PARTS * LANES;

template <typename Number>
constexpr int64_t GROUP = sizeof(float) / sizeof(Number);

template <typename Number>
constexpr bool suits(int64_t outputs, int64_t depth) {
  return outputs % PANEL == 0 && depth % GROUP<Number> == 0;
}

// where a number lies in a packed weight
template <typename Number>
constexpr int64_t place(int64_t output, int64_t input, int64_t depth) {
  constexpr int64_t group = GROUP<Number>;
  return output / PANEL * PANEL * depth + (input / group * PANEL + output % PANEL) * group + input % group;
}

// visit(place when packed, place when plain), in an order that both can be read and written in
template <typename Number, typename Visit>
void each_place(int64_t outputs, int64_t depth, const Visit& visit) {
  constexpr int64_t TOGETHER = 16;  // inputs: as much of a row as lies in one line of memory
  for (int64_t panel = 0; panel < outputs; panel += PANEL)
    for (int64_t first = 0; first < depth; first += TOGETHER)
      for (int64_t output = panel; output < panel + PANEL; ++output)
        for (int64_t input = first; input < std::min(first + TOGETHER, depth); ++input)
          visit(place<Number>(output, input, depth), output * depth + input);
}

}  // namespace

// suits   whether a weight of these sizes can be packed, 0 or 1
// place   of one number of it, once packed
// pack, unpack  packed and plain [outputs, depth] do not overlap, and are as large as each other
#define PANELS_OF_ONE_DTYPE(NAME, NUMBER)                                                                              \
  extern "C" int64_t suits_##NAME(int64_t outputs, int64_t depth) { return suits<NUMBER>(outputs, depth); }            \
  extern "C" int64_t place_##NAME(int64_t output, int64_t input, int64_t depth) {                                      \
    return place<NUMBER>(output, input, depth);                                                                        \
  }                                                                                                                    \
  extern "C" void pack_##NAME(NUMBER* packed, const NUMBER* plain, int64_t outputs, int64_t depth) {                   \
    each_place<NUMBER>(outputs, depth, [=](int64_t to, int64_t from) { packed[to] = plain[from]; });                   \
  }                                                                                                                    \
  extern "C" void unpack_##NAME(NUMBER* plain, const NUMBER* packed, int64_t outputs, int64_t depth) {                 \
    each_place<NUMBER>(outputs, depth, [=](int64_t from, int64_t to) { plain[to] = packed[from]; });                   \
  }

PANELS_OF_ONE_DTYPE(float32, float)
PANELS_OF_ONE_DTYPE(bfloat16, Half)
