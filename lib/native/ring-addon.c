/*
 * The Node-API face of ring.h. JavaScript looks at the ring's memory itself, so the memory goes only after every view of
 * it was made empty (napi_detach_arraybuffer): by close, by the collector, or by the end of the environment.
 */
#include "ring-addon.h"

#include "ring.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ARRAYS 5
#define EXPRESSION_BYTES_MAX 65536

/* A ring, its memory as JavaScript has it, and what keeps the caller's arrays from being collected. */
struct handle {
  struct ring ring;
  napi_env env;
  bool hooked;
  napi_ref memory;
  napi_ref references[ARRAYS];
};

/* ---- reading arguments; each returns false with an exception pending ---- */

static bool text_property(napi_env env, napi_value object, const char *name, char *to, size_t bytes) {
  napi_value value;
  size_t length;
  if (!property(env, object, name, &value)) return false;
  /* The length first: a text that is too long would be cut without a word. */
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) == napi_ok && length < bytes &&
      napi_get_value_string_utf8(env, value, to, bytes, &length) == napi_ok && strlen(to) == length)
    return true;
  type_error(env, name);
  return false;
}

static bool read_options(napi_env env, napi_value object, struct ring_options *to, char *expression) {
  if (!text_property(env, object, "interface", to->name, sizeof to->name) ||
      !text_property(env, object, "filter", expression, EXPRESSION_BYTES_MAX) ||
      !number_property(env, object, "batchPackets", 1, RING_BATCH_PACKETS_MAX, &to->batch_packets) ||
      !number_property(env, object, "snapBytes", 64, 262144, &to->snap_bytes) ||
      !number_property(env, object, "blockBytes", 65536, 16u << 20, &to->block_bytes) ||
      !number_property(env, object, "blocks", 2, 16384, &to->blocks) ||
      !number_property(env, object, "retireMillis", 1, 1000, &to->retire_millis) ||
      !flag_property(env, object, "promiscuous", &to->promiscuous))
    return false;
  const bool power_of_two = (to->block_bytes & (to->block_bytes - 1)) == 0;
  if (power_of_two && to->blocks <= RING_BYTES_MAX / to->block_bytes) return true;
  type_error(env, "blockBytes");
  return false;
}

static bool read_arrays(napi_env env, napi_value object, size_t packets, struct ring_arrays *to,
                        napi_ref references[ARRAYS]) {
  const struct array_shape shapes[ARRAYS] = {
      {"start", napi_int32_array, packets, (void **)&to->start},
      {"end", napi_int32_array, packets, (void **)&to->end},
      {"wireLength", napi_int32_array, packets, (void **)&to->wire_length},
      {"timeMicros", napi_float64_array, packets, (void **)&to->time_micros},
      {"counters", napi_float64_array, RING_COUNTERS, (void **)&to->counters},
  };
  for (size_t i = 0; i < ARRAYS; i++) {
    if (!array_property(env, object, &shapes[i], &references[i])) return false;
  }
  return true;
}

/* ---- the handle's life ---- */

/* Empties the views. Where that cannot be done the memory stays mapped: a leak is better than a crash. */
static bool detach(struct handle *handle) {
  napi_handle_scope scope;
  napi_value memory = NULL;
  bool done = false;
  if (handle->memory == NULL) return true;
  if (napi_open_handle_scope(handle->env, &scope) != napi_ok) return false;
  if (napi_get_reference_value(handle->env, handle->memory, &memory) == napi_ok && memory != NULL) {
    napi_detach_arraybuffer(handle->env, memory);
    done = napi_is_detached_arraybuffer(handle->env, memory, &done) == napi_ok && done;
  }
  napi_close_handle_scope(handle->env, scope);
  return done;
}

static void close_ring(struct handle *handle) {
  if (!detach(handle)) handle->ring.memory = NULL;
  ring_close(&handle->ring);
}

/* Runs when a worker ends or is terminated, before its arrays go. */
static void on_environment_end(void *data) {
  struct handle *handle = data;
  handle->hooked = false;
  close_ring(handle);
}

static void forget(napi_env env, napi_ref *reference) {
  if (*reference != NULL) napi_delete_reference(env, *reference);
  *reference = NULL;
}

static void release(struct handle *handle) {
  close_ring(handle);
  if (handle->hooked) napi_remove_env_cleanup_hook(handle->env, on_environment_end, handle);
  handle->hooked = false;
  forget(handle->env, &handle->memory);
  for (size_t i = 0; i < ARRAYS; i++) forget(handle->env, &handle->references[i]);
}

static void on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  release(data);
  free(data);
}

/* The memory is the ring's, which outlives every view of it. */
static void on_memory_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  (void)hint;
}

static bool report(napi_env env, napi_value result, const struct ring_info *info) {
  napi_value said;
  return set_int(env, result, "error", info->error) && set_int(env, result, "step", info->step) &&
         set_int(env, result, "index", info->index) && set_int(env, result, "hardwareType", info->hardware_type) &&
         set_int(env, result, "raw", info->raw) &&
         napi_create_string_utf8(env, info->said, NAPI_AUTO_LENGTH, &said) == napi_ok &&
         napi_set_named_property(env, result, "said", said) == napi_ok;
}

static bool show_memory(struct handle *handle, napi_value result) {
  napi_value memory;
  napi_env env = handle->env;
  return napi_create_external_arraybuffer(env, handle->ring.memory, handle->ring.memory_bytes, on_memory_collected, NULL,
                                          &memory) == napi_ok &&
         napi_create_reference(env, memory, 1, &handle->memory) == napi_ok &&
         napi_set_named_property(env, result, "memory", memory) == napi_ok;
}

/* Wraps the open ring in a value that Node collects. The hook goes in first: removing it is part of release. */
static napi_value adopt(napi_env env, struct handle *handle, napi_value result) {
  napi_value external = NULL;
  handle->hooked = napi_add_env_cleanup_hook(env, on_environment_end, handle) == napi_ok;
  if (handle->hooked && show_memory(handle, result) &&
      napi_create_external(env, handle, on_collected, NULL, &external) == napi_ok)
    return external;
  release(handle);
  free(handle);
  napi_throw_error(env, "native-memory", "Node could not keep the ring");
  return NULL;
}

napi_value addon_ring_open(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value arguments[3];
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < 3)
    return type_error(env, "ringOpen needs options, arrays and result");
  struct ring_options options = {0};
  struct ring_arrays arrays = {0};
  struct ring_info granted = {0};
  struct handle *handle = calloc(1, sizeof *handle);
  char *expression = calloc(1, EXPRESSION_BYTES_MAX);
  if (handle == NULL || expression == NULL) {
    free(handle);
    free(expression);
    return type_error(env, "no memory");
  }
  handle->env = env;
  handle->ring.fd = -1;
  const bool understood = read_options(env, arguments[0], &options, expression) &&
                          read_arrays(env, arguments[1], options.batch_packets, &arrays, handle->references);
  const bool opened = understood && ring_open(&handle->ring, &options, expression, &arrays, &granted);
  const bool told = understood && report(env, arguments[2], &granted);
  free(expression);
  if (opened && told) return adopt(env, handle, arguments[2]);
  release(handle);
  free(handle);
  return NULL;
}

/* ---- the packets' way ---- */

napi_value addon_ring_receive(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  void *handle;
  int32_t timeout_millis;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < 2 ||
      napi_get_value_external(env, arguments[0], &handle) != napi_ok ||
      napi_get_value_int32(env, arguments[1], &timeout_millis) != napi_ok)
    return type_error(env, "ringReceive needs a handle and a number");
  return int_value(env, ring_receive(&((struct handle *)handle)->ring, timeout_millis < 0 ? 0 : timeout_millis));
}

napi_value addon_ring_close(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  void *handle;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count < 1 ||
      napi_get_value_external(env, argument, &handle) != napi_ok)
    return type_error(env, "handle");
  release(handle);
  return NULL;
}

napi_value addon_ring_probe(napi_env env, napi_callback_info info) {
  (void)info;
  return int_value(env, ring_probe());
}

napi_value addon_filter_check(napi_env env, napi_callback_info info) {
  size_t count = 1;
  size_t length = 0;
  napi_value argument;
  napi_value answer = NULL;
  char said[RING_SAID_BYTES] = "";
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count < 1 ||
      napi_get_value_string_utf8(env, argument, NULL, 0, &length) != napi_ok || length >= EXPRESSION_BYTES_MAX)
    return type_error(env, "filter");
  char *expression = calloc(1, EXPRESSION_BYTES_MAX);
  if (expression == NULL) return int_value(env, -ENOMEM);
  napi_get_value_string_utf8(env, argument, expression, EXPRESSION_BYTES_MAX, &length);
  const int result = strlen(expression) == length ? filter_check(expression, said) : -EINVAL;
  free(expression);
  if (result != 0 && said[0] == '\0') return int_value(env, result);
  napi_create_string_utf8(env, said, NAPI_AUTO_LENGTH, &answer);
  return answer;
}
