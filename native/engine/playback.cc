#include "playback.h"

#include <algorithm>

namespace vsnd {

namespace {

/** One of so many parts of a period is worth a WRITE of its own: WORTHWHILE of src/pcm/playback-pacing.ts. */
constexpr uint64_t kWorthwhileParts = 8;

}  // namespace

/** One that stands, falls or says that nothing is left is for JavaScript. */
bool PlaybackCarrier::TakePosition(uint64_t count) {
  bool is_ordinary = count > standing_.position && count < standing_.queued;
  if (is_ordinary) NoteMoved(count);
  return is_ordinary;
}

void PlaybackCarrier::TakeAnswer(const Post& post) {
  standing_.applied = std::min(standing_.queued, standing_.applied + post.length);
}

/** PlaybackPacing.room(): what the backend has not taken is not overwritten, whatever it says of its
 * position. */
uint32_t PlaybackCarrier::Room(uint64_t pending) const {
  uint64_t kept = standing_.queued - std::min(standing_.position, standing_.applied);
  uint64_t most = shape_.buffer_bytes - kept;
  most -= most % shape_.frame_bytes;
  if (pending <= most) return static_cast<uint32_t>(pending);
  uint64_t beyond = (standing_.queued + most) % shape_.period_bytes;
  if (beyond * kWorthwhileParts < shape_.period_bytes) most -= std::min(most, beyond);
  return static_cast<uint32_t>(most);
}

void PlaybackCarrier::Move(Wakes& wakes) {
  is_hungry_.store(false, std::memory_order_relaxed);
  for (;;) {
    uint64_t pending = staging_.filled();
    pending -= pending % shape_.frame_bytes;
    uint32_t room = can_post() ? Room(pending) : 0;
    if (room > 0) Fill(room, wakes);
    if (pending > room) return;
    // orders: our wish before the last look; the writer looks at the wish after it has written
    is_hungry_.store(true, std::memory_order_seq_cst);
    FullBarrier();
    if (staging_.filled() < shape_.frame_bytes || !can_post()) return;
    is_hungry_.store(false, std::memory_order_relaxed);
    if (Room(shape_.frame_bytes) == 0) return;
  }
}

/** One WRITE up to the buffer's end, and one from its beginning. */
void PlaybackCarrier::Fill(uint32_t length, Wakes& wakes) {
  double now = wakes.now();
  while (length > 0 && can_post()) {
    uint32_t offset = static_cast<uint32_t>(standing_.queued % shape_.buffer_bytes);
    uint32_t part = std::min(length, shape_.buffer_bytes - offset);
    staging_.Read(buffer_ + offset, part);
    standing_.queued += part;
    length -= part;
    PostRequest(kOpWrite, offset, part, now);
  }
  Publish(wakes);
  gauge_.SetApplied(standing_.queued);
  ShowStaged();
}

/** Down to three quarters of the buffer. */
uint64_t PlaybackCarrier::restful_bytes() const {
  uint64_t unplayed = standing_.queued - standing_.position;
  uint64_t enough = shape_.buffer_bytes / 4 * uint64_t{3};
  return unplayed - std::min(unplayed, enough);
}

/** There would be more room, had the backend answered WRITEs of what it has played. */
bool PlaybackCarrier::waits_for_answers() const {
  return standing_.applied < standing_.position || (!can_post() && staging_.filled() > 0);
}

bool PlaybackCarrier::TakeStagingWake() {
  return 2 * staging_.filled() <= staging_.capacity() && std::exchange(wants_room_, false);
}

}  // namespace vsnd
