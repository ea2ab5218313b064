/*
 * Round trips of small UDP packets, which the filter's rules queue as they queue everything else but ICMP. The asker
 * takes another source port after some packets, so that no flow lives long enough to be let go.
 * usage: echo serve PORT
 *        echo ask HOST PORT COUNT PAUSE_MICROS PACKETS_PER_FLOW     prints the microseconds of each trip, -1: lost
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAYLOAD_BYTES 20
#define PATIENCE_MICROS 200000

static double now_micros(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

static int serve(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (fd < 0 || bind(fd, (const struct sockaddr *)&from, sizeof from) != 0) return perror("bind"), 1;
  for (;;) {
    char bytes[2048];
    socklen_t length = sizeof from;
    const ssize_t count = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &length);
    if (count > 0) sendto(fd, bytes, (size_t)count, 0, (const struct sockaddr *)&from, length);
  }
}

static int open_asker(const struct sockaddr_in *to) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const struct timeval patience = {.tv_usec = PATIENCE_MICROS};
  if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) != 0) return -1;
  return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 ? fd : -1;
}

/* An answer to an earlier question, which was given up, is not an answer. */
static double trip(int fd, uint32_t number) {
  uint8_t payload[PAYLOAD_BYTES];
  for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)((number + i) * 2654435761u >> 24);
  memcpy(payload + 8, &number, sizeof number);
  const double begin = now_micros();
  if (send(fd, payload, sizeof payload, 0) < 0) return -1;
  for (;;) {
    uint8_t answer[PAYLOAD_BYTES];
    if (recv(fd, answer, sizeof answer, 0) < 0) return -1;
    if (memcmp(answer, payload, sizeof answer) == 0) return now_micros() - begin;
  }
}

static int ask(const char *host, uint16_t port, int count, long pause_micros, int per_flow) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, host, &to.sin_addr) != 1 || per_flow < 1) return 2;
  int fd = -1;
  for (int i = 0; i < count; i++) {
    if (i % per_flow == 0) {
      if (fd >= 0) close(fd);
      fd = open_asker(&to);
      if (fd < 0) return perror("asker"), 1;
    }
    printf("%.1f\n", trip(fd, (uint32_t)i));
    const struct timespec pause = {.tv_sec = pause_micros / 1000000, .tv_nsec = pause_micros % 1000000 * 1000};
    nanosleep(&pause, NULL);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "serve") == 0) return serve((uint16_t)atoi(argv[2]));
  if (argc == 7 && strcmp(argv[1], "ask") == 0)
    return ask(argv[2], (uint16_t)atoi(argv[3]), atoi(argv[4]), atol(argv[5]), atoi(argv[6]));
  return fprintf(stderr, "usage: echo serve PORT | echo ask HOST PORT COUNT PAUSE_MICROS PACKETS_PER_FLOW\n"), 2;
}
