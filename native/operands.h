// Where each kind of instruction has its inputs and parameters, for what checks and what plans it:
// found by name in instructions.inc, so that a name that its row has not does not compile.
#ifndef BITTRUE_OPERANDS_H_
#define BITTRUE_OPERANDS_H_

#include <stdint.h>

#include "instructions.h"

namespace bittrue {

constexpr const InstructionRow& row_of(Kind kind) { return *find_instruction((uint32_t)kind); }

// WINDOW is the first of stride_h stride_w dilation_h dilation_w pad_top pad_left, RANGE of
// zero_point lo hi.
namespace conv {
constexpr InstructionRow ROW = row_of(Kind::CONV);
constexpr uint32_t X = ROW.input("x"), WEIGHT = ROW.input("weight"), BIAS = ROW.input("bias");
constexpr uint32_t ROW_CLASS = ROW.input("row_class"), COL_CLASS = ROW.input("col_class");
constexpr uint32_t MULTIPLIER = ROW.input("multiplier");
constexpr uint32_t WINDOW = ROW.param("stride_h"), GROUPS = ROW.param("groups");
constexpr uint32_t RANGE = ROW.param("zero_point");
}  // namespace conv

// MAX_POOL has the first input and parameters alone.
namespace pool {
constexpr InstructionRow ROW = row_of(Kind::AVG_POOL);
constexpr uint32_t X = ROW.input("x"), MULTIPLIER = ROW.input("multiplier");
constexpr uint32_t ROW_CLASS = ROW.input("row_class"), COL_CLASS = ROW.input("col_class");
constexpr uint32_t KERNEL_H = ROW.param("kernel_h"), KERNEL_W = ROW.param("kernel_w");
constexpr uint32_t WINDOW = ROW.param("stride_h"), ZERO_X = ROW.param("zero_x");
constexpr uint32_t RANGE = ROW.param("zero_point");
}  // namespace pool

// GATHER_2D and RESIZE_LINEAR.
namespace gather {
constexpr InstructionRow ROW = row_of(Kind::GATHER_2D);
constexpr uint32_t X = ROW.input("x"), ROWS = ROW.input("rows"), COLS = ROW.input("cols");
}  // namespace gather

namespace resize {
constexpr InstructionRow ROW = row_of(Kind::RESIZE_LINEAR);
constexpr uint32_t X = ROW.input("x"), ROWS = ROW.input("rows"), COLS = ROW.input("cols");
constexpr uint32_t ROW_WEIGHT = ROW.input("row_weight"), COL_WEIGHT = ROW.input("col_weight");
}  // namespace resize

// ADD, MUL, DIV, MIN, MAX, MATMUL; COMPARE has a function where they have a range; F32_BINARY and
// F32_MATMUL have the first two inputs.
namespace binary {
constexpr InstructionRow ROW = row_of(Kind::ADD);
constexpr uint32_t A = ROW.input("a"), B = ROW.input("b"), MULTIPLIER = ROW.input("multiplier");
constexpr uint32_t ZERO_A = ROW.param("zero_a"), ZERO_B = ROW.param("zero_b");
constexpr uint32_t RANGE = ROW.param("zero_point");
constexpr uint32_t COMPARE_FUNCTION = row_of(Kind::COMPARE).param("function");
}  // namespace binary

// TABLE, QUANTIZE, DEQUANTIZE: what the elements are looked up in, or scaled by.
namespace unary {
constexpr uint32_t X = row_of(Kind::TABLE).input("x"), TABLE = row_of(Kind::TABLE).input("table");
constexpr uint32_t SCALE = row_of(Kind::QUANTIZE).input("scale");
constexpr uint32_t ZERO_POINT = row_of(Kind::QUANTIZE).param("zero_point");
}  // namespace unary

// F32_BINARY, F32_UNARY, F32_REDUCE.
constexpr uint32_t FUNCTION = row_of(Kind::F32_UNARY).param("function");

// SOURCE and TARGET are the first of offset stride_0 ... stride_5.
namespace copy {
constexpr InstructionRow ROW = row_of(Kind::COPY);
constexpr uint32_t X = ROW.input("x"), TABLE = ROW.input("table?"), SIZE = ROW.param("size_0");
constexpr uint32_t SOURCE = ROW.param("src_offset"), TARGET = ROW.param("dst_offset");
}  // namespace copy

constexpr uint32_t FILL_VALUE = row_of(Kind::FILL).param("value");

}  // namespace bittrue

#endif  // BITTRUE_OPERANDS_H_
