/*
 * One AF_PACKET socket with a TPACKET_V3 ring: the kernel writes packets into memory that both sides see, block by block,
 * and descriptors say where. Nothing here knows of Node (ring-addon.c does), so that a plain C program can run this part
 * under a sanitizer (check-ring.c).
 *
 *     block   | header | frame | frame | ...    |   belongs to the kernel, or to us, as its header says
 *     frame   | tpacket3_hdr | sockaddr_ll | room for a tag | link header, packet |
 *
 * A block goes back to the kernel when the batch after its last one is asked for: packets are valid until then.
 */
#ifndef SWARMGATE_RING_H
#define SWARMGATE_RING_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_BATCH_PACKETS_MAX 256
#define RING_BYTES_MAX (1u << 30)
#define RING_NAME_BYTES 16

/* Places in the caller's counter array; lib/native/ring.ts names them in the same order. */
enum ring_counter { RING_COUNTER_DROPPED, RING_COUNTER_MALFORMED, RING_COUNTERS };

/* What an opening was doing when it failed; the same order as in lib/native/ring.ts. */
enum ring_step {
  RING_STEP_NONE,
  RING_STEP_SOCKET,
  RING_STEP_INTERFACE,
  RING_STEP_DOWN,
  RING_STEP_LINK_TYPE,
  RING_STEP_PCAP_MISSING,
  RING_STEP_FILTER,
  RING_STEP_VERSION,
  RING_STEP_SETUP,
  RING_STEP_MEMORY,
  RING_STEP_BIND
};

/* The caller's memory; each array but `counters` has one element per packet. */
struct ring_arrays {
  int32_t *start;
  int32_t *end;
  int32_t *wire_length;
  double *time_micros;
  double *counters;
};

struct ring_options {
  char name[RING_NAME_BYTES];
  uint32_t batch_packets;
  uint32_t snap_bytes;
  uint32_t block_bytes;
  uint32_t blocks;
  uint32_t retire_millis;
  bool promiscuous;
};

#define RING_SAID_BYTES 320

struct ring_info {
  int error;
  enum ring_step step;
  int index;
  uint16_t hardware_type;
  /* Packets begin with the IP header, without a link header. */
  bool raw;
  /* libpcap's own words about a filter. */
  char said[RING_SAID_BYTES];
};

struct ring {
  int fd;
  bool loopback;
  bool raw;
  bool promiscuous;
  uint8_t *memory;
  size_t memory_bytes;
  uint32_t block_bytes;
  uint32_t blocks;
  uint32_t batch_packets;
  uint32_t snap_bytes;
  uint32_t retire_millis;
  /* Block being read, or the next one to be read. */
  uint32_t block;
  /* The block is ours; so many of its packets are not read yet, the next one `at` bytes into it. */
  bool holding;
  uint32_t left;
  uint32_t at;
  /* What the kernel said about the interface, told to the caller after the packets that came before. */
  int pending_error;
  struct ring_arrays arrays;
};

/* A filter for the kernel; `code` is allocated. */
struct ring_filter {
  struct sock_filter *code;
  uint16_t length;
};

/*
 * filter.c: compiles an expression of pcap-filter(7) with libpcap, which is loaded now if it never was. `raw`: for packets
 * without a link header. 0, -ENOSYS when there is no libpcap, or -EINVAL with libpcap's words in `said`.
 */
int filter_compile(const char *name, bool raw, uint32_t snap_bytes, const char *expression, struct ring_filter *filter,
                   char said[RING_SAID_BYTES]);

/*
 * The same for no interface, as if for Ethernet, and only whether it can be done. What asks for something that only an open
 * capture has ("inbound") is refused here, though it is right.
 */
int filter_check(const char *expression, char said[RING_SAID_BYTES]);

/* 0 or a negative errno: whether this kernel has TPACKET_V3. -EPERM when this process may not ask. */
int ring_probe(void);

/* `ring` must be zeroed memory. False with info->error and info->step on failure. */
bool ring_open(struct ring *ring, const struct ring_options *options, const char *expression,
               const struct ring_arrays *arrays, struct ring_info *info);

/*
 * Packets in the arrays, 0 after a time-out or an interrupted wait, or a negative errno: ENETDOWN when the interface went
 * down, ENODEV at each call once it was removed, EBADF after closing.
 */
int ring_receive(struct ring *ring, int timeout_millis);

/* Reads packets of the block at hand into the arrays; what does not fit into the block is counted and not read. */
uint32_t ring_read_block(struct ring *ring);

/* Idempotent. Unmaps the memory: whoever looks at it must have been stopped before. */
void ring_close(struct ring *ring);

#endif
