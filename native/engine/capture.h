#pragma once

#include "carrier.h"

namespace vsnd {

/** Capture: out of the granted pages into the staging ring, as much as the backend has captured. */
class CaptureCarrier final : public Carrier {
 public:
  using Carrier::Carrier;

  void ShowStaged() override { gauge_.SetStaged(staging_.written()); }
  /** JavaScript waits for so many bytes; 0: it does not. */
  void WakeAt(size_t bytes) {
    wanted_ = bytes;
    LookForWake();
  }

 protected:
  bool TakePosition(uint64_t count) override;
  void TakeAnswer(const Post& post) override;
  uint8_t operation() const override { return kOpRead; }
  void Move(Wakes& wakes) override;
  bool waits_for_answers() const override { return standing_.post_count > 0; }
  bool TakeStagingWake() override;

 private:
  /** Whether the buffer may have run over since the last position: the next one says. */
  bool MayHaveRunOver(double now) const;

  size_t wanted_ = 0;
};

}  // namespace vsnd
