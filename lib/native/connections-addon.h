/* The Node-API face of connections.h; addon.c names it to JavaScript. */
#ifndef SWARMGATE_CONNECTIONS_ADDON_H
#define SWARMGATE_CONNECTIONS_ADDON_H

#include "arguments.h"

/* clearMarks(mask, millis): a promise of how many connections there were, or of a negative errno. */
napi_value addon_clear_marks(napi_env env, napi_callback_info info);

/* stopClearing(): for a process that ends, which would wait for the thread. */
napi_value addon_stop_clearing(napi_env env, napi_callback_info info);

#endif
