#include "process.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define NOTIFY_TIMEOUT_SECONDS 1

/* Allocated, since a fixed cpu_set_t ends at 1024 processors. */
int process_set_affinity(const uint32_t *processors, size_t count) {
  cpu_set_t *set = CPU_ALLOC(PROCESSORS_MAX);
  if (set == NULL) return -ENOMEM;
  const size_t bytes = CPU_ALLOC_SIZE(PROCESSORS_MAX);
  CPU_ZERO_S(bytes, set);
  int error = 0;
  for (size_t i = 0; i < count; i++) {
    if (processors[i] >= PROCESSORS_MAX) error = -EINVAL;
    else CPU_SET_S(processors[i], bytes, set);
  }
  /* Thread 0 is the calling one. */
  if (error == 0 && sched_setaffinity(0, bytes, set) != 0) error = -errno;
  CPU_FREE(set);
  return error;
}

int process_get_affinity(uint32_t *processors) {
  cpu_set_t *set = CPU_ALLOC(PROCESSORS_MAX);
  if (set == NULL) return -ENOMEM;
  const size_t bytes = CPU_ALLOC_SIZE(PROCESSORS_MAX);
  CPU_ZERO_S(bytes, set);
  int found = 0;
  if (sched_getaffinity(0, bytes, set) != 0) found = -errno;
  for (uint32_t i = 0; found >= 0 && i < PROCESSORS_MAX; i++) {
    if (CPU_ISSET_S(i, bytes, set)) processors[found++] = i;
  }
  CPU_FREE(set);
  return found;
}

/* glibc has gettid() only since 2.30. */
int process_thread_id(void) { return (int)syscall(SYS_gettid); }

int process_set_thread_name(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0) == 0 ? 0 : -errno; }

int process_ignore_terminal_stops(void) {
  const struct sigaction ignore = {.sa_handler = SIG_IGN};
  return sigaction(SIGTTOU, &ignore, NULL) == 0 && sigaction(SIGTTIN, &ignore, NULL) == 0 ? 0 : -errno;
}

static int send_to(const struct sockaddr_un *address, socklen_t length, const char *text, size_t text_length) {
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  /* A supervisor that does not read must not hold up the caller for long. */
  const struct timeval patience = {.tv_sec = NOTIFY_TIMEOUT_SECONDS};
  int error = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 ? 0 : -errno;
  if (error == 0 &&
      sendto(fd, text, text_length, MSG_NOSIGNAL, (const struct sockaddr *)address, length) != (ssize_t)text_length)
    error = -errno;
  close(fd);
  return error;
}

int process_notify(const char *path, size_t path_length, const char *text, size_t text_length) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path_length < 2 || path_length >= sizeof address.sun_path) return -EINVAL;
  if (path[0] != '/' && path[0] != '@') return -EAFNOSUPPORT;
  memcpy(address.sun_path, path, path_length);
  /* sd_notify(3): '@' stands for the zero byte of an abstract name, which has no zero at its end. */
  const size_t ending = path[0] == '@' ? 0 : 1;
  if (path[0] == '@') address.sun_path[0] = '\0';
  const size_t length = offsetof(struct sockaddr_un, sun_path) + path_length + ending;
  return send_to(&address, (socklen_t)length, text, text_length);
}
