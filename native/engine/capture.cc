#include "capture.h"

#include <algorithm>

namespace vsnd {

/** One that stands, falls, or says that the buffer has run over is for JavaScript. */
bool CaptureCarrier::TakePosition(uint64_t count) {
  if (count <= standing_.position) return false;
  uint64_t available = count - std::min(count, standing_.queued);
  return available <= shape_.buffer_bytes;
}

/** `applied` is what is still to come of what was asked for. */
void CaptureCarrier::TakeAnswer(const Post& post) {
  Stage(buffer_ + post.offset, post.length);
  standing_.applied -= std::min<uint64_t>(standing_.applied, post.length);
}

void CaptureCarrier::Stage(const uint8_t* bytes, size_t length) {
  staging_.Write(bytes, length);
  ShowStaged();
  NoteMoved(staging_.written());
}

/** CapturePacing.readable(): one question at a time, of what there is and has room. */
void CaptureCarrier::Move(Wakes& wakes) {
  ShowStaged();
  if (standing_.post_count > 0) return;
  double now = wakes.now();
  uint64_t available = standing_.position - std::min(standing_.position, standing_.queued);
  uint64_t length = std::min<uint64_t>(available, staging_.free());
  length -= length % shape_.frame_bytes;
  if (length == 0 || MayHaveRunOver(now)) return;
  standing_.applied = length;
  while (length > 0) {
    uint32_t offset = static_cast<uint32_t>(standing_.queued % shape_.buffer_bytes);
    uint32_t part = static_cast<uint32_t>(std::min<uint64_t>(length, shape_.buffer_bytes - offset));
    PostRequest(kOpRead, offset, part, now);
    standing_.queued += part;
    length -= part;
  }
  Publish(wakes);
  gauge_.SetApplied(standing_.queued);
}

bool CaptureCarrier::MayHaveRunOver(double now) const {
  double since = static_cast<double>(standing_.position - standing_.queued);
  double elapsed = (now - standing_.moved_at) * shape_.rate * shape_.frame_bytes / 1e9;
  return since + elapsed > shape_.buffer_bytes;
}

bool CaptureCarrier::TakeStagingWake() {
  return staging_.filled() > 0 && std::exchange(is_awaited_, false);
}

}  // namespace vsnd
