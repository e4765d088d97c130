/* Runs an executable of bittrue from C: raw bytes in, raw bytes out, the largest elements shown.
 *
 *     run MODEL.bte INPUT.bin OUTPUT.bin
 *
 * INPUT.bin holds exactly the bytes of the network's one input, OUTPUT.bin receives those of its
 * first output. docs/c-interface.md explains each call.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bittrue.h"

enum { SHOWN = 5 };

/* Return all bytes of a file, or null after saying why not. */
static uint8_t* read_file(const char* path, uint64_t* nbytes) {
  FILE* file = fopen(path, "rb");
  long length = -1;
  uint8_t* bytes = NULL;
  if (file != NULL && fseek(file, 0, SEEK_END) == 0) length = ftell(file);
  if (length >= 0 && fseek(file, 0, SEEK_SET) == 0) bytes = malloc((size_t)length + 1);
  if (bytes != NULL && fread(bytes, 1, (size_t)length, file) != (size_t)length) {
    free(bytes);
    bytes = NULL;
  }
  if (file != NULL) fclose(file);
  if (bytes == NULL) fprintf(stderr, "%s cannot be read\n", path);
  *nbytes = (uint64_t)length;
  return bytes;
}

static int write_file(const char* path, const uint8_t* bytes, uint64_t nbytes) {
  FILE* file = fopen(path, "wb");
  int good = file != NULL && fwrite(bytes, 1, (size_t)nbytes, file) == nbytes;
  if (file != NULL) good = fclose(file) == 0 && good;
  if (!good) fprintf(stderr, "%s cannot be written\n", path);
  return good;
}

/* Return the real value of element `index`; codes are uint8 with a scale. */
static double value_of(const bittrue_tensor_info* tensor, const uint8_t* bytes, uint64_t index) {
  float real;
  int32_t whole;
  switch (tensor->dtype) {
    case BITTRUE_FLOAT32:
      memcpy(&real, bytes + 4 * index, sizeof real);
      return real;
    case BITTRUE_INT32:
      memcpy(&whole, bytes + 4 * index, sizeof whole);
      return whole;
    case BITTRUE_INT8:
      return (int8_t)bytes[index];
    default:
      if (tensor->scale == 0) return bytes[index];
      return (double)((float)(bytes[index] - tensor->zero_point) * tensor->scale);
  }
}

/* Print the largest elements, the largest first; of equal ones the first. */
static void print_largest(const bittrue_tensor_info* tensor, const uint8_t* bytes) {
  const uint64_t size = tensor->dtype <= BITTRUE_INT8 ? 1 : 4;
  const uint64_t count = tensor->nbytes / size;
  uint64_t best[SHOWN];
  uint64_t found = 0;
  for (uint64_t i = 0; i < count; i++) {
    const double value = value_of(tensor, bytes, i);
    uint64_t place = found;
    while (place > 0 && value > value_of(tensor, bytes, best[place - 1])) place--;
    if (place == SHOWN) continue;
    if (found < SHOWN) found++;
    for (uint64_t j = found - 1; j > place; j--) best[j] = best[j - 1];
    best[place] = i;
  }
  for (uint64_t i = 0; i < found; i++) {
    printf("%s[%llu] = %.9g\n", tensor->name, (unsigned long long)best[i],
           value_of(tensor, bytes, best[i]));
  }
}

/* Run a program with one input; write and show its first output. Returns whether all went well. */
static int run(bittrue_program* program, const char* input_path, const char* output_path) {
  bittrue_program_info info;
  bittrue_tensor_info input, first;
  bittrue_error error;
  bittrue_get_info(program, &info);
  bittrue_get_tensor(program, bittrue_get_input(program, 0), &input);
  bittrue_get_tensor(program, bittrue_get_output(program, 0), &first);
  if (info.inputs != 1) {
    fprintf(stderr, "the network has %u inputs, this example gives one\n", info.inputs);
    return 0;
  }
  bittrue_input given = {NULL, 0};
  bittrue_output* outputs = calloc(info.outputs, sizeof *outputs);
  uint8_t* bytes = read_file(input_path, &given.nbytes);
  int good = bytes != NULL && outputs != NULL;
  given.data = bytes;
  for (uint32_t i = 0; good && i < info.outputs; i++) {
    bittrue_tensor_info output;
    bittrue_get_tensor(program, bittrue_get_output(program, i), &output);
    outputs[i].nbytes = output.nbytes;
    outputs[i].data = malloc((size_t)output.nbytes);
    good = outputs[i].data != NULL;
  }
  /* An input of the wrong length is refused by the engine, which says so. */
  if (good &&
      bittrue_run(program, &given, 1, outputs, info.outputs, NULL, 0, &error) != BITTRUE_OK) {
    fprintf(stderr, "%s: %s\n", input_path, error.text);
    good = 0;
  }
  good = good && write_file(output_path, outputs[0].data, first.nbytes);
  if (good) print_largest(&first, outputs[0].data);
  for (uint32_t i = 0; outputs != NULL && i < info.outputs; i++) free(outputs[i].data);
  free(outputs);
  free(bytes);
  return good;
}

int main(int count, char** words) {
  if (count != 4) {
    fprintf(stderr, "usage: run MODEL.bte INPUT.bin OUTPUT.bin\n");
    return EXIT_FAILURE;
  }
  if (bittrue_abi() != BITTRUE_ABI) {
    fprintf(stderr, "the library has interface %u, this program %d\n", bittrue_abi(), BITTRUE_ABI);
    return EXIT_FAILURE;
  }
  uint64_t nbytes;
  uint8_t* file = read_file(words[1], &nbytes);
  if (file == NULL) return EXIT_FAILURE;
  bittrue_program* program;
  bittrue_error error;
  if (bittrue_open(file, nbytes, BITTRUE_COPY, "auto", 0, &program, &error) != BITTRUE_OK) {
    fprintf(stderr, "%s: %s\n", words[1], error.text);
    free(file);
    return EXIT_FAILURE;
  }
  free(file); /* BITTRUE_COPY: the program has its own */
  const int good = run(program, words[2], words[3]);
  bittrue_close(program);
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
