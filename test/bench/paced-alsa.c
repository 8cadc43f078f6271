/*
 * A sound card for a machine without one, as a plugin of ALSA: plays into nothing at its rate, tells how far it is at
 * the end of each period, and wakes then whoever waits. ALSA's own null device does not keep time.
 *
 *   pcm_type.paced { lib "/path/to/paced-alsa.so" }
 *   pcm.!default { type paced }
 */
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct paced {
  snd_pcm_ioplug_t io;
  int timer;
  int64_t begun; /* ns */
};

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void tick_every(struct paced* card, int64_t interval) {
  struct timespec time = {interval / 1000000000LL, interval % 1000000000LL};
  struct itimerspec spec = {time, time};
  timerfd_settime(card->timer, 0, &spec, NULL);
}

static int start(snd_pcm_ioplug_t* io) {
  struct paced* card = io->private_data;
  card->begun = now();
  tick_every(card, (int64_t)io->period_size * 1000000000LL / io->rate);
  return 0;
}

static int stop(snd_pcm_ioplug_t* io) {
  tick_every(io->private_data, 0);
  return 0;
}

/* Whole periods only: as a card that interrupts once a period. */
static snd_pcm_sframes_t pointer(snd_pcm_ioplug_t* io) {
  struct paced* card = io->private_data;
  if (io->state != SND_PCM_STATE_RUNNING && io->state != SND_PCM_STATE_DRAINING) return 0;
  int64_t played = (now() - card->begun) * io->rate / 1000000000LL;
  played -= played % (int64_t)io->period_size;
  if (played > (int64_t)io->appl_ptr) return -EPIPE;
  return played % (int64_t)io->buffer_size;
}

static snd_pcm_sframes_t transfer(snd_pcm_ioplug_t* io, const snd_pcm_channel_area_t* areas,
                                  snd_pcm_uframes_t offset, snd_pcm_uframes_t size) {
  (void)io, (void)areas, (void)offset;
  return (snd_pcm_sframes_t)size;
}

static int revents(snd_pcm_ioplug_t* io, struct pollfd* fds, unsigned int count, unsigned short* events) {
  uint64_t ticks;
  (void)count;
  if ((fds->revents & POLLIN) && read(fds->fd, &ticks, sizeof ticks) < 0) return -errno;
  *events = snd_pcm_avail_update(io->pcm) > 0 ? POLLOUT : 0;
  return 0;
}

static int close_card(snd_pcm_ioplug_t* io) {
  struct paced* card = io->private_data;
  close(card->timer);
  free(card);
  return 0;
}

static const snd_pcm_ioplug_callback_t CALLBACKS = {
    .start = start, .stop = stop, .pointer = pointer, .transfer = transfer,
    .poll_revents = revents, .close = close_card};

SND_PCM_PLUGIN_DEFINE_FUNC(paced) {
  const unsigned int access[] = {SND_PCM_ACCESS_RW_INTERLEAVED, SND_PCM_ACCESS_MMAP_INTERLEAVED};
  const unsigned int formats[] = {SND_PCM_FORMAT_S16};
  struct paced* card = calloc(1, sizeof *card);
  (void)root, (void)conf;
  card->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  card->io = (snd_pcm_ioplug_t){.version = SND_PCM_IOPLUG_VERSION,
                                .name = "keeps time, plays into nothing",
                                .poll_fd = card->timer,
                                .poll_events = POLLIN,
                                .callback = &CALLBACKS,
                                .private_data = card};
  int error = snd_pcm_ioplug_create(&card->io, name, stream, mode);
  if (error < 0) return error;
  snd_pcm_ioplug_set_param_list(&card->io, SND_PCM_IOPLUG_HW_ACCESS, 2, access);
  snd_pcm_ioplug_set_param_list(&card->io, SND_PCM_IOPLUG_HW_FORMAT, 1, formats);
  *pcmp = card->io.pcm;
  return 0;
}
SND_PCM_PLUGIN_SYMBOL(paced);
