#include "carrier.h"

#include <algorithm>
#include <limits>

namespace vsnd {

namespace {

/** ns: the Linux driver gives up after as long (VSND_WAIT_BACK_MS), and so does src/frontend/channel.ts. */
constexpr double kRequestTimeout = 3e9;

/** Notifications in a row that may lead to nothing: answers that were read with a position are told of later.
 */
constexpr uint32_t kMostIdle = 8;

/** ns, and events in it that may come beyond eight for each period. */
constexpr double kWindow = 100e6;
constexpr double kWindowEvents = 32;

/** How often one turn may look again for answers that came meanwhile. */
constexpr int kMostLooks = 4;

}  // namespace

bool Carrier::Carry(const Standing& standing, Wakes& wakes) {
  standing_ = standing;
  gauge_.SetApplied(standing.queued);
  ring_.Continue(standing.req_prod, standing.rsp_cons);
  events_.Continue(standing.in_cons);
  parked_ = Parked::kNot;
  has_taken_answers_ = true;  // what JavaScript has read may be told of now
  idle_notifications_ = 0;
  return Work(wakes);
}

Standing Carrier::TakeBack(Parked* reason) {
  if (is_carrying()) Park(Parked::kTaken);
  *reason = parked_;
  return standing_;
}

bool Carrier::Park(Parked reason) {
  parked_ = reason;
  standing_.req_prod = ring_.req_prod();
  standing_.rsp_cons = ring_.rsp_cons();
  standing_.in_cons = events_.in_cons();
  return false;
}

bool Carrier::HandleNotified(uint32_t port, Wakes& wakes) {
  bool is_told_late = std::exchange(was_early_, false) || (port == shape_.ring_port && has_taken_answers_);
  if (port == shape_.ring_port) has_taken_answers_ = false;
  has_progressed_ = false;
  if (!Work(wakes)) return false;
  idle_notifications_ = has_progressed_ || is_told_late ? 0 : idle_notifications_ + 1;
  return idle_notifications_ <= kMostIdle || Park(Parked::kStorm);
}

bool Carrier::CatchUp(Wakes& wakes) {
  has_progressed_ = false;
  bool is_still_carried = Work(wakes);
  was_early_ |= has_progressed_;
  return is_still_carried;
}

/** Answers first: a position may rest on what they say. */
bool Carrier::Work(Wakes& wakes) {
  double now = wakes.now();
  for (int looks = 0;;) {
    if (!TakeAnswers(now) || !TakeEvents(now)) return false;
    Move(wakes);
    LookForWake();
    if (is_at_end()) return Park(Parked::kEnd);
    if (!waits_for_answers() || !ring_.Rearm()) return true;
    if (++looks == kMostLooks) return Park(Parked::kStorm);
  }
}

bool Carrier::TakeAnswers(double now) {
  Entry answer;
  for (Found found; (found = ring_.Peek(&answer)) != Found::kNothing;) {
    Post post = standing_.posts[0];
    bool is_ordinary = found == Found::kEntry && standing_.post_count > 0 && answer.id() == post.id &&
                       answer.operation() == operation() && answer.status() == 0;
    if (!is_ordinary) return Park(Parked::kAnswer);
    ring_.Advance();
    for (size_t i = 1; i < standing_.post_count; i++) standing_.posts[i - 1] = standing_.posts[i];
    standing_.post_count--;
    standing_.oldest_since = now;
    TakeAnswer(post);
    has_taken_answers_ = has_progressed_ = true;
  }
  return true;
}

/** What comes meanwhile is for later: one page's worth at most. */
bool Carrier::TakeEvents(double now) {
  Entry event;
  for (uint32_t taken = 0; taken < EventPage::kSize; taken++) {
    Found found = events_.Peek(&event);
    if (found == Found::kNothing) return true;
    bool is_expected = found == Found::kEntry && event.operation() == kEvtCurPos &&
                       event.id() == standing_.expected_event_id;
    if (!is_expected) return Park(Parked::kEvent);
    if (!AreFew(now)) return Park(Parked::kStorm);
    uint64_t count = event.position() - standing_.origin;
    if (!TakePosition(count)) return Park(Parked::kPosition);
    events_.Advance();
    standing_.expected_event_id++;
    standing_.position = count;
    standing_.moved_at = now;
    gauge_.Report(count, now);
    has_progressed_ = true;
  }
  return true;
}

bool Carrier::AreFew(double now) {
  if (now - window_begin_ >= kWindow) {
    window_begin_ = now;
    window_events_ = 0;
  }
  double period = 1e9 * shape_.period_bytes / shape_.frame_bytes / shape_.rate;
  return ++window_events_ <= kWindowEvents + 8 * kWindow / period;
}

double Carrier::deadline() const {
  bool waits = is_carrying() && standing_.post_count > 0;
  return waits ? standing_.oldest_since + kRequestTimeout : std::numeric_limits<double>::infinity();
}

bool Carrier::LookAtAge(double now) {
  return !is_carrying() || now < deadline() || Park(Parked::kOverdue);
}

double Carrier::rest(double now) const {
  bool is_awaited = wakes_at_reports_ || on_moved_ != nullptr || now < attended_until_;
  uint64_t bytes = is_awaited ? 0 : restful_bytes();
  if (bytes < 2 * shape_.period_bytes) return 0;
  // The page has room for so many events, and twice as many.
  bytes = std::min<uint64_t>(bytes, EventPage::kSize / 3 * uint64_t{shape_.period_bytes});
  return 1e9 * static_cast<double>(bytes / shape_.frame_bytes) / shape_.rate;
}

uint64_t Carrier::Listen(Port::OnMoved on_moved, void* listener) {
  on_moved_ = on_moved;
  listener_ = listener;
  return moved_;
}

void Carrier::NoteMoved(uint64_t position) {
  if (position <= moved_) return;
  moved_ = position;
  if (on_moved_ != nullptr) on_moved_(listener_, position);
}

void Carrier::LookForWake() {
  uint32_t untold = gauge_.count() - reports_told_;
  bool are_reports_due = untold > 0 && (wakes_at_reports_ || untold >= Gauge::kReports / 2);
  if (are_reports_due) reports_told_ = gauge_.count();
  if (TakeStagingWake() || are_reports_due) is_wake_due_ = true;
}

void Carrier::PostRequest(uint8_t operation, uint32_t offset, uint32_t length, double now) {
  if (standing_.post_count == 0) standing_.oldest_since = now;
  uint16_t id = standing_.next_id++;
  standing_.posts[standing_.post_count++] = {id, offset, length};
  ring_.Put(Entry::BufferRequest(id, operation, offset, length));
}

void Carrier::Publish(Wakes& wakes) {
  has_progressed_ = true;
  if (ring_.Publish()) wakes.Notify(shape_.ring_port);
}

}  // namespace vsnd
