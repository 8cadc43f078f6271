#include "driver.h"

#include <algorithm>
#include <ctime>

namespace vsnd {

namespace {

/** ns: a cycle that takes longer was lost, as happens where programs come and go. */
constexpr uint64_t kLost = 500'000'000;

/** Of a cycle's time: no other one begins sooner. Programs that play are heard of when they are done; those
 * that record are not. */
constexpr double kLeastPart[] = {0.95, 0.75};

/** Periods that are counted on without a position: the card stands still then. */
constexpr double kMostPeriods = 2;

/** ns: no position has come yet, and so nothing can be counted on. */
constexpr uint64_t kNever = UINT64_MAX;

/** Frames of the longest cycle that PipeWire has: clock.quantum-limit. */
constexpr size_t kLongestQuantum = 8192;

/** Frames of a cycle until the graph has said how many. */
constexpr uint32_t kUsualQuantum = 1024;

/** struct spa_io_clock from 0.3.68 on, where the headers that we are built with have padding: what the graph
 * wants next. */
struct Targets {
  spa_fraction rate;
  uint64_t duration;
};

Targets TargetsOf(const spa_io_clock& clock) {
  Targets targets;
  static_assert(sizeof targets <= sizeof clock.padding, "it lies in the padding");
  __builtin_memcpy(&targets, clock.padding, sizeof targets);
  return targets;
}

}  // namespace

Driver::Driver(Session& session, const NodeShape& shape) : session_(session), shape_(shape) {}

void Driver::Start(pw_stream* stream) {
  stream_ = stream;
  session_.InDataLoop([this] {
    auto schedule = [](void* driver, uint64_t) { static_cast<Driver*>(driver)->Schedule(); };
    wake_ = pw_loop_add_event(session_.data_loop(), schedule, this);
    timer_ = pw_loop_add_timer(session_.data_loop(), schedule, this);
  });
}

void Driver::Stop() {
  Detach();
  if (wake_ == nullptr) return;
  session_.InDataLoop([this] {
    pw_loop_destroy_source(session_.data_loop(), wake_);
    pw_loop_destroy_source(session_.data_loop(), timer_);
  });
  wake_ = timer_ = nullptr;
}

void Driver::Attach(Port* port, uint64_t written, uint32_t period) {
  port->Keep();
  auto on_moved = [](void* driver, uint64_t bytes) { static_cast<Driver*>(driver)->NoteMoved(bytes); };
  uint64_t position = port->Listen(on_moved, this);
  Port* last = port_;
  session_.InDataLoop([=] {
    if (port_ == nullptr) is_cycling_ = false;
    port_ = port;
    period_ = period;
    next_at_ = 0;
    matcher_.Restart();
    {
      Hold hold(lock_);
      report_ = {position / shape_.frame_bytes, kNever};
    }
    LookAtQuantum();
    HandleAttached(written);
    Schedule();
  });
  if (last != nullptr) Leave(last);
}

void Driver::Detach() {
  Port* last = port_;
  if (last == nullptr) return;
  session_.InDataLoop([this] {
    port_ = nullptr;
    HandleDetached();
  });
  Leave(last);
}

/** It may be the one that has been attached anew. */
void Driver::Leave(Port* port) {
  if (port != port_) port->Listen(nullptr, nullptr);
  port->Release();
}

void Driver::HandleIo(uint32_t id, void* area) {
  session_.InDataLoop([=] {
    if (id == SPA_IO_Position) position_ = static_cast<spa_io_position*>(area);
    if (id == SPA_IO_Clock) clock_ = static_cast<spa_io_clock*>(area);
    if (id == SPA_IO_RateMatch) rate_match_ = static_cast<spa_io_rate_match*>(area);
    LookAtQuantum();
    Schedule();  // it may drive from now on
  });
}

/** In the engine's thread, or in JavaScript's. */
void Driver::NoteMoved(uint64_t bytes) {
  {
    Hold hold(lock_);
    uint64_t frames = bytes / shape_.frame_bytes;
    if (frames <= report_.frames) return;
    report_ = {frames, Now()};
  }
  if (is_waiting_.exchange(false)) pw_loop_signal_event(session_.data_loop(), wake_);
}

Driver::Report Driver::report() {
  Hold hold(lock_);
  return report_;
}

bool Driver::WaitFor(const Report& seen) {
  is_waiting_ = true;
  if (report().frames == seen.frames) return true;
  is_waiting_ = false;
  return false;
}

uint64_t Driver::Now() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

double Driver::FramesIn(uint64_t ns) const {
  return static_cast<double>(ns) * shape_.rate / 1e9 * (1 + deviation_.load(std::memory_order_relaxed));
}

/** pw_stream_is_driving() is not to be asked: newer ones crash before there is a node. */
bool Driver::LookWhoDrives() {
  bool is_driving = position_ != nullptr && clock_ != nullptr && position_->clock.id == clock_->id;
  if (is_driving && rate_match_ != nullptr && (rate_match_->flags & SPA_IO_RATE_MATCH_FLAG_ACTIVE) != 0) {
    rate_match_->flags &= ~SPA_IO_RATE_MATCH_FLAG_ACTIVE;
    rate_match_->rate = 1;
    matcher_.Restart();
  }
  is_driving_.store(is_driving, std::memory_order_relaxed);
  return is_driving;
}

void Driver::LookAtQuantum() {
  uint64_t frames = 0;
  uint64_t rate = 0;
  if (position_ != nullptr) {
    Targets targets = TargetsOf(position_->clock);
    frames = targets.duration != 0 ? targets.duration : position_->clock.duration;
    rate = targets.duration != 0 ? targets.rate.denom : position_->clock.rate.denom;
  }
  if (frames == 0) frames = kUsualQuantum;
  if (rate == 0) rate = shape_.rate;
  auto quantum = static_cast<uint32_t>((frames * shape_.rate + rate - 1) / rate);
  if (quantum_.exchange(quantum, std::memory_order_relaxed) != quantum) session_.Wake();
}

bool Driver::has_graph_rate() const {
  return position_ != nullptr && position_->clock.rate.denom == shape_.rate;
}

void Driver::WriteClock(uint64_t now) {
  spa_io_clock& clock = position_->clock;
  Targets targets = TargetsOf(clock);
  clock.position += clock.duration;
  if (targets.duration != 0) {  // 0.3.65 does that itself
    clock.duration = targets.duration;
    clock.rate = targets.rate;
  }
  clock.nsec = now;
  clock.rate_diff = 1 + deviation_.load(std::memory_order_relaxed);
  clock.delay = latency();
  uint64_t rate = clock.rate.denom == 0 ? shape_.rate : clock.rate.denom;
  clock.next_nsec = now + clock.duration * 1'000'000'000 / rate;
}

void Driver::Trigger(uint64_t now) {
  is_cycling_ = true;
  triggered_at_ = now;
  next_at_ = now + static_cast<uint64_t>(kLeastPart[shape_.is_sink] * 1e9 * quantum() / shape_.rate);
  Arm(now + kLost);
  WriteClock(now);
  session_.library().pw_stream_trigger_process(stream_);
}

bool Driver::IsCycling(uint64_t now) {
  if (is_cycling_ && now >= triggered_at_ + kLost) is_cycling_ = false;
  return is_cycling_;
}

void Driver::Arm(uint64_t time) {
  timespec at = {static_cast<time_t>(time / 1'000'000'000), static_cast<long>(time % 1'000'000'000)};
  pw_loop_update_timer(session_.data_loop(), timer_, &at, nullptr, true);
}

SinkDriver::SinkDriver(Session& session, const NodeShape& shape) : Driver(session, shape) {
  kept_.reserve(kLongestQuantum * shape.frame_bytes);
}

/** A cycle as long as half of what is to wait leaves nothing for being late. */
uint32_t SinkDriver::target() const {
  return std::max(shape_.latency_frames, 2 * quantum());
}

uint32_t SinkDriver::latency() const {
  return target() - quantum();
}

/** Frames that wait at the card. */
double SinkDriver::Fill(uint64_t now) {
  Report last = report();
  double passed = now > last.time ? FramesIn(now - last.time) : 0;
  double played = static_cast<double>(last.frames) + std::min(passed, kMostPeriods * period_);
  return std::max(0.0, static_cast<double>(written_) - played);
}

void SinkDriver::Schedule() {
  if (!LookWhoDrives() || port_ == nullptr) return;
  LookAtQuantum();
  for (;;) {
    uint64_t now = Now();
    if (IsCycling(now)) return;
    if (now < next_at_) return Arm(next_at_);
    Report last = report();
    if (!PutKept()) {
      if (WaitFor(last)) return;
      continue;
    }
    double due = Fill(now) - latency();
    if (due <= 0) return Trigger(now);
    double counted = now > last.time ? FramesIn(now - last.time) : 0;
    bool can_count = last.time != kNever && counted + due <= kMostPeriods * period_;
    if (can_count) return Arm(now + static_cast<uint64_t>(due * 1e9 / shape_.rate));
    if (WaitFor(last)) return;
  }
}

void SinkDriver::HandleProcess() {
  is_cycling_ = false;
  bool is_driving = LookWhoDrives();
  LookAtQuantum();
  const Library& library = session_.library();
  while (pw_buffer* buffer = library.pw_stream_dequeue_buffer(stream_)) {
    const spa_data& data = buffer->buffer->datas[0];
    uint32_t offset = std::min(data.chunk->offset, data.maxsize);
    uint32_t length = std::min(data.chunk->size, data.maxsize - offset);
    length -= length % shape_.frame_bytes;
    if (data.data != nullptr) Take(static_cast<uint8_t*>(data.data) + offset, length, is_driving);
    library.pw_stream_queue_buffer(stream_, buffer);
  }
  Schedule();
}

void SinkDriver::Take(const uint8_t* bytes, size_t length, bool is_driving) {
  if (port_ == nullptr) return;
  if (is_driving) return Put(bytes, length);
  // Another clock: what is out of reach of resampling is fixed at once.
  double excess = Fill(Now()) - latency();
  if (excess >= 2.0 * quantum()) {
    slips_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (-excess >= latency()) {
    slips_.fetch_add(1, std::memory_order_relaxed);
    PutSilence(latency());
    excess = 0;
  }
  if (rate_match_ != nullptr && !shape_.is_exact) {
    double elapsed = static_cast<double>(quantum()) / shape_.rate;
    rate_match_->flags |= SPA_IO_RATE_MATCH_FLAG_ACTIVE;
    rate_match_->rate = matcher_.Update(excess / shape_.rate, elapsed);
  }
  Put(bytes, length);
}

/** More than one cycle comes only where another node drives: then it is too late for the rest. */
void SinkDriver::Put(const uint8_t* bytes, size_t length) {
  size_t count = PutKept() ? Write(bytes, length) : 0;
  frames_.fetch_add(count / shape_.frame_bytes, std::memory_order_relaxed);
  if (count == length) return;
  if (length - count > kept_.capacity() - kept_.size()) {
    slips_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  kept_.insert(kept_.end(), bytes + count, bytes + length);
}

bool SinkDriver::PutKept() {
  size_t count = kept_.empty() ? 0 : Write(kept_.data(), kept_.size());
  kept_.erase(kept_.begin(), kept_.begin() + static_cast<ptrdiff_t>(count));
  frames_.fetch_add(count / shape_.frame_bytes, std::memory_order_relaxed);
  return kept_.empty();
}

size_t SinkDriver::Write(const uint8_t* bytes, size_t length) {
  size_t count = port_->Write(bytes, length);
  written_ += count / shape_.frame_bytes;
  return count;
}

void SinkDriver::PutSilence(uint32_t frames) {
  uint8_t zeros[4096] = {};
  size_t most = sizeof zeros - sizeof zeros % shape_.frame_bytes;
  for (size_t left = size_t{frames} * shape_.frame_bytes; left > 0;) {
    size_t count = Write(zeros, std::min(left, most));
    if (count == 0) return;
    left -= count;
  }
}

void SourceDriver::HandleAttached(uint64_t) {
  period_frames_.store(period_, std::memory_order_relaxed);
}

void SourceDriver::Schedule() {
  if (!LookWhoDrives() || port_ == nullptr) return;
  LookAtQuantum();
  for (;;) {
    uint64_t now = Now();
    if (now < next_at_) return Arm(next_at_);
    Report last = report();
    if (port_->Readable() >= size_t{quantum()} * shape_.frame_bytes) {
      Trigger(now);
      return Arm(next_at_);
    }
    if (WaitFor(last)) return;
  }
}

void SourceDriver::HandleProcess() {
  is_cycling_ = false;
  bool is_driving = LookWhoDrives();
  const Library& library = session_.library();
  pw_buffer* buffer = library.pw_stream_dequeue_buffer(stream_);
  if (buffer == nullptr) return;
  spa_data& data = buffer->buffer->datas[0];
  LookAtQuantum();
  // At the graph's own rate what is suggested may still be the last cycle's.
  bool is_suggested = buffer->requested != 0 && (!is_driving || !has_graph_rate());
  uint64_t wanted = is_suggested ? buffer->requested : quantum();
  size_t length = std::min<uint64_t>(wanted * shape_.frame_bytes, data.maxsize);
  length -= length % shape_.frame_bytes;
  auto* bytes = static_cast<uint8_t*>(data.data);
  size_t count = 0;
  if (port_ != nullptr && !is_driving && rate_match_ != nullptr && !shape_.is_exact) {
    // What waits before a cycle is a period and its own frames where all is well.
    double waiting = static_cast<double>(port_->Readable()) / shape_.frame_bytes;
    double excess = waiting - (1.5 * quantum() + period_);
    rate_match_->flags |= SPA_IO_RATE_MATCH_FLAG_ACTIVE;
    rate_match_->rate = matcher_.Update(excess / shape_.rate, static_cast<double>(quantum()) / shape_.rate);
  }
  if (port_ != nullptr && bytes != nullptr) count = port_->Read(bytes, length);
  if (count < length && bytes != nullptr) {
    __builtin_memset(bytes + count, 0, length - count);
    if (port_ != nullptr) slips_.fetch_add(1, std::memory_order_relaxed);
  }
  frames_.fetch_add(count / shape_.frame_bytes, std::memory_order_relaxed);
  data.chunk->offset = 0;
  data.chunk->size = static_cast<uint32_t>(length);
  data.chunk->stride = static_cast<int32_t>(shape_.frame_bytes);
  buffer->size = length / shape_.frame_bytes;
  library.pw_stream_queue_buffer(stream_, buffer);
}

}  // namespace vsnd
