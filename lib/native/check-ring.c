/*
 * Feeds the block reader with damaged blocks, under a sanitizer (ring.test.ts compiles it). No packet socket is needed:
 * the block is written here as the kernel would, and then hit. Prints how many packets were read.
 */
#include "ring.h"

#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 4096
#define PACKETS 8
#define FIRST_AT 48
#define BYTES_AT 88

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

static void write_block(uint8_t *block, uint32_t packets) {
  uint32_t at = FIRST_AT;
  for (uint32_t i = 0; i < packets; i++) {
    const uint32_t length = 14 + below(300);
    const uint32_t step = (BYTES_AT + length + 7) & ~7u;
    const struct tpacket3_hdr header = {
        .tp_next_offset = i + 1 == packets ? 0 : step,
        .tp_sec = 1700000000,
        .tp_nsec = below(1000000000),
        .tp_snaplen = length,
        .tp_len = length + below(2) * 1000,
        .tp_status = TP_STATUS_USER | (below(2) ? TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID : 0),
        .tp_mac = BYTES_AT,
        .hv1 = {.tp_vlan_tci = 7, .tp_vlan_tpid = 0x8100},
    };
    const struct sockaddr_ll address = {.sll_pkttype = (unsigned char)below(5)};
    memcpy(block + at, &header, sizeof header);
    memcpy(block + at + sizeof header, &address, sizeof address);
    at += step;
  }
}

static void must(bool holds) {
  if (!holds) abort();
}

static uint32_t read_and_check(struct ring *ring) {
  const struct ring_arrays *to = &ring->arrays;
  uint32_t all = 0;
  while (ring->left > 0) {
    const uint32_t left = ring->left;
    const uint32_t count = ring_read_block(ring);
    must(count <= ring->batch_packets && ring->left < left);
    for (uint32_t i = 0; i < count; i++) {
      must(to->start[i] >= FIRST_AT && to->end[i] >= to->start[i] && to->end[i] <= BLOCK_BYTES);
      must(to->wire_length[i] >= to->end[i] - to->start[i]);
      must(to->end[i] - to->start[i] <= (int32_t)ring->snap_bytes);
    }
    all += count;
  }
  return all;
}

int main(int argc, char **argv) {
  const long rounds = argc > 1 ? atol(argv[1]) : 100000;
  struct ring ring = {.fd = -1, .block_bytes = BLOCK_BYTES, .blocks = 1, .batch_packets = 3, .promiscuous = true};
  ring.memory = room(BLOCK_BYTES);
  ring.arrays = (struct ring_arrays){room(3 * 4), room(3 * 4), room(3 * 4), room(3 * 8), room(RING_COUNTERS * 8)};
  long packets = 0;
  long whole = 0;
  for (long round = 0; round < rounds; round++) {
    const uint32_t written = 1 + below(PACKETS);
    const bool damaged = round % 4 != 0;
    write_block(ring.memory, written);
    for (uint32_t hits = damaged ? below(6) : 0; hits > 0; hits--)
      ring.memory[FIRST_AT + below(BLOCK_BYTES / 4)] = (uint8_t)below(256);
    ring.left = damaged && below(8) == 0 ? UINT32_MAX : written;
    ring.at = FIRST_AT;
    ring.snap_bytes = 64 + below(400);
    ring.loopback = damaged && below(4) == 0;
    const uint32_t read = read_and_check(&ring);
    must(damaged || read == written);
    packets += read;
    whole += !damaged;
  }
  const double malformed = ring.arrays.counters[RING_COUNTER_MALFORMED];
  must(malformed > 0);
  printf("%ld packets of %ld blocks, %ld of them undamaged; %.0f blocks given up\n", packets, rounds, whole, malformed);
  free(ring.memory);
  free(ring.arrays.start);
  free(ring.arrays.end);
  free(ring.arrays.wire_length);
  free(ring.arrays.time_micros);
  free(ring.arrays.counters);
  return 0;
}
