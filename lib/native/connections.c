#include "connections.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

/* The kernel fills at most 32 KiB of a listing at once. */
#define LISTING_BYTES (64 * 1024)
#define UPDATES_BYTES (16 * 1024)
/* Room for one more update: header, tuple with both addresses and zone, zone, mark and mask. */
#define UPDATE_BYTES_MAX 512
/* Longest silence of the kernel. */
#define SILENCE_SECONDS 5

/* One socket for the listing, one for updates: what the kernel says of these must not stand in the listing's way. */
struct clearing {
  struct mnl_socket *listing;
  struct mnl_socket *updates;
  uint32_t mask;
  uint32_t cleared;
  int error;
  size_t length;
  uint8_t pending[UPDATES_BYTES] __attribute__((aligned(8)));
};

static atomic_bool stopped;

void connections_stop(void) { atomic_store(&stopped, true); }

static struct mnl_socket *open_socket(void) {
  struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
  if (socket == NULL) return NULL;
  const struct timeval silence = {.tv_sec = SILENCE_SECONDS};
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 &&
      setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence) == 0)
    return socket;
  const int error = errno;
  mnl_socket_close(socket);
  errno = error;
  return NULL;
}

static struct nlmsghdr *put_header(void *buffer, uint16_t message, uint16_t flags, uint8_t family) {
  struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
  header->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | message);
  header->nlmsg_flags = flags;
  struct nfgenmsg *general = mnl_nlmsg_put_extra_header(header, sizeof *general);
  general->nfgen_family = family;
  general->version = NFNETLINK_V0;
  return header;
}

/* What the kernel says of updates, without waiting: one of a connection that has ended is not found. */
static void read_refusals(struct clearing *clearing) {
  uint8_t answer[4096] __attribute__((aligned(8)));
  for (;;) {
    const ssize_t got = recv(mnl_socket_get_fd(clearing->updates), answer, sizeof answer, MSG_DONTWAIT);
    if (got < (ssize_t)sizeof(struct nlmsghdr)) return;
    int left = (int)got;
    for (const struct nlmsghdr *header = (const struct nlmsghdr *)answer; mnl_nlmsg_ok(header, left);
         header = mnl_nlmsg_next(header, &left)) {
      if (header->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(header) < sizeof(struct nlmsgerr)) continue;
      const int error = -((const struct nlmsgerr *)mnl_nlmsg_get_payload(header))->error;
      if (error != 0 && error != ENOENT && clearing->error == 0) clearing->error = error;
    }
  }
}

/* The kernel carries them out within the send. */
static void send_updates(struct clearing *clearing) {
  if (clearing->length == 0) return;
  if (mnl_socket_sendto(clearing->updates, clearing->pending, clearing->length) < 0 && clearing->error == 0)
    clearing->error = errno;
  clearing->length = 0;
  read_refusals(clearing);
}

static void copy_attribute(struct nlmsghdr *header, const struct nlattr *attribute) {
  uint8_t *end = mnl_nlmsg_get_payload_tail(header);
  const uint32_t bytes = MNL_ALIGN(attribute->nla_len);
  memset(end, 0, bytes);
  memcpy(end, attribute, attribute->nla_len);
  header->nlmsg_len += bytes;
}

/* Attributes of a connection that say which it is, and its mark. */
struct connection {
  const struct nlattr *tuple;
  const struct nlattr *zone;
  uint32_t mark;
};

static int read_attribute(const struct nlattr *attribute, void *data) {
  struct connection *connection = data;
  const uint16_t type = mnl_attr_get_type(attribute);
  if (type == CTA_TUPLE_ORIG) connection->tuple = attribute;
  else if (type == CTA_ZONE) connection->zone = attribute;
  else if (type == CTA_MARK && mnl_attr_get_payload_len(attribute) == sizeof(uint32_t))
    connection->mark = ntohl(mnl_attr_get_u32(attribute));
  return MNL_CB_OK;
}

static int on_connection(const struct nlmsghdr *header, void *data) {
  struct clearing *clearing = data;
  struct connection connection = {0};
  if (mnl_nlmsg_get_payload_len(header) < sizeof(struct nfgenmsg)) return MNL_CB_OK;
  mnl_attr_parse(header, sizeof(struct nfgenmsg), read_attribute, &connection);
  if ((connection.mark & clearing->mask) == 0 || connection.tuple == NULL) return MNL_CB_OK;
  const uint32_t identity =
      connection.tuple->nla_len + (connection.zone == NULL ? 0u : (uint32_t)connection.zone->nla_len);
  if (identity > UPDATE_BYTES_MAX / 2) return MNL_CB_OK;
  if (clearing->length + UPDATE_BYTES_MAX > UPDATES_BYTES) send_updates(clearing);
  const struct nfgenmsg *general = mnl_nlmsg_get_payload(header);
  struct nlmsghdr *update =
      put_header(clearing->pending + clearing->length, IPCTNL_MSG_CT_NEW, NLM_F_REQUEST, general->nfgen_family);
  copy_attribute(update, connection.tuple);
  if (connection.zone != NULL) copy_attribute(update, connection.zone);
  mnl_attr_put_u32(update, CTA_MARK, 0);
  mnl_attr_put_u32(update, CTA_MARK_MASK, htonl(clearing->mask));
  clearing->length += MNL_ALIGN(update->nlmsg_len);
  clearing->cleared++;
  return MNL_CB_OK;
}

static uint64_t now_millis(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

/* 0 or errno. */
static int read_listing(struct clearing *clearing, uint32_t millis) {
  uint8_t buffer[LISTING_BYTES] __attribute__((aligned(8)));
  const uint64_t begin = now_millis();
  const unsigned port = mnl_socket_get_portid(clearing->listing);
  struct nlmsghdr *request = put_header(buffer, IPCTNL_MSG_CT_GET, NLM_F_REQUEST | NLM_F_DUMP, AF_UNSPEC);
  if (mnl_socket_sendto(clearing->listing, request, request->nlmsg_len) < 0) return errno;
  for (;;) {
    if (atomic_load(&stopped)) return ECANCELED;
    const ssize_t got = mnl_socket_recvfrom(clearing->listing, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN ? ETIMEDOUT : errno;
    const int more = mnl_cb_run(buffer, (size_t)got, 0, port, on_connection, clearing);
    if (more < 0) return errno;
    if (more == MNL_CB_STOP) return 0;
    if (now_millis() - begin > millis) return ETIMEDOUT;
  }
}

int connections_clear_marks(uint32_t mask, uint32_t millis, uint32_t *cleared) {
  struct clearing clearing = {.mask = mask};
  int error = 0;
  clearing.listing = open_socket();
  clearing.updates = clearing.listing == NULL ? NULL : open_socket();
  if (clearing.updates == NULL) error = errno;
  else {
    error = read_listing(&clearing, millis);
    send_updates(&clearing);
    if (error == 0) error = clearing.error;
  }
  if (clearing.updates != NULL) mnl_socket_close(clearing.updates);
  if (clearing.listing != NULL) mnl_socket_close(clearing.listing);
  *cleared = clearing.cleared;
  return -error;
}
