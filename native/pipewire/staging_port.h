#pragma once

#include <atomic>

#include "../engine/lock.h"
#include "../engine/port.h"
#include "../engine/staging_ring.h"
#include "session.h"

namespace vsnd {

/**
 * A port whose other end is JavaScript: where no engine carries the card's stream. Held by JavaScript, and by the node that is
 * attached to it, which is one of `session`.
 */
class StagingPort final : public Port {
 public:
  /** `capacity`: bytes. */
  StagingPort(Session& session, size_t capacity);

  StagingRing& ring() { return ring_; }
  /** JavaScript's: the position is `bytes` now. */
  void Move(uint64_t bytes);
  void Release();

 private:
  ~StagingPort() = default;
  uint64_t Listen(void (*on_moved)(void*, uint64_t), void* listener);

  Session& session_;
  StagingRing ring_;
  std::atomic<int> holders_{1};
  Lock lock_;
  uint64_t position_ = 0;
  void (*on_moved_)(void*, uint64_t) = nullptr;
  void* listener_ = nullptr;
};

}  // namespace vsnd
