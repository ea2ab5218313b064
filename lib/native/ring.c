/* Opening, reading and closing a TPACKET_V3 ring. */
#include "ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* linux/if_arp.h: devices without a link header (tun, WireGuard) and without any of a kind (rmnet). */
#define HARDWARE_NONE 0xfffe
#define HARDWARE_RAW_IP 519
#define HARDWARE_GRE6 823
/* A tag is put back between the two addresses and the type. */
#define TAG_BYTES 4
#define ADDRESSES_BYTES 12
#define TAGGED_BYTES_MIN (ADDRESSES_BYTES + 2)
/* The least size by which the kernel divides blocks; frames in them are as long as their packets. */
#define FRAME_BYTES 2048
/* V3_ALIGNMENT of the kernel's af_packet.c. */
#define FRAME_ALIGNMENT 8

static bool failed(struct ring_info *info, enum ring_step step) {
  info->error = errno;
  info->step = step;
  return false;
}

/* ---- the interface ---- */

/* Devices that hand over IP packets: tunnels and PPP, whose drivers have taken the link header off or never had one. */
static bool is_raw(uint16_t hardware_type) {
  switch (hardware_type) {
    case HARDWARE_NONE:
    case HARDWARE_RAW_IP:
    case HARDWARE_GRE6:
    case ARPHRD_PPP:
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
    case ARPHRD_IPGRE: return true;
    default: return false;
  }
}

static bool look_up(struct ring *ring, int fd, const struct ring_options *options, struct ring_info *info) {
  struct ifreq request = {0};
  memcpy(request.ifr_name, options->name, sizeof options->name);
  if (ioctl(fd, SIOCGIFINDEX, &request) != 0) return failed(info, RING_STEP_INTERFACE);
  info->index = request.ifr_ifindex;
  if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) return failed(info, RING_STEP_INTERFACE);
  errno = ENETDOWN;
  if ((request.ifr_flags & IFF_UP) == 0) return failed(info, RING_STEP_DOWN);
  if (ioctl(fd, SIOCGIFHWADDR, &request) != 0) return failed(info, RING_STEP_INTERFACE);
  info->hardware_type = request.ifr_hwaddr.sa_family;
  ring->loopback = info->hardware_type == ARPHRD_LOOPBACK;
  ring->raw = info->raw = is_raw(info->hardware_type);
  errno = EPFNOSUPPORT;
  return ring->raw || ring->loopback || info->hardware_type == ARPHRD_ETHER || failed(info, RING_STEP_LINK_TYPE);
}

/* ---- opening ---- */

static bool set_option(int fd, int name, const void *value, size_t bytes) {
  return setsockopt(fd, SOL_PACKET, name, value, (socklen_t)bytes) == 0;
}

int ring_probe(void) {
  const int version = TPACKET_V3;
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  const int result = set_option(fd, PACKET_VERSION, &version, sizeof version) ? 0 : -errno;
  close(fd);
  return result;
}

/* A filter's answer is how many bytes of the packet are kept, so the snap length needs one even without an expression. */
static bool attach_filter(struct ring *ring, const struct ring_options *options, const char *expression,
                          struct ring_info *info) {
  struct sock_filter everything = BPF_STMT(BPF_RET | BPF_K, options->snap_bytes);
  struct ring_filter filter = {0};
  struct sock_fprog program = {.len = 1, .filter = &everything};
  if (expression[0] != '\0') {
    errno = -filter_compile(options->name, ring->raw, options->snap_bytes, expression, &filter, info->said);
    if (errno != 0) return failed(info, errno == ENOSYS ? RING_STEP_PCAP_MISSING : RING_STEP_FILTER);
    program = (struct sock_fprog){.len = filter.length, .filter = filter.code};
  }
  const bool attached = setsockopt(ring->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ||
                        failed(info, RING_STEP_FILTER);
  free(filter.code);
  return attached;
}

static bool set_up(struct ring *ring, const struct ring_options *options, struct ring_info *info) {
  const int version = TPACKET_V3;
  const unsigned int reserve = TAG_BYTES;
  if (!set_option(ring->fd, PACKET_VERSION, &version, sizeof version)) return failed(info, RING_STEP_VERSION);
  if (!set_option(ring->fd, PACKET_RESERVE, &reserve, sizeof reserve)) return failed(info, RING_STEP_SETUP);
  const struct packet_mreq member = {.mr_ifindex = info->index, .mr_type = PACKET_MR_PROMISC};
  /* As a membership of this socket it ends with it, however we end. */
  if (options->promiscuous && !set_option(ring->fd, PACKET_ADD_MEMBERSHIP, &member, sizeof member))
    return failed(info, RING_STEP_SETUP);
  return true;
}

static bool map_memory(struct ring *ring, const struct ring_options *options, struct ring_info *info) {
  struct tpacket_req3 request = {
      .tp_block_size = options->block_bytes,
      .tp_block_nr = options->blocks,
      .tp_frame_size = FRAME_BYTES,
      .tp_frame_nr = options->block_bytes / FRAME_BYTES * options->blocks,
      .tp_retire_blk_tov = options->retire_millis,
  };
  if (!set_option(ring->fd, PACKET_RX_RING, &request, sizeof request)) return failed(info, RING_STEP_MEMORY);
  const size_t bytes = (size_t)options->block_bytes * options->blocks;
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
  if (memory == MAP_FAILED) return failed(info, RING_STEP_MEMORY);
  ring->memory = memory;
  ring->memory_bytes = bytes;
  return true;
}

/* Of protocol 0 the socket gets no packet; from here on it gets those of one interface that its filter lets through. */
static bool bind_to(struct ring *ring, struct ring_info *info) {
  const struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = info->index};
  if (bind(ring->fd, (const struct sockaddr *)&address, sizeof address) != 0) return failed(info, RING_STEP_BIND);
  socklen_t bytes = sizeof errno;
  int error = 0;
  getsockopt(ring->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
  errno = error;
  return error == 0 || failed(info, RING_STEP_BIND);
}

/* The interface is looked up by a socket of its own: which kind the capture needs depends on what it is. */
static bool open_socket(struct ring *ring, const struct ring_options *options, struct ring_info *info) {
  const int asking = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (asking < 0) return failed(info, RING_STEP_SOCKET);
  const bool found = look_up(ring, asking, options, info);
  close(asking);
  if (!found) return false;
  /* A datagram socket gets packets from their network header on, whatever the driver left before it. */
  ring->fd = socket(AF_PACKET, (ring->raw ? SOCK_DGRAM : SOCK_RAW) | SOCK_CLOEXEC, 0);
  return ring->fd >= 0 || failed(info, RING_STEP_SOCKET);
}

bool ring_open(struct ring *ring, const struct ring_options *options, const char *expression,
               const struct ring_arrays *arrays, struct ring_info *info) {
  ring->fd = -1;
  ring->block_bytes = options->block_bytes;
  ring->blocks = options->blocks;
  ring->batch_packets = options->batch_packets;
  ring->snap_bytes = options->snap_bytes;
  ring->retire_millis = options->retire_millis;
  ring->promiscuous = options->promiscuous;
  ring->arrays = *arrays;
  if (open_socket(ring, options, info) && set_up(ring, options, info) &&
      attach_filter(ring, options, expression, info) && map_memory(ring, options, info) && bind_to(ring, info))
    return true;
  ring_close(ring);
  return false;
}

/* ---- reading ---- */

static struct tpacket_block_desc *block_of(const struct ring *ring) {
  return (struct tpacket_block_desc *)(void *)(ring->memory + (size_t)ring->block * ring->block_bytes);
}

static uint32_t *status_of(const struct ring *ring) { return &block_of(ring)->hdr.bh1.block_status; }

/*
 * The kernel took the outermost tag out of the frame. It is put back: the addresses move into the room that was reserved
 * before them, so that what follows, and a saved packet, see the frame as it was on the wire.
 */
static uint32_t put_tag_back(uint8_t *frame, const struct tpacket3_hdr *header) {
  const bool has_type = (header->tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 && header->hv1.tp_vlan_tpid != 0;
  const uint16_t tag[2] = {htons(has_type ? header->hv1.tp_vlan_tpid : ETH_P_8021Q),
                           htons((uint16_t)header->hv1.tp_vlan_tci)};
  memmove(frame - TAG_BYTES, frame, ADDRESSES_BYTES);
  memcpy(frame - TAG_BYTES + ADDRESSES_BYTES, tag, sizeof tag);
  return TAG_BYTES;
}

static int32_t clamp(uint32_t value) { return value > INT32_MAX ? INT32_MAX : (int32_t)value; }

static void describe(struct ring *ring, uint32_t index, uint8_t *frame, const struct tpacket3_hdr *header) {
  struct ring_arrays *to = &ring->arrays;
  const bool stripped = !ring->raw && (header->tp_status & TP_STATUS_VLAN_VALID) != 0;
  /* Cut by the snap length before the type, a frame has no place for a tag. */
  const uint32_t tag = stripped && header->tp_snaplen >= TAGGED_BYTES_MIN ? put_tag_back(frame, header) : 0;
  uint32_t length = header->tp_snaplen + tag;
  if (length > ring->snap_bytes) length = ring->snap_bytes;
  const uint32_t wire_length = header->tp_len > UINT32_MAX - tag ? UINT32_MAX : header->tp_len + tag;
  to->start[index] = (int32_t)(frame - tag - ring->memory);
  to->end[index] = to->start[index] + (int32_t)length;
  to->wire_length[index] = clamp(wire_length < length ? length : wire_length);
  to->time_micros[index] = (double)header->tp_sec * 1e6 + (double)(header->tp_nsec / 1000);
}

/* Where the link layer's address of a frame stands, and the least distance of its bytes from its header. */
#define ADDRESS_AT TPACKET_ALIGN(sizeof(struct tpacket3_hdr))
#define BYTES_AT_MIN (ADDRESS_AT + sizeof(struct sockaddr_ll) + TAG_BYTES)

static bool fits(const struct ring *ring, const struct tpacket3_hdr *header) {
  const uint32_t room = ring->block_bytes - ring->at;
  if (header->tp_mac < BYTES_AT_MIN || header->tp_mac > room || header->tp_snaplen > room - header->tp_mac) return false;
  /* The next header is aligned, ahead, and whole. */
  const uint32_t step = header->tp_next_offset;
  return ring->left == 1 ||
         (step % FRAME_ALIGNMENT == 0 && step >= BYTES_AT_MIN && step <= room && room - step >= BYTES_AT_MIN);
}

/*
 * The loopback device shows each packet twice, on its way out and on its way in. Packets for other stations come up also
 * without promiscuity of ours: from devices that sort none out, and while another program has asked for them.
 */
static bool is_wanted(const struct ring *ring, unsigned char packet_type) {
  if (packet_type == PACKET_OUTGOING) return !ring->loopback;
  return packet_type != PACKET_OTHERHOST || ring->promiscuous;
}

uint32_t ring_read_block(struct ring *ring) {
  uint8_t *block = ring->memory + (size_t)ring->block * ring->block_bytes;
  uint32_t count = 0;
  while (ring->left > 0 && count < ring->batch_packets) {
    uint8_t *frame = block + ring->at;
    struct tpacket3_hdr header;
    struct sockaddr_ll address;
    memcpy(&header, frame, sizeof header);
    memcpy(&address, frame + ADDRESS_AT, sizeof address);
    if (!fits(ring, &header)) {
      ring->arrays.counters[RING_COUNTER_MALFORMED]++;
      ring->left = 0;
      break;
    }
    if (is_wanted(ring, address.sll_pkttype)) describe(ring, count++, frame + header.tp_mac, &header);
    ring->at += header.tp_next_offset;
    ring->left--;
  }
  return count;
}

/* Reading the numbers sets them back in the kernel. Blocks are few: once for each costs nothing. */
static void add_statistics(struct ring *ring) {
  struct tpacket_stats_v3 statistics = {0};
  socklen_t bytes = sizeof statistics;
  if (getsockopt(ring->fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &bytes) == 0)
    ring->arrays.counters[RING_COUNTER_DROPPED] += statistics.tp_drops;
}

/* The block may be the kernel's again once all its packets were handed over and the caller asks for more. */
static void give_back(struct ring *ring) {
  ring->holding = false;
  __atomic_store_n(status_of(ring), TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  ring->block = ring->block + 1 == ring->blocks ? 0 : ring->block + 1;
  add_statistics(ring);
}

static bool take_block(struct ring *ring) {
  if ((__atomic_load_n(status_of(ring), __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) return false;
  const struct tpacket_hdr_v1 *header = &block_of(ring)->hdr.bh1;
  ring->holding = true;
  ring->left = header->num_pkts;
  ring->at = header->offset_to_first_pkt;
  if (ring->left > 0 && (ring->at % FRAME_ALIGNMENT != 0 || ring->at < sizeof(struct tpacket_block_desc) ||
                         ring->at > ring->block_bytes - BYTES_AT_MIN)) {
    ring->arrays.counters[RING_COUNTER_MALFORMED]++;
    ring->left = 0;
  }
  return true;
}

/* Packets that are there already. Blocks whose packets are all skipped are passed over, one round at the most. */
static uint32_t read_ready(struct ring *ring) {
  for (uint32_t seen = 0; seen <= ring->blocks; seen++) {
    if (ring->holding && ring->left == 0) give_back(ring);
    if (!ring->holding && !take_block(ring)) return 0;
    const uint32_t count = ring_read_block(ring);
    if (count > 0) return count;
  }
  return 0;
}

/* 0 after a time-out or a signal, 1 when there may be packets, or a negative errno. */
static int wait_for_packets(struct ring *ring, int timeout_millis) {
  struct pollfd ready = {.fd = ring->fd, .events = POLLIN};
  const int woken = poll(&ready, 1, timeout_millis);
  if (woken < 0) return errno == EINTR ? 0 : -errno;
  if (woken == 0) return 0;
  if ((ready.revents & (POLLERR | POLLHUP | POLLNVAL)) == 0) return 1;
  int error = 0;
  socklen_t bytes = sizeof error;
  if (getsockopt(ring->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) return -errno;
  return error == 0 ? 1 : -error;
}

/*
 * The kernel tells that an interface went down, but not that it was removed afterwards, as ppp0 is: the socket is then
 * bound to none, and waits for ever.
 */
static bool is_removed(const struct ring *ring) {
  struct sockaddr_ll address = {0};
  socklen_t bytes = sizeof address;
  return getsockname(ring->fd, (struct sockaddr *)&address, &bytes) == 0 && address.sll_ifindex < 0;
}

/* A block that is not full becomes ours within the retire time: the last packets before the interface went. */
static void wait_for_last_block(const struct ring *ring) { poll(NULL, 0, (int)(2 * ring->retire_millis) + 1); }

int ring_receive(struct ring *ring, int timeout_millis) {
  if (ring->fd < 0) return -EBADF;
  uint32_t count = read_ready(ring);
  if (count > 0) return (int)count;
  if (ring->pending_error == 0) {
    const int woken = wait_for_packets(ring, timeout_millis);
    if (woken < 0) {
      ring->pending_error = woken;
      wait_for_last_block(ring);
    }
    count = read_ready(ring);
    if (count > 0) return (int)count;
    if (woken == 0) add_statistics(ring);
    if (woken <= 0 && is_removed(ring)) ring->pending_error = -ENODEV;
  }
  const int error = ring->pending_error;
  ring->pending_error = 0;
  return error;
}

void ring_close(struct ring *ring) {
  if (ring->fd < 0) return;
  if (ring->memory != NULL) {
    add_statistics(ring);
    munmap(ring->memory, ring->memory_bytes);
  }
  close(ring->fd);
  ring->fd = -1;
  ring->memory = NULL;
  ring->holding = false;
}
