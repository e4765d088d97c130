#include "plan.h"

#include <algorithm>

#include "planner.h"

namespace bittrue {
namespace {

// Shared by threads only where each part has at least this many element operations: below, waking
// a thread takes about as long as the work (10 us).
#ifndef BITTRUE_PART_COST
#define BITTRUE_PART_COST 65536
#endif
constexpr int64_t PART_COST = BITTRUE_PART_COST;
// Packing is not worth it where it takes more than these times the file and so many bytes: only odd
// or hostile programs get there, and run by the general kernel.
constexpr uint64_t MOST_PACKING = 4;
constexpr uint64_t SMALL = 64 << 20;

void plan_instruction(Planner& at, Kind kind) {
  switch (kind) {
#define INSTRUCTION(name, code, inputs, constants, outputs, params, in_place) \
  case Kind::name:                                                            \
    return plan_##name(at);
#include "instructions.inc"
  }
}

}  // namespace

int64_t cost_of(int64_t elements, int64_t operations) {
  return (int64_t)std::min((double)elements * (double)operations / 4, 1e15);
}

Plan Planner::make() {
  plan_.arena = Memory(program_.arena_bytes, "the arena");
  plan_.last_writer.assign(program_.buffers.size(), NO_INSTRUCTION);
  for (size_t i = 0; i < program_.instructions.size(); i++) {
    at_ = &program_.instructions[i];
    plan_instruction(*this, at_->row->kind);
    plan_.step_end.push_back((uint32_t)plan_.steps.size());
    plan_.last_writer[y().buffer] = (uint32_t)i;
  }
  plan_.scratch = Memory(scratch_bytes_, "scratch for padded copies");
  for (const void** place : scratch_readers_) *place = plan_.scratch.data();
  for (void** place : scratch_writers_) *place = plan_.scratch.data();
  return std::move(plan_);
}

bool Planner::count_packed(uint64_t nbytes) {
  if (plan_.packed_bytes + nbytes > MOST_PACKING * file_bytes_ + SMALL) return false;
  plan_.packed_bytes += nbytes;
  return true;
}

void Planner::keep_scratch(uint64_t nbytes, void** writer, const void** reader) {
  scratch_bytes_ = std::max(scratch_bytes_, nbytes);
  scratch_writers_.push_back(writer);
  scratch_readers_.push_back(reader);
}

void Planner::add(Kernel kernel, const void* args, int64_t units, int64_t cost) {
  const int64_t parts = std::min({(int64_t)threads_, units, 1 + cost / PART_COST});
  plan_.steps.push_back({kernel, args, units, (uint32_t)parts});
}

void Planner::add_kernel(uint32_t row, const void* args, int64_t units, int64_t cost) {
  plan_.kernels.push_back(row);
  add(kernel_row(row).run, args, units, cost);
}

void Planner::add_general(const void* args, int64_t units, int64_t cost) {
  add_kernel((uint32_t)find_kernel(at_->row->kind, Form::GENERAL, isa_), args, units, cost);
}

Plan make_plan(const Program& program, Isa isa, uint32_t threads, uint64_t file_bytes) {
  return Planner(program, isa, threads, file_bytes).make();
}

}  // namespace bittrue
