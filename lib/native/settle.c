/* Verdicts of a whole batch in one send, or two where a flow may be handed over; equal ones in a row become one message. */
#include "queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define SEND_TRIES_MAX 8
#define SEND_PAUSE_MICROS 50

/* A verdict as the kernel reads it; the mark is left out where it does not change. */
struct verdict_message {
  struct nlmsghdr header;
  struct nfgenmsg family;
  struct nlattr verdict_attribute;
  struct nfqnl_msg_verdict_hdr verdict;
  struct nlattr mark_attribute;
  uint32_t mark;
};
_Static_assert(sizeof(struct verdict_message) == VERDICT_MESSAGE_BYTES_MAX, "a verdict message has no gaps");

/* Packets in a row that get the same verdict. */
struct run {
  uint32_t first;
  uint32_t last;
  uint8_t verdict;
  uint32_t mark;
  /* Some packet's mark differs from `mark`. */
  bool changes_mark;
  /* All packets of the run are to leave with `mark`. */
  bool one_mark;
};

/* A verdict that is none is a defect of the caller; the packet passes, as if we were not there. */
static uint8_t known_verdict(uint8_t verdict) {
  return verdict == NF_DROP || verdict == NF_REPEAT ? verdict : NF_ACCEPT;
}

static struct run run_of(const struct queue_arrays *from, uint32_t i) {
  const uint8_t verdict = known_verdict(from->verdict[i]);
  const bool changes = verdict != NF_DROP && from->verdict_mark[i] != from->mark[i];
  return (struct run){i, i, verdict, from->verdict_mark[i], changes, true};
}

/* Takes the next packet into the run if one message can serve both. A dropped packet's mark matters to nobody. */
static bool extend(struct run *run, const struct run *next) {
  if (next->verdict != run->verdict) return false;
  const bool same_mark = run->one_mark && next->mark == run->mark;
  if (!same_mark && (run->changes_mark || next->changes_mark)) return false;
  run->one_mark = same_mark;
  run->changes_mark = run->changes_mark || next->changes_mark;
  run->last = next->last;
  return true;
}

static size_t put_verdict(struct queue *queue, size_t at, const struct run *run) {
  struct verdict_message message = {0};
  const size_t bytes = run->changes_mark ? sizeof message : offsetof(struct verdict_message, mark_attribute);
  const uint16_t type = run->first == run->last ? NFQNL_MSG_VERDICT : NFQNL_MSG_VERDICT_BATCH;
  message.header.nlmsg_len = (uint32_t)bytes;
  message.header.nlmsg_type = (uint16_t)((NFNL_SUBSYS_QUEUE << 8) | type);
  message.header.nlmsg_flags = NLM_F_REQUEST;
  message.family.version = NFNETLINK_V0;
  message.family.res_id = htons(queue->number);
  message.verdict_attribute.nla_len = NLA_HDRLEN + sizeof message.verdict;
  message.verdict_attribute.nla_type = NFQA_VERDICT_HDR;
  message.verdict.verdict = htonl(run->verdict);
  message.verdict.id = htonl(queue->arrays.id[run->last]);
  message.mark_attribute.nla_len = NLA_HDRLEN + sizeof message.mark;
  message.mark_attribute.nla_type = NFQA_MARK;
  message.mark = htonl(run->mark);
  memcpy(queue->verdicts + at, &message, bytes);
  return at + bytes;
}

/*
 * Puts the verdicts of the packets that are to be handed over, or those of all others, behind the messages that are there
 * already. Returns how many messages that made.
 *
 * NFQNL_MSG_VERDICT_BATCH means "all ids up to x, in the order of the queue". Everything before this batch is settled
 * and the runs are sent in order, so it hits this run and nothing else: unless a packet was left for later, whose
 * followers are settled one by one. The kernel compares ids as signed differences, which is right across 2^32 as well.
 */
static int put_verdicts(struct queue *queue, bool handed_over) {
  const struct queue_arrays *from = &queue->arrays;
  int messages = 0;
  bool in_rows = !queue->reordered;
  bool running = false;
  struct run run = {0};
  for (uint32_t i = 0; i < queue->count; i++) {
    if ((from->hand_over[i] != 0) != handed_over) {
      in_rows = in_rows && handed_over;
      continue;
    }
    const struct run next = run_of(from, i);
    if (running && in_rows && extend(&run, &next)) continue;
    if (running) queue->unsent_bytes = put_verdict(queue, queue->unsent_bytes, &run);
    running = true;
    messages++;
    run = next;
  }
  if (running) queue->unsent_bytes = put_verdict(queue, queue->unsent_bytes, &run);
  return messages;
}

/* The kernel works on a verdict within the send. It can only lack the memory for a copy of the message. */
int queue_flush(struct queue *queue) {
  if (queue->unsent_bytes == 0) return 0;
  for (int tries = 0; tries < SEND_TRIES_MAX; tries++) {
    if (send(queue->fd, queue->verdicts, queue->unsent_bytes, 0) >= 0) {
      queue->unsent_bytes = 0;
      return 0;
    }
    const int error = errno;
    if (error != EAGAIN && error != ENOBUFS && error != ENOMEM && error != EINTR) return -error;
    queue->arrays.counters[COUNTER_SEND_RETRIES] += 1;
    usleep(SEND_PAUSE_MICROS);
  }
  return -ENOBUFS;
}

static bool asks_to_hand_over(const struct queue *queue) {
  return memchr(queue->arrays.hand_over, HAND_OVER_ASKED, queue->count) != NULL;
}

static bool something_waits(const struct queue *queue) {
  struct pollfd packets = {.fd = queue->fd, .events = POLLIN};
  return poll(&packets, 1, 0) != 0;
}

/*
 * A packet that comes once its flow's mark is set passes the queue by, and overtakes what waits there. So the mark goes
 * with a packet that is settled when all others are and no packet waits: what may still be overtaken came since the poll.
 */
static void hand_over(struct queue *queue) {
  struct queue_arrays *to = &queue->arrays;
  for (uint32_t i = 0; i < queue->count; i++) {
    if (to->hand_over[i] != HAND_OVER_ASKED) continue;
    to->hand_over[i] = HAND_OVER_DONE;
    to->verdict[i] = NF_REPEAT;
    to->verdict_mark[i] = to->hand_over_mark[i];
  }
}

int queue_settle(struct queue *queue) {
  if (queue->fd < 0) return -EBADF;
  if (queue->count == 0) return 0;
  int error = 0;
  int messages = put_verdicts(queue, false);
  if (asks_to_hand_over(queue)) {
    error = queue_flush(queue);
    if (error == 0 && !something_waits(queue)) hand_over(queue);
    messages += put_verdicts(queue, true);
  }
  queue->count = 0;
  queue->arrays.counters[COUNTER_VERDICT_MESSAGES] += messages;
  if (error == 0) error = queue_flush(queue);
  if (error != 0) queue->arrays.counters[COUNTER_SEND_FAILURES] += 1;
  *queue->arrays.work_micros = (double)(queue_clock_nanos(CLOCK_MONOTONIC) - queue->received_nanos) / 1000;
  return error != 0 ? error : messages;
}
