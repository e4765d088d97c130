/* bittrue.h: the engine's C interface. Everything that is visible outside the library is here;
 * docs/c-interface.md says how the parts go together, examples/c/run.c is a whole program.
 *
 * A program is opened from the bytes of a .bte file (docs/format.md), which are checked in full
 * before any of them is used, and run as often as wanted. Results have the same bits on every
 * CPU, instruction set and number of threads (docs/numerics.md).
 *
 * Rules of the interface:
 * - No function throws, aborts, prints, or keeps a pointer to the caller's memory, except to the
 *   file of a program opened with BITTRUE_BORROW.
 * - A function that can fail returns BITTRUE_OK (0) or a code below, and then fills *error if error
 *   is not null. Arguments that are not null where null is forbidden are the caller's promise.
 * - Calls on different programs may run at the same time in different threads. On one program,
 *   bittrue_run refuses a second call while one is under way (BITTRUE_USAGE); bittrue_close must
 *   not be called while another call on that program runs. The other functions only read.
 * - A program belongs to the process that opened it: a forked one has none of its threads.
 * - Strings returned live as long as the library, or as the program where it is an argument.
 * - A structure never changes within one BITTRUE_ABI, and no function changes its arguments: what
 * is new is a new function or a new bit of flags. Bits that a library does not know it refuses.
 */
#ifndef BITTRUE_H_
#define BITTRUE_H_

#include <stddef.h>
#include <stdint.h>

#define BITTRUE_API __attribute__((visibility("default")))
#define BITTRUE_ABI 1

#ifdef __cplusplus
extern "C" {
#endif

/* What a function returns, and bittrue_error.code. */
enum {
  BITTRUE_OK = 0,
  BITTRUE_FORMAT = 1,   /* the file breaks a rule of docs/format.md */
  BITTRUE_DATA = 2,     /* a buffer given to bittrue_run does not fit */
  BITTRUE_USAGE = 3,    /* an instruction set, index, flag or call that cannot be */
  BITTRUE_MEMORY = 4,   /* memory could not be had */
  BITTRUE_INTERNAL = 5, /* a bug of the engine */
};

/* Element types, as bittrue_tensor_info.dtype gives them; all little-endian. */
enum { BITTRUE_UINT8 = 1, BITTRUE_INT8 = 2, BITTRUE_INT32 = 3, BITTRUE_FLOAT32 = 4 };

/* The most axes that a tensor has; the least is 1. */
enum { BITTRUE_MAX_RANK = 6 };

/* The most threads that a program may ask for. */
enum { BITTRUE_MAX_THREADS = 1024 };

/* bittrue_error.offset where no byte of the file is to blame. */
#define BITTRUE_NO_OFFSET UINT64_MAX

/* What went wrong; written only by a call that fails. */
typedef struct bittrue_error {
  int32_t code;
  int32_t reserved;
  uint64_t offset; /* byte of the file that is wrong, or BITTRUE_NO_OFFSET */
  char text[496];  /* one sentence, UTF-8, ends in a zero byte */
} bittrue_error;

/* An opened file: its tensors, packed weights, arena and threads. */
typedef struct bittrue_program bittrue_program;

/* --- the library ------------------------------------------------------------------------- */

/* Return BITTRUE_ABI as the library was built with; a caller checks it before anything else. */
BITTRUE_API uint32_t bittrue_abi(void);

/* Return the version, for example "0.1.0". */
BITTRUE_API const char* bittrue_version(void);

/* Instruction sets, slowest first; a name is null past the end. An instruction set is built when
 * the library holds kernels for it, available when this CPU and its system run them as well. */
BITTRUE_API const char* bittrue_isa_name(uint32_t index);
BITTRUE_API int32_t bittrue_isa_available(uint32_t index);

/* One row of the instruction table; roles and parameters are words with one blank between. */
typedef struct bittrue_instruction_row {
  const char* name;
  uint32_t code;
  uint32_t reserved;
  const char* inputs;
  const char* outputs;
  const char* params;
} bittrue_instruction_row;

/* Fill *row with row `index` of the instruction table; return 0 past the end, else 1. */
BITTRUE_API int32_t bittrue_instruction_table(uint32_t index, bittrue_instruction_row* row);

/* Name of function `index` of F32_UNARY (inputs 1), F32_BINARY (inputs 2) or F32_REDUCE (inputs 0);
 * null past the end. */
BITTRUE_API const char* bittrue_float_function(uint32_t inputs, uint32_t index);

/* One row of the kernel table (native/kernels.inc). */
typedef struct bittrue_kernel_row {
  const char* instruction;
  const char* form; /* which shapes it takes: "general", "dense" or "depthwise" */
  const char* isa;
  const char* name;
  int32_t available; /* whether this CPU runs it */
  int32_t reserved;
} bittrue_kernel_row;

/* Fill *row with row `index` of the kernel table; return 0 past the end, else 1. */
BITTRUE_API int32_t bittrue_kernel_table(uint32_t index, bittrue_kernel_row* row);

/* --- a program --------------------------------------------------------------------------- */

enum {
  BITTRUE_COPY = 0,  /* the file is copied; the caller may free it at once */
  BITTRUE_BORROW = 1 /* the file must stay, unchanged, until bittrue_close, and lie at an address
                        that is a multiple of 64 (BITTRUE_USAGE otherwise) */
};

/* Check a file and make it ready to run: pack weights, take the arena and the threads.
 *
 * isa: a name of bittrue_isa_name, or null or "auto" for the fastest available.
 * threads: how many compute, the caller's included; 0 for one a core, at most BITTRUE_MAX_THREADS.
 *   Where fewer can be had, fewer compute; the results are the same.
 * program: receives the program, or null on failure.
 * Fails with BITTRUE_FORMAT, BITTRUE_USAGE, BITTRUE_MEMORY. */
BITTRUE_API int32_t bittrue_open(const void* file, uint64_t nbytes, uint32_t flags, const char* isa,
                                 uint32_t threads, bittrue_program** program, bittrue_error* error);

/* Free a program, end its threads; null is allowed. */
BITTRUE_API void bittrue_close(bittrue_program* program);

/* What was opened, and the memory that it took, in bytes. */
typedef struct bittrue_program_info {
  uint32_t tensors;
  uint32_t instructions;
  uint32_t inputs;
  uint32_t outputs;
  uint32_t threads;
  uint32_t vectors;       /* conformance vectors in the file */
  const char* isa;        /* instruction set in use */
  uint64_t arena_bytes;   /* tensors */
  uint64_t scratch_bytes; /* padded copies that kernels read */
  uint64_t packed_bytes;  /* weights as kernels read them */
} bittrue_program_info;

/* Fill *info. */
BITTRUE_API void bittrue_get_info(const bittrue_program* program, bittrue_program_info* info);

/* A tensor as it lies in memory: dense, the last axis running fastest. A uint8 tensor with a scale
 * holds codes: the real value is (code - zero_point) * scale. */
typedef struct bittrue_tensor_info {
  const char* name;
  uint32_t dtype;
  uint32_t rank;
  uint32_t dims[BITTRUE_MAX_RANK]; /* physical; zero past the rank */
  uint64_t nbytes;
  float scale; /* of one code (of the first channel where there are several); 0 for none */
  int32_t zero_point;
  int32_t constant; /* whether it lies in the constants, not in the arena */
  int32_t reserved;
} bittrue_tensor_info;

/* Fill *info for a tensor; return BITTRUE_OK or BITTRUE_USAGE if there is none of that index. */
BITTRUE_API int32_t bittrue_get_tensor(const bittrue_program* program, uint32_t tensor,
                                       bittrue_tensor_info* info);

/* Tensor index of an input or output in the program's order; UINT32_MAX past the end. */
BITTRUE_API uint32_t bittrue_get_input(const bittrue_program* program, uint32_t index);
BITTRUE_API uint32_t bittrue_get_output(const bittrue_program* program, uint32_t index);

/* Row of the kernel table that an instruction of the program runs by; UINT32_MAX past the end. */
BITTRUE_API uint32_t bittrue_get_kernel(const bittrue_program* program, uint32_t instruction);

/* Instruction that writes a tensor's buffer last; UINT32_MAX where none does (an input that is only
 * read, a constant) and past the end. */
BITTRUE_API uint32_t bittrue_get_writer(const bittrue_program* program, uint32_t tensor);

/* The caller's memory for bittrue_run: what is read, written, and written as a copy of a tensor. */
typedef struct bittrue_input {
  const void* data;
  uint64_t nbytes;
} bittrue_input;

typedef struct bittrue_output {
  void* data;
  uint64_t nbytes;
} bittrue_output;

typedef struct bittrue_tap {
  uint32_t tensor; /* any index, more than once if wanted */
  uint32_t reserved;
  void* data;
  uint64_t nbytes;
} bittrue_tap;

/* Run the program once.
 *
 * inputs, outputs: one for each, in the program's order, each of exactly the tensor's bytes, in
 *   its physical shape, dense. The caller's memory may have any alignment.
 * taps: tensors to copy out, each right after the last instruction that writes it or another
 *   tensor of its buffer (an input that nothing writes: before the first; a constant: likewise).
 * The calling thread computes too; its float environment is set for the run and restored.
 * Fails with BITTRUE_DATA (counts, sizes, null pointers) before anything is computed. */
BITTRUE_API int32_t bittrue_run(bittrue_program* program, const bittrue_input* inputs,
                                uint32_t input_count, const bittrue_output* outputs,
                                uint32_t output_count, const bittrue_tap* taps, uint32_t tap_count,
                                bittrue_error* error);

/* --- conformance vectors ------------------------------------------------------------------- */

/* A file may hold vectors: inputs that can be made again, and the sha256 that every tensor in the
 * arena then has (docs/format.md, VECTORS). To check a machine, make the inputs of a vector, run
 * them with taps, and compare the hashes. */

enum { BITTRUE_RANDOM = 0, BITTRUE_LOWEST = 1, BITTRUE_HIGHEST = 2 };

typedef struct bittrue_vector_info {
  uint32_t pattern; /* how the inputs are made */
  uint32_t reserved;
  uint64_t seed; /* of BITTRUE_RANDOM */
} bittrue_vector_info;

/* Fill *info for a vector; return BITTRUE_OK or BITTRUE_USAGE if there is none of that index. */
BITTRUE_API int32_t bittrue_get_vector(const bittrue_program* program, uint32_t vector,
                                       bittrue_vector_info* info);

/* Write what a vector gives to input `input` (of the program's order) to data, of exactly the
 * tensor's bytes. Returns BITTRUE_OK, BITTRUE_USAGE for an index, BITTRUE_DATA for nbytes. */
BITTRUE_API int32_t bittrue_fill_input(const bittrue_program* program, uint32_t vector,
                                       uint32_t input, void* data, uint64_t nbytes);

/* The 32 bytes of the sha256 that a tensor must have after a run of a vector, as a tap gives it;
 * null for a constant and past the end. They live as long as the program. */
BITTRUE_API const uint8_t* bittrue_get_hash(const bittrue_program* program, uint32_t vector,
                                            uint32_t tensor);

#ifdef __cplusplus
}
#endif

#endif /* BITTRUE_H_ */
