/*
 * The Node-API face of queue.h and process.h; that of ring.h is ring-addon.c. Every environment (the main thread, each worker) loads its own; there is
 * no state shared between them. Calls on the packet's way take a handle and return a small integer.
 */
#include "arguments.h"
#include "connections-addon.h"
#include "process.h"
#include "queue.h"
#include "ring-addon.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ARRAYS 18
#define TEXT_BYTES_MAX 4096

/* A queue and what keeps the caller's arrays from being collected. */
struct handle {
  struct queue queue;
  napi_env env;
  bool hooked;
  napi_ref references[ARRAYS];
};

static bool read_arrays(napi_env env, napi_value object, const struct queue_options *options, struct queue_arrays *to,
                        napi_ref references[ARRAYS]) {
  const size_t packets = options->batch_packets;
  const struct array_shape shapes[ARRAYS] = {
      {"bytes", napi_uint8_array, packets * options->slot_bytes, (void **)&to->bytes},
      {"start", napi_int32_array, packets, (void **)&to->start},
      {"end", napi_int32_array, packets, (void **)&to->end},
      {"wireLength", napi_int32_array, packets, (void **)&to->wire_length},
      {"timeMicros", napi_float64_array, packets, (void **)&to->time_micros},
      {"id", napi_uint32_array, packets, (void **)&to->id},
      {"hook", napi_uint8_array, packets, (void **)&to->hook},
      {"mark", napi_uint32_array, packets, (void **)&to->mark},
      {"inInterface", napi_uint32_array, packets, (void **)&to->in_interface},
      {"outInterface", napi_uint32_array, packets, (void **)&to->out_interface},
      {"flags", napi_uint8_array, packets, (void **)&to->flags},
      {"mac", napi_uint8_array, packets * MAC_STRIDE, (void **)&to->mac},
      {"verdict", napi_uint8_array, packets, (void **)&to->verdict},
      {"verdictMark", napi_uint32_array, packets, (void **)&to->verdict_mark},
      {"handOver", napi_uint8_array, packets, (void **)&to->hand_over},
      {"handOverMark", napi_uint32_array, packets, (void **)&to->hand_over_mark},
      {"workMicros", napi_float64_array, 1, (void **)&to->work_micros},
      {"counters", napi_float64_array, COUNTERS, (void **)&to->counters},
  };
  for (size_t i = 0; i < ARRAYS; i++) {
    if (!array_property(env, object, &shapes[i], &references[i])) return false;
  }
  return true;
}

static bool read_options(napi_env env, napi_value object, struct queue_options *to) {
  const uint32_t slot_bytes_min = COPY_BYTES_MIN + ATTRIBUTE_ROOM_BYTES;
  const uint32_t slot_bytes_max = COPY_BYTES_MAX + ATTRIBUTE_ROOM_BYTES + 64;
  if (!number_property(env, object, "queue", 0, UINT16_MAX, &to->queue) ||
      !number_property(env, object, "batchPackets", 1, BATCH_PACKETS_MAX, &to->batch_packets) ||
      !number_property(env, object, "slotBytes", slot_bytes_min, slot_bytes_max, &to->slot_bytes) ||
      !number_property(env, object, "copyBytes", COPY_BYTES_MIN, COPY_BYTES_MAX, &to->copy_bytes) ||
      !number_property(env, object, "lengthMax", 1, INT_MAX, &to->length_max) ||
      !number_property(env, object, "receiveBufferBytes", 1, INT_MAX / 2, &to->receive_buffer_bytes) ||
      !number_property(env, object, "timeoutMillis", 0, INT_MAX, &to->timeout_millis) ||
      !flag_property(env, object, "failOpen", &to->fail_open) || !flag_property(env, object, "gso", &to->gso))
    return false;
  if (to->slot_bytes % 8 == 0 && to->copy_bytes + ATTRIBUTE_ROOM_BYTES <= to->slot_bytes) return true;
  type_error(env, "slotBytes");
  return false;
}

/* ---- the handle's life ---- */

/* Runs when a worker ends or is terminated, before its arrays go: the queue is unbound and the rule's bypass works. */
static void on_environment_end(void *data) {
  struct handle *handle = data;
  handle->hooked = false;
  queue_close(&handle->queue);
}

static void release(struct handle *handle) {
  queue_close(&handle->queue);
  if (handle->hooked) napi_remove_env_cleanup_hook(handle->env, on_environment_end, handle);
  handle->hooked = false;
  for (size_t i = 0; i < ARRAYS; i++) {
    if (handle->references[i] != NULL) napi_delete_reference(handle->env, handle->references[i]);
    handle->references[i] = NULL;
  }
}

static void on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  release(data);
  free(data);
}

static struct handle *handle_of(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  void *handle = NULL;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count < 1 ||
      napi_get_value_external(env, argument, &handle) != napi_ok)
    type_error(env, "handle");
  return handle;
}

static bool report(napi_env env, napi_value result, const struct queue_info *info) {
  return set_int(env, result, "error", info->error) && set_int(env, result, "step", info->step) &&
         set_int(env, result, "failOpen", info->fail_open) && set_int(env, result, "gso", info->gso) &&
         set_int(env, result, "receiveBufferBytes", info->receive_buffer_bytes) &&
         set_int(env, result, "portId", info->port_id);
}

/* Wraps the open queue in a value that Node collects. The hook goes in first: removing it is part of release. */
static napi_value adopt(napi_env env, struct handle *handle) {
  napi_value external = NULL;
  handle->hooked = napi_add_env_cleanup_hook(env, on_environment_end, handle) == napi_ok;
  if (handle->hooked && napi_create_external(env, handle, on_collected, NULL, &external) == napi_ok) return external;
  release(handle);
  free(handle);
  napi_throw_error(env, "native-memory", "Node could not keep the queue");
  return NULL;
}

/* open(options, arrays, result): a handle, or undefined with `result.error` and `result.step` saying why. */
static napi_value addon_open(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value arguments[3];
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < 3)
    return type_error(env, "open needs options, arrays and result");
  struct queue_options options = {0};
  struct queue_arrays arrays = {0};
  struct queue_info granted = {0};
  if (!read_options(env, arguments[0], &options)) return NULL;
  struct handle *handle = calloc(1, sizeof *handle);
  if (handle == NULL) return type_error(env, "no memory");
  handle->env = env;
  handle->queue.fd = -1;
  const bool understood = read_arrays(env, arguments[1], &options, &arrays, handle->references);
  const bool opened = understood && queue_open(&handle->queue, &options, &arrays, &granted);
  const bool told = understood && report(env, arguments[2], &granted);
  if (opened && told) return adopt(env, handle);
  release(handle);
  free(handle);
  return NULL;
}

static napi_value addon_receive(napi_env env, napi_callback_info info) {
  struct handle *handle = handle_of(env, info);
  return handle == NULL ? NULL : int_value(env, queue_receive(&handle->queue));
}

static napi_value addon_settle(napi_env env, napi_callback_info info) {
  struct handle *handle = handle_of(env, info);
  return handle == NULL ? NULL : int_value(env, queue_settle(&handle->queue));
}

static napi_value addon_close(napi_env env, napi_callback_info info) {
  struct handle *handle = handle_of(env, info);
  if (handle != NULL) release(handle);
  return NULL;
}

static napi_value addon_set_copy_range(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  void *handle;
  uint32_t copy_bytes;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < 2 ||
      napi_get_value_external(env, arguments[0], &handle) != napi_ok ||
      napi_get_value_uint32(env, arguments[1], &copy_bytes) != napi_ok)
    return type_error(env, "setCopyRange needs a handle and a number");
  return int_value(env, queue_copy_range(&((struct handle *)handle)->queue, copy_bytes));
}

/* ---- threads and systemd ---- */

static napi_value addon_thread_id(napi_env env, napi_callback_info info) {
  (void)info;
  return int_value(env, process_thread_id());
}

/* The only argument of a call, if it is an array of the wanted type. */
static bool array_argument(napi_env env, napi_callback_info info, napi_typedarray_type wanted, void **data,
                           size_t *length) {
  size_t count = 1;
  napi_value argument;
  napi_typedarray_type type;
  return napi_get_cb_info(env, info, &count, &argument, NULL, NULL) == napi_ok && count >= 1 &&
         napi_get_typedarray_info(env, argument, &type, length, data, NULL, NULL) == napi_ok && type == wanted;
}

/* setAffinity(Uint32Array): 0 or a negative errno. */
static napi_value addon_set_affinity(napi_env env, napi_callback_info info) {
  void *data;
  size_t length;
  if (!array_argument(env, info, napi_uint32_array, &data, &length))
    return type_error(env, "setAffinity needs a Uint32Array");
  return int_value(env, process_set_affinity(data, length));
}

/* getAffinity(): processor numbers, or a negative errno. */
static napi_value addon_get_affinity(napi_env env, napi_callback_info info) {
  (void)info;
  uint32_t processors[PROCESSORS_MAX];
  const int count = process_get_affinity(processors);
  if (count < 0) return int_value(env, count);
  napi_value list = NULL;
  napi_create_array_with_length(env, (size_t)count, &list);
  for (int i = 0; i < count; i++) napi_set_element(env, list, (uint32_t)i, int_value(env, (int)processors[i]));
  return list;
}

/* readClock(Float64Array): the monotonic clock's microseconds as its first element. */
static napi_value addon_read_clock(napi_env env, napi_callback_info info) {
  void *data;
  size_t length;
  if (!array_argument(env, info, napi_float64_array, &data, &length) || length < 1)
    return type_error(env, "readClock needs a Float64Array");
  *(double *)data = (double)queue_clock_nanos(CLOCK_MONOTONIC) / 1000;
  return NULL;
}

static bool read_text(napi_env env, napi_value value, char text[TEXT_BYTES_MAX], size_t *length) {
  if (napi_get_value_string_utf8(env, value, text, TEXT_BYTES_MAX, length) == napi_ok) return true;
  type_error(env, "text");
  return false;
}

static napi_value addon_set_thread_name(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  char name[TEXT_BYTES_MAX];
  size_t length;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count < 1)
    return type_error(env, "setThreadName needs a text");
  if (!read_text(env, argument, name, &length)) return NULL;
  return int_value(env, process_set_thread_name(name));
}

/* ignoreTerminalStops(): 0 or a negative errno. */
static napi_value addon_ignore_terminal_stops(napi_env env, napi_callback_info info) {
  (void)info;
  return int_value(env, process_ignore_terminal_stops());
}

/* notify(path, text): 0 or a negative errno. */
static napi_value addon_notify(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  char path[TEXT_BYTES_MAX];
  char text[TEXT_BYTES_MAX];
  size_t path_length;
  size_t text_length;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < 2)
    return type_error(env, "notify needs a path and a text");
  if (!read_text(env, arguments[0], path, &path_length) || !read_text(env, arguments[1], text, &text_length))
    return NULL;
  return int_value(env, process_notify(path, path_length, text, text_length));
}

NAPI_MODULE_INIT() {
  const struct {
    const char *name;
    napi_callback call;
  } calls[] = {
      {"open", addon_open},
      {"receive", addon_receive},
      {"settle", addon_settle},
      {"close", addon_close},
      {"setCopyRange", addon_set_copy_range},
      {"readClock", addon_read_clock},
      {"threadId", addon_thread_id},
      {"setAffinity", addon_set_affinity},
      {"getAffinity", addon_get_affinity},
      {"setThreadName", addon_set_thread_name},
      {"ignoreTerminalStops", addon_ignore_terminal_stops},
      {"notify", addon_notify},
      {"clearMarks", addon_clear_marks},
      {"stopClearing", addon_stop_clearing},
      {"ringProbe", addon_ring_probe},
      {"filterCheck", addon_filter_check},
      {"ringOpen", addon_ring_open},
      {"ringReceive", addon_ring_receive},
      {"ringClose", addon_ring_close},
  };
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
    napi_value function;
    if (napi_create_function(env, calls[i].name, NAPI_AUTO_LENGTH, calls[i].call, NULL, &function) != napi_ok ||
        napi_set_named_property(env, exports, calls[i].name, function) != napi_ok)
      return NULL;
  }
  return exports;
}
