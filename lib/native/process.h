/* What Node offers no call for: the calling thread's processors, id and name, and a word to systemd. */
#ifndef SWARMGATE_PROCESS_H
#define SWARMGATE_PROCESS_H

#include <stddef.h>
#include <stdint.h>

#define PROCESSORS_MAX 4096

/* 0 or a negative errno. */
int process_set_affinity(const uint32_t *processors, size_t count);

/* Number of processors written to `processors` (at most PROCESSORS_MAX), or a negative errno. */
int process_get_affinity(uint32_t *processors);

int process_thread_id(void);

/* Names the calling thread (ps -L, top -H); the kernel keeps 15 bytes. 0 or a negative errno. */
int process_set_thread_name(const char *name);

/* A terminal no longer stops this process for writing to it, or reading, from the background (termios(3): TOSTOP): writing
   goes on, reading gives EIO. A handler would not do: the kernel begins such a write again after it, for ever. Programs
   that Node starts have the default again. 0 or a negative errno. */
int process_ignore_terminal_stops(void);

/* One datagram to a unix socket; `path` begins with '/' or, for an abstract name, '@'. 0 or a negative errno. */
int process_notify(const char *path, size_t path_length, const char *text, size_t text_length);

#endif
