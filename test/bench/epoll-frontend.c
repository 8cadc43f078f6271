/* The least that a frontend can be, and its backend in another thread, over the stand-in devices: the backend notifies once a
 * period, the frontend waits in epoll and copies a period.
 *
 *   epoll-frontend FRAMES SECONDS */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>
typedef uint16_t domid_t;
#include <xen/evtchn.h>

#define RATE 48000
#define FRAME_BYTES 4
#define PERIODS 8

static size_t frames;
static int guest, host;
static uint32_t guest_port, host_port;

static void notify(int device, uint32_t port) {
  ioctl(device, IOCTL_EVTCHN_NOTIFY, &(struct ioctl_evtchn_notify){port});
}

static void* run_frontend(void* unused) {
  /* as the engine's thread asks for it */
  pthread_setschedparam(pthread_self(), SCHED_FIFO, &(struct sched_param){1});
  size_t bytes = frames * FRAME_BYTES;
  char* buffer = mmap(NULL, PERIODS * bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  char* sound = calloc(PERIODS, bytes);
  int poll = epoll_create1(0);
  epoll_ctl(poll, EPOLL_CTL_ADD, guest, &(struct epoll_event){.events = EPOLLIN});
  struct epoll_event event;
  for (uint64_t period = 0; epoll_wait(poll, &event, 1, -1) > 0 || 1; period++) {
    uint32_t port;
    if (read(guest, &port, sizeof port) != sizeof port) continue;
    memcpy(buffer + period % PERIODS * bytes, sound + period % PERIODS * bytes, bytes);
    notify(guest, guest_port);
    if (write(guest, &port, sizeof port) < 0) abort(); /* unmasks */
  }
  return unused;
}

int main(int count, char** arguments) {
  if (count != 3) return 2;
  frames = strtoul(arguments[1], NULL, 10);
  guest = open("/xen-stand-in/1/evtchn", O_RDWR | O_CLOEXEC);
  host = open("/xen-stand-in/0/evtchn", O_RDWR | O_CLOEXEC);
  guest_port = (uint32_t)ioctl(guest, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &(struct ioctl_evtchn_bind_unbound_port){0});
  host_port = (uint32_t)ioctl(host, IOCTL_EVTCHN_BIND_INTERDOMAIN,
                              &(struct ioctl_evtchn_bind_interdomain){1, guest_port});
  pthread_t frontend;
  pthread_create(&frontend, NULL, run_frontend, NULL);
  int64_t nanoseconds = (int64_t)frames * 1000000000 / RATE;
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  struct timespec time = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  timerfd_settime(timer, 0, &(struct itimerspec){time, time}, NULL);
  uint64_t ticks = strtoull(arguments[2], NULL, 10) * RATE / frames;
  for (uint64_t tick = 0, passed; tick < ticks && read(timer, &passed, sizeof passed) > 0; tick += passed) {
    uint32_t port;
    if (read(host, &port, sizeof port) == sizeof port && write(host, &port, sizeof port) < 0) abort();
    notify(host, host_port);
  }
  dprintf(3, "{}");
  exit(0); /* with the frontend's thread */
}
