/*
 * Sends small UDP packets, as fast as it can or at a rate, and prints how many went out, in how many seconds and in how
 * many flows. With BURST above 1 one send is that many packets of one flow (UDP_SEGMENT): switch tx-udp-segmentation
 * off on the interface, and the kernel cuts them there, which costs a third of sending each. Flows differ in source
 * port, address and port; those of one run are never those of another.
 * usage: generate FIRST_ADDRESS PACKETS_PER_SECOND(0: no limit) SECONDS PAYLOAD_BYTES BURST FLOWS(0: no limit) [PACKETS]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define MESSAGES 8
#define SENDERS 16
#define ADDRESSES 1024
#define PORT_FIRST 1024
#define PORTS 60000
#define BURST_MAX 64
#define PAYLOAD_BYTES_MAX 1024
#define POOL_BYTES (2 * BURST_MAX * PAYLOAD_BYTES_MAX)

struct plan {
  uint32_t first_address;
  double rate;
  double seconds;
  size_t payload_bytes;
  int burst;
  uint64_t flows;
  uint64_t packets;
};

static uint8_t pool[POOL_BYTES];
static int senders[SENDERS];
static struct sockaddr_in to[MESSAGES];
static struct iovec vectors[MESSAGES];
static struct mmsghdr messages[MESSAGES];

static double now_seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double now(void) { return now_seconds(CLOCK_MONOTONIC); }

/* The same bytes in each run: they look like nothing in particular, so whoever inspects them goes on inspecting. */
static void fill_pool(void) {
  uint32_t x = 0x9e3779b9;
  for (size_t i = 0; i < sizeof pool; i++) {
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    pool[i] = (uint8_t)(x >> 24);
  }
}

static bool open_senders(const struct plan *plan) {
  const int bytes = 4 * 1024 * 1024;
  const int segment = (int)plan->payload_bytes;
  for (int i = 0; i < SENDERS; i++) {
    senders[i] = socket(AF_INET, SOCK_DGRAM, 0);
    const struct sockaddr_in any = {.sin_family = AF_INET};
    if (senders[i] < 0 || bind(senders[i], (const struct sockaddr *)&any, sizeof any) != 0) return false;
    setsockopt(senders[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
    if (plan->burst > 1 && setsockopt(senders[i], SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) != 0) return false;
  }
  return true;
}

/* Points the messages at the flows of one batch: all of one sender, each to another address. */
static void aim(const struct plan *plan, uint64_t batch) {
  const uint64_t first = batch / SENDERS * MESSAGES;
  for (uint64_t i = 0; i < MESSAGES; i++) {
    const uint64_t flow = first + i;
    to[i].sin_addr.s_addr = htonl(plan->first_address + (uint32_t)(flow % ADDRESSES));
    to[i].sin_port = htons((uint16_t)(PORT_FIRST + flow / ADDRESSES % PORTS));
    vectors[i].iov_base = pool + flow * 31 % (POOL_BYTES / 2);
  }
}

/* Until it is time for the next batch. A short sleep would be longer than the gap, so the last part is spent waiting. */
static void wait_until(double due) {
  for (double left = due - now(); left > 0; left = due - now()) {
    if (left < 200e-6) continue;
    const struct timespec pause = {.tv_nsec = (long)((left - 150e-6) * 1e9) % 1000000000L};
    nanosleep(&pause, NULL);
  }
}

static bool is_passing(int error) {
  return error == EAGAIN || error == ENOBUFS || error == ECONNREFUSED || error == EPERM;
}

static int64_t send_all(const struct plan *plan, uint64_t first_batch) {
  const uint64_t batches = plan->flows / MESSAGES;
  const double begin = now();
  uint64_t sent = 0;
  for (uint64_t batch = 0; now() < begin + plan->seconds && (plan->packets == 0 || sent < plan->packets); batch++) {
    if (plan->rate > 0) wait_until(begin + (double)sent / plan->rate);
    aim(plan, first_batch + (batches > 0 ? batch % batches : batch));
    const int count = sendmmsg(senders[batch % SENDERS], messages, MESSAGES, 0);
    if (count > 0) sent += (uint64_t)count * (uint64_t)plan->burst;
    else if (!is_passing(errno)) return -1;
  }
  return (int64_t)sent;
}

static bool read_plan(struct plan *plan, int argc, char **argv) {
  struct in_addr first;
  if (argc < 7 || argc > 8 || inet_pton(AF_INET, argv[1], &first) != 1) return false;
  *plan = (struct plan){
      .first_address = ntohl(first.s_addr),
      .rate = atof(argv[2]),
      .seconds = atof(argv[3]),
      .payload_bytes = (size_t)atoi(argv[4]),
      .burst = atoi(argv[5]),
      .flows = strtoull(argv[6], NULL, 10),
      .packets = argc == 8 ? strtoull(argv[7], NULL, 10) : 0,
  };
  return plan->payload_bytes > 0 && plan->payload_bytes <= PAYLOAD_BYTES_MAX && plan->burst >= 1 && plan->burst <= BURST_MAX;
}

int main(int argc, char **argv) {
  struct plan plan;
  if (!read_plan(&plan, argc, argv)) {
    return fprintf(stderr, "usage: generate FIRST_ADDRESS RATE SECONDS PAYLOAD_BYTES BURST FLOWS [PACKETS]\n"), 2;
  }
  fill_pool();
  if (!open_senders(&plan)) return perror("senders"), 1;
  for (int i = 0; i < MESSAGES; i++) {
    to[i].sin_family = AF_INET;
    vectors[i].iov_len = plan.payload_bytes * (size_t)plan.burst;
    messages[i].msg_hdr = (struct msghdr){
        .msg_name = &to[i], .msg_namelen = sizeof to[i], .msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  const double begin = now();
  /* Another place among the flows each second; a multiple of SENDERS, so that all senders are used alike. */
  const uint64_t first_batch = (uint64_t)(now_seconds(CLOCK_REALTIME) * 1000) % 86400000 / 8 * SENDERS;
  const int64_t sent = send_all(&plan, first_batch);
  if (sent < 0) return perror("sendmmsg"), 1;
  const uint64_t used = (uint64_t)sent / (uint64_t)plan.burst;
  printf("%ld %.6f %ld\n", (long)sent, now() - begin, (long)(plan.flows > 0 && used > plan.flows ? plan.flows : used));
  return 0;
}
