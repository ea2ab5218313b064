/*
 * Feeds the message reader with damaged messages and the verdict writer with random batches, under a sanitizer
 * (native.test.ts compiles it). No kernel queue is needed: the "socket" is a pair whose other end reads the verdicts.
 * Prints how many messages were read as packets and how many verdict messages had been sent for how many packets.
 */
#include "queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PACKETS 64
#define SLOT_BYTES 1024
/* As often as settle.c tries to send. */
#define SEND_TRIES 8

static uint32_t random_state = 0x9e3779b9;

static uint32_t below(uint32_t limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state % limit;
}

/* Each array in an allocation of its own, of the exact size: a byte too far is seen. */
static void *room(size_t bytes) {
  void *memory = calloc(1, bytes);
  if (memory == NULL) abort();
  return memory;
}

static struct queue *new_queue(int fd) {
  struct queue *queue = room(sizeof *queue);
  struct queue_arrays *to = &queue->arrays;
  queue->fd = fd;
  queue->batch_packets = PACKETS;
  queue->slot_bytes = SLOT_BYTES;
  to->bytes = room(PACKETS * SLOT_BYTES);
  to->start = room(PACKETS * 4);
  to->end = room(PACKETS * 4);
  to->wire_length = room(PACKETS * 4);
  to->time_micros = room(PACKETS * 8);
  to->id = room(PACKETS * 4);
  to->hook = room(PACKETS);
  to->mark = room(PACKETS * 4);
  to->in_interface = room(PACKETS * 4);
  to->out_interface = room(PACKETS * 4);
  to->flags = room(PACKETS);
  to->mac = room(PACKETS * MAC_STRIDE);
  to->verdict = room(PACKETS);
  to->verdict_mark = room(PACKETS * 4);
  to->hand_over = room(PACKETS);
  to->hand_over_mark = room(PACKETS * 4);
  to->work_micros = room(8);
  to->counters = room(COUNTERS * 8);
  return queue;
}

static void free_queue(struct queue *queue) {
  struct queue_arrays *to = &queue->arrays;
  void *const all[] = {to->bytes, to->start, to->end,  to->wire_length, to->time_micros, to->id,      to->hook,        to->mark,
                       to->in_interface, to->out_interface, to->flags, to->mac, to->verdict, to->verdict_mark,
                       to->hand_over, to->hand_over_mark, to->work_micros, to->counters};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
  free(queue);
}

static size_t put(uint8_t *at, uint16_t type, const void *value, uint16_t length) {
  const struct nlattr attribute = {.nla_len = (uint16_t)(NLA_HDRLEN + length), .nla_type = type};
  memcpy(at, &attribute, sizeof attribute);
  memcpy(at + NLA_HDRLEN, value, length);
  return NLA_ALIGN(NLA_HDRLEN + length);
}

/* A message as the kernel writes it, with every attribute that is read. Returns its length. */
static uint32_t write_message(uint8_t *at, uint32_t id) {
  uint8_t payload[300] = {0x45};
  const struct nfqnl_msg_packet_hdr packet = {.packet_id = htonl(id), .hook = 2};
  const struct nfqnl_msg_packet_hw hardware = {.hw_addrlen = htons(6), .hw_addr = {2, 3, 4, 5, 6, 7}};
  const uint32_t number = htonl(1400);
  size_t length = NLMSG_HDRLEN + sizeof(struct nfgenmsg);
  memset(at, 0, length);
  length += put(at + length, NFQA_PACKET_HDR, &packet, sizeof packet);
  for (uint16_t type = NFQA_MARK; type <= NFQA_IFINDEX_PHYSOUTDEV; type++) {
    if (type != NFQA_TIMESTAMP) length += put(at + length, type, &number, sizeof number);
  }
  length += put(at + length, NFQA_HWADDR, &hardware, sizeof hardware);
  length += put(at + length, NFQA_CAP_LEN, &number, sizeof number);
  length += put(at + length, NFQA_SKB_INFO, &number, sizeof number);
  length += put(at + length, NFQA_PAYLOAD, payload, (uint16_t)below(sizeof payload));
  const struct nlmsghdr header = {.nlmsg_len = (uint32_t)length,
                                  .nlmsg_type = (NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET};
  memcpy(at, &header, sizeof header);
  return (uint32_t)length;
}

/* The slot is the last one, and the message ends with it: a read beyond its length leaves the allocation. */
static long read_damaged(long rounds) {
  struct queue *queue = new_queue(-1);
  queue->slot_bytes = 1;
  long packets = 0;
  for (long round = 0; round < rounds; round++) {
    uint8_t message[SLOT_BYTES];
    uint32_t length = write_message(message, (uint32_t)round);
    for (uint32_t hits = below(4); hits > 0; hits--) message[below(length)] = (uint8_t)below(256);
    if (below(3) == 0) length = below(length + 1);
    const uint32_t slot = PACKETS * SLOT_BYTES - length;
    memcpy(queue->arrays.bytes + slot, message, length);
    if (!queue_read_message(queue, slot, length, (uint32_t)round % PACKETS)) continue;
    packets++;
    const struct queue_arrays *from = &queue->arrays;
    const uint32_t i = (uint32_t)round % PACKETS;
    if (from->start[i] < (int32_t)slot || from->end[i] < from->start[i] || from->end[i] > PACKETS * SLOT_BYTES ||
        from->wire_length[i] < from->end[i] - from->start[i])
      abort();
  }
  free_queue(queue);
  return packets;
}

struct outcome {
  bool settled;
  uint8_t verdict;
  uint32_t mark;
};

/* The kernel's side: works on the messages and writes down what each held packet got. */
static void apply(const uint8_t *at, ssize_t length, const struct queue *queue, uint32_t count,
                  struct outcome outcomes[PACKETS]) {
  while (length > 0) {
    struct nlmsghdr header;
    struct nfqnl_msg_verdict_hdr verdict;
    uint32_t mark = 0;
    memcpy(&header, at, sizeof header);
    memcpy(&verdict, at + NLMSG_HDRLEN + 4 + NLA_HDRLEN, sizeof verdict);
    const bool has_mark = header.nlmsg_len == VERDICT_MESSAGE_BYTES_MAX;
    if (has_mark) memcpy(&mark, at + VERDICT_MESSAGE_BYTES_MAX - 4, sizeof mark);
    const uint32_t id = ntohl(verdict.id);
    const bool batch = (header.nlmsg_type & 0xff) == NFQNL_MSG_VERDICT_BATCH;
    for (uint32_t i = 0; i < count; i++) {
      const int32_t after = (int32_t)(queue->arrays.id[i] - id);
      if (outcomes[i].settled || (batch ? after > 0 : after != 0)) continue;
      const uint32_t kept = queue->arrays.mark[i];
      outcomes[i] = (struct outcome){true, (uint8_t)ntohl(verdict.verdict), has_mark ? ntohl(mark) : kept};
    }
    at += header.nlmsg_len;
    length -= header.nlmsg_len;
  }
}

/* The batch that is being settled, what its packets got so far, and sends that are still to fail. */
static struct {
  struct queue *queue;
  int other;
  uint32_t count;
  int failing_sends;
  struct outcome outcomes[PACKETS];
} settling;

static void take_verdicts(void) {
  uint8_t sent[PACKETS * VERDICT_MESSAGE_BYTES_MAX];
  for (ssize_t length; (length = recv(settling.other, sent, sizeof sent, MSG_DONTWAIT)) > 0;)
    apply(sent, length, settling.queue, settling.count, settling.outcomes);
}

/* The linker wraps both. The queue looks for packets that wait when it has settled all but those to be handed over. */
int __real_poll(struct pollfd *descriptors, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *descriptors, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *descriptors, nfds_t count, int timeout) {
  take_verdicts();
  for (uint32_t i = 0; i < settling.count; i++) {
    if ((settling.queue->arrays.hand_over[i] == 0) != settling.outcomes[i].settled) abort();
  }
  return __real_poll(descriptors, count, timeout);
}

ssize_t __real_send(int fd, const void *bytes, size_t length, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags) {
  if (settling.failing_sends == 0 || fd != settling.queue->fd) return __real_send(fd, bytes, length, flags);
  settling.failing_sends--;
  errno = ENOBUFS;
  return -1;
}

/* Ids in any order, of which the queue knows that they are. */
static void shuffle_ids(struct queue *queue) {
  uint32_t *id = queue->arrays.id;
  queue->reordered = true;
  for (uint32_t i = settling.count; i > 1; i--) {
    const uint32_t j = below(i);
    const uint32_t kept = id[j];
    id[j] = id[i - 1];
    id[i - 1] = kept;
  }
}

/* Random verdicts. Asks for some packets to be handed over; returns how many. */
static uint32_t decide_random(struct queue_arrays *arrays, uint32_t first_id) {
  static const uint8_t verdicts[] = {0, 1, 1, 1, 4};
  for (uint32_t i = 0; i < settling.count; i++) {
    arrays->id[i] = first_id + i;
    arrays->verdict[i] = verdicts[below(sizeof verdicts)];
    arrays->mark[i] = below(2);
    arrays->verdict_mark[i] = below(3);
    arrays->hand_over[i] = 0;
  }
  uint32_t asked = 0;
  for (uint32_t left = below(4); left > 0; left--) {
    const uint32_t i = below(settling.count);
    asked += arrays->hand_over[i] == 0;
    arrays->hand_over[i] = HAND_OVER_ASKED;
    arrays->hand_over_mark[i] = 3 + below(2);
  }
  return asked;
}

static void check_outcome(const struct queue_arrays *arrays, uint32_t i, bool handed_over) {
  const struct outcome *outcome = &settling.outcomes[i];
  const bool mark_matters = arrays->verdict[i] != 0;
  if (!outcome->settled || outcome->verdict != arrays->verdict[i]) abort();
  if (mark_matters && outcome->mark != arrays->verdict_mark[i]) abort();
  if (arrays->hand_over[i] == 0) return;
  if (arrays->hand_over[i] != (handed_over ? HAND_OVER_DONE : HAND_OVER_ASKED)) abort();
  if (handed_over && (outcome->verdict != 4 || outcome->mark != arrays->hand_over_mark[i])) abort();
}

/* In half of the batches another packet waits; in some the kernel has no memory for the first verdicts. */
static void settle_random(struct queue *queue, int other, uint32_t first_id, uint32_t count, long *messages) {
  memset(&settling, 0, sizeof settling);
  settling.queue = queue;
  settling.other = other;
  settling.count = count;
  const uint32_t asked = decide_random(&queue->arrays, first_id);
  queue->reordered = false;
  if (below(3) == 0) shuffle_ids(queue);
  const bool waits = below(2) != 0;
  const bool fails = below(50) == 0;
  if (waits && send(other, "", 1, 0) != 1) abort();
  if (fails) settling.failing_sends = SEND_TRIES;
  queue->count = count;
  const int result = queue_settle(queue);
  if (fails != (result < 0)) abort();
  if (result > 0) *messages += result;
  if (queue_flush(queue) != 0) abort();
  take_verdicts();
  uint8_t byte;
  if (waits && recv(queue->fd, &byte, 1, 0) != 1) abort();
  const bool handed_over = !waits && !(fails && asked < count);
  for (uint32_t i = 0; i < count; i++) check_outcome(&queue->arrays, i, handed_over);
}

/* Batches of every size, begun just before the ids wrap at 2^32. */
static long settle_all(long rounds, long *packets) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0) abort();
  struct queue *queue = new_queue(pair[0]);
  uint32_t id = UINT32_MAX - 3000;
  long messages = 0;
  for (long round = 0; round < rounds; round++) {
    const uint32_t count = 1 + below(PACKETS);
    settle_random(queue, pair[1], id, count, &messages);
    id += count;
    *packets += count;
  }
  free_queue(queue);
  return messages;
}

/* Seconds that the wall clock is wrong by, and that have gone by; the linker wraps clock_gettime. */
static int64_t clock_error;
static int64_t gone_by;
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now) {
  const int result = __real_clock_gettime(clock, now);
  now->tv_sec += gone_by + (clock == CLOCK_REALTIME ? clock_error : 0);
  return result;
}

static void fail_unless(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "%s\n", what);
  exit(1);
}

/* Received five seconds after the last one: what its time is ahead of the wall clock, in seconds. */
static double received_ahead(struct queue *queue, int other) {
  uint8_t message[SLOT_BYTES];
  const uint32_t length = write_message(message, 1);
  gone_by += 5;
  if (send(other, message, length, 0) != (ssize_t)length || queue_receive(queue) != 1) abort();
  queue->count = 0;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return queue->arrays.time_micros[0] / 1e6 - (double)now.tv_sec;
}

/* The wall clock is followed both ways: a machine may have started with one that was ahead. */
static void check_clock(void) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0) abort();
  struct queue *queue = new_queue(pair[0]);
  queue->vectors[0] = (struct iovec){.iov_base = queue->arrays.bytes, .iov_len = SLOT_BYTES};
  queue->messages[0].msg_hdr = (struct msghdr){.msg_iov = &queue->vectors[0], .msg_iovlen = 1};
  queue->batch_packets = 1;
  for (int i = 0; i < 5; i++) {
    clock_error = (const int64_t[]){0, 7200, 0, -3600, 0}[i];
    const double ahead = received_ahead(queue, pair[1]);
    fail_unless(ahead > -2 && ahead < 2, "the wall clock was set, and packets have another time");
  }
  free_queue(queue);
}

static uint32_t buffer_of(int fd) {
  int bytes = 0;
  socklen_t size = sizeof bytes;
  if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &size) != 0) abort();
  return (uint32_t)bytes / 2;
}

/* Batches of which each leaves a gap of so many ids behind. */
static void receives(struct queue *queue, uint32_t messages, uint32_t message_bytes, int times, int refused) {
  for (int i = 0; i < times; i++) {
    queue_follow_backlog(queue, messages, (uint64_t)messages * message_bytes);
    queue->arrays.counters[COUNTER_OVERRUNS] += refused;
  }
}

/* The buffer is short while batches are full all the time and packets are refused, and long otherwise. */
static void check_backlog(void) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0) abort();
  struct queue *queue = new_queue(pair[0]);
  /* At the most, and below net.core.rmem_max of every kernel, for a check without privileges. */
  const uint32_t bytes = 100 * 1024;
  queue->batch_packets = 8;
  queue->buffer_bytes = bytes;
  if (!queue_set_buffer(pair[0], bytes)) abort();
  /* Charged for as 740 bytes: twice what the buffer holds are 554 of them, 70 batches. */
  const uint32_t small = 100;
  receives(queue, 8, small, 69, 1);
  receives(queue, 7, small, 1, 1);
  receives(queue, 8, small, 69, 1);
  fail_unless(buffer_of(pair[0]) == bytes, "bursts, and a short queue");
  receives(queue, 8, small, 100, 1);
  fail_unless(buffer_of(pair[0]) == bytes, "short, where the long buffer has no room for 512 messages");
  queue->buffer_bytes = 4 * bytes;
  receives(queue, 7, small, 1, 1);
  receives(queue, 8, small, 1000, 0);
  fail_unless(buffer_of(pair[0]) == bytes, "nothing was refused, and a short queue");
  receives(queue, 8, small, 300, 1);
  const uint32_t made_short = buffer_of(pair[0]);
  fail_unless(made_short == 512 * 740 / 2 && queue->is_short, "refused for long, and not room for 512 messages");
  receives(queue, 8, 150, 300, 1);
  fail_unless(queue->is_short && buffer_of(pair[0]) > made_short, "messages became longer, and no more room");
  queue->buffer_bytes = bytes;
  receives(queue, 7, small, 1, 1);
  fail_unless(!queue->is_short && buffer_of(pair[0]) == bytes, "it was empty, and is still short");
  queue->buffer_bytes = 4 * bytes;
  receives(queue, 8, small, 300, 1);
  fail_unless(queue->is_short, "full again, and long");
  fail_unless(queue->arrays.counters[COUNTER_SHORTENINGS] == 2, "each shortening is counted once");
  receives(queue, 0, 0, 1, 0);
  queue->batch_packets = 1;
  receives(queue, 1, small, 10000, 1);
  fail_unless(!queue->is_short, "batches of one, and a short queue");
  close(pair[0]);
  close(pair[1]);
  free_queue(queue);
}

int main(int argc, char **argv) {
  const long rounds = argc > 1 ? atol(argv[1]) : 100000;
  long packets = 0;
  check_backlog();
  check_clock();
  const long read = read_damaged(rounds);
  const long messages = settle_all(rounds / 10, &packets);
  printf("%ld of %ld damaged messages read as packets; %ld verdict messages for %ld packets\n", read, rounds, messages,
         packets);
  return 0;
}
