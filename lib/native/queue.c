/* Opening, configuring and closing an NFQUEUE socket. */
#include "queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/time.h>

static bool failed(struct queue_info *info, enum step step) {
  info->error = errno;
  info->step = step;
  return false;
}

static int set_timeout(struct queue *queue, uint32_t timeout_millis) {
  struct timeval time = {.tv_sec = timeout_millis / 1000, .tv_usec = (timeout_millis % 1000) * 1000};
  /* A receive time-out of zero means "for ever" to the kernel and "do not wait" to our caller. */
  queue->receive_flags = timeout_millis == 0 ? MSG_DONTWAIT : MSG_WAITFORONE;
  return setsockopt(queue->fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
}

static int set_receive_buffer(int fd, uint32_t wanted_bytes, uint32_t *granted_bytes) {
  if (!queue_set_buffer(fd, wanted_bytes)) return -1;
  int bytes = 0;
  socklen_t size = sizeof bytes;
  if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &size) != 0) return -1;
  *granted_bytes = (uint32_t)bytes;
  return 0;
}

static int set_socket_options(struct queue *queue, const struct queue_options *options, struct queue_info *info) {
  int on = 1;
  /*
   * With ENOBUFS switched on, one overrun makes the kernel refuse every further packet until the socket is empty. Off,
   * only what does not fit is refused, and the gap in the ids tells how much that was. CAP_ACK keeps the refused
   * message out of the refusal. Both are refinements that a kernel may lack.
   */
  setsockopt(queue->fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);
  setsockopt(queue->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  if (set_receive_buffer(queue->fd, options->receive_buffer_bytes, &info->receive_buffer_bytes) != 0) return -1;
  queue->buffer_bytes = info->receive_buffer_bytes / 2;
  if (set_timeout(queue, options->timeout_millis) != 0) return -1;
  /* A netlink socket connected to the kernel takes no message from any other process. */
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  return connect(queue->fd, (struct sockaddr *)&kernel, sizeof kernel);
}

static bool open_socket(struct queue *queue, const struct queue_options *options, struct queue_info *info) {
  queue->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
  if (queue->socket == NULL) return failed(info, STEP_SOCKET);
  queue->fd = mnl_socket_get_fd(queue->socket);
  if (mnl_socket_bind(queue->socket, 0, MNL_SOCKET_AUTOPID) != 0) return failed(info, STEP_SOCKET);
  info->port_id = mnl_socket_get_portid(queue->socket);
  if (set_socket_options(queue, options, info) != 0) return failed(info, STEP_SETUP);
  return true;
}

static void close_socket(struct queue *queue) {
  if (queue->socket != NULL) mnl_socket_close(queue->socket);
  queue->socket = NULL;
  queue->fd = -1;
}

/*
 * The kernel's answer to the configuration. It carries it out within the send, and says something only if it refuses.
 * The answer is looked at and left in place: packets may be arriving already, and they must not be lost.
 */
static int configuration_error(int fd) {
  struct {
    struct nlmsghdr header;
    struct nlmsgerr error;
  } answer;
  ssize_t length = recv(fd, &answer, sizeof answer, MSG_PEEK | MSG_DONTWAIT);
  if (length < 0) return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : errno;
  size_t least = sizeof answer.header + sizeof answer.error.error;
  if ((size_t)length < least || answer.header.nlmsg_type != NLMSG_ERROR) return 0;
  return -answer.error.error;
}

/* Everything in one message: between a bind and a later copy mode the kernel would drop packets. */
static bool configure(struct queue *queue, const struct queue_options *options, uint32_t flags,
                      struct queue_info *info) {
  char buffer[512];
  struct nlmsghdr *header = nfq_nlmsg_put(buffer, NFQNL_MSG_CONFIG, queue->number);
  nfq_nlmsg_cfg_put_cmd(header, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
  nfq_nlmsg_cfg_put_params(header, NFQNL_COPY_PACKET, (int)options->copy_bytes);
  nfq_nlmsg_cfg_put_qmaxlen(header, options->length_max);
  if (flags != 0) {
    mnl_attr_put_u32(header, NFQA_CFG_MASK, htonl(flags));
    mnl_attr_put_u32(header, NFQA_CFG_FLAGS, htonl(flags));
  }
  if (send(queue->fd, header, header->nlmsg_len, 0) < 0) return failed(info, STEP_CONFIGURE);
  errno = configuration_error(queue->fd);
  if (errno != 0) return failed(info, STEP_CONFIGURE);
  info->fail_open = (flags & NFQA_CFG_F_FAIL_OPEN) != 0;
  info->gso = (flags & NFQA_CFG_F_GSO) != 0;
  return true;
}

static bool open_with_flags(struct queue *queue, const struct queue_options *options, uint32_t flags,
                            struct queue_info *info) {
  info->error = 0;
  info->step = STEP_NONE;
  if (open_socket(queue, options, info) && configure(queue, options, flags, info)) return true;
  close_socket(queue);
  return false;
}

/* A kernel that does not know a flag refuses the whole configuration; then the flags are given up one after the other. */
static bool open_with_best_flags(struct queue *queue, const struct queue_options *options, struct queue_info *info) {
  const uint32_t wanted = (options->fail_open ? NFQA_CFG_F_FAIL_OPEN : 0) | (options->gso ? NFQA_CFG_F_GSO : 0);
  const uint32_t kept[] = {~0U, NFQA_CFG_F_FAIL_OPEN, NFQA_CFG_F_GSO, 0};
  for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
    if (open_with_flags(queue, options, wanted & kept[i], info)) return true;
    if (info->step != STEP_CONFIGURE || info->error != EOPNOTSUPP) return false;
  }
  return false;
}

static void prepare_slots(struct queue *queue) {
  for (uint32_t i = 0; i < queue->batch_packets; i++) {
    queue->vectors[i].iov_base = queue->arrays.bytes + (size_t)i * queue->slot_bytes;
    queue->vectors[i].iov_len = queue->slot_bytes;
    queue->messages[i].msg_hdr.msg_iov = &queue->vectors[i];
    queue->messages[i].msg_hdr.msg_iovlen = 1;
  }
}

bool queue_open(struct queue *queue, const struct queue_options *options, const struct queue_arrays *arrays,
                struct queue_info *info) {
  queue->fd = -1;
  queue->number = (uint16_t)options->queue;
  queue->batch_packets = options->batch_packets;
  queue->slot_bytes = options->slot_bytes;
  queue->arrays = *arrays;
  prepare_slots(queue);
  return open_with_best_flags(queue, options, info);
}

int queue_copy_range(struct queue *queue, uint32_t copy_bytes) {
  if (queue->fd < 0) return -EBADF;
  if (copy_bytes < COPY_BYTES_MIN || copy_bytes > COPY_BYTES_MAX) return -EINVAL;
  if (copy_bytes + ATTRIBUTE_ROOM_BYTES > queue->slot_bytes) return -EINVAL;
  char buffer[128];
  struct nlmsghdr *header = nfq_nlmsg_put(buffer, NFQNL_MSG_CONFIG, queue->number);
  nfq_nlmsg_cfg_put_params(header, NFQNL_COPY_PACKET, (int)copy_bytes);
  return send(queue->fd, header, header->nlmsg_len, 0) < 0 ? -errno : 0;
}

/*
 * The kernel drops what a queue holds when it is unbound. A stop is no reason to lose packets: in the same send, and
 * before the unbind, one verdict accepts everything up to an id that counts as later than those held: the kernel asks for
 * the sign of the difference (linux: nfq_id_after), and packets that did not fit leave gaps, so half the range lies on
 * either side.
 */
void queue_close(struct queue *queue) {
  if (queue->fd < 0) return;
  char buffer[256];
  struct nlmsghdr *verdict = nfq_nlmsg_put(buffer, NFQNL_MSG_VERDICT_BATCH, queue->number);
  nfq_nlmsg_verdict_put(verdict, (int)(queue->last_id + INT32_MAX / 2), NF_ACCEPT);
  struct nlmsghdr *unbind = nfq_nlmsg_put(buffer + verdict->nlmsg_len, NFQNL_MSG_CONFIG, queue->number);
  nfq_nlmsg_cfg_put_cmd(unbind, AF_UNSPEC, NFQNL_CFG_CMD_UNBIND);
  /* If the send fails, closing the socket still unbinds. */
  (void)!send(queue->fd, buffer, verdict->nlmsg_len + unbind->nlmsg_len, 0);
  close_socket(queue);
  queue->count = 0;
  queue->unsent_bytes = 0;
}
