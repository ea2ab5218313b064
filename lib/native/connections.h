/*
 * Clears bits of the marks of tracked connections, over ctnetlink. conntrack(8) 1.4.7 can do no more than some hundred of
 * them in one call: the answers to what it asks fill its socket. Nothing here knows of Node (connections-addon.c does).
 */
#ifndef SWARMGATE_CONNECTIONS_H
#define SWARMGATE_CONNECTIONS_H

#include <stdint.h>

/*
 * Clears the bits of `mask`, and no others, on every connection of this network namespace, both families. Reads the
 * kernel's table once; how many connections had any of the bits is written to `cleared`, as far as it came. A connection
 * that ends meanwhile is no failure.
 * 0; -ECANCELED after connections_stop(), -ETIMEDOUT when `millis` are over, -EPERM without CAP_NET_ADMIN, or what else the kernel said.
 */
int connections_clear_marks(uint32_t mask, uint32_t millis, uint32_t *cleared);

/* The process ends: what is under way, and whatever comes later, stops with the next part of the listing. */
void connections_stop(void);

#endif
