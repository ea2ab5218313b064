/*
 * Keeps a queue short while it is full all the time. A long queue carries a burst over; under a load that is more than
 * this thread can take it only makes every packet late, and cold: the packet, its copy and its connection have left the
 * processor's cache when it is their turn (a "standing queue", RFC 8289 section 3). What counts is the socket's buffer,
 * because packets that find it full leave a gap in the ids and are counted.
 */
#include "queue.h"

#include <sys/socket.h>

/* What the kernel charges the buffer for a message beside its bytes: sk_buff, shared info and rounding, at least. */
#define MESSAGE_OVERHEAD_BYTES 640
/* A short queue has room for so many messages, and for so many batches. */
#define MESSAGES_KEPT 512
#define BATCHES_KEPT 4
/* Smaller batches are full whenever packets come, and tell nothing. */
#define BATCH_MIN 8

/* Above net.core.rmem_max only with CAP_NET_ADMIN of the first user namespace; in a container the limit holds. */
bool queue_set_buffer(int fd, uint32_t bytes) {
  const int wanted = (int)bytes;
  return setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof wanted) == 0 ||
         setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wanted, sizeof wanted) == 0;
}

static void lengthen(struct queue *queue) {
  if (queue->is_short && queue_set_buffer(queue->fd, queue->buffer_bytes)) queue->is_short = false;
}

/* For messages like those of the batch at hand, which the kernel charges `charged` for. */
static void shorten(struct queue *queue, uint64_t charged) {
  const uint32_t batches = BATCHES_KEPT * queue->batch_packets;
  const uint64_t messages = batches > MESSAGES_KEPT ? batches : MESSAGES_KEPT;
  /* The kernel doubles what it is given. */
  const uint64_t bytes = charged / queue->batch_packets * messages / 2;
  if (bytes >= queue->buffer_bytes) {
    lengthen(queue);
    return;
  }
  if (!queue_set_buffer(queue->fd, (uint32_t)bytes)) return;
  if (!queue->is_short) queue->arrays.counters[COUNTER_SHORTENINGS] += 1;
  queue->is_short = true;
}

void queue_follow_backlog(struct queue *queue, uint32_t messages, uint64_t bytes) {
  if (queue->batch_packets < BATCH_MIN) return;
  if (messages < queue->batch_packets) {
    /* The socket was empty at the end of this batch: whoever comes now finds room. */
    queue->backlog_bytes = 0;
    lengthen(queue);
    return;
  }
  const double overruns = queue->arrays.counters[COUNTER_OVERRUNS];
  if (queue->backlog_bytes == 0) queue->backlog_overruns = overruns;
  const uint64_t charged = bytes + (uint64_t)messages * MESSAGE_OVERHEAD_BYTES;
  queue->backlog_bytes += charged;
  /* Twice as much as the long queue holds came in full batches, and it was not long enough all the same. */
  if (queue->backlog_bytes < 4 * (uint64_t)queue->buffer_bytes || overruns <= queue->backlog_overruns) return;
  queue->backlog_bytes = 0;
  shorten(queue, charged);
}
