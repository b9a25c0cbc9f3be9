/* Restores a picture with a TFLite file of keras_rednet, by LiteRT's C library: what Android's NDK and iOS call.
 *
 *     cc restore.c -o restore -LFOLDER -lLiteRt -Wl,-rpath,FOLDER
 *     ./restore model.tflite photo.ppm restored.ppm
 *
 * FOLDER is that of libLiteRt.so, version 2.3, which Python's ai-edge-litert brings, too.
 *
 * Takes files of any size (not those with a size in their name) and 8-bit binary PPM or PGM pictures. The picture is
 * reflected at the bottom and right to a multiple of what the file asks for, and the result cropped. A network of one
 * channel restores each of R, G and B, except one for luminance, which takes gray pictures only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "litert.h"

typedef struct {
  int width, height, channels;
  unsigned char *pixels;
} Picture;

typedef struct {
  LiteRtEnvironment environment;
  LiteRtModel model;
  LiteRtOptions options;
  LiteRtCompiledModel compiled;
  int channels, multiple, element_type, luminance;
} Network;

static void check(int fine, const char *what) {
  if (!fine) {
    fprintf(stderr, "restore: %s\n", what);
    exit(1);
  }
}

static int number_after(FILE *file) { /* of a PPM header, after space and comments */
  int next = fgetc(file), value = 0;
  while (next == '#' || next == ' ' || next == '\n' || next == '\t' || next == '\r') {
    if (next == '#') while (next != '\n' && next != EOF) next = fgetc(file);
    next = fgetc(file);
  }
  check(next >= '0' && next <= '9', "not a binary PPM or PGM picture");
  for (; next >= '0' && next <= '9' && value < 100000; next = fgetc(file)) value = 10 * value + next - '0';
  return value;
}

static Picture read_picture(const char *path) {
  FILE *file = fopen(path, "rb");
  check(file != NULL, "cannot open the picture");
  int letter = fgetc(file), kind = fgetc(file);
  check(letter == 'P' && (kind == '5' || kind == '6'), "not a binary PPM or PGM picture");
  Picture picture = {0, 0, kind == '6' ? 3 : 1, NULL};
  picture.width = number_after(file);
  picture.height = number_after(file);
  check(number_after(file) == 255, "not an 8-bit picture");
  size_t size = (size_t)picture.width * picture.height * picture.channels;
  check(size > 0, "an empty picture");
  picture.pixels = malloc(size);
  check(picture.pixels && fread(picture.pixels, 1, size, file) == size, "the picture ends too early");
  fclose(file);
  return picture;
}

static void write_picture(const char *path, Picture picture) {
  FILE *file = fopen(path, "wb");
  check(file != NULL, "cannot write the restored picture");
  size_t size = (size_t)picture.width * picture.height * picture.channels;
  fprintf(file, "P%c\n%d %d\n255\n", picture.channels == 3 ? '6' : '5', picture.width, picture.height);
  check(fwrite(picture.pixels, 1, size, file) == size && !fclose(file), "cannot write the restored picture");
}

static int find_number(const char *json, const char *name) {
  const char *found = strstr(json, name);
  check(found != NULL, "the file's metadata lacks an entry");
  return atoi(found + strlen(name));
}

static Network load(const char *path) {
  Network network;
  const void *content;
  size_t size;
  check(!LiteRtCreateEnvironment(0, NULL, &network.environment), "LiteRT does not start");
  check(!LiteRtCreateModelFromFile(network.environment, path, &network.model), "not a TFLite file");
  check(!LiteRtGetModelMetadata(network.model, "keras_rednet", &content, &size), "not a file of keras_rednet");
  char *json = calloc(size + 1, 1);
  memcpy(json, content, size);
  network.channels = find_number(json, "\"channels\": ");
  network.multiple = find_number(json, "\"size_multiple\": ");
  network.element_type = strstr(json, "\"type\": \"uint8\"") ? kUInt8 : kFloat32;
  network.luminance = strstr(json, "\"color\": \"luminance\"") != NULL;
  check(strstr(json, "\"size\": null") != NULL, "a file of fixed size: take one for any size");
  free(json);

  LiteRtOpaqueOptions threads;
  check(!LiteRtCreateOptions(&network.options), "no options");
  check(!LiteRtSetOptionsHardwareAccelerators(network.options, kCpu), "no processor");
  check(!LiteRtCreateOpaqueOptions("xnnpack", strdup("num_threads = 2\n"), free, &threads) &&
            !LiteRtAddOpaqueOptions(network.options, threads),
        "no threads");
  check(!LiteRtCreateCompiledModel(network.environment, network.model, network.options, &network.compiled),
        "LiteRT cannot compile the file");
  return network;
}

static LiteRtTensorBuffer new_buffer(Network network, const int *shape, int is_input) {
  LiteRtRankedTensorType type = {network.element_type, {4, false, {shape[0], shape[1], shape[2], shape[3]}, {0}}};
  LiteRtTensorBufferRequirements requirements;
  LiteRtTensorBuffer buffer;
  LiteRtStatus status =
      is_input ? LiteRtGetCompiledModelInputBufferRequirements(network.compiled, 0, 0, &requirements)
               : LiteRtGetCompiledModelOutputBufferRequirements(network.compiled, 0, 0, &requirements);
  check(!status && !LiteRtCreateManagedTensorBufferFromRequirements(network.environment, &type, requirements, &buffer),
        "no memory for the picture");
  return buffer;
}

static int reflect(int position, int size) {
  if (position < size) return position;
  return size > position - size + 1 ? 2 * (size - 1) - position : size - 1;
}

/* Restores `network.channels` channels of the picture, from `first` on, in place. */
static void restore(Network network, Picture picture, int first) {
  int height = (picture.height + network.multiple - 1) / network.multiple * network.multiple;
  int width = (picture.width + network.multiple - 1) / network.multiple * network.multiple;
  int shape[4] = {1, height, width, network.channels};
  LiteRtLayout layout;
  check(!LiteRtCompiledModelResizeInputTensor(network.compiled, 0, 0, shape, 4), "LiteRT refuses the size");
  check(!LiteRtGetCompiledModelOutputTensorLayouts(network.compiled, 0, 1, &layout, true), "LiteRT refuses the size");
  LiteRtTensorBuffer input = new_buffer(network, shape, 1), output = new_buffer(network, shape, 0);

  void *memory;
  check(!LiteRtLockTensorBuffer(input, &memory, kLockWrite), "no memory for the picture");
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++)
      for (int c = 0; c < network.channels; c++) {
        size_t from = ((size_t)reflect(y, picture.height) * picture.width + reflect(x, picture.width)) * picture.channels;
        size_t to = ((size_t)y * width + x) * network.channels + c;
        unsigned char value = picture.pixels[from + first + c];
        if (network.element_type == kUInt8) ((unsigned char *)memory)[to] = value;
        else ((float *)memory)[to] = value / 255.0f;
      }
  LiteRtUnlockTensorBuffer(input);
  check(!LiteRtRunCompiledModel(network.compiled, 0, 1, &input, 1, &output), "LiteRT fails to run the file");
  check(!LiteRtLockTensorBuffer(output, &memory, kLockRead), "no result");
  for (int y = 0; y < picture.height; y++)
    for (int x = 0; x < picture.width; x++)
      for (int c = 0; c < network.channels; c++) {
        size_t from = ((size_t)y * width + x) * network.channels + c;
        size_t to = ((size_t)y * picture.width + x) * picture.channels + first + c;
        picture.pixels[to] = network.element_type == kUInt8 ? ((unsigned char *)memory)[from]
                                                            : (unsigned char)(255 * ((float *)memory)[from] + 0.5f);
      }
  LiteRtUnlockTensorBuffer(output);
  LiteRtDestroyTensorBuffer(input);
  LiteRtDestroyTensorBuffer(output);
}

int main(int count, char **arguments) {
  check(count == 4, "usage: restore model.tflite photo.ppm restored.ppm");
  Network network = load(arguments[1]);
  Picture picture = read_picture(arguments[2]);
  check(picture.channels % network.channels == 0, "a colour network takes a PPM picture");
  check(!network.luminance || picture.channels == 1, "a network for luminance takes a PGM picture");
  for (int first = 0; first < picture.channels; first += network.channels) restore(network, picture, first);
  write_picture(arguments[3], picture);
  LiteRtDestroyCompiledModel(network.compiled);
  LiteRtDestroyOptions(network.options);
  LiteRtDestroyModel(network.model);
  LiteRtDestroyEnvironment(network.environment);
  free(picture.pixels);
  return 0;
}
