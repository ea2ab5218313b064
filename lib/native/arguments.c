#include "arguments.h"

napi_value type_error(napi_env env, const char *what) {
  napi_throw_type_error(env, "native-argument", what);
  return NULL;
}

napi_value int_value(napi_env env, int value) {
  napi_value result = NULL;
  napi_create_int32(env, value, &result);
  return result;
}

bool property(napi_env env, napi_value object, const char *name, napi_value *value) {
  if (napi_get_named_property(env, object, name, value) == napi_ok) return true;
  type_error(env, name);
  return false;
}

bool number_property(napi_env env, napi_value object, const char *name, uint32_t least, uint32_t most,
                     uint32_t *number) {
  napi_value value;
  double wide;
  if (!property(env, object, name, &value)) return false;
  if (napi_get_value_double(env, value, &wide) == napi_ok && wide >= least && wide <= most) {
    *number = (uint32_t)wide;
    return true;
  }
  type_error(env, name);
  return false;
}

bool flag_property(napi_env env, napi_value object, const char *name, bool *flag) {
  napi_value value;
  if (!property(env, object, name, &value)) return false;
  if (napi_get_value_bool(env, value, flag) == napi_ok) return true;
  type_error(env, name);
  return false;
}

bool array_property(napi_env env, napi_value object, const struct array_shape *shape, napi_ref *reference) {
  napi_value value;
  napi_typedarray_type type;
  size_t length;
  if (!property(env, object, shape->name, &value)) return false;
  if (napi_get_typedarray_info(env, value, &type, &length, shape->data, NULL, NULL) == napi_ok && type == shape->type &&
      length >= shape->length && *shape->data != NULL && napi_create_reference(env, value, 1, reference) == napi_ok)
    return true;
  type_error(env, shape->name);
  return false;
}

bool set_int(napi_env env, napi_value object, const char *name, int64_t value) {
  napi_value number;
  return napi_create_int64(env, value, &number) == napi_ok &&
         napi_set_named_property(env, object, name, number) == napi_ok;
}
