// The engine's threads under ThreadSanitizer: node test/native/run.js --tsan
//
//   tsan SECONDS SEED
//
// A card with a stream in each direction. The first thread plays JavaScript's part: it stages and takes frames, takes streams back at
// any time, does what is not ordinary itself, and hands them over again; it ends and closes streams, and opens them anew. A second
// one is the backend: it checks that the frames it is told of follow each other, makes those that it captures do so, answers some
// requests with a failure, and reports positions, of which some stand or skip an id.
// The third is the engine's. An evtchn is one end of a socket pair: what the engine unmasks comes out at the other end.
// Before that, frames go through a staging ring between two threads that nothing else orders: the engine's lock hides what the ring's
// own counts leave out of order.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <random>
#include <thread>

#include "../../native/engine/capture.h"
#include "../../native/engine/loop.h"
#include "../../native/engine/playback.h"
#include "../../native/xen_ioctl.h"

using namespace vsnd;

namespace {

constexpr uint32_t kFrame = 4, kPeriod = 256 * kFrame, kBuffer = 4 * kPeriod, kStaging = 3000 * kFrame;
constexpr uint32_t kRate = 100'000;  // a loaded machine keeps up with it
constexpr int kStreams = 2;
constexpr uint8_t kOpOpen = 0, kOpClose = 1;  // XENSND_OP_OPEN, XENSND_OP_CLOSE

[[noreturn]] void Fail(const char* what) {
  std::fprintf(stderr, "tsan: %s\n", what);
  std::abort();
}

/** What the kernel has of the ports: 2n + 1 is stream n's ring, 2n + 2 its events. */
class Kernel {
 public:
  Kernel() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) Fail("socketpair");
    evtchn = ends[0];
    other_end_ = ends[1];
  }
  int evtchn;
  int asked = eventfd(0, EFD_NONBLOCK);

  /** The backend notifies the frontend. */
  void Raise(uint32_t port) {
    std::lock_guard<std::mutex> guard(mutex_);
    pending_[port] = true;
    Deliver(port);
  }
  /** What has been written back. */
  void Unmask() {
    uint32_t ports[64];
    ssize_t count = read(other_end_, ports, sizeof ports);
    std::lock_guard<std::mutex> guard(mutex_);
    for (ssize_t i = 0; i < count / 4; i++) {
      masked_[ports[i]] = false;
      Deliver(ports[i]);
    }
  }
  int other_end() const { return other_end_; }

 private:
  void Deliver(uint32_t port) {
    if (!pending_[port] || masked_[port]) return;
    pending_[port] = false;
    masked_[port] = true;
    if (write(other_end_, &port, sizeof port) != sizeof port) Fail("the queue is full");
  }
  std::mutex mutex_;
  int other_end_;
  bool pending_[8] = {}, masked_[8] = {};
};

Kernel& kernel = *new Kernel;

struct Pages {
  alignas(64) uint8_t ring[4096] = {}, events[4096] = {}, buffer[kBuffer] = {};
};
Pages pages[kStreams];

void PutFrames(uint8_t* at, uint32_t length, uint32_t* next) {
  for (uint32_t i = 0; i < length; i += kFrame, ++*next) std::memcpy(at + i, next, kFrame);
}
void CheckFrames(const uint8_t* at, uint32_t length, uint32_t* next, const char* what) {
  for (uint32_t i = 0; i < length; i += kFrame, ++*next) {
    if (std::memcmp(at + i, next, kFrame) != 0) Fail(what);
  }
}

/** One stream's backend. */
class Backend {
 public:
  Backend(int stream, uint8_t operation) : pages_(pages[stream]), stream_(stream), operation_(operation) {}

  void Serve(std::minstd_rand& random) {
    do {
      for (; rsp_prod_ != Word(0).LoadAcquire(); rsp_prod_++) {
        Entry request;
        std::memcpy(request.bytes, Slot(), kEntrySize);
        Take(request);
        Entry answer;
        answer.Set(0, request.id());
        answer.bytes[2] = request.operation();
        if (request.operation() == operation_ && random() % 200 == 0) answer.Set<int32_t>(4, -5);
        std::memcpy(Slot(), answer.bytes, kEntrySize);
        uint32_t old = rsp_prod_;
        Word(8).StoreRelease(rsp_prod_ + 1);
        FullBarrier();
        if (rsp_prod_ + 1 - Word(12).LoadAcquire() < rsp_prod_ + 1 - old) kernel.Raise(2 * stream_ + 1);
      }
      Word(4).StoreRelease(rsp_prod_ + 1);
      FullBarrier();
    } while (Word(0).LoadAcquire() != rsp_prod_);
    if (is_open_) Report(random);
  }

 private:
  void Take(const Entry& request) {
    uint8_t operation = request.operation();
    if (operation == kOpOpen || operation == kOpClose) {
      is_open_ = operation == kOpOpen;
      taken_ = position_ = 0;
      return;
    }
    uint32_t offset = request.Get<uint32_t>(8), length = request.Get<uint32_t>(12);
    if (operation != operation_ || offset + length > kBuffer) Fail("a request is no request");
    if (operation == kOpWrite)
      CheckFrames(pages_.buffer + offset, length, &frames_, "the frames played do not follow each other");
    else
      PutFrames(pages_.buffer + offset, length, &frames_);
    taken_ += length;
  }
  void Report(std::minstd_rand& random) {
    SharedWord in_prod(pages_.events + 4), in_cons(pages_.events);
    if (in_prod_ - in_cons.LoadAcquire() == 63) return;
    uint64_t most = operation_ == kOpWrite ? taken_ : taken_ + kBuffer / 2;
    bool is_odd = random() % 50 == 0;
    if (!is_odd && most <= position_) return;
    if (!is_odd) position_ += std::min<uint64_t>(most - position_, kFrame * (1 + random() % 300));
    if (random() % 200 == 0) event_id_++;  // one was lost
    Entry event;
    event.Set(0, event_id_++);
    event.Set(8, position_);
    std::memcpy(pages_.events + 64 + in_prod_ % 63 * kEntrySize, event.bytes, kEntrySize);
    in_prod.StoreRelease(++in_prod_);
    kernel.Raise(2 * stream_ + 2);
  }
  SharedWord Word(size_t offset) { return SharedWord(pages_.ring + offset); }
  uint8_t* Slot() { return pages_.ring + 64 + rsp_prod_ % 32 * kEntrySize; }

  Pages& pages_;
  uint32_t stream_;
  uint8_t operation_;
  uint32_t rsp_prod_ = 0, in_prod_ = 0, frames_ = 0;
  uint16_t event_id_ = 0;
  uint64_t taken_ = 0, position_ = 0;
  bool is_open_ = true;
};

void RunBackend(std::atomic<bool>* is_over, unsigned seed) {
  std::minstd_rand random(seed);
  Backend backends[kStreams] = {{0, kOpWrite}, {1, kOpRead}};
  while (!*is_over) {
    pollfd files[2] = {{kernel.asked, POLLIN, 0}, {kernel.other_end(), POLLIN, 0}};
    poll(files, 2, static_cast<int>(random() % 2));
    eventfd_t ignored;
    eventfd_read(kernel.asked, &ignored);
    kernel.Unmask();
    for (Backend& backend : backends) backend.Serve(random);
  }
}

/** JavaScript's side of a stream. */
template <typename C>
class Script {
 public:
  Script(Loop& loop, uint32_t stream) : loop_(loop), pages_(pages[stream]), stream_(stream) {
    Open();
    Carry();
  }
  ~Script() { TakeBack(); }

  C& carrier() { return *carrier_; }
  void Carry() { is_carried_ = loop_.Carry(*carrier_, standing_); }

  /** Takes the stream back, and does what has come, as src/frontend/channel.ts does. */
  void TakeBack() {
    Parked reason = Parked::kNot;
    standing_ = loop_.TakeBack(*carrier_, &reason);
    is_carried_ = false;
    is_at_end_ |= reason == Parked::kEnd;
    reasons[static_cast<int>(reason)]++;
    TakeAnswers();
    TakeEvents();
  }

  /** Hands it over again; in a new session where the last one is over, or anyway. */
  void Renew(bool is_new) {
    TakeBack();
    if (is_new || is_at_end_) Reopen();
    Carry();
  }

  void ReadGauge() {
    auto* cells = reinterpret_cast<std::atomic<uint64_t>*>(gauge_);
    auto count = reinterpret_cast<std::atomic<uint32_t>*>(gauge_)->load();
    if (count == 0) return;
    uint64_t bits = cells[4 + 2 * ((count - 1) % Gauge::kReports)].load(std::memory_order_relaxed);
    double bytes;
    std::memcpy(&bytes, &bits, sizeof bytes);
    if (bytes < reported_) Fail("a report is older than the one before it");
    reported_ = bytes;
  }
  bool is_carried() const { return is_carried_; }

  unsigned reasons[8] = {}, sessions = 0;
  uint32_t frames = 0;

 private:
  void HandleAnswer(const Post& post);
  /** What is staged when a stream is closed. */
  void LeaveStaged();

  void Open() {
    uint32_t port = 2 * stream_ + 1;
    StreamShape shape = {kBuffer, kPeriod, kFrame, kRate, port, port + 1};
    std::memset(gauge_, 0, sizeof gauge_);
    reported_ = 0;
    carrier_.reset(new C(pages_.ring, pages_.events, pages_.buffer, Gauge(gauge_), shape, kStaging));
    sessions++;
  }

  void Reopen() {
    Call(kOpClose);
    TakeEvents();  // of the session that is over
    LeaveStaged();
    standing_.queued = standing_.applied = standing_.position = 0;
    is_at_end_ = false;
    Call(kOpOpen);
    Open();
  }

  /** A request that is waited for. */
  void Call(uint8_t operation) {
    FrontRing ring(pages_.ring);
    ring.Continue(standing_.req_prod, standing_.rsp_cons);
    called_ = standing_.next_id++;
    is_called_ = true;
    ring.Put(Entry::BufferRequest(called_, operation, 0, 0));
    if (ring.Publish()) eventfd_write(kernel.asked, 1);
    standing_.req_prod = ring.req_prod();
    for (; is_called_; TakeAnswers()) poll(nullptr, 0, 1);
  }

  void TakeAnswers() {
    FrontRing ring(pages_.ring);
    ring.Continue(standing_.req_prod, standing_.rsp_cons);
    Entry entry;
    for (; ring.Peek(&entry) == Found::kEntry; ring.Advance()) {
      if (is_called_ && entry.id() == called_) {
        is_called_ = false;
        continue;
      }
      if (standing_.post_count == 0 || entry.id() != standing_.posts[0].id) Fail("an answer was lost");
      HandleAnswer(standing_.posts[0]);
      for (size_t i = 1; i < standing_.post_count; i++) standing_.posts[i - 1] = standing_.posts[i];
      standing_.post_count--;
    }
    standing_.rsp_cons = ring.rsp_cons();
    ring.Rearm();
  }

  void TakeEvents() {
    EventPage events(pages_.events);
    events.Continue(standing_.in_cons);
    Entry entry;
    for (; events.Peek(&entry) == Found::kEntry; events.Advance()) {
      if (static_cast<uint16_t>(entry.id() - standing_.expected_event_id) > 100) Fail("an event was handled twice");
      standing_.expected_event_id = entry.id() + 1;
      if (entry.position() < standing_.position) Fail("a position was handled twice");
      standing_.position = entry.position();
    }
    standing_.in_cons = events.in_cons();
  }

  Loop& loop_;
  Pages& pages_;
  uint32_t stream_;
  alignas(64) uint8_t gauge_[Gauge::kBytes] = {};
  double reported_ = 0;
  std::unique_ptr<C> carrier_;
  Standing standing_;
  bool is_carried_ = false, is_at_end_ = false, is_called_ = false;
  uint16_t called_ = 0;
};

template <>
void Script<PlaybackCarrier>::HandleAnswer(const Post& post) {
  standing_.applied += post.length;
}

template <>
void Script<CaptureCarrier>::HandleAnswer(const Post& post) {
  StagingRing& staging = carrier_->staging();
  uint8_t bytes[kStaging];
  size_t count = staging.Read(bytes, sizeof bytes);
  CheckFrames(bytes, count, &frames, "the frames captured do not follow each other");
  CheckFrames(pages_.buffer + post.offset, post.length, &frames, "the frames asked for do not follow each other");
}

/** What was not played is counted again. */
template <>
void Script<PlaybackCarrier>::LeaveStaged() {
  frames -= static_cast<uint32_t>(carrier_->staging().filled() / kFrame);
}

template <>
void Script<CaptureCarrier>::LeaveStaged() {
  uint8_t bytes[kStaging];
  size_t count = carrier_->staging().Read(bytes, sizeof bytes);
  CheckFrames(bytes, count, &frames, "the frames left do not follow each other");
}

void TryStagingRing() {
  StagingRing ring(kStaging);
  constexpr uint32_t kFrames = 100'000;
  std::thread reader([&ring] {
    uint8_t bytes[7 * kFrame];
    for (uint32_t frame = 0; frame < kFrames;) {
      size_t length = ring.Read(bytes, sizeof bytes);
      CheckFrames(bytes, length, &frame, "the frames staged do not follow each other");
      if (length == 0) std::this_thread::yield();
    }
  });
  for (uint32_t frame = 0; frame < kFrames;) {
    uint8_t bytes[kFrame];
    uint32_t next = frame;
    PutFrames(bytes, kFrame, &next);
    if (ring.Write(bytes, kFrame) > 0) frame = next;
    else std::this_thread::yield();
  }
  reader.join();
}

void RunScript(Loop& loop, int news, double seconds, unsigned seed) {
  std::minstd_rand random(seed);
  Script<PlaybackCarrier> out(loop, 0);
  Script<CaptureCarrier> in(loop, 1);
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  double end = now.tv_sec + seconds;
  while (now.tv_sec < end) {
    pollfd file = {news, POLLIN, 0};
    poll(&file, 1, random() % 4 == 0 ? 1 : 0);
    eventfd_t ignored;
    eventfd_read(news, &ignored);
    uint32_t ports[8];
    int count = loop.TakePorts(ports, 8);
    for (int i = 0; i < count; i++) {
      if (ports[i] <= 2) out.Renew(false);
      else in.Renew(false);
    }
    if (count > 0 && write(kernel.evtchn, ports, 4 * count) < 0) Fail("write");
    if (loop.TakeWake(out.carrier()) || random() % 8 == 0) {
      uint8_t bytes[kStaging];
      StagingRing& staging = out.carrier().staging();
      uint32_t length = std::min<size_t>(staging.free(), kFrame * (random() % 2000));
      PutFrames(bytes, length, &out.frames);
      for (uint32_t at = 0; at < length;) {  // in pieces, with no lock between them
        at += static_cast<uint32_t>(staging.Write(bytes + at, std::min<uint32_t>(length - at, 16 * kFrame)));
        FullBarrier();
        if (out.carrier().is_hungry() && random() % 2 == 0) loop.HandleStaged(out.carrier());
        if (random() % 64 == 0) usleep(100);  // the thread finds what no lock has told it of
      }
      if (out.carrier().is_hungry()) loop.HandleStaged(out.carrier());
      loop.With(out.carrier(), [&] { out.carrier().WakeAtRoom(); });
    }
    if (loop.TakeWake(in.carrier()) || random() % 8 == 0) {
      uint8_t bytes[kStaging];
      size_t length = in.carrier().staging().Read(bytes, kFrame * (1 + random() % 3000));
      CheckFrames(bytes, length, &in.frames, "the frames captured do not follow each other");
      loop.With(in.carrier(), [&] { in.carrier().ShowStaged(); });
      loop.HandleStaged(in.carrier());
      loop.With(in.carrier(), [&] { in.carrier().WakeAtFrames(random() % 2 == 0); });
    }
    if (random() % 64 == 0 || !out.is_carried()) out.Renew(random() % 16 == 0);
    if (random() % 64 == 0 || !in.is_carried()) in.Renew(random() % 16 == 0);
    if (random() % 64 == 0) {
      loop.With(out.carrier(), [&] { out.carrier().End(); });
      loop.HandleStaged(out.carrier());
    }
    if (random() % 16 == 0) loop.With(out.carrier(), [&] { out.carrier().WakeAtReports(random() % 2); });
    out.ReadGauge();
    in.ReadGauge();
    clock_gettime(CLOCK_MONOTONIC, &now);
  }
  std::printf("played %u frames, captured %u, in %u/%u sessions; parked, by reason:", out.frames, in.frames, out.sessions, in.sessions);
  for (int i = 1; i < 8; i++) std::printf(" %u/%u", out.reasons[i], in.reasons[i]);
  std::printf("\n");
  if (out.frames < 1000 || in.frames < 1000) Fail("hardly anything was played or captured");
  for (Parked reason : {Parked::kTaken, Parked::kEvent, Parked::kPosition, Parked::kAnswer, Parked::kEnd}) {
    int number = static_cast<int>(reason);
    if (out.reasons[number] == 0 || (in.reasons[number] == 0 && reason != Parked::kEnd)) Fail("hardly anything has happened");
  }
}

}  // namespace

/** The engine's notifications: everything else is the kernel's. */
extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
  if (fd == kernel.evtchn && request == IOCTL_EVTCHN_NOTIFY) return eventfd_write(kernel.asked, 1);
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return static_cast<int>(syscall(SYS_ioctl, fd, request, argument));
}

int main(int, char** arguments) {
  double seconds = std::atof(arguments[1]);
  unsigned seed = static_cast<unsigned>(std::atoi(arguments[2]));
  std::printf("seed %u\n", seed);
  TryStagingRing();
  int news = eventfd(0, EFD_NONBLOCK);
  Loop loop(Fd(kernel.evtchn), "the stand-in", 0, [](void* news) { eventfd_write(*static_cast<int*>(news), 1); }, &news);
  std::atomic<bool> is_over{false};
  std::thread backend(RunBackend, &is_over, seed);
  if (loop.Start() != 0) Fail("the thread does not start");
  RunScript(loop, news, seconds, seed + 1);
  loop.Stop();
  is_over = true;
  backend.join();
}
