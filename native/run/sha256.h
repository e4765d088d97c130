// SHA-256 (FIPS 180-4).
#ifndef BITTRUE_RUN_SHA256_H_
#define BITTRUE_RUN_SHA256_H_

#include <stdint.h>

#include <array>

namespace run {

std::array<uint8_t, 32> sha256(const uint8_t* data, uint64_t nbytes);

}  // namespace run

#endif  // BITTRUE_RUN_SHA256_H_
