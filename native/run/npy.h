// The .npy format of NumPy, versions 1.0 and 2.0: arrays of the four types of a program.
#ifndef BITTRUE_RUN_NPY_H_
#define BITTRUE_RUN_NPY_H_

#include <stdint.h>

#include <string>
#include <vector>

#include "files.h"

namespace run {

struct NpyHeader {
  std::string descr;  // "|u1", "<f4", ...
  bool fortran_order = false;
  std::vector<uint64_t> shape;
  uint64_t data_at = 0;  // byte at which the elements start
};

// What NumPy calls a type of bittrue.h: "|u1", and "uint8".
const char* npy_descr(uint32_t dtype);
const char* dtype_name(uint32_t dtype);

// "float64" of "<f8", where it is a name that people know; else the descr itself.
std::string descr_text(const std::string& descr);

// The longest header that is read; NumPy's own limit is 10,000 bytes.
constexpr uint64_t MOST_NPY_HEADER = 65536;

// Read the header at the start of a file. Throws Error(DATA) with `path`.
NpyHeader read_npy_header(const std::string& path, const Bytes& file);

// A whole .npy file of version 1.0.
Bytes npy_bytes(uint32_t dtype, const std::vector<uint64_t>& shape, const uint8_t* data,
                uint64_t nbytes);

}  // namespace run

#endif  // BITTRUE_RUN_NPY_H_
