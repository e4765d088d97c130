// CRC-32 (IEEE 802.3, as zlib's), eight bytes a step.
#ifndef BITTRUE_CRC32_H_
#define BITTRUE_CRC32_H_

#include <stdint.h>
#include <string.h>

#include <array>

namespace bittrue {

constexpr std::array<std::array<uint32_t, 256>, 8> make_crc_tables() {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t rest = byte;
    for (int bit = 0; bit < 8; bit++) rest = rest >> 1 ^ (rest & 1 ? 0xedb88320u : 0u);
    tables[0][byte] = rest;
  }
  for (uint32_t byte = 0; byte < 256; byte++) {
    for (size_t table = 1; table < 8; table++) {
      const uint32_t before = tables[table - 1][byte];
      tables[table][byte] = before >> 8 ^ tables[0][before & 255];
    }
  }
  return tables;
}

inline uint32_t crc32(const uint8_t* data, uint64_t count) {
  static constexpr auto TABLES = make_crc_tables();
  uint32_t crc = ~0u;
  for (; count >= 8; data += 8, count -= 8) {
    uint32_t low, high;
    memcpy(&low, data, 4);
    memcpy(&high, data + 4, 4);
    low ^= crc;
    crc = TABLES[7][low & 255] ^ TABLES[6][low >> 8 & 255] ^ TABLES[5][low >> 16 & 255] ^
          TABLES[4][low >> 24] ^ TABLES[3][high & 255] ^ TABLES[2][high >> 8 & 255] ^
          TABLES[1][high >> 16 & 255] ^ TABLES[0][high >> 24];
  }
  for (; count > 0; data++, count--) crc = crc >> 8 ^ TABLES[0][(crc ^ *data) & 255];
  return ~crc;
}

}  // namespace bittrue

#endif  // BITTRUE_CRC32_H_
