// The scalar rules of src/bittrue/arith.py, bit for bit. Every float operation rounds once, to
// nearest even, in the order written; the build forbids contraction to fused multiply-adds.
//
// Static functions, so that no ISA's copy can be linked in place of another's.
#ifndef BITTRUE_ARITH_H_
#define BITTRUE_ARITH_H_

#include <stddef.h>
#include <stdint.h>

namespace {

inline float float_of_bits(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

// The value, or the one NaN that the float instructions store: quiet, positive, no payload.
inline float one_nan(float value) { return value == value ? value : float_of_bits(0x7fc00000u); }

// rint(t) for |t| <= 2^22: 1.5 * 2^23 has an ulp of 1, so the sum rounds to a whole number, ties to
// even. (A result of -0 becomes +0; every caller converts it to an integer or adds it to one.)
inline float round_even(float t) {
  const float shift = 12582912.0f;
  return (t + shift) - shift;
}

// clip(rint(t) + zero_point, lo, hi). A bound of 2^20 in either direction is far outside the codes,
// so it changes no result, and makes the conversion defined for every t; NaN falls to lo.
inline uint8_t finish(float t, int32_t zero_point, int32_t lo, int32_t hi) {
  t = t > -1048576.0f ? t : -1048576.0f;
  t = t < 1048576.0f ? t : 1048576.0f;
  int32_t code = (int32_t)round_even(t) + zero_point;
  code = code > lo ? code : lo;
  code = code < hi ? code : hi;
  return (uint8_t)code;
}

inline uint8_t requantize(int32_t acc, float multiplier, int32_t zero_point, int32_t lo,
                          int32_t hi) {
  return finish((float)acc * multiplier, zero_point, lo, hi);
}

// ONNX's QuantizeLinear; NaN gives 0.
inline uint8_t quantize(float x, float scale, int32_t zero_point) {
  float steps = x / scale;
  if (steps != steps) return 0;
  steps = steps > -1024.0f ? steps : -1024.0f;
  steps = steps < 1024.0f ? steps : 1024.0f;
  const int32_t code = (int32_t)round_even(steps) + zero_point;
  return (uint8_t)(code < 0 ? 0 : code > 255 ? 255 : code);
}

inline float dequantize(uint8_t code, float scale, int32_t zero_point) {
  return (float)((int32_t)code - zero_point) * scale;
}

// e^x for x clamped to [-87, 88]; docs/numerics.md 7.1. NaN gives NaN.
inline float exponential(float x) {
  if (x != x) return x;
  float clamped = x > -87.0f ? x : -87.0f;
  clamped = clamped < 88.0f ? clamped : 88.0f;
  const float whole = round_even(clamped * 1.44269504088896341f);
  const float rest = (clamped - whole * 0.693359375f) - whole * -2.12194440e-4f;
  float poly = (float)(1.0 / 5040.0);
  poly = poly * rest + (float)(1.0 / 720.0);
  poly = poly * rest + (float)(1.0 / 120.0);
  poly = poly * rest + (float)(1.0 / 24.0);
  poly = poly * rest + (float)(1.0 / 6.0);
  poly = poly * rest + (float)(1.0 / 2.0);
  poly = ((poly * rest) * rest + rest) + 1.0f;
  const uint32_t power = (uint32_t)((int32_t)whole + 127) << 23;
  return poly * float_of_bits(power);
}

inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

enum { SUM_LANES = 16 };

// Add the lanes as a tree: j with j+8, with j+4, with j+2, with j+1.
inline float tree_sum(float* lanes) {
  for (int width = SUM_LANES / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; lane++) lanes[lane] = lanes[lane] + lanes[lane + width];
  }
  return lanes[0];
}

}  // namespace

#endif  // BITTRUE_ARITH_H_
