// The float functions of src/bittrue/arith_float.py, bit for bit: every float operation rounds
// once, to nearest even, in the order written (docs/numerics.md 7.6 to 7.11).
//
// Static functions, so that no ISA's copy can be linked in place of another's. Written with selects
// in place of branches, so that loops over them vectorise.
#ifndef BITTRUE_ARITH_FLOAT_H_
#define BITTRUE_ARITH_FLOAT_H_

#include <stddef.h>
#include <stdint.h>

#include "arith.h"

namespace {

constexpr uint32_t SIGN_BIT = 0x80000000u;

inline float absolute(float x) { return float_of_bits(bits_of_float(x) & ~SIGN_BIT); }
inline float quiet_nan() { return float_of_bits(0x7fc00000u); }
inline float infinity() { return float_of_bits(0x7f800000u); }

// A magnitude (sign bit clear, or that of x) with the sign of x.
inline float with_sign(float magnitude, float x) {
  return float_of_bits(bits_of_float(magnitude) | (bits_of_float(x) & SIGN_BIT));
}

// Horner's form, each step fl(fl(p * x) + c); greatest power first.
template <int N>
inline float polynomial(float x, const float (&coefficients)[N]) {
  float value = coefficients[0];
  for (int i = 1; i < N; i++) value = value * x + coefficients[i];
  return value;
}

constexpr float LN2_HI = 0.693359375f, LN2_LO = -2.12194440e-4f;

inline float logarithm(float x) {
  constexpr float R[] = {-0.0763639509677887f, 0.12762197852134705f, -0.1315961331129074f,
                         0.14201581478118896f, -0.166234090924263f,  0.2000124156475067f,
                         -0.2500081956386566f, 0.3333333134651184f};
  const bool tiny = x < float_of_bits(0x00800000u);
  const uint32_t bits = bits_of_float(tiny ? x * 8388608.0f : x);
  const int32_t steps = (int32_t)(bits - 0x3f3504f3u) >> 23;  // x = 2^steps * (1 + f)
  const float f = float_of_bits(bits - ((uint32_t)steps << 23)) - 1.0f;
  const float whole = (float)steps - (tiny ? 23.0f : 0.0f);
  const float square = f * f;
  float rest = (polynomial(f, R) * f) * square;
  rest = rest + whole * LN2_LO;
  rest = rest - 0.5f * square;
  float value = (f + rest) + whole * LN2_HI;
  value = x > 0.0f ? value : quiet_nan();
  value = x == 0.0f ? -infinity() : value;
  return x == infinity() ? x : value;
}

inline float hyperbolic_tangent(float x) {
  constexpr float P[] = {-0.0057154991663992405f, 0.020649103447794914f, -0.05374300479888916f,
                         0.133314847946167f, -0.3333328366279602f};
  const float size = absolute(x), square = size * size;
  const float small = size + (size * square) * polynomial(square, P);
  const float large = 1.0f - 2.0f / (exponential(size + size) + 1.0f);
  return with_sign(size < 0.625f ? small : large, x);
}

inline float error_function(float x) {
  constexpr float P[] = {7.920368079794571e-05f, -0.0008030761382542551f, 0.005190733820199966f,
                         -0.02685512602329254f,  0.11283618211746216f,    -0.3761262893676758f,
                         0.12837916612625122f};
  constexpr float Q[] = {0.00019717865507118404f, -0.0030555836856365204f, 0.022277016192674637f,
                         -0.10403726249933243f,   -0.6370598077774048f,    -1.1277495622634888f,
                         -0.0001774872507667169f};
  const float size = absolute(x), square = size * size;
  const float small = size + size * polynomial(square, P);
  const float large = 1.0f - exponential(polynomial(size < 4.0f ? size : 4.0f, Q));
  return x != x ? x : with_sign(size < 1.0f ? small : large, x);
}

inline float softplus(float x) {
  const float power = exponential(-absolute(x));
  const float total = 1.0f + power;
  const float lost = power - (total - 1.0f);  // exact: what the rounding of the sum left out
  return (x > 0.0f ? x : 0.0f) + (logarithm(total) + lost / total);
}

// The sine of |x| + ahead * pi/2; NaN beyond 8192.
inline float quarter_turns(float x, int32_t ahead) {
  constexpr float S[] = {-0.00019517994951456785f, 0.008332188241183758f, -0.16666655242443085f};
  constexpr float C[] = {2.443066841806285e-05f, -0.00138873013202101f, 0.04166664555668831f};
  const bool inside = absolute(x) <= 8192.0f;
  const float angle = inside ? absolute(x) : 0.0f;
  const float turns = round_even(angle * 0.6366197466850281f);
  const float r = ((angle - turns * 1.5703125f) - turns * 0.0004837512969970703f) -
                  turns * 7.549790126404332e-08f;
  const float square = r * r;
  const float sine = r + (r * square) * polynomial(square, S);
  const float cosine = (1.0f - 0.5f * square) + (square * square) * polynomial(square, C);
  const int32_t quarter = (int32_t)turns + ahead;
  const float value = quarter & 1 ? cosine : sine;
  return inside ? (quarter & 2 ? -value : value) : quiet_nan();
}

inline float sine(float x) {
  return float_of_bits(bits_of_float(quarter_turns(x, 0)) ^ (bits_of_float(x) & SIGN_BIT));
}

inline float cosine(float x) { return quarter_turns(x, 1); }

// To a whole number, ties to even, with the sign of x: |x| + 2^23 has an ulp of 1 below 2^24, and
// what is not below 2^23 is whole.
inline float nearest_whole(float x) {
  const float size = absolute(x);
  const float whole = (size + 8388608.0f) - 8388608.0f;
  return size < 8388608.0f ? with_sign(whole, x) : x;
}

inline float floor_of(float x) {
  const float whole = nearest_whole(x);
  return whole > x ? whole - 1.0f : whole;
}

inline float ceil_of(float x) {
  const float whole = nearest_whole(x);
  return with_sign(whole < x ? whole + 1.0f : whole, x);
}

inline float sign_of(float x) {
  const float value = x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
  return x == 0.0f ? 0.0f : value;
}

// e^x as `exponential` has it, but down to denormals and 0 and up to infinity.
inline float exponential_any(float x) {
  if (x != x) return x;
  float clamped = x > -104.0f ? x : -104.0f;
  clamped = clamped < 89.0f ? clamped : 89.0f;
  const float whole = round_even(clamped * 1.44269504088896341f);
  const float rest = (clamped - whole * LN2_HI) - whole * LN2_LO;
  constexpr float P[] = {(float)(1.0 / 5040.0), (float)(1.0 / 720.0), (float)(1.0 / 120.0),
                         (float)(1.0 / 24.0),   (float)(1.0 / 6.0),   0.5f};
  const float poly = ((polynomial(rest, P) * rest) * rest + rest) + 1.0f;
  const int32_t steps = (int32_t)whole, half = steps >> 1;
  const float scaled = poly * float_of_bits((uint32_t)(half + 127) << 23);
  return scaled * float_of_bits((uint32_t)(steps - half + 127) << 23);
}

inline float power_of(float x, float y) {
  if (y == 0.0f || x == 1.0f) return 1.0f;
  const float size = absolute(x);
  const bool whole = nearest_whole(y) == y;
  if (x != x || y != y || (x < 0.0f && size != infinity() && !whole)) return quiet_nan();
  const float power = size == 1.0f ? 1.0f : exponential_any(y * logarithm(size));
  const bool odd = whole && absolute(y) < 16777216.0f && ((int32_t)y & 1) != 0;
  return odd && (bits_of_float(x) & SIGN_BIT) != 0 ? -power : power;
}

// A significand of 24 bits and its step: value = bits * 2^(step - 150). Denormals have step 1, and
// less once their significand is shifted up.
struct Parts {
  uint32_t bits;
  int32_t step;
};

inline Parts parts_of(uint32_t magnitude) {
  Parts parts{magnitude & 0x7fffffu, (int32_t)(magnitude >> 23)};
  if (parts.step > 0) return {parts.bits | 0x800000u, parts.step};
  for (parts.step = 1; parts.bits < 0x800000u; parts.step--) parts.bits <<= 1;
  return parts;
}

// The rest of x / y with the sign of x, which is exact: long division of the significands, one bit
// a step, at most 277 steps.
inline float rest_of(float x, float y) {
  const uint32_t size_x = bits_of_float(x) & ~SIGN_BIT, size_y = bits_of_float(y) & ~SIGN_BIT;
  if (x != x || y != y || size_x == 0x7f800000u || size_y == 0) return quiet_nan();
  if (size_x < size_y) return x;
  Parts a = parts_of(size_x);
  const Parts b = parts_of(size_y);
  for (; a.step > b.step; a.step--) {
    if (a.bits >= b.bits) a.bits -= b.bits;
    a.bits <<= 1;
  }
  if (a.bits >= b.bits) a.bits -= b.bits;
  for (; a.step < 1; a.step++) a.bits >>= 1;  // what is shifted out is 0: y is a multiple of it
  for (; a.bits != 0 && a.bits < 0x800000u && a.step > 1; a.step--) a.bits <<= 1;
  const bool normal = a.bits >= 0x800000u;
  const uint32_t made = normal ? (a.bits & 0x7fffffu) | ((uint32_t)a.step << 23) : a.bits;
  return with_sign(float_of_bits(made), x);
}

inline float truth(bool holds) { return holds ? 1.0f : 0.0f; }

// Multiply the lanes as a tree, as tree_sum adds them.
inline float tree_product(float* lanes) {
  for (int width = SUM_LANES / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; lane++) lanes[lane] = lanes[lane] * lanes[lane + width];
  }
  return lanes[0];
}

}  // namespace

#endif  // BITTRUE_ARITH_FLOAT_H_
