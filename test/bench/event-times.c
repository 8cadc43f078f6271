/* Before stand-in.so in LD_PRELOAD: how long each event of domain 0 takes to become a notification of the guest, which says that
 * the next period is in the pages. VSND_EVENT_TIMES: the file that they are written to at the end, ns, a line each. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
typedef uint16_t domid_t;
#include <xen/evtchn.h>

#define MOST 100000
#define FDS 1024

static _Atomic int is_backend[FDS];
static _Atomic int64_t notified; /* 0: the guest has answered */
static int64_t times[MOST];
static _Atomic int count;

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, int) : 0;
  va_end(arguments);
  int (*next)(const char*, int, ...) = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, "open");
  int fd = next(path, flags, mode);
  if (fd >= 0 && fd < FDS) is_backend[fd] = strcmp(path, "/xen-stand-in/0/evtchn") == 0;
  return fd;
}

int open64(const char* path, int flags, ...) __attribute__((alias("open")));

int ioctl(int fd, unsigned long request, ...) {
  static int (*next)(int, unsigned long, ...);
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  if (next == NULL) next = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
  if (request == IOCTL_EVTCHN_NOTIFY && fd >= 0 && fd < FDS) {
    if (is_backend[fd]) {
      notified = now();
    } else {
      int64_t since = atomic_exchange(&notified, 0);
      if (since != 0 && count < MOST) times[count++] = now() - since;
    }
  }
  return next(fd, request, argument);
}

__attribute__((destructor)) static void write_times(void) {
  const char* path = getenv("VSND_EVENT_TIMES");
  FILE* file = path != NULL && count > 0 ? fopen(path, "w") : NULL;
  if (file == NULL) return;
  for (int i = 0; i < count; i++) fprintf(file, "%lld\n", (long long)times[i]);
  fclose(file);
}
