/* libpcap's filter compiler, loaded at run time: without a filter nobody needs libpcap to build, install or run. */
#include "ring.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The part of pcap.h that is used; its layout is that of every libpcap since 1.0. */
struct program {
  unsigned int length;
  struct sock_filter *code;
};
typedef void handle;

#define ERROR_BYTES 256
#define DLT_RAW_IP 12
#define DLT_ETHERNET 1
/* Only the filter's code is wanted of this capture: the least memory that a ring can have. */
#define BUFFER_BYTES (256 * 1024)

static struct {
  void *library;
  handle *(*open_dead)(int link_type, int snap_bytes);
  handle *(*create)(const char *name, char *error);
  int (*set_snaplen)(handle *pcap, int snap_bytes);
  int (*set_buffer_size)(handle *pcap, int bytes);
  int (*activate)(handle *pcap);
  int (*datalink)(handle *pcap);
  int (*lookupnet)(const char *name, uint32_t *net, uint32_t *mask, char *error);
  int (*compile)(handle *pcap, struct program *program, const char *expression, int optimize, uint32_t mask);
  char *(*geterr)(handle *pcap);
  void (*freecode)(struct program *program);
  void (*close)(handle *pcap);
} pcap;

/* The only state that threads share. Compilers before libpcap 1.8 were not reentrant either. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ISO C knows no cast from an object's address to a function's; POSIX says that the bytes are the same. */
static bool symbol(const char *name, void *to) {
  void *address = dlsym(pcap.library, name);
  memcpy(to, &address, sizeof address);
  return address != NULL;
}

static bool load(void) {
  if (pcap.library != NULL) return true;
  /* Debian's name, and that of every other distribution. */
  pcap.library = dlopen("libpcap.so.0.8", RTLD_NOW | RTLD_LOCAL);
  if (pcap.library == NULL) pcap.library = dlopen("libpcap.so.1", RTLD_NOW | RTLD_LOCAL);
  if (pcap.library == NULL) return false;
  if (symbol("pcap_open_dead", &pcap.open_dead) && symbol("pcap_create", &pcap.create) &&
      symbol("pcap_set_snaplen", &pcap.set_snaplen) && symbol("pcap_set_buffer_size", &pcap.set_buffer_size) &&
      symbol("pcap_activate", &pcap.activate) && symbol("pcap_datalink", &pcap.datalink) &&
      symbol("pcap_lookupnet", &pcap.lookupnet) && symbol("pcap_compile", &pcap.compile) &&
      symbol("pcap_geterr", &pcap.geterr) && symbol("pcap_freecode", &pcap.freecode) &&
      symbol("pcap_close", &pcap.close))
    return true;
  dlclose(pcap.library);
  pcap.library = NULL;
  return false;
}

static void say(char said[RING_SAID_BYTES], const char *words) { snprintf(said, RING_SAID_BYTES, "%s", words); }

/*
 * The kernel takes the outermost VLAN tag out of a frame before a filter sees it, and libpcap asks for the tag where the
 * kernel put it only in code that is meant for an open capture of this kernel. So one is opened for the moment.
 */
static handle *open_live(const char *name, uint32_t snap_bytes, char said[RING_SAID_BYTES]) {
  char error[ERROR_BYTES] = "";
  handle *live = pcap.create(name, error);
  if (live == NULL) {
    say(said, error);
    return NULL;
  }
  pcap.set_snaplen(live, (int)snap_bytes);
  pcap.set_buffer_size(live, BUFFER_BYTES);
  if (pcap.activate(live) < 0) say(said, pcap.geterr(live));
  else if (pcap.datalink(live) != DLT_ETHERNET) say(said, "libpcap sees another link type than Ethernet here");
  else return live;
  pcap.close(live);
  return NULL;
}

static int copy_code(const struct program *program, struct ring_filter *filter, char said[RING_SAID_BYTES]) {
  if (program->length == 0 || program->length > BPF_MAXINSNS) {
    say(said, "it is too long for the kernel");
    return -EINVAL;
  }
  filter->code = calloc(program->length, sizeof *filter->code);
  if (filter->code == NULL) return -ENOMEM;
  memcpy(filter->code, program->code, program->length * sizeof *filter->code);
  filter->length = (uint16_t)program->length;
  return 0;
}

static int compile(const char *name, bool raw, uint32_t snap_bytes, const char *expression, struct ring_filter *filter,
                   char said[RING_SAID_BYTES]) {
  if (!load()) return -ENOSYS;
  handle *open = raw ? pcap.open_dead(DLT_RAW_IP, (int)snap_bytes) : open_live(name, snap_bytes, said);
  if (open == NULL) return -EINVAL;
  char error[ERROR_BYTES];
  uint32_t net = 0;
  uint32_t mask = 0;
  /* Only "ip broadcast" asks for the mask; an interface without an address has none. */
  if (pcap.lookupnet(name, &net, &mask, error) != 0) mask = 0;
  struct program program = {0};
  int result = -EINVAL;
  if (pcap.compile(open, &program, expression, 1, mask) != 0) say(said, pcap.geterr(open));
  else {
    result = copy_code(&program, filter, said);
    pcap.freecode(&program);
  }
  pcap.close(open);
  return result;
}

static int check(const char *expression, char said[RING_SAID_BYTES]) {
  if (!load()) return -ENOSYS;
  handle *dead = pcap.open_dead(DLT_ETHERNET, 65535);
  if (dead == NULL) return -ENOMEM;
  struct program program = {0};
  int result = 0;
  if (pcap.compile(dead, &program, expression, 1, 0) == 0) pcap.freecode(&program);
  else {
    say(said, pcap.geterr(dead));
    result = -EINVAL;
  }
  pcap.close(dead);
  return result;
}

int filter_check(const char *expression, char said[RING_SAID_BYTES]) {
  pthread_mutex_lock(&lock);
  const int result = check(expression, said);
  pthread_mutex_unlock(&lock);
  return result;
}

int filter_compile(const char *name, bool raw, uint32_t snap_bytes, const char *expression, struct ring_filter *filter,
                   char said[RING_SAID_BYTES]) {
  pthread_mutex_lock(&lock);
  const int result = compile(name, raw, snap_bytes, expression, filter, said);
  pthread_mutex_unlock(&lock);
  return result;
}
