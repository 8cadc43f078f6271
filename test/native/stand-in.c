/*
 * Xen's devices for a machine without Xen, for LD_PRELOAD: the addon under test is the shipped one, and its
 * mmap, poll, read, write and close are real. Below /xen-stand-in/DOMID/ are gntalloc  a memfd: "RAM" of all
 * domains; ALLOC_GREF hands out its pages gntdev    maps those pages where their grants allow it evtchn one
 * end of a socket pair; ports that were notified are put in at the other end xenbus    a connection to the
 * unix socket VSND_STAND_IN_XENSTORE, which begins with the domid (u32) Tests control it by reading files:
 *   /xen-stand-in/state           what is held, a line each
 *   /xen-stand-in/fail/OP/ERRNO   the next OP ("open:evtchn", "ioctl:ALLOC_GREF", "mmap:gntdev", ...) fails
 *   /xen-stand-in/leak/BYTES     so much memory is lost: what a leak check has to find
 *   /xen-stand-in/overflow/DOMID  the domain's queue of notified ports overflows
 *   /xen-stand-in/restore/DOMID   the domain is saved and restored: its ports are gone, its kernel knows them
 *   /xen-stand-in/hold/DOMID/PORT notifications of this port wait, of every one where it is 0; let/DOMID/PORT: no more
 *   /xen-stand-in/time/NS         CLOCK_MONOTONIC stands so for the addon, and ppoll() waits by it; -1: the machine's again
 *   /xen-stand-in/moves           how many times something has happened, and whether the addon's threads and queues are at rest
 *   /xen-stand-in/tidy            the kernel undoes a failed insertion of a port as it should: the tree stays
 * What is a BUG in the kernel ends the process here, too: with a message, and abort().
 * Not modelled: several processes, the grants of a restored domain, XenStore quotas, what a kernel does when
 * its memory runs out.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <linux/ioctl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

typedef uint16_t domid_t;
typedef uint32_t grant_ref_t;
#include <xen/evtchn.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#define ROOT "/xen-stand-in/"
#define PAGE 4096u
#define PAGES 65536u      /* "RAM", in pages */
#define GRANT_LIMIT 1024u /* gntalloc's `limit` */
#define FIRST_GREF 8u
#define DOMAINS 8u
#define PORTS 256u
#define FDS 65536
#define REGIONS 4096
#define XENBUS_LIMIT 4096u

enum kind { NONE, GNTALLOC, GNTDEV, EVTCHN, XENBUS };
static const char* const NAMES[] = {"", "gntalloc", "gntdev", "evtchn", "xenbus"};

enum node { ABSENT, BOUND, DEAD };

struct device {
  enum kind kind;
  unsigned domid;
  int other_end; /* evtchn */
  int overflow;  /* evtchn */
  enum node* tree; /* evtchn: the kernel's own idea of the file's ports; DEAD: without an interrupt */
};

struct page {
  unsigned from, to; /* domids */
  int writable, indexed, local, foreign;
};

struct port {
  int fd; /* 0: free */
  unsigned remote_domid, peer;
  int pending, masked, held;
};

struct entry { /* of gntdev */
  int fd;
  uint64_t index;
  uint32_t count, *pages;
  unsigned granter;
};

struct region {
  void* base;
  size_t size;
  int foreign;
  uint32_t* pages;
};

static pthread_mutex_t lock;
static struct device devices[FDS];
static struct page pages[PAGES];
static struct port ports[DOMAINS][PORTS];
static struct entry entries[REGIONS];
static struct region regions[REGIONS];
static struct {
  char operation[64];
  int error;
} faults[16];
static int armed; /* faults that are still to come */
static int tidy;
static int last_device; /* no higher number was ever one */
static unsigned long moves; /* whatever has happened */
static int ram = -1;
static uint32_t next_page;
static uint64_t next_index = PAGE;

/* As a kernel's locks do, it does not keep a real-time thread waiting for one that waits for a processor. */
__attribute__((constructor(101))) static void make_lock(void) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  pthread_mutex_init(&lock, &attributes);
}

static int fail(int error) {
  errno = error;
  return -1;
}

/* True, with errno set, where a test wants this operation to fail. */
static int faulty(const char* verb, const char* what) {
  if (armed == 0) return 0;
  char operation[64];
  snprintf(operation, sizeof operation, "%s:%s", verb, what);
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    if (faults[i].error != 0 && strcmp(faults[i].operation, operation) == 0) {
      errno = faults[i].error;
      faults[i].error = 0;
      armed--;
      return 1;
    }
  }
  return 0;
}

static struct device* device_of(int fd) {
  return fd >= 0 && fd < FDS && devices[fd].kind != NONE ? &devices[fd] : NULL;
}

static int in_use(const struct page* page) {
  return page->indexed || page->local || page->foreign;
}
static int granted(const struct page* page) {
  return page->indexed || page->local;
}

/* ---- grants ---- */

static int alloc_gref(unsigned domid, struct ioctl_gntalloc_alloc_gref* request) {
  uint32_t used = 0;
  for (uint32_t i = 0; i < PAGES; i++) used += in_use(&pages[i]) && pages[i].from == domid;
  if (used + request->count > GRANT_LIMIT) return fail(ENOSPC);
  uint32_t first = next_page;
  for (uint32_t i = 0; i < request->count; i++) {
    if (first + i >= PAGES || in_use(&pages[first + i])) return fail(ENOMEM);
  }
  next_page = (first + request->count) % (PAGES - GRANT_LIMIT);
  fallocate(ram, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)first * PAGE,
            (off_t)request->count * PAGE);
  uint32_t* grefs = (uint32_t*)((char*)request + offsetof(struct ioctl_gntalloc_alloc_gref, gref_ids));
  for (uint32_t i = 0; i < request->count; i++) {
    pages[first + i] = (struct page){domid, request->domid, request->flags & GNTALLOC_FLAG_WRITABLE, 1, 0, 0};
    grefs[i] = FIRST_GREF + first + i;
  }
  request->index = (uint64_t)first * PAGE;
  return 0;
}

static int dealloc_gref(const struct ioctl_gntalloc_dealloc_gref* request) {
  uint64_t first = request->index / PAGE;
  if (request->index % PAGE != 0 || first + request->count > PAGES) return fail(EINVAL);
  for (uint32_t i = 0; i < request->count; i++) pages[first + i].indexed = 0;
  return 0;
}

static int map_grant_ref(int fd, struct ioctl_gntdev_map_grant_ref* request) {
  struct entry* entry = NULL;
  for (int i = 0; i < REGIONS && entry == NULL; i++) {
    if (entries[i].pages == NULL) entry = &entries[i];
  }
  if (entry == NULL) return fail(ENOMEM);
  struct ioctl_gntdev_grant_ref* refs =
      (void*)((char*)request + offsetof(struct ioctl_gntdev_map_grant_ref, refs));
  *entry = (struct entry){fd, next_index, request->count, calloc(request->count, 4), refs[0].domid};
  for (uint32_t i = 0; i < request->count; i++) entry->pages[i] = refs[i].ref - FIRST_GREF;
  request->index = next_index;
  next_index += (uint64_t)request->count * PAGE;
  return 0;
}

static struct entry* entry_of(uint64_t index, uint32_t count) {
  for (int i = 0; i < REGIONS; i++) {
    if (entries[i].pages != NULL && entries[i].index == index && entries[i].count == count)
      return &entries[i];
  }
  return NULL;
}

static int unmap_grant_ref(const struct ioctl_gntdev_unmap_grant_ref* request) {
  struct entry* entry = entry_of(request->index, request->count);
  if (entry == NULL) return fail(ENOENT);
  free(entry->pages);
  entry->pages = NULL;
  return 0;
}

static void* remember(void* base, size_t size, int foreign, const uint32_t* list, uint32_t first) {
  for (int i = 0; i < REGIONS; i++) {
    if (regions[i].base != NULL) continue;
    regions[i] = (struct region){base, size, foreign, calloc(size / PAGE, 4)};
    for (size_t j = 0; j < size / PAGE; j++) {
      regions[i].pages[j] = list ? list[j] : first + (uint32_t)j;
      *(foreign ? &pages[regions[i].pages[j]].foreign : &pages[regions[i].pages[j]].local) += 1;
    }
    return base;
  }
  abort();
}

static void* map_own(size_t size, int protection, int flags, int fd, off_t offset) {
  uint32_t first = (uint32_t)(offset / PAGE);
  for (size_t i = 0; i < size / PAGE; i++) {
    if (first + i >= PAGES || !pages[first + i].indexed) return errno = ENOENT, MAP_FAILED;
  }
  void* base = (void*)syscall(SYS_mmap, NULL, size, protection, flags, fd, offset);
  return base == MAP_FAILED ? base : remember(base, size, 0, NULL, first);
}

static void* map_foreign(unsigned domid, size_t size, int protection, off_t offset) {
  struct entry* entry = entry_of((uint64_t)offset, (uint32_t)(size / PAGE));
  if (entry == NULL) return errno = EINVAL, MAP_FAILED;
  for (uint32_t i = 0; i < entry->count; i++) {
    uint32_t number = entry->pages[i];
    if (number >= PAGES || !granted(&pages[number]) || pages[number].to != domid ||
        pages[number].from != entry->granter || ((protection & PROT_WRITE) && !pages[number].writable)) {
      return errno = EINVAL, MAP_FAILED;
    }
  }
  char* base = (char*)syscall(SYS_mmap, NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (uint32_t i = 0; i < entry->count; i++) {
    syscall(SYS_mmap, base + (size_t)i * PAGE, PAGE, protection, MAP_SHARED | MAP_FIXED, ram,
            (off_t)entry->pages[i] * PAGE);
  }
  return remember(base, size, 1, entry->pages, 0);
}

/* ---- event channels ---- */

/* BUG_ON(irq < 0) of drivers/xen/evtchn.c */
static void bug(const char* how, uint32_t number) {
  dprintf(2, "stand-in: kernel BUG: %s of port %u after a restore\n", how, number);
  abort();
}

static void deliver(unsigned domid, uint32_t number) {
  struct port* port = &ports[domid][number];
  if (port->fd == 0 || !port->pending || port->masked || port->held) return;
  port->pending = 0;
  port->masked = 1;
  syscall(SYS_write, devices[port->fd].other_end, &number, sizeof number);
}

static void raise_port(unsigned domid, uint32_t number) {
  ports[domid][number].pending = 1;
  deliver(domid, number);
}

static int bind_port(int fd, unsigned domid, unsigned remote_domid, uint32_t peer) {
  for (uint32_t number = 1; number < PORTS; number++) {
    if (ports[domid][number].fd != 0) continue;
    enum node* tree = devices[fd].tree;
    if (tree[number] != ABSENT) {
      /* add_evtchn() fails, and del_evtchn() erases a node that it has not inserted: the tree is empty */
      if (!tidy) memset(tree, 0, PORTS * sizeof *tree);
      return fail(EEXIST);
    }
    tree[number] = BOUND;
    ports[domid][number] = (struct port){fd, remote_domid, peer, 0, 0, 0};
    return (int)number;
  }
  return fail(ENOSPC);
}

static int bind_interdomain(int fd, unsigned domid, unsigned remote_domid, uint32_t remote_port) {
  if (remote_domid >= DOMAINS) return fail(ESRCH);
  if (remote_port == 0 || remote_port >= PORTS) return fail(EINVAL);
  struct port* remote = &ports[remote_domid][remote_port];
  if (remote->fd == 0 || remote->peer != 0 || remote->remote_domid != domid) return fail(EINVAL);
  int number = bind_port(fd, domid, remote_domid, remote_port);
  if (number < 0) return number;
  remote->peer = (uint32_t)number;
  raise_port(domid, (uint32_t)number); /* as Xen does */
  return number;
}

static struct port* own_port(int fd, unsigned domid, uint32_t number) {
  return number < PORTS && devices[fd].tree[number] == BOUND ? &ports[domid][number] : NULL;
}

static void free_port(struct port* port) {
  if (port->peer != 0) ports[port->remote_domid][port->peer].peer = 0;
  *port = (struct port){0};
}

static int unbind(int fd, unsigned domid, uint32_t number) {
  struct port* port = own_port(fd, domid, number);
  if (number < PORTS && devices[fd].tree[number] == DEAD) bug("UNBIND", number);
  if (port == NULL) return fail(ENOTCONN);
  free_port(port);
  devices[fd].tree[number] = ABSENT;
  return 0;
}

static int notify(int fd, unsigned domid, uint32_t number) {
  struct port* port = own_port(fd, domid, number);
  if (number < PORTS && devices[fd].tree[number] == DEAD) return 0;
  if (port == NULL) return fail(ENOTCONN);
  if (port->peer != 0) raise_port(port->remote_domid, port->peer);
  return 0;
}

static void restore(unsigned domid) {
  for (uint32_t number = 1; number < PORTS; number++) {
    if (ports[domid][number].fd != 0) free_port(&ports[domid][number]);
  }
  for (int fd = 0; fd < FDS; fd++) {
    if (devices[fd].kind != EVTCHN || devices[fd].domid != domid) continue;
    for (uint32_t number = 1; number < PORTS; number++) {
      if (devices[fd].tree[number] == BOUND) devices[fd].tree[number] = DEAD;
    }
  }
}

/* The last close of the file, be it the process's end. */
static void release(int fd, const char* how) {
  for (uint32_t number = 1; number < PORTS; number++) {
    if (devices[fd].tree[number] == DEAD) bug(how, number);
    if (devices[fd].tree[number] == BOUND) free_port(&ports[devices[fd].domid][number]);
  }
  free(devices[fd].tree);
}

__attribute__((destructor)) static void end_process(void) {
  for (int fd = 0; fd < FDS; fd++) {
    if (devices[fd].kind == EVTCHN) release(fd, "process exit");
  }
}

/* Puts a fresh socket pair at `fd`, or at a new one. */
static int open_queue(int fd) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) return -1;
  if (fd >= 0) {
    if (devices[fd].other_end > 0) syscall(SYS_close, devices[fd].other_end);
    dup3(ends[0], fd, O_CLOEXEC);
    syscall(SYS_close, ends[0]);
  } else {
    fd = ends[0];
  }
  devices[fd].other_end = ends[1];
  devices[fd].overflow = 0;
  return fd;
}

/* EPOLLERR, and EFBIG of read: the other end closes with something left unread. What was queued is lost, and
 * masked. */
static void overflow(unsigned domid) {
  for (int fd = 0; fd < FDS; fd++) {
    if (devices[fd].kind != EVTCHN || devices[fd].domid != domid || devices[fd].other_end == 0) continue;
    syscall(SYS_write, fd, "", 1);
    syscall(SYS_close, devices[fd].other_end);
    devices[fd].other_end = 0;
    devices[fd].overflow = 1;
    for (uint32_t number = 1; number < PORTS; number++) ports[domid][number].masked = 1;
  }
}

static void hold(unsigned domid, unsigned number, int held) {
  for (uint32_t n = 1; domid < DOMAINS && n < PORTS; n++) {
    if (number != 0 && n != number) continue;
    ports[domid][n].held = held;
    deliver(domid, n);
  }
}

/* ---- the addon's time, and whether its threads are at rest ---- */

#define SLEEPERS 64

static struct sleeper { /* a thread of the addon's that is in ppoll(), or has been */
  int used, tick, asleep;
  struct pollfd files[4];
  nfds_t count;
} sleepers[SLEEPERS];
static long long manual_time = -1;

/* Where the addon is, and the sanitizers' libraries, through which its calls may come. */
static struct span {
  uintptr_t begin, end;
} addon, sanitizers[4];

static int note_span(struct dl_phdr_info* info, size_t size, void* count) {
  int is_addon = strstr(info->dlpi_name, "vsnd.node") != NULL;
  (void)size;
  if (!is_addon && (strstr(info->dlpi_name, "san.so") == NULL || *(int*)count == 4)) return 0;
  struct span* span = is_addon ? &addon : &sanitizers[(*(int*)count)++];
  for (int i = 0; i < info->dlpi_phnum; i++) {
    if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
    uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    if (span->begin == 0) span->begin = begin;
    span->end = begin + info->dlpi_phdr[i].p_memsz;
  }
  return 0;
}

static int is_in(const struct span* span, const void* address) {
  return (uintptr_t)address >= span->begin && (uintptr_t)address < span->end;
}

static int is_of_addon(const void* caller) {
  if (is_in(&addon, caller)) return 1;
  int is_between = 0;
  for (int i = 0; i < 4; i++) is_between |= is_in(&sanitizers[i], caller);
  if (!is_between) return 0;
  void* frames[6];
  int count = backtrace(frames, 6);
  for (int i = 0; i < count; i++) {
    if (is_in(&addon, frames[i])) return 1;
  }
  return 0;
}

static void set_time(long long now) {
  manual_time = now;
  for (int i = 0; i < SLEEPERS; i++) {
    if (sleepers[i].used) eventfd_write(sleepers[i].tick, 1);
  }
}

static int has_news(const struct sleeper* sleeper) {
  struct pollfd files[5];
  memcpy(files, sleeper->files, sizeof sleeper->files);
  files[sleeper->count] = (struct pollfd){sleeper->tick, POLLIN, 0};
  return (int)syscall(SYS_poll, files, sleeper->count + 1, 0) > 0;
}

/* A thread between two sleeps is at work. */
static int at_rest(void) {
  for (int i = 0; i < SLEEPERS; i++) {
    if (sleepers[i].used && (!sleepers[i].asleep || has_news(&sleepers[i]))) return 0;
  }
  for (int fd = 0; fd <= last_device; fd++) {
    if (devices[fd].kind != EVTCHN) continue;
    struct pollfd file = {fd, POLLIN, 0};
    if (syscall(SYS_poll, &file, 1, 0) > 0) return 0;
  }
  return 1;
}

static pthread_key_t key; /* a thread's own sleeper */

static void forget_sleeper(void* own) {
  pthread_mutex_lock(&lock);
  struct sleeper* sleeper = own;
  syscall(SYS_close, sleeper->tick);
  *sleeper = (struct sleeper){0};
  moves++;
  pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void begin_process(void) {
  pthread_key_create(&key, forget_sleeper);
}

static struct sleeper* own_sleeper(void) {
  struct sleeper* own = pthread_getspecific(key);
  for (int i = 0; own == NULL && i < SLEEPERS; i++) {
    if (!sleepers[i].used) own = &sleepers[i];
  }
  if (own == NULL) abort();
  if (!own->used) *own = (struct sleeper){.used = 1, .tick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  pthread_setspecific(key, own);
  return own;
}

/* ---- XenStore ---- */

static int connect_store(unsigned domid) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char* path = getenv("VSND_STAND_IN_XENSTORE");
  if (path == NULL) return fail(ENOENT);
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr*)&address, sizeof address) != 0 ||
      syscall(SYS_write, fd, &domid, sizeof domid) != sizeof domid) {
    int error = errno;
    syscall(SYS_close, fd);
    return fail(error);
  }
  fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
  return fd;
}

static ssize_t write_store(int fd, const void* bytes, size_t count) {
  uint32_t header[4] = {0};
  memcpy(header, bytes, count < sizeof header ? count : sizeof header);
  if (header[3] > XENBUS_LIMIT - sizeof header) return fail(E2BIG);
  if (count > XENBUS_LIMIT) return fail(EINVAL);
  return syscall(SYS_write, fd, bytes, count);
}

/* ---- the files ---- */

static int open_state(void) {
  int fd = memfd_create("state", MFD_CLOEXEC);
  uint32_t in_all = 0, local = 0, foreign = 0, bound = 0, open_devices = 0, mapped = 0;
  for (uint32_t i = 0; i < PAGES; i++) {
    in_all += in_use(&pages[i]);
    local += pages[i].local;
    foreign += pages[i].foreign;
  }
  for (unsigned d = 0; d < DOMAINS; d++) {
    for (uint32_t n = 0; n < PORTS; n++) bound += ports[d][n].fd != 0;
  }
  for (int i = 0; i < FDS; i++) open_devices += devices[i].kind != NONE;
  for (int i = 0; i < REGIONS; i++) mapped += entries[i].pages != NULL;
  dprintf(fd, "pages %u\nlocal %u\nforeign %u\nentries %u\nports %u\ndevices %u\n", in_all, local, foreign,
          mapped, bound, open_devices);
  lseek(fd, 0, SEEK_SET);
  return fd;
}

static int text(const char* line) {
  int fd = memfd_create("text", MFD_CLOEXEC);
  syscall(SYS_write, fd, line, strlen(line));
  lseek(fd, 0, SEEK_SET);
  return fd;
}

static int control(const char* command) {
  unsigned domid;
  char operation[64];
  int error;
  if (sscanf(command, "overflow/%u", &domid) == 1) overflow(domid);
  if (sscanf(command, "restore/%u", &domid) == 1) restore(domid);
  unsigned number;
  if (sscanf(command, "hold/%u/%u", &domid, &number) == 2) hold(domid, number, 1);
  if (sscanf(command, "let/%u/%u", &domid, &number) == 2) hold(domid, number, 0);
  long long now;
  if (sscanf(command, "time/%lld", &now) == 1) return set_time(now), text("");
  if (strcmp(command, "moves") == 0) {
    char line[64];
    snprintf(line, sizeof line, "%lu %d", moves, at_rest());
    return text(line);
  }
  if (strcmp(command, "tidy") == 0) tidy = 1;
  size_t lost;
  if (sscanf(command, "leak/%zu", &lost) == 1) memset(malloc(lost), 1, lost);
  if (sscanf(command, "fail/%63[^/]/%d", operation, &error) == 2) {
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
      if (faults[i].error != 0) continue;
      strcpy(faults[i].operation, operation);
      faults[i].error = error;
      armed++;
      break;
    }
  }
  return open_state();
}

static int open_device(const char* rest) {
  unsigned domid;
  char name[16];
  if (sscanf(rest, "%u/%15s", &domid, name) != 2 || domid >= DOMAINS) return control(rest);
  enum kind kind = NONE;
  for (int i = GNTALLOC; i <= XENBUS; i++) {
    if (strcmp(name, NAMES[i]) == 0) kind = (enum kind)i;
  }
  if (kind == NONE) return fail(ENOENT);
  if (faulty("open", name)) return -1;
  int count = 0;
  if (addon.begin == 0) dl_iterate_phdr(note_span, &count);
  if (ram < 0) {
    ram = memfd_create("ram", MFD_CLOEXEC);
    if (ftruncate(ram, (off_t)PAGES * PAGE) != 0) return -1;
  }
  int fd = kind == EVTCHN   ? open_queue(-1)
           : kind == XENBUS ? connect_store(domid)
                            : fcntl(ram, F_DUPFD_CLOEXEC, 3);
  if (fd < 0) return -1;
  devices[fd].kind = kind;
  if (fd > last_device) last_device = fd;
  devices[fd].domid = domid;
  if (kind == EVTCHN) devices[fd].tree = calloc(PORTS, sizeof(enum node));
  return fd;
}

static void close_device(int fd) {
  if (devices[fd].kind == EVTCHN) {
    release(fd, "close");
    if (devices[fd].other_end > 0) syscall(SYS_close, devices[fd].other_end);
  }
  devices[fd] = (struct device){0};
}

static const char* operation_of(unsigned long request) {
  switch (request) {
    case IOCTL_GNTALLOC_ALLOC_GREF:
      return "ALLOC_GREF";
    case IOCTL_GNTALLOC_DEALLOC_GREF:
      return "DEALLOC_GREF";
    case IOCTL_GNTDEV_MAP_GRANT_REF:
      return "MAP_GRANT_REF";
    case IOCTL_GNTDEV_UNMAP_GRANT_REF:
      return "UNMAP_GRANT_REF";
    case IOCTL_EVTCHN_BIND_UNBOUND_PORT:
      return "BIND_UNBOUND_PORT";
    case IOCTL_EVTCHN_BIND_INTERDOMAIN:
      return "BIND_INTERDOMAIN";
    case IOCTL_EVTCHN_UNBIND:
      return "UNBIND";
    case IOCTL_EVTCHN_NOTIFY:
      return "NOTIFY";
    case IOCTL_EVTCHN_RESET:
      return "RESET";
    default:
      return "?";
  }
}

static int control_device(int fd, struct device* device, unsigned long request, void* argument) {
  if (faulty("ioctl", operation_of(request))) return -1;
  moves++;
  struct ioctl_evtchn_bind_interdomain* bind = argument;
  uint32_t* port = argument;
  int result = 0;
  if (device->kind == GNTALLOC && request == IOCTL_GNTALLOC_ALLOC_GREF)
    return alloc_gref(device->domid, argument);
  if (device->kind == GNTALLOC && request == IOCTL_GNTALLOC_DEALLOC_GREF) return dealloc_gref(argument);
  if (device->kind == GNTDEV && request == IOCTL_GNTDEV_MAP_GRANT_REF) return map_grant_ref(fd, argument);
  if (device->kind == GNTDEV && request == IOCTL_GNTDEV_UNMAP_GRANT_REF) return unmap_grant_ref(argument);
  if (device->kind != EVTCHN) return fail(ENOTTY);
  if (request == IOCTL_EVTCHN_BIND_UNBOUND_PORT) return bind_port(fd, device->domid, *port, 0);
  if (request == IOCTL_EVTCHN_BIND_INTERDOMAIN) {
    return bind_interdomain(fd, device->domid, bind->remote_domain, bind->remote_port);
  }
  if (request == IOCTL_EVTCHN_UNBIND) return unbind(fd, device->domid, *port);
  if (request == IOCTL_EVTCHN_NOTIFY) return notify(fd, device->domid, *port);
  if (request == IOCTL_EVTCHN_RESET) return open_queue(fd) < 0 ? -1 : result;
  return fail(ENOTTY);
}

static ssize_t unmask(int fd, unsigned domid, const uint32_t* numbers, size_t count) {
  moves++;
  for (size_t i = 0; i < count / 4; i++) {
    struct port* port = own_port(fd, domid, numbers[i]);
    if (port == NULL) continue;
    port->masked = 0;
    deliver(domid, numbers[i]);
  }
  return (ssize_t)count;
}

/* ---- what the addon calls ---- */

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, int) : 0;
  va_end(arguments);
  if (strncmp(path, ROOT, strlen(ROOT)) != 0) return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  pthread_mutex_lock(&lock);
  int fd = open_device(path + strlen(ROOT));
  pthread_mutex_unlock(&lock);
  return fd;
}

int open64(const char* path, int flags, ...) __attribute__((alias("open")));

int close(int fd) {
  pthread_mutex_lock(&lock);
  if (device_of(fd)) close_device(fd);
  pthread_mutex_unlock(&lock);
  return (int)syscall(SYS_close, fd);
}

int ioctl(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  struct device* device = device_of(fd);
  if (device == NULL) return (int)syscall(SYS_ioctl, fd, request, argument);
  pthread_mutex_lock(&lock);
  int result = control_device(fd, device, request, argument);
  pthread_mutex_unlock(&lock);
  return result;
}

ssize_t read(int fd, void* bytes, size_t count) {
  struct device* device = device_of(fd);
  if (device == NULL) return syscall(SYS_read, fd, bytes, count);
  pthread_mutex_lock(&lock);
  ssize_t result = device->overflow                      ? fail(EFBIG)
                   : faulty("read", NAMES[device->kind]) ? -1
                                                         : syscall(SYS_read, fd, bytes, count);
  pthread_mutex_unlock(&lock);
  return result;
}

ssize_t write(int fd, const void* bytes, size_t count) {
  struct device* device = device_of(fd);
  if (device == NULL) return syscall(SYS_write, fd, bytes, count);
  pthread_mutex_lock(&lock);
  ssize_t result = faulty("write", NAMES[device->kind]) ? -1
                   : device->kind == EVTCHN             ? unmask(fd, device->domid, bytes, count)
                                                        : write_store(fd, bytes, count);
  pthread_mutex_unlock(&lock);
  return result;
}

int clock_gettime(clockid_t clock, struct timespec* time) {
  if (manual_time < 0 || clock != CLOCK_MONOTONIC || !is_of_addon(__builtin_return_address(0)))
    return (int)syscall(SYS_clock_gettime, clock, time);
  long long now = __atomic_load_n(&manual_time, __ATOMIC_SEQ_CST);
  *time = (struct timespec){now / 1000000000, now % 1000000000};
  return 0;
}

/* By the addon's time, where a test has set that. */
int ppoll(struct pollfd* files, nfds_t count, const struct timespec* timeout, const sigset_t* mask) {
  if (count > 4 || !is_of_addon(__builtin_return_address(0)))
    return (int)syscall(SYS_ppoll, files, count, timeout, mask, sizeof(long));
  pthread_mutex_lock(&lock);
  struct sleeper* own = own_sleeper();
  memcpy(own->files, files, count * sizeof *files);
  own->count = count;
  long long due = timeout == NULL ? -1 : manual_time + timeout->tv_sec * 1000000000ll + timeout->tv_nsec;
  struct pollfd all[5];
  int ready = 0;
  for (;;) {
    memcpy(all, files, count * sizeof *files);
    all[count] = (struct pollfd){own->tick, POLLIN, 0};
    own->asleep = 1;
    int is_manual = manual_time >= 0;
    pthread_mutex_unlock(&lock);
    struct timespec rest = timeout == NULL ? (struct timespec){0} : *timeout;
    ready = (int)syscall(SYS_ppoll, all, count + 1, timeout == NULL || is_manual ? NULL : &rest, mask, sizeof(long));
    pthread_mutex_lock(&lock);
    own->asleep = 0;
    eventfd_t ticks;
    int is_ticked = ready > 0 && all[count].revents != 0;
    if (is_ticked) eventfd_read(own->tick, &ticks);
    if (is_ticked) ready--;
    if (ready != 0 || !is_ticked) break;
    if (due >= 0 && is_manual && manual_time >= due) break;
  }
  moves++;
  pthread_mutex_unlock(&lock);
  memcpy(files, all, count * sizeof *files);
  return ready;
}

void* mmap(void* base, size_t size, int protection, int flags, int fd, off_t offset) {
  struct device* device = device_of(fd);
  if (device == NULL) return (void*)syscall(SYS_mmap, base, size, protection, flags, fd, offset);
  pthread_mutex_lock(&lock);
  void* result = faulty("mmap", NAMES[device->kind]) ? MAP_FAILED
                 : device->kind == GNTDEV            ? map_foreign(device->domid, size, protection, offset)
                                                     : map_own(size, protection, flags, fd, offset);
  pthread_mutex_unlock(&lock);
  return result;
}

void* mmap64(void* base, size_t size, int protection, int flags, int fd, off_t offset)
    __attribute__((alias("mmap")));

int munmap(void* base, size_t size) {
  for (int i = 0; i < REGIONS; i++) {
    if (regions[i].base != base || base == NULL) continue;
    pthread_mutex_lock(&lock);
    for (size_t j = 0; j < regions[i].size / PAGE; j++) {
      struct page* page = &pages[regions[i].pages[j]];
      *(regions[i].foreign ? &page->foreign : &page->local) -= 1;
    }
    free(regions[i].pages);
    regions[i] = (struct region){0};
    pthread_mutex_unlock(&lock);
    break;
  }
  return (int)syscall(SYS_munmap, base, size);
}
