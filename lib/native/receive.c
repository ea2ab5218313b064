/* Packets from the kernel into the caller's arrays: the bytes stay where recvmmsg put them, descriptors say where. */
#include "queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <string.h>

#define PACKET_MESSAGE ((NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET)
#define ERRORS_IN_A_ROW_MAX 4
/* The packets' time follows the wall clock when that has jumped ahead by more than this (a router without a battery). */
#define CLOCK_JUMP_MICROS 2000000
#define WALL_CLOCK_NANOS 1000000000

static uint16_t read16(const uint8_t *at) {
  uint16_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static uint32_t read32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static void count(struct queue *queue, enum counter which, double by) { queue->arrays.counters[which] += by; }

/* What one message says about its packet, until the whole message has been looked at. */
struct fields {
  bool has_id;
  uint32_t physical_in;
  uint32_t physical_out;
  uint32_t captured_from;
};

static void clear_element(struct queue_arrays *to, uint32_t i, uint32_t slot_start) {
  to->start[i] = (int32_t)slot_start;
  to->end[i] = (int32_t)slot_start;
  to->wire_length[i] = 0;
  to->mark[i] = 0;
  to->in_interface[i] = 0;
  to->out_interface[i] = 0;
  to->flags[i] = 0;
  to->hand_over[i] = 0;
  memset(to->mac + (size_t)i * MAC_STRIDE, 0, MAC_STRIDE);
}

static void read_hardware_address(uint8_t *mac, const uint8_t *value, uint32_t length) {
  const size_t address_at = offsetof(struct nfqnl_msg_packet_hw, hw_addr);
  if (length >= address_at + 6 && ntohs(read16(value)) == 6) memcpy(mac, value + address_at, 6);
}

static void read_payload(struct queue_arrays *to, uint32_t i, const uint8_t *value, uint32_t length, uint32_t present) {
  to->start[i] = (int32_t)(value - to->bytes);
  to->end[i] = to->start[i] + (int32_t)present;
  to->wire_length[i] = (int32_t)length;
  if (present < length) to->flags[i] |= PACKET_TRUNCATED;
}

static void read_checksum_info(struct queue_arrays *to, uint32_t i, uint32_t info) {
  if (info & NFQA_SKB_CSUMNOTREADY) to->flags[i] |= PACKET_CHECKSUM_NOT_READY;
  if (info & NFQA_SKB_GSO) to->flags[i] |= PACKET_GSO;
}

/* Attributes that hold one number in network order. */
static void read_number(struct queue_arrays *to, uint32_t i, struct fields *fields, uint16_t type, uint32_t number) {
  switch (type) {
    case NFQA_MARK: to->mark[i] = number; break;
    case NFQA_IFINDEX_INDEV: to->in_interface[i] = number; break;
    case NFQA_IFINDEX_OUTDEV: to->out_interface[i] = number; break;
    case NFQA_IFINDEX_PHYSINDEV: fields->physical_in = number; break;
    case NFQA_IFINDEX_PHYSOUTDEV: fields->physical_out = number; break;
    case NFQA_CAP_LEN: fields->captured_from = number; break;
    case NFQA_SKB_INFO: read_checksum_info(to, i, number); break;
    default: break;
  }
}

static void read_attribute(struct queue_arrays *to, uint32_t i, struct fields *fields, uint16_t type,
                           const uint8_t *value, uint32_t length) {
  switch (type) {
    case NFQA_PACKET_HDR:
      if (length < sizeof(struct nfqnl_msg_packet_hdr)) return;
      fields->has_id = true;
      to->id[i] = ntohl(read32(value));
      to->hook[i] = value[offsetof(struct nfqnl_msg_packet_hdr, hook)];
      return;
    case NFQA_HWADDR: read_hardware_address(to->mac + (size_t)i * MAC_STRIDE, value, length); return;
    case NFQA_PAYLOAD: read_payload(to, i, value, length, length); return;
    default:
      if (length == 4) read_number(to, i, fields, type, ntohl(read32(value)));
  }
}

/*
 * False if the attributes do not fit into each other. The payload is the last one; if the slot was too small it may
 * reach beyond the end, and what is there of it counts.
 */
static bool read_attributes(struct queue_arrays *to, uint32_t i, struct fields *fields, const uint8_t *at,
                            const uint8_t *end) {
  while (end - at >= NLA_HDRLEN) {
    const uint16_t length = read16(at);
    const uint16_t type = read16(at + 2) & NLA_TYPE_MASK;
    if (length < NLA_HDRLEN) return false;
    if (length > end - at) {
      if (type != NFQA_PAYLOAD) return false;
      read_payload(to, i, at + NLA_HDRLEN, (uint32_t)(length - NLA_HDRLEN), (uint32_t)(end - at - NLA_HDRLEN));
      return true;
    }
    read_attribute(to, i, fields, type, at + NLA_HDRLEN, (uint32_t)(length - NLA_HDRLEN));
    if (NLA_ALIGN(length) >= end - at) break;
    at += NLA_ALIGN(length);
  }
  return true;
}

/* In a bridge the routed interface is the bridge itself; its port is only named where there is no other. */
static void complete_element(struct queue_arrays *to, uint32_t i, const struct fields *fields) {
  if (to->in_interface[i] == 0) to->in_interface[i] = fields->physical_in;
  if (to->out_interface[i] == 0) to->out_interface[i] = fields->physical_out;
  if (fields->captured_from > (uint32_t)to->wire_length[i] && fields->captured_from <= INT32_MAX) {
    to->wire_length[i] = (int32_t)fields->captured_from;
    to->flags[i] |= PACKET_TRUNCATED;
  }
}

/*
 * Ids go up by one for each packet that the kernel offers to the socket. A gap is what did not fit. Should a kernel
 * ever number its packets out of order, the verdict for "all ids up to x" is not used any more.
 */
static void follow_id(struct queue *queue, uint32_t id) {
  const int32_t step = (int32_t)(id - queue->last_id);
  if (step > 1) count(queue, COUNTER_OVERRUNS, step - 1);
  if (step > 0) {
    queue->last_id = id;
    return;
  }
  queue->reordered = true;
  count(queue, COUNTER_REORDERED, 1);
}

/* A refused verdict: the kernel no longer holds the packet, or something is wrong with what we sent. */
static void count_refusal(struct queue *queue, const uint8_t *message, uint32_t length) {
  int32_t error = 0;
  if (length >= NLMSG_HDRLEN + sizeof error) memcpy(&error, message + NLMSG_HDRLEN, sizeof error);
  if (error != 0) count(queue, error == -ENOENT ? COUNTER_STALE : COUNTER_MALFORMED, 1);
}

static bool malformed(struct queue *queue) {
  count(queue, COUNTER_MALFORMED, 1);
  return false;
}

bool queue_read_message(struct queue *queue, uint32_t slot, uint32_t length, uint32_t index) {
  struct queue_arrays *to = &queue->arrays;
  const uint32_t slot_start = slot * queue->slot_bytes;
  const uint8_t *message = to->bytes + slot_start;
  const uint32_t attributes_at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
  if (length < NLMSG_HDRLEN) return malformed(queue);
  const uint32_t said_length = read32(message + offsetof(struct nlmsghdr, nlmsg_len));
  const uint16_t type = read16(message + offsetof(struct nlmsghdr, nlmsg_type));
  if (type == NLMSG_ERROR) {
    count_refusal(queue, message, length);
    return false;
  }
  if (type != PACKET_MESSAGE || length < attributes_at || said_length < attributes_at) return malformed(queue);
  if (said_length < length) length = said_length;
  struct fields fields = {0};
  clear_element(to, index, slot_start);
  const bool whole = read_attributes(to, index, &fields, message + attributes_at, message + length);
  if (!whole) count(queue, COUNTER_MALFORMED, 1);
  /* A packet whose id is known is handed on whatever else is wrong: the kernel holds it and waits for a verdict. */
  if (!fields.has_id) return whole ? malformed(queue) : false;
  complete_element(to, index, &fields);
  follow_id(queue, to->id[index]);
  return true;
}

int64_t queue_clock_nanos(clockid_t clock) {
  struct timespec now = {0};
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The wall clock is looked at once in a while, and followed where it was set, forward or back. */
static void follow_wall_clock(struct queue *queue, int64_t monotonic_nanos) {
  if (queue->wall_read_nanos != 0 && monotonic_nanos - queue->wall_read_nanos < WALL_CLOCK_NANOS) return;
  queue->wall_read_nanos = monotonic_nanos;
  const int64_t monotonic = monotonic_nanos / 1000;
  const int64_t wall = queue_clock_nanos(CLOCK_REALTIME) / 1000;
  const int64_t jump = wall - (monotonic + queue->clock_offset_micros);
  if (jump > CLOCK_JUMP_MICROS || jump < -CLOCK_JUMP_MICROS) queue->clock_offset_micros = wall - monotonic;
}

/* Goes back only where the wall clock was set back; the flows of before are ended then (filter-loop.ts). */
static double packet_time_micros(struct queue *queue) {
  const int64_t monotonic_nanos = queue_clock_nanos(CLOCK_MONOTONIC);
  follow_wall_clock(queue, monotonic_nanos);
  queue->received_nanos = monotonic_nanos;
  return (double)(monotonic_nanos / 1000 + queue->clock_offset_micros);
}

/* Messages received, 0 when there is nothing to hand over now, or a negative errno. */
static int receive_messages(struct queue *queue) {
  for (int errors = 0; errors < ERRORS_IN_A_ROW_MAX; errors++) {
    int received = recvmmsg(queue->fd, queue->messages, queue->batch_packets, queue->receive_flags, NULL);
    if (received >= 0) return received;
    if (errno == EAGAIN || errno == EINTR) return 0;
    if (errno != ENOBUFS) return -errno;
    count(queue, COUNTER_OVERRUNS, 1);
  }
  return 0;
}

int queue_receive(struct queue *queue) {
  if (queue->fd < 0) return -EBADF;
  if (queue->count != 0) return -EBUSY;
  if (queue->unsent_bytes != 0 && queue_flush(queue) != 0) return 0;
  const int received = receive_messages(queue);
  if (received < 0) return received;
  uint32_t packets = 0;
  uint64_t bytes = 0;
  for (uint32_t slot = 0; slot < (uint32_t)received; slot++) {
    bytes += queue->messages[slot].msg_len;
    if (queue_read_message(queue, slot, queue->messages[slot].msg_len, packets)) packets++;
  }
  queue_follow_backlog(queue, (uint32_t)received, bytes);
  if (packets == 0) return 0;
  const double time_micros = packet_time_micros(queue);
  for (uint32_t i = 0; i < packets; i++) queue->arrays.time_micros[i] = time_micros;
  queue->count = packets;
  return (int)packets;
}
