#include "loop.h"

#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <ctime>

#include "priority.h"

namespace vsnd {

namespace {

/** While a stream is carried, the age of its requests is looked at as often. */
constexpr timespec kLongestWait = {1, 0};
constexpr double kBetweenLooks = 1e9;

double MonotonicNow() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
}

/** Signals are JavaScript's. In Linux the mask is the thread's. */
void BlockSignals() {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

Loop::Loop(Fd evtchn, std::string device, double now, void (*on_news)(void*), void* context)
    : evtchn_(std::move(evtchn)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      ports_(evtchn_.get(), std::move(device), this),
      origin_(MonotonicNow() - now),
      script_tid_(OwnTid()),
      on_news_(on_news),
      context_(context) {}

Loop::~Loop() {
  Stop();
  Close();
}

int Loop::Start() {
  if (!evtchn_) return EBADF;
  if (!wake_) return EMFILE;
  if (is_running_) {
    {
      Hold hold(lock_, script_tid_);
      error_ = 0;
    }
    eventfd_write(wake_.get(), 1);
    return 0;
  }
  int error = uv_thread_create(
      &thread_, [](void* loop) { static_cast<Loop*>(loop)->Run(); }, this);
  is_running_ = error == 0;
  return -error;
}

void Loop::Stop() {
  if (!is_running_) return;
  is_running_ = false;
  is_stopping_ = true;
  eventfd_write(wake_.get(), 1);
  uv_thread_join(&thread_);
  Hold hold(lock_);  // another addon's thread may still use a port
  carried_.clear();
  is_ended_ = true;
}

void Loop::Close() {
  if (!evtchn_) return;
  bool stays_open = ports_.ForgetIfRestored() == Ports::kUnknown;
  ports_.End();
  if (stays_open)
    evtchn_.Leave();
  else
    evtchn_.Close();
}

void Loop::Run() {
  BlockSignals();
  prctl(PR_SET_NAME, "vsnd");
  tid_ = OwnTid();
  policy_ = AskForRealTime();
  while (!is_stopping_) {
    bool has_read = Wait();
    Unmask();
    if (has_read) ReadPorts();
    LookAtAges(has_read);
    TellNews(tid_);
  }
}

bool Loop::Wait() {
  bool is_failed = false;
  bool is_idle = false;
  {
    Hold hold(lock_, tid_);
    is_failed = error_ != 0;
    is_idle = carried_.empty();
  }
  std::array<pollfd, 2> files = {{{wake_.get(), POLLIN, 0}, {is_failed ? -1 : evtchn_.get(), POLLIN, 0}}};
  timespec rest = {static_cast<time_t>(rest_ / 1e9), 0};
  rest.tv_nsec = static_cast<long>(rest_ - 1e9 * static_cast<double>(rest.tv_sec));
  const timespec* limit = rest_ > 0 ? &rest : is_idle ? nullptr : &kLongestWait;
  if (ppoll(files.data(), files.size(), limit, nullptr) <= 0) return false;
  eventfd_t ignored;
  if (files[0].revents != 0) eventfd_read(wake_.get(), &ignored);
  return files[1].revents != 0;
}

/** Each port that was read is masked until it is written back: by us, now or after a rest, or by JavaScript.
 */
void Loop::ReadPorts() {
  ssize_t count = read(evtchn_.get(), masked_.data(), sizeof masked_);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  {
    Hold hold(lock_, tid_);
    BeginTurn();
    if (count <= 0) {
      error_ = count < 0 ? errno : EIO;
      has_news_ = true;
      return;
    }
    for (size_t i = 0; i < static_cast<size_t>(count) / sizeof masked_[0]; i++) {
      if (Handle(masked_[i])) masked_[masked_count_++] = masked_[i];
    }
    rest_ = carried_.empty() ? 0 : kBetweenLooks;
    for (const Carrier* carrier : carried_) rest_ = std::min(rest_, carrier->rest(now_));
  }
  if (rest_ == 0) Unmask();
}

void Loop::Unmask() {
  rest_ = 0;
  size_t count = std::exchange(masked_count_, 0);
  if (count == 0 || write(evtchn_.get(), masked_.data(), count * sizeof masked_[0]) >= 0) return;
  Hold hold(lock_, tid_);
  error_ = errno;
  has_news_ = true;
}

bool Loop::Handle(uint32_t port) {
  for (Carrier* carrier : carried_) {
    if (port != carrier->shape().ring_port && port != carrier->shape().event_port) continue;
    if (carrier->HandleNotified(port, *this)) {
      has_news_ |= carrier->is_wake_due();
      return true;
    }
    carried_.erase(std::find(carried_.begin(), carried_.end(), carrier));
    break;
  }
  HandOn(port);
  return false;
}

void Loop::LookAtAges(bool has_read) {
  Hold hold(lock_, tid_);
  if (carried_.empty()) return;
  if (!has_read) BeginTurn();
  if (now_ - looked_at_ < kBetweenLooks) return;
  looked_at_ = now_;
  for (size_t i = 0; i < carried_.size();) {
    Carrier* carrier = carried_[i];
    if (carrier->LookAtAge(now_)) {
      i++;
      continue;
    }
    carried_.erase(carried_.begin() + static_cast<ptrdiff_t>(i));
    HandOn(carrier->shape().ring_port);
  }
}

void Loop::HandOn(uint32_t port) {
  if (std::find(handed_on_.begin(), handed_on_.end(), port) == handed_on_.end()) handed_on_.push_back(port);
  has_news_ = true;
}

void Loop::TellNews(int tid) {
  Hold hold(lock_, tid);
  if (std::exchange(has_news_, false) && !is_ended_) on_news_(context_);
}

bool Loop::HasPorts() {
  Hold hold(lock_, script_tid_);
  return !handed_on_.empty() || error_ != 0;
}

int Loop::TakePorts(uint32_t* ports, size_t most) {
  Hold hold(lock_, script_tid_);
  size_t count = std::min(most, handed_on_.size());
  std::copy_n(handed_on_.begin(), count, ports);
  handed_on_.erase(handed_on_.begin(), handed_on_.begin() + static_cast<ptrdiff_t>(count));
  if (count > 0 || error_ == 0) return static_cast<int>(count);
  errno = error_;
  return -1;
}

bool Loop::TakeWake(Carrier& carrier) {
  Hold hold(lock_, script_tid_);
  return carrier.TakeWake();
}

bool Loop::Carry(Carrier& carrier, const Standing& standing) {
  bool is_carried = false;
  {
    Hold hold(lock_, script_tid_);
    BeginTurn();
    is_carried = carrier.Carry(standing, *this);
    if (is_carried) carried_.push_back(&carrier);
    has_news_ |= carrier.is_wake_due();
  }
  if (is_carried) eventfd_write(wake_.get(), 1);  // it waits with a limit now, and tells the news
  return is_carried;
}

Standing Loop::TakeBack(Carrier& carrier, Parked* reason) {
  Standing standing;
  With(carrier, [&] {
    Work(carrier);  // the thread may have rested
    carried_.erase(std::remove(carried_.begin(), carried_.end(), &carrier), carried_.end());
    standing = carrier.TakeBack(reason);
  });
  EndRest();  // its ports may be masked
  return standing;
}

void Loop::Attend(Carrier& carrier, double duration) {
  With(carrier, [&] {
    carrier.AttendUntil(now_ + duration);
    Work(carrier);
  });
  EndRest();
}

void Loop::HandleStaged(Carrier& carrier) {
  With(carrier, [&] { Work(carrier); });
}

/** Where the stream is parked, JavaScript moves the bytes. */
void Loop::HandlePorted(Carrier& carrier, size_t length, int tid) {
  With(carrier, tid, [&] {
    carrier.NotePorted(length);
    if (!Work(carrier)) carrier.Wake();
  });
}

bool Loop::Work(Carrier& carrier) {
  auto found = std::find(carried_.begin(), carried_.end(), &carrier);
  if (found == carried_.end()) return false;
  if (carrier.CatchUp(*this)) return true;
  carried_.erase(found);
  HandOn(carrier.shape().event_port);
  return false;
}

void Loop::Notify(uint32_t port) {
  ports_.Notify(port);
}

void Loop::BeginTurn() {
  now_ = MonotonicNow() - origin_;
}

}  // namespace vsnd
