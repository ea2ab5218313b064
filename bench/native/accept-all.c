/*
 * The least that a queue's consumer can do, as a yardstick: recvmmsg of up to 64 messages, one verdict for "all ids up
 * to the last", nothing looked at. With REPEAT_MARK the verdict is NF_REPEAT with this mark, as the inline filter's is;
 * with fail-open what does not fit passes, as with the filter. SIGUSR2 prints how many packets it has had.
 * BUFFER_BYTES is the socket's buffer, which the kernel doubles; REPEAT_MARK is then 0 for none.
 * usage: accept-all QUEUE fail-open|fail-closed [REPEAT_MARK [BUFFER_BYTES]]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64
#define SLOT_BYTES 1024
#define COPY_BYTES 512
/* As the inline filter has it by default. */
#define LENGTH_MAX 4096
#define RECEIVE_BUFFER_BYTES (1536 * 1024)

static _Alignas(8) char slab[BATCH][SLOT_BYTES];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static volatile sig_atomic_t asked;

static void on_question(int signal) {
  (void)signal;
  asked = 1;
}

static void answer(unsigned long packets) {
  asked = 0;
  printf("%lu\n", packets);
  fflush(stdout);
}

static int open_queue(uint16_t queue, bool fail_open, int bytes) {
  struct mnl_socket *socket = mnl_socket_open(NETLINK_NETFILTER);
  if (socket == NULL || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) != 0) fail("netlink socket");
  const int fd = mnl_socket_get_fd(socket);
  const int on = 1;
  setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) fail("receive buffer");
  char buffer[512];
  struct nlmsghdr *header = nfq_nlmsg_put(buffer, NFQNL_MSG_CONFIG, queue);
  nfq_nlmsg_cfg_put_cmd(header, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
  nfq_nlmsg_cfg_put_params(header, NFQNL_COPY_PACKET, COPY_BYTES);
  nfq_nlmsg_cfg_put_qmaxlen(header, LENGTH_MAX);
  const uint32_t flags = NFQA_CFG_F_GSO | (fail_open ? NFQA_CFG_F_FAIL_OPEN : 0);
  mnl_attr_put_u32(header, NFQA_CFG_MASK, htonl(flags));
  mnl_attr_put_u32(header, NFQA_CFG_FLAGS, htonl(flags));
  if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0) fail("bind");
  return fd;
}

/* The packet's header is the first attribute of a message. */
static uint32_t id_of(const char *message) {
  uint32_t id;
  memcpy(&id, message + NLMSG_HDRLEN + 4 + NLA_HDRLEN, sizeof id);
  return ntohl(id);
}

static void accept_up_to(int fd, uint16_t queue, uint32_t id, uint32_t repeat_mark) {
  char buffer[64];
  struct nlmsghdr *header = nfq_nlmsg_put(buffer, NFQNL_MSG_VERDICT_BATCH, queue);
  nfq_nlmsg_verdict_put(header, (int)id, repeat_mark == 0 ? NF_ACCEPT : NF_REPEAT);
  if (repeat_mark != 0) nfq_nlmsg_verdict_put_mark(header, repeat_mark);
  const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (sendto(fd, header, header->nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof kernel) < 0) fail("verdict");
}

int main(int argc, char **argv) {
  if (argc < 3 || argc > 5)
    return fprintf(stderr, "usage: accept-all QUEUE fail-open|fail-closed [REPEAT_MARK [BUFFER_BYTES]]\n"), 2;
  const uint16_t queue = (uint16_t)atoi(argv[1]);
  const uint32_t repeat_mark = argc >= 4 ? (uint32_t)strtoul(argv[3], NULL, 0) : 0;
  /* Without SA_RESTART: the question ends the wait. */
  const struct sigaction question = {.sa_handler = on_question};
  sigaction(SIGUSR2, &question, NULL);
  const int bytes = argc == 5 ? atoi(argv[4]) : RECEIVE_BUFFER_BYTES;
  const int fd = open_queue(queue, strcmp(argv[2], "fail-open") == 0, bytes);
  struct mmsghdr messages[BATCH] = {0};
  struct iovec vectors[BATCH];
  for (int i = 0; i < BATCH; i++) {
    vectors[i] = (struct iovec){slab[i], SLOT_BYTES};
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  for (unsigned long packets = 0;;) {
    const int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
    if (asked) answer(packets + (unsigned long)(count > 0 ? count : 0));
    if (count < 0 && errno != EINTR && errno != ENOBUFS) fail("recvmmsg");
    if (count <= 0) continue;
    const struct nlmsghdr *last = (const struct nlmsghdr *)slab[count - 1];
    if (last->nlmsg_type == NLMSG_ERROR) fail("refused");
    packets += (unsigned long)count;
    accept_up_to(fd, queue, id_of(slab[count - 1]), repeat_mark);
  }
}
