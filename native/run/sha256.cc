#include "sha256.h"

#include <string.h>

namespace run {
namespace {

constexpr uint64_t BLOCK = 64;

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr uint32_t ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

uint32_t rotated(uint32_t word, int by) { return word >> by | word << (32 - by); }

// Additions are modulo 2^32, as the standard says.
void mix(uint32_t state[8], const uint8_t* block) {
  uint32_t word[64];
  for (int i = 0; i < 16; i++) {
    word[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
              (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
  }
  for (int i = 16; i < 64; i++) {
    const uint32_t before = word[i - 15], last = word[i - 2];
    word[i] = word[i - 16] + (rotated(before, 7) ^ rotated(before, 18) ^ before >> 3) +
              word[i - 7] + (rotated(last, 17) ^ rotated(last, 19) ^ last >> 10);
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; i++) {
    const uint32_t one = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
                         ((e & f) ^ (~e & g)) + ROUND[i] + word[i];
    const uint32_t two =
        (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + one;
    d = c;
    c = b;
    b = a;
    a = one + two;
  }
  const uint32_t mixed[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; i++) state[i] += mixed[i];
}

}  // namespace

std::array<uint8_t, 32> sha256(const uint8_t* data, uint64_t nbytes) {
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  uint64_t done = 0;
  for (; nbytes - done >= BLOCK; done += BLOCK) mix(state, data + done);
  // The rest, a bit 1, zeros, and the length in bits: one block, or two.
  uint8_t tail[2 * BLOCK] = {};
  const uint64_t rest = nbytes - done, length = rest < BLOCK - 8 ? BLOCK : 2 * BLOCK;
  if (rest > 0) memcpy(tail, data + done, (size_t)rest);
  tail[rest] = 0x80;
  for (uint64_t i = 0; i < 8; i++) tail[length - 1 - i] = (uint8_t)(nbytes * 8 >> 8 * i);
  for (uint64_t at = 0; at < length; at += BLOCK) mix(state, tail + at);
  std::array<uint8_t, 32> digest;
  for (size_t i = 0; i < digest.size(); i++) {
    digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
  }
  return digest;
}

}  // namespace run
