/* Run a SavedModel with TensorFlow's C API: one input tensor in, one output tensor out.

   run_saved_model FOLDER INPUT DTYPE DIMS OUTPUT < input.bin > output.bin

   INPUT and OUTPUT are the tensors of the signature, such as serving_default_image:0 and StatefulPartitionedCall:0;
   `saved_model_cli show --dir FOLDER --all` prints them. DTYPE is float32 or int64, DIMS are the sizes of the input,
   such as 2,1,8,8. Both files hold the elements alone, in C order. The output's sizes go to standard error. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tensorflow/c/c_api.h>

enum { MOST_DIMS = 16 };

static void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(const char *what, TF_Status *status) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

/* Finds "operation:index"; cuts the name off at the colon. */
static TF_Output find(TF_Graph *graph, char *name) {
  char *colon = strrchr(name, ':');
  if (colon == NULL) fail(name, "expected operation:index");
  *colon = '\0';
  TF_Output found = {TF_GraphOperationByName(graph, name), atoi(colon + 1)};
  if (found.oper == NULL) fail(name, "the graph has no such operation");
  return found;
}

static TF_Tensor *read_tensor(const char *dtype_name, char *dims_text) {
  TF_DataType dtype = TF_FLOAT;
  if (strcmp(dtype_name, "int64") == 0) dtype = TF_INT64;
  else if (strcmp(dtype_name, "float32") != 0) fail(dtype_name, "expected float32 or int64");
  int64_t dims[MOST_DIMS];
  int rank = 0;
  size_t size = TF_DataTypeSize(dtype);
  for (char *part = strtok(dims_text, ","); part != NULL; part = strtok(NULL, ",")) {
    if (rank == MOST_DIMS) fail("DIMS", "too many");
    dims[rank] = strtoll(part, NULL, 10);
    size *= (size_t)dims[rank++];
  }
  TF_Tensor *tensor = TF_AllocateTensor(dtype, dims, rank, size);
  if (fread(TF_TensorData(tensor), 1, size, stdin) != size) fail("standard input", "fewer bytes than DIMS say");
  return tensor;
}

int main(int count, char **arguments) {
  if (count != 6) fail("usage", "run_saved_model FOLDER INPUT DTYPE DIMS OUTPUT < input.bin > output.bin");
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session =
      TF_LoadSessionFromSavedModel(options, NULL, arguments[1], tags, 1, graph, NULL, status);
  check(arguments[1], status);
  TF_Output input = find(graph, arguments[2]), output = find(graph, arguments[5]);
  TF_Tensor *given = read_tensor(arguments[3], arguments[4]), *result = NULL;
  TF_SessionRun(session, NULL, &input, &given, 1, &output, &result, 1, NULL, 0, NULL, status);
  check("running the model", status);
  for (int axis = 0; axis < TF_NumDims(result); axis++)
    fprintf(stderr, "%lld%s", (long long)TF_Dim(result, axis), axis + 1 < TF_NumDims(result) ? "," : "\n");
  fwrite(TF_TensorData(result), 1, TF_TensorByteSize(result), stdout);
  TF_DeleteTensor(given);
  TF_DeleteTensor(result);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
