// Memory that starts as zeros at a multiple of 64, or a Failure that says how much was wanted.
#ifndef BITTRUE_MEMORY_H_
#define BITTRUE_MEMORY_H_

#include <stdint.h>
#include <stdlib.h>

#include <memory>

#include "bittrue.h"
#include "failure.h"

namespace bittrue {

class Memory {
 public:
  Memory() = default;

  // calloc leaves the pages of a large block untouched until they are used.
  Memory(uint64_t nbytes, const char* what) : nbytes_(nbytes) {
    block_.reset(nbytes > SIZE_MAX / 2 ? nullptr : calloc((size_t)nbytes + 64, 1));
    if (block_ == nullptr) {
      fail(BITTRUE_MEMORY, BITTRUE_NO_OFFSET, "%s takes %llu bytes, which the system does not give",
           what, (unsigned long long)nbytes);
    }
    data_ = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(block_.get()) + 63) / 64 * 64);
  }

  uint8_t* data() const { return data_; }
  uint64_t nbytes() const { return nbytes_; }

 private:
  struct Free {
    void operator()(void* block) const { free(block); }
  };
  std::unique_ptr<void, Free> block_;
  uint8_t* data_ = nullptr;
  uint64_t nbytes_ = 0;
};

}  // namespace bittrue

#endif  // BITTRUE_MEMORY_H_
