// The rules of docs/format.md for instructions element by element.
#include "verify.h"

namespace bittrue {
namespace {

// Inputs of type `dtype` that broadcast to y.
void require_operands(const Verifier& at, uint32_t dtype) {
  at.require_y(dtype);
  at.require_broadcast(dtype, at.row().input_count - at.row().constants, at.y().rank);
}

void require_codes(const Verifier& at, uint32_t multiplier_rows) {
  require_operands(at, BITTRUE_UINT8);
  at.require_range(binary::RANGE, 255);
  at.require_multipliers(multiplier_rows);
}

// x of one type and y of another, of one shape.
void require_mapped(const Verifier& at, uint32_t from, uint32_t to) {
  at.require_type(0, from);
  at.require_y(to);
  at.require_equal_shape();
}

void require_scaled(const Verifier& at, uint32_t from, uint32_t to) {
  require_mapped(at, from, to);
  at.require_rank(unary::SCALE, 1);
  at.require_channels(unary::SCALE, 0);
  at.require_finite(unary::SCALE);
  at.require_param(unary::ZERO_POINT, 0, 255);
}

}  // namespace

void verify_ADD(const Verifier& at) { require_codes(at, 2); }

void verify_MIN(const Verifier& at) { require_codes(at, 2); }

void verify_MAX(const Verifier& at) { require_codes(at, 2); }

void verify_MUL(const Verifier& at) { require_codes(at, 1); }

void verify_DIV(const Verifier& at) { require_codes(at, 1); }

void verify_COMPARE(const Verifier& at) {
  require_operands(at, BITTRUE_UINT8);
  at.require_param(binary::COMPARE_FUNCTION, 0, (int64_t)std::size(COMPARE_FUNCTIONS) - 1);
  at.require_multipliers(2);
}

void verify_F32_BINARY(const Verifier& at) {
  at.require_function(std::size(BINARY_FUNCTIONS));
  require_operands(at, BITTRUE_FLOAT32);
}

void verify_F32_WHERE(const Verifier& at) { require_operands(at, BITTRUE_FLOAT32); }

void verify_F32_UNARY(const Verifier& at) {
  at.require_function(std::size(UNARY_FUNCTIONS));
  require_mapped(at, BITTRUE_FLOAT32, BITTRUE_FLOAT32);
}

void verify_TABLE(const Verifier& at) {
  require_mapped(at, BITTRUE_UINT8, BITTRUE_UINT8);
  at.require_type(unary::TABLE, BITTRUE_UINT8);
  at.require_rank(unary::TABLE, 2);
  at.require_channels(unary::TABLE, 0);
  at.require_dim(unary::TABLE, 1, 256);
}

void verify_QUANTIZE(const Verifier& at) { require_scaled(at, BITTRUE_FLOAT32, BITTRUE_UINT8); }

void verify_DEQUANTIZE(const Verifier& at) { require_scaled(at, BITTRUE_UINT8, BITTRUE_FLOAT32); }

}  // namespace bittrue
