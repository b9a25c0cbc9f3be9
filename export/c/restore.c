/* SPDX-License-Identifier: MIT */
/* Restores a picture with a TFLite file of keras_rednet, by LiteRT's C library: what Android's NDK calls.
 *
 *     cc restore.c -o restore -LFOLDER -lLiteRt -Wl,-rpath,FOLDER
 *     ./restore model.tflite photo.ppm restored.ppm
 *
 * FOLDER is that of libLiteRt.so, version 2.3, which Python's ai-edge-litert brings, too.
 *
 * Takes files of any size (not those with a size in their name) and 8-bit binary PPM or PGM pictures. The picture is
 * reflected at the bottom and right to a multiple of what the file asks for, and the result cropped; a large one is
 * restored in tiles that overlap by the network's reach, so the result is that of the whole. A network of one channel
 * restores each of R, G and B, except one for luminance, which takes gray pictures only. A file that was cut off crashes
 * LiteRT: compare its sha256 with that in the .json beside it where it may have been damaged on its way.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "litert.h"

#ifndef TILE
#define TILE 512 /* pixels of each side of a tile, without what surrounds it: half a gigabyte with the fast networks */
#endif
static const float BLACK = 16 / 255.0f, CONTRAST = 219 / 255.0f; /* luminance of BT.601, as the networks know it */

typedef struct {
  int width, height, channels;
  unsigned char *pixels;
} Picture;

typedef struct {
  LiteRtEnvironment environment;
  LiteRtModel model;
  LiteRtOptions options;
  LiteRtCompiledModel compiled;
  int channels, multiple, halo, element_type, luminance;
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
  for (; next >= '0' && next <= '9'; next = fgetc(file)) {
    value = 10 * value + next - '0';
    check(value < 1000000, "too large a picture");
  }
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
  check(picture.width > 0 && picture.height > 0, "an empty picture");
  check((size_t)picture.width <= SIZE_MAX / picture.channels / picture.height, "too large a picture");
  size_t size = (size_t)picture.width * picture.height * picture.channels;
  picture.pixels = malloc(size);
  check(picture.pixels && fread(picture.pixels, 1, size, file) == size, "the picture ends too early");
  fclose(file);
  return picture;
}

static void write_picture(const char *path, Picture picture) { /* whole, or what is there stays, but for Windows */
  char *part = malloc(strlen(path) + sizeof ".part");
  check(part != NULL, "no memory for a name");
  FILE *file = fopen(strcat(strcpy(part, path), ".part"), "wbx"); /* nothing that is there already */
  check(file != NULL, "cannot write the restored picture, or its .part is there already");
  size_t size = (size_t)picture.width * picture.height * picture.channels;
  fprintf(file, "P%c\n%d %d\n255\n", picture.channels == 3 ? '6' : '5', picture.width, picture.height);
  int written = fwrite(picture.pixels, 1, size, file) == size;
  written = !fclose(file) && written;
#ifdef _WIN32
  if (written) remove(path); /* rename does not replace it there */
#endif
  written = written && !rename(part, path);
  if (!written) remove(part);
  check(written, "cannot write the restored picture");
  free(part);
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
  check(json != NULL, "no memory for the metadata");
  memcpy(json, content, size);
  network.channels = find_number(json, "\"channels\": ");
  network.multiple = find_number(json, "\"size_multiple\": ");
  network.halo = find_number(json, "\"halo\": ");
  network.element_type = strstr(json, "\"type\": \"uint8\"") ? kUInt8 : kFloat32;
  network.luminance = strstr(json, "\"color\": \"luminance\"") != NULL;
  check(network.channels > 0 && network.multiple > 0 && network.halo >= 0, "damaged metadata");
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
        "no memory for a tile");
  return buffer;
}

static int reflect(int position, int size) {
  int period = size > 1 ? 2 * (size - 1) : 1, place = position % period;
  return place < period - place ? place : period - place;
}

/* Cuts an axis into tiles of one size, `window`, which overlap by the halo, and returns how many. Of tile i, which starts
 * at starts[i], the part from cuts[i] to cuts[i + 1] is kept; both count from the picture's border. */
static int cut(int side, Network network, int *window, int **starts, int **cuts) {
  int multiple = network.multiple, halo = network.halo, padded = (side + multiple - 1) / multiple * multiple;
  int largest = (TILE + multiple - 1) / multiple * multiple + 2 * halo;
  *window = padded < largest ? padded : largest;
  int count = *window == padded ? 1 : (padded - 2 * halo + largest - 2 * halo - 1) / (largest - 2 * halo);
  *starts = malloc(count * sizeof(int));
  *cuts = malloc((count + 1) * sizeof(int));
  check(*starts && *cuts, "no memory for the tiles");
  for (int i = 0; i < count; i++) {
    (*starts)[i] = i == 0 ? 0 : (int)((long long)i * (padded - *window) / (count - 1) / multiple) * multiple;
    (*cuts)[i] = i == 0 ? 0 : (*starts)[i] + halo;
  }
  (*cuts)[count] = side;
  return count;
}

/* Puts `network.channels` channels of a tile, from `first` on, that starts at (top, left) into the memory of its input. */
static void fill(Network network, Picture picture, int first, int top, int left, const int *shape, void *memory) {
  for (int y = 0; y < shape[1]; y++)
    for (int x = 0; x < shape[2]; x++)
      for (int c = 0; c < network.channels; c++) {
        size_t row = reflect(top + y, picture.height), column = reflect(left + x, picture.width);
        size_t to = ((size_t)y * shape[2] + x) * network.channels + c;
        unsigned char value = picture.pixels[(row * picture.width + column) * picture.channels + first + c];
        float plane = network.luminance ? BLACK + CONTRAST * value / 255 : value / 255.0f;
        if (network.element_type == kUInt8) ((unsigned char *)memory)[to] = (unsigned char)(255 * plane + 0.5f);
        else ((float *)memory)[to] = plane;
      }
}

/* Restores `network.channels` channels of the picture, from `first` on, tile by tile. */
static void restore(Network network, Picture picture, Picture restored, int first) {
  int shape[4] = {1, 0, 0, network.channels}, *tops, *lefts, *rows, *columns;
  int down = cut(picture.height, network, &shape[1], &tops, &rows);
  int across = cut(picture.width, network, &shape[2], &lefts, &columns);
  LiteRtLayout layout;
  check(!LiteRtCompiledModelResizeInputTensor(network.compiled, 0, 0, shape, 4), "LiteRT refuses the size");
  check(!LiteRtGetCompiledModelOutputTensorLayouts(network.compiled, 0, 1, &layout, true), "LiteRT refuses the size");
  LiteRtTensorBuffer input = new_buffer(network, shape, 1), output = new_buffer(network, shape, 0);
  for (int i = 0; i < down * across; i++) {
    int row = i / across, column = i % across, top = tops[row], left = lefts[column];
    void *memory;
    check(!LiteRtLockTensorBuffer(input, &memory, kLockWrite), "no memory for a tile");
    fill(network, picture, first, top, left, shape, memory);
    LiteRtUnlockTensorBuffer(input);
    check(!LiteRtRunCompiledModel(network.compiled, 0, 1, &input, 1, &output), "LiteRT fails to run the file");
    check(!LiteRtLockTensorBuffer(output, &memory, kLockRead), "no result");
    for (int y = rows[row]; y < rows[row + 1]; y++)
      for (int x = columns[column]; x < columns[column + 1]; x++)
        for (int c = 0; c < network.channels; c++) {
          size_t from = ((size_t)(y - top) * shape[2] + x - left) * network.channels + c;
          size_t to = ((size_t)y * picture.width + x) * picture.channels + first + c;
          float plane =
              network.element_type == kUInt8 ? ((unsigned char *)memory)[from] / 255.0f : ((float *)memory)[from];
          float value = network.luminance ? (plane - BLACK) / CONTRAST : plane;
          restored.pixels[to] = (unsigned char)(255 * (value < 0 ? 0 : value > 1 ? 1 : value) + 0.5f);
        }
    LiteRtUnlockTensorBuffer(output);
  }
  LiteRtDestroyTensorBuffer(input);
  LiteRtDestroyTensorBuffer(output);
  free(tops);
  free(lefts);
  free(rows);
  free(columns);
}

int main(int count, char **arguments) {
  check(count == 4, "usage: restore model.tflite photo.ppm restored.ppm");
  struct stat source, target; /* on Windows st_ino is 0 */
  int both = !stat(arguments[2], &source) && !stat(arguments[3], &target);
  int same = both && source.st_ino && source.st_ino == target.st_ino && source.st_dev == target.st_dev;
  check(!same && strcmp(arguments[2], arguments[3]), "give the restored picture another name");
  Network network = load(arguments[1]);
  Picture picture = read_picture(arguments[2]);
  check(picture.channels % network.channels == 0, "a colour network takes a PPM picture");
  check(!network.luminance || picture.channels == 1, "a network for luminance takes a PGM picture");
  Picture restored = picture;
  restored.pixels = malloc((size_t)picture.width * picture.height * picture.channels);
  check(restored.pixels != NULL, "no memory for the restored picture");
  for (int first = 0; first < picture.channels; first += network.channels) restore(network, picture, restored, first);
  write_picture(arguments[3], restored);
  LiteRtDestroyCompiledModel(network.compiled);
  LiteRtDestroyOptions(network.options);
  LiteRtDestroyModel(network.model);
  LiteRtDestroyEnvironment(network.environment);
  free(picture.pixels);
  free(restored.pixels);
  return 0;
}
