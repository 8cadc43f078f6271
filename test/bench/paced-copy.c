/* Copies a period of 48 kHz s16 stereo whenever a timer says so: the floor of every program that is woken each period.
 *
 *   paced-copy FRAMES SECONDS   writes the CPU ms of that time, as JSON, to descriptor 3 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define RATE 48000
#define FRAME_BYTES 4
#define PERIODS 8

int main(int count, char** arguments) {
  if (count != 3) return 2;
  size_t frames = strtoul(arguments[1], NULL, 10);
  size_t bytes = frames * FRAME_BYTES;
  int64_t nanoseconds = (int64_t)frames * 1000000000 / RATE;
  uint64_t ticks = strtoull(arguments[2], NULL, 10) * RATE / frames;
  char* buffer = mmap(NULL, PERIODS * bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  char* sound = calloc(PERIODS, bytes);
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  struct timespec time = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  timerfd_settime(timer, 0, &(struct itimerspec){time, time}, NULL);
  struct timespec before, after;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  for (uint64_t tick = 0, passed; tick < ticks && read(timer, &passed, sizeof passed) > 0; tick += passed)
    memcpy(buffer + tick % PERIODS * bytes, sound + tick % PERIODS * bytes, bytes);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  double ms = (after.tv_sec - before.tv_sec) * 1e3 + (after.tv_nsec - before.tv_nsec) / 1e6;
  dprintf(3, "{\"whole\":%f,\"own\":%f}", ms, ms);
  return 0;
}
