/* The Node-API face of ring.h; addon.c names these to JavaScript. */
#ifndef SWARMGATE_RING_ADDON_H
#define SWARMGATE_RING_ADDON_H

#include "arguments.h"

/* ringProbe(): 0 or a negative errno. */
napi_value addon_ring_probe(napi_env env, napi_callback_info info);

/* filterCheck(expression): '' if libpcap compiles it for Ethernet, libpcap's words if not, or a negative errno. */
napi_value addon_filter_check(napi_env env, napi_callback_info info);

/* ringOpen(options, arrays, result): a handle and `result.memory`, or undefined with `result.error` and `result.step`. */
napi_value addon_ring_open(napi_env env, napi_callback_info info);

/* ringReceive(handle, timeoutMillis): packets in the arrays, or a negative errno. */
napi_value addon_ring_receive(napi_env env, napi_callback_info info);

/* ringClose(handle): afterwards `memory` and every view of it has the length 0. */
napi_value addon_ring_close(napi_env env, napi_callback_info info);

#endif
