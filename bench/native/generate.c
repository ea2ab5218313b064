/*
 * Sends small UDP packets, 64 in one call, as fast as it can or at a rate, and prints how many went out and in how many
 * seconds. Several sockets give several source ports, in turns of one batch.
 * usage: generate HOST PORT PACKETS_PER_SECOND(0: no limit) SECONDS PAYLOAD_BYTES SOURCE_PORTS
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64
#define PORTS_MAX 1024

static char payload[1472];

static double now_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int open_sender(const char *host, uint16_t port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  const int bytes = 4 * 1024 * 1024;
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0 || inet_pton(AF_INET, host, &to.sin_addr) != 1) return -1;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
  return connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? fd : -1;
}

/* Until it is time for the next batch. A short sleep would be longer than the gap, so the last part is spent waiting. */
static void wait_until(double due) {
  for (double left = due - now_seconds(); left > 0; left = due - now_seconds()) {
    if (left < 200e-6) continue;
    const struct timespec pause = {.tv_nsec = (long)((left - 150e-6) * 1e9) % 1000000000L};
    nanosleep(&pause, NULL);
  }
}

static long send_all(const int *senders, int ports, double rate, double seconds, size_t payload_bytes) {
  struct iovec vector = {payload, payload_bytes};
  struct mmsghdr messages[BATCH] = {0};
  for (int i = 0; i < BATCH; i++) {
    messages[i].msg_hdr.msg_iov = &vector;
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const double begin = now_seconds();
  long sent = 0;
  for (long round = 0; now_seconds() < begin + seconds; round++) {
    if (rate > 0) wait_until(begin + (double)sent / rate);
    const int count = sendmmsg(senders[round % ports], messages, BATCH, 0);
    if (count > 0) sent += count;
    else if (errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED && errno != EPERM) return -1;
  }
  return sent;
}

int main(int argc, char **argv) {
  if (argc != 7) return fprintf(stderr, "usage: generate HOST PORT RATE SECONDS PAYLOAD_BYTES SOURCE_PORTS\n"), 2;
  const double rate = atof(argv[3]);
  const double seconds = atof(argv[4]);
  const size_t payload_bytes = (size_t)atoi(argv[5]);
  const int ports = atoi(argv[6]);
  int senders[PORTS_MAX];
  if (ports < 1 || ports > PORTS_MAX || payload_bytes > sizeof payload) return fprintf(stderr, "too many\n"), 2;
  for (int i = 0; i < ports; i++) {
    senders[i] = open_sender(argv[1], (uint16_t)atoi(argv[2]));
    if (senders[i] < 0) return perror("sender"), 1;
  }
  const double begin = now_seconds();
  const long sent = send_all(senders, ports, rate, seconds, payload_bytes);
  if (sent < 0) return perror("sendmmsg"), 1;
  printf("%ld %.6f\n", sent, now_seconds() - begin);
  return 0;
}
