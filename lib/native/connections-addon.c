/* In a thread of Node's pool: a large table takes a while, in which signals and the control socket are heard. */
#include "connections-addon.h"

#include "connections.h"

#include <stdlib.h>

struct job {
  napi_async_work work;
  napi_deferred promise;
  uint32_t mask;
  uint32_t millis;
  uint32_t cleared;
  int result;
};

static void execute(napi_env env, void *data) {
  (void)env;
  struct job *job = data;
  job->result = connections_clear_marks(job->mask, job->millis, &job->cleared);
}

static void complete(napi_env env, napi_status status, void *data) {
  struct job *job = data;
  napi_value answer = NULL;
  if (status == napi_ok) {
    napi_create_int64(env, job->result < 0 ? job->result : (int64_t)job->cleared, &answer);
    napi_resolve_deferred(env, job->promise, answer);
  }
  napi_delete_async_work(env, job->work);
  free(job);
}

napi_value addon_clear_marks(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  napi_value name = NULL;
  napi_value promise = NULL;
  struct job *job = calloc(1, sizeof *job);
  if (job == NULL) return type_error(env, "no memory");
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < 2 ||
      napi_get_value_uint32(env, arguments[0], &job->mask) != napi_ok ||
      napi_get_value_uint32(env, arguments[1], &job->millis) != napi_ok) {
    free(job);
    return type_error(env, "clearMarks needs a mask and milliseconds");
  }
  if (napi_create_string_utf8(env, "swarmgate clearMarks", NAPI_AUTO_LENGTH, &name) == napi_ok &&
      napi_create_async_work(env, NULL, name, execute, complete, job, &job->work) == napi_ok) {
    if (napi_create_promise(env, &job->promise, &promise) == napi_ok &&
        napi_queue_async_work(env, job->work) == napi_ok)
      return promise;
    napi_delete_async_work(env, job->work);
  }
  free(job);
  return type_error(env, "Node could not begin");
}

napi_value addon_stop_clearing(napi_env env, napi_callback_info info) {
  (void)env;
  (void)info;
  connections_stop();
  return NULL;
}
