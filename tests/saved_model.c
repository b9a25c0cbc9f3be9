/* Runs the signature `restore_image_bytes` of a SavedModel by TensorFlow's C API, without Python or Keras: the same loader
 * that TF Serving uses.
 *
 *     saved_model DIRECTORY INPUT_OPERATION OUTPUT_OPERATION OUTPUT_FILE... -- INPUT_FILE...
 *
 * restores the input files as one batch; sends bytes that are no image, which must be refused with INVALID_ARGUMENT; and
 * restores the files again, which must give the same. Exits with 0 if all of it does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/core/platform/ctstring.h"

static void check(int fine, const char *what) {
  if (!fine) {
    fprintf(stderr, "%s\n", what);
    exit(1);
  }
}

static TF_Tensor *strings(int count) {
  int64_t shape[1] = {count};
  TF_Tensor *tensor = TF_AllocateTensor(TF_STRING, shape, 1, count * sizeof(TF_TString));
  for (int i = 0; i < count; i++) TF_StringInit((TF_TString *)TF_TensorData(tensor) + i);
  return tensor;
}

static TF_Tensor *read_files(char **paths, int count) {
  TF_Tensor *tensor = strings(count);
  for (int i = 0; i < count; i++) {
    FILE *file = fopen(paths[i], "rb");
    check(file != NULL, paths[i]);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *bytes = malloc(size);
    check(fread(bytes, 1, size, file) == (size_t)size, paths[i]);
    TF_StringCopy((TF_TString *)TF_TensorData(tensor) + i, bytes, size);
    free(bytes);
    fclose(file);
  }
  return tensor;
}

static TF_Tensor *run(TF_Session *session, TF_Output input, TF_Output output, TF_Tensor *request, TF_Status *status) {
  TF_Tensor *response = NULL;
  TF_SessionRun(session, NULL, &input, &request, 1, &output, &response, 1, NULL, 0, NULL, status);
  return response;
}

int main(int count, char **arguments) {
  int first = 4, dashes = first;
  while (dashes < count && strcmp(arguments[dashes], "--")) dashes++;
  int files = count - dashes - 1;
  check(count > 4 && files == dashes - first && files > 0, "see the head of saved_model.c");

  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session =
      TF_LoadSessionFromSavedModel(options, NULL, arguments[1], tags, 1, graph, NULL, status);
  check(TF_GetCode(status) == TF_OK, TF_Message(status));
  TF_Output input = {TF_GraphOperationByName(graph, arguments[2]), 0};
  TF_Output output = {TF_GraphOperationByName(graph, arguments[3]), 0};
  check(input.oper && output.oper, "no such operations");

  TF_Tensor *request = read_files(arguments + dashes + 1, files);
  TF_Tensor *first_response = run(session, input, output, request, status);
  check(TF_GetCode(status) == TF_OK, TF_Message(status));

  TF_Tensor *garbage = strings(1);
  TF_StringCopy((TF_TString *)TF_TensorData(garbage), "no image", 8);
  run(session, input, output, garbage, status);
  check(TF_GetCode(status) == TF_INVALID_ARGUMENT, "garbage was not refused with INVALID_ARGUMENT");
  printf("%s\n", TF_Message(status));

  TF_Tensor *response = run(session, input, output, request, status);
  check(TF_GetCode(status) == TF_OK, "a request after a refused one failed");
  for (int i = 0; i < files; i++) {
    const TF_TString *before = (TF_TString *)TF_TensorData(first_response) + i;
    const TF_TString *restored = (TF_TString *)TF_TensorData(response) + i;
    size_t size = TF_StringGetSize(restored);
    const char *bytes = TF_StringGetDataPointer(restored);
    check(size == TF_StringGetSize(before) && !memcmp(bytes, TF_StringGetDataPointer(before), size),
          "the same request gave another response");
    FILE *file = fopen(arguments[first + i], "wb");
    check(file && fwrite(bytes, 1, size, file) == size && !fclose(file), arguments[first + i]);
  }
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  return 0;
}
