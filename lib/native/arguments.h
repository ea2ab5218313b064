/* Reading what JavaScript passes, for addon.c and ring-addon.c. */
#ifndef SWARMGATE_ARGUMENTS_H
#define SWARMGATE_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAPI_VERSION 8
#include <node_api.h>

/* Throws a TypeError that names the argument; NULL, for the caller to return. */
napi_value type_error(napi_env env, const char *what);

napi_value int_value(napi_env env, int value);

/* False if the object does not take the property. */
bool set_int(napi_env env, napi_value object, const char *name, int64_t value);

/* ---- each returns false with an exception pending ---- */

bool property(napi_env env, napi_value object, const char *name, napi_value *value);
bool number_property(napi_env env, napi_value object, const char *name, uint32_t least, uint32_t most,
                     uint32_t *number);
bool flag_property(napi_env env, napi_value object, const char *name, bool *flag);

struct array_shape {
  const char *name;
  napi_typedarray_type type;
  size_t length;
  void **data;
};

/* Asking for the address also moves a small array out of V8's heap, so that the address stays right. */
bool array_property(napi_env env, napi_value object, const struct array_shape *shape, napi_ref *reference);

#endif
