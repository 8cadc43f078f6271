#pragma once

#include "../engine/lock.h"
#include "../engine/port.h"
#include "../engine/staging_ring.h"
#include "session.h"

namespace vsnd {

/**
 * A port whose other end is JavaScript: where no engine carries the card's stream. Held by JavaScript, and by
 * the node that is attached to it, which is one of `session`.
 */
class StagingPort final : public Port {
 public:
  /** `capacity`: bytes. */
  StagingPort(Session& session, size_t capacity) : session_(session), ring_(capacity) {}

  size_t Write(const uint8_t* bytes, size_t length) override;
  size_t Read(uint8_t* into, size_t length) override { return ring_.Read(into, length); }
  size_t Readable() override { return ring_.filled(); }
  uint64_t Listen(OnMoved on_moved, void* listener) override;

  StagingRing& ring() { return ring_; }
  /** JavaScript's: the position is `bytes` now. */
  void Move(uint64_t bytes);

 private:
  Session& session_;
  StagingRing ring_;
  Lock lock_;
  uint64_t position_ = 0;
  OnMoved on_moved_ = nullptr;
  void* listener_ = nullptr;
};

}  // namespace vsnd
