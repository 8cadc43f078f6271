#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "event_page.h"
#include "front_ring.h"
#include "gauge.h"
#include "port.h"
#include "staging_ring.h"

namespace vsnd {

/** Why a stream has been parked: something came that native/README.md's table does not call ordinary. */
enum class Parked : uint8_t {
  kNot,
  /** JavaScript has taken it back. */
  kTaken,
  /** An index that is corrupt, an event of another type, one that has not landed, an id that skips. */
  kEvent,
  /** A position that stands, falls, or jumps; nothing is left to play. */
  kPosition,
  /** An answer to something else, or one that is no success. */
  kAnswer,
  /** All has been put in that was ever written, and there is no more to come. */
  kEnd,
  /** The oldest request waits for longer than the backend may take. */
  kOverdue,
  /** Notifications that lead to nothing, or far more events than periods. */
  kStorm,
};

/** A WRITE or READ that has not been answered. */
struct Post {
  uint16_t id;
  uint32_t offset;
  uint32_t length;
};

/** Where a stream's channel and pacing stand when it changes hands. Counts are bytes, times ns of
 * JavaScript's clock. */
struct Standing {
  static constexpr size_t kMostPosts = 8;

  uint32_t req_prod = 0;
  uint32_t rsp_cons = 0;
  uint16_t next_id = 0;
  uint32_t in_cons = 0;
  uint16_t expected_event_id = 0;
  /** Playback: put into the buffer. Capture: asked for. */
  uint64_t queued = 0;
  /** Playback: taken by the backend. Capture: of what was asked for, what is not there yet. */
  uint64_t applied = 0;
  /** Played, captured. */
  uint64_t position = 0;
  /** The backend's counter where `position` is 0; modulo 2^64. */
  uint64_t origin = 0;
  double oldest_since = 0;
  /** When the position was last known to move. */
  double moved_at = 0;
  std::array<Post, kMostPosts> posts = {};
  size_t post_count = 0;
};

/** What does not change while a stream is open. */
struct StreamShape {
  uint32_t buffer_bytes = 0;
  uint32_t period_bytes = 0;
  uint32_t frame_bytes = 0;
  uint32_t rate = 0;
  /** Notified by answers, and by events. */
  uint32_t ring_port = 0;
  uint32_t event_port = 0;
};

/** What a carrier asks of the thread that it runs in. */
class Wakes {
 public:
  virtual ~Wakes() = default;
  /** EVTCHNOP_send */
  virtual void Notify(uint32_t port) = 0;
  /** ns of JavaScript's clock, when this turn began: in many guests it costs a system call to ask. */
  virtual double now() const = 0;
};

/**
 * Carries the ordinary period of one stream: no policy, only native/README.md's table. Everything here, but
 * what is said to be another thread's, runs under the engine's lock.
 */
class Carrier {
 public:
  Carrier(uint8_t* ring, uint8_t* events, uint8_t* buffer, Gauge gauge, const StreamShape& shape,
          size_t staging_bytes)
      : ring_(ring),
        events_(events),
        buffer_(buffer),
        gauge_(gauge),
        shape_(shape),
        staging_(staging_bytes) {}
  virtual ~Carrier() = default;
  Carrier(const Carrier&) = delete;
  Carrier& operator=(const Carrier&) = delete;

  const StreamShape& shape() const { return shape_; }
  StagingRing& staging() { return staging_; }
  bool is_carrying() const { return parked_ == Parked::kNot; }

  /** Takes the stream over, and does what has come meanwhile. Whether it still carries it then. */
  bool Carry(const Standing& standing, Wakes& wakes);
  /** Hands the stream back. */
  Standing TakeBack(Parked* reason);

  /** One of its ports was notified: whether it still carries the stream. */
  bool HandleNotified(uint32_t port, Wakes& wakes);
  /** The other side of the staging ring has done something, or what has come is wanted now. Whether it still
   * carries the stream. */
  bool CatchUp(Wakes& wakes);
  /** ns: when a request becomes too old; infinity where none waits. */
  double deadline() const;
  /** Parks where a request is too old. Whether it still carries the stream. */
  bool LookAtAge(double now);

  /** ns for which nothing has to be done, as the buffer is nearly full; never where somebody wants to know of
   * each position. */
  double rest(double now) const;
  /** Somebody looks at the position until then, ns. */
  void AttendUntil(double time) { attended_until_ = time; }

  /** Whether JavaScript is to be woken. */
  bool is_wake_due() const { return is_wake_due_; }
  /** The same, once. */
  bool TakeWake() { return std::exchange(is_wake_due_, false); }
  /** Wakes JavaScript. */
  void Wake() { is_wake_due_ = true; }
  /** Shows JavaScript how far this side has come with the staging ring. */
  virtual void ShowStaged() = 0;
  /** Shows JavaScript that another addon has been at the other end of the staging ring. */
  void NotePorted(size_t length) { gauge_.SetPorted(ported_ += length); }
  /** Has `on_moved` called with each position, under the lock; null: not any more. Returns the position. */
  uint64_t Listen(Port::OnMoved on_moved, void* listener);
  /** The position of {@link Port} is `position` now. */
  void NoteMoved(uint64_t position);
  /** Wakes JavaScript at each position, or not any more. */
  void WakeAtReports(bool is_woken) { wakes_at_reports_ = is_woken; }

 protected:
  /** Whether the event's position is an ordinary one; notes it then. */
  virtual bool TakePosition(uint64_t count) = 0;
  /** A success for the oldest post. */
  virtual void TakeAnswer(const Post& post) = 0;
  /** XENSND_OP_ of its posts. */
  virtual uint8_t operation() const = 0;
  /** Moves bytes as far as the numbers allow, posting what tells the backend of it. */
  virtual void Move(Wakes& wakes) = 0;
  /** Whether an answer must wake us, because no position will. */
  virtual bool waits_for_answers() const = 0;
  /** Nothing more will come, and everything is where it belongs. */
  virtual bool is_at_end() const { return false; }
  /** Bytes that play before there is more room than is worth a wake; 0 where every position counts. */
  virtual uint64_t restful_bytes() const { return 0; }
  /** JavaScript waits, and there is enough for it. */
  virtual bool TakeStagingWake() = 0;
  void LookForWake();

  bool can_post() const { return standing_.post_count < Standing::kMostPosts && ring_.free() > 0; }
  void PostRequest(uint8_t operation, uint32_t offset, uint32_t length, double now);
  void Publish(Wakes& wakes);

  FrontRing ring_;
  EventPage events_;
  uint8_t* buffer_;
  Gauge gauge_;
  const StreamShape shape_;
  StagingRing staging_;
  Standing standing_;

 private:
  bool Work(Wakes& wakes);
  bool TakeAnswers(double now);
  bool TakeEvents(double now);
  /** Whether so many events are no more than the periods of the time explain. */
  bool AreFew(double now);
  bool Park(Parked reason);

  Parked parked_ = Parked::kTaken;
  bool is_wake_due_ = false;
  Port::OnMoved on_moved_ = nullptr;
  void* listener_ = nullptr;
  uint64_t moved_ = 0;
  /** Bytes that have come from another addon, or gone to it. */
  uint64_t ported_ = 0;
  /** Something was found before its notification was handled. */
  bool was_early_ = false;
  bool wakes_at_reports_ = false;
  double attended_until_ = 0;
  uint32_t reports_told_ = 0;
  /** With positions, since the ring's last notification. */
  bool has_taken_answers_ = false;
  bool has_progressed_ = false;
  uint32_t idle_notifications_ = 0;
  double window_begin_ = 0;
  uint32_t window_events_ = 0;
};

}  // namespace vsnd
