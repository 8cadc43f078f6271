#pragma once

#include "carrier.h"

namespace vsnd {

/** Capture: out of the granted pages into the staging ring, as much as the backend has captured. */
class CaptureCarrier final : public Carrier {
 public:
  using Carrier::Carrier;

  void ShowStaged() override { gauge_.SetStaged(staging_.written()); }
  /** Puts in what has room of what was captured: JavaScript does that where the stream is parked. */
  void Stage(const uint8_t* bytes, size_t length);
  /** Whether JavaScript waits for what is staged. */
  void WakeAtFrames(bool is_awaited) {
    is_awaited_ = is_awaited;
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

  bool is_awaited_ = false;
};

}  // namespace vsnd
