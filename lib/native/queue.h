/*
 * One NFQUEUE socket and the caller's arrays. Nothing here knows of Node: addon.c is the only file that does, so that
 * this part can be run under a sanitizer by a plain C program (check.c).
 *
 * The kernel hands over packets in the order of their ids and holds each until its verdict. A queue has one batch in
 * hand at a time: queue_receive fills it, queue_settle gives all of it back.
 */
#ifndef SWARMGATE_QUEUE_H
#define SWARMGATE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH_PACKETS_MAX 256
/* Room for the netlink header and every attribute except the payload: 250 bytes at the most today. */
#define ATTRIBUTE_ROOM_BYTES 512
/* NFQNL_MAX_COPY_RANGE of the kernel: an attribute's 16-bit length without its header. */
#define COPY_BYTES_MAX 65531
#define COPY_BYTES_MIN 128
#define MAC_STRIDE 8
/* Header 16, nfgenmsg 4, verdict attribute 12, mark attribute 8. */
#define VERDICT_MESSAGE_BYTES_MAX 40

/* The same bits as in lib/io/packet-queue.ts. */
#define PACKET_CHECKSUM_NOT_READY 1
#define PACKET_GSO 2
#define PACKET_TRUNCATED 4
#define HAND_OVER_ASKED 1
#define HAND_OVER_DONE 2

/* Places in the caller's counter array; lib/native/index.ts names them in the same order. */
enum counter {
  COUNTER_OVERRUNS,
  COUNTER_STALE,
  COUNTER_MALFORMED,
  COUNTER_VERDICT_MESSAGES,
  COUNTER_SEND_RETRIES,
  COUNTER_SEND_FAILURES,
  COUNTER_REORDERED,
  COUNTER_SHORTENINGS,
  COUNTERS
};

/* What an opening was doing when it failed; the same order as in lib/native/index.ts. */
enum step { STEP_NONE, STEP_SOCKET, STEP_SETUP, STEP_CONFIGURE };

/* The caller's memory. Each array has one element per packet, `mac` MAC_STRIDE bytes; `work_micros` has one in all. */
struct queue_arrays {
  uint8_t *bytes;
  int32_t *start;
  int32_t *end;
  int32_t *wire_length;
  double *time_micros;
  uint32_t *id;
  uint8_t *hook;
  uint32_t *mark;
  uint32_t *in_interface;
  uint32_t *out_interface;
  uint8_t *flags;
  uint8_t *mac;
  uint8_t *verdict;
  uint32_t *verdict_mark;
  /* HAND_OVER_ASKED: settle this packet after the others, and if no packet waits by then, with NF_REPEAT and this mark. */
  uint8_t *hand_over;
  uint32_t *hand_over_mark;
  double *work_micros;
  double *counters;
};

struct queue_options {
  uint32_t queue;
  uint32_t batch_packets;
  uint32_t slot_bytes;
  uint32_t copy_bytes;
  uint32_t length_max;
  uint32_t receive_buffer_bytes;
  uint32_t timeout_millis;
  bool fail_open;
  bool gso;
};

/* What the kernel granted. */
struct queue_info {
  int error;
  enum step step;
  bool fail_open;
  bool gso;
  uint32_t receive_buffer_bytes;
  uint32_t port_id;
};

struct queue {
  struct mnl_socket *socket;
  int fd;
  uint16_t number;
  uint32_t batch_packets;
  uint32_t slot_bytes;
  int receive_flags;
  /* Packets in hand, not settled yet. */
  uint32_t count;
  uint32_t last_id;
  /* Ids once came out of order: then "all ids up to x" would hit packets that were not received yet. */
  bool reordered;
  /* Microseconds from the monotonic clock to the time that packets get. */
  int64_t clock_offset_micros;
  /* Monotonic clock, nanoseconds: when the wall clock was last looked at, and when the batch in hand was received. */
  int64_t wall_read_nanos;
  int64_t received_nanos;
  /* Of the socket, half of what the kernel granted; whether it has less now, because the queue was full for long. */
  uint32_t buffer_bytes;
  bool is_short;
  /* What the full batches in a row were charged for, and the packets that had been refused before the first. */
  uint64_t backlog_bytes;
  double backlog_overruns;
  /* Verdicts that the kernel had no memory for; sent again before anything else. */
  size_t unsent_bytes;
  struct queue_arrays arrays;
  struct mmsghdr messages[BATCH_PACKETS_MAX];
  struct iovec vectors[BATCH_PACKETS_MAX];
  _Alignas(8) uint8_t verdicts[BATCH_PACKETS_MAX * VERDICT_MESSAGE_BYTES_MAX];
};

/* Opens and binds the queue. `queue` must be zeroed memory. False with info->error and info->step on failure. */
bool queue_open(struct queue *queue, const struct queue_options *options, const struct queue_arrays *arrays,
                struct queue_info *info);

/* Nanoseconds of a clock. */
int64_t queue_clock_nanos(clockid_t clock);

/* Packets received, 0 after a time-out or an interrupted wait, or a negative errno: EBUSY when a batch is unsettled. */
int queue_receive(struct queue *queue);

/* Reads the message of `length` bytes in `slot` into element `index` of the arrays. True if it is a packet. */
bool queue_read_message(struct queue *queue, uint32_t slot, uint32_t length, uint32_t index);

/*
 * Tells the queue that so many messages of so many bytes in all were received; none after a time-out. Makes the socket's
 * buffer short when batches are full all the time and packets are refused, and long again as soon as it was empty.
 */
void queue_follow_backlog(struct queue *queue, uint32_t messages, uint64_t bytes);

/* Asks for a socket's buffer of so many bytes, which the kernel doubles. False if it refuses. */
bool queue_set_buffer(int fd, uint32_t bytes);

/*
 * Verdict messages sent, or a negative errno. Verdicts that could not be sent stay with the queue. Where a packet's
 * `hand_over` was carried out it says HAND_OVER_DONE, and verdict and verdict_mark what the packet got (or gets, where
 * the send has to be tried again).
 */
int queue_settle(struct queue *queue);

/* Sends what `unsent_bytes` says, with a bounded number of retries. 0 or a negative errno. */
int queue_flush(struct queue *queue);

/* Bytes of each packet to copy from now on, up to what a slot holds. 0 or a negative errno. */
int queue_copy_range(struct queue *queue, uint32_t copy_bytes);

/* Accepts what the kernel still holds, unbinds and closes. Idempotent. */
void queue_close(struct queue *queue);

#endif
