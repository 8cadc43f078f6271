#pragma once

#include "carrier.h"

namespace vsnd {

/** Playback: out of the staging ring into the granted pages, as far as the backend has played. */
class PlaybackCarrier final : public Carrier {
 public:
  using Carrier::Carrier;

  /** JavaScript's, without the lock: whether the thread has found nothing to move, and is to be told of more.
   */
  bool is_hungry() const { return is_hungry_.load(std::memory_order_seq_cst); }
  /** JavaScript waits for half of the staging ring to be free. */
  void WakeAtRoom() {
    wants_room_ = true;
    LookForWake();
  }
  void ShowStaged() override { gauge_.SetStaged(staging_.read()); }
  /** Nothing more will be written. */
  void End() { is_ending_ = true; }

 protected:
  bool TakePosition(uint64_t count) override;
  void TakeAnswer(const Post& post) override;
  uint8_t operation() const override { return kOpWrite; }
  void Move(Wakes& wakes) override;
  bool waits_for_answers() const override;
  uint64_t restful_bytes() const override;
  bool is_at_end() const override { return is_ending_ && staging_.filled() == 0; }
  bool TakeStagingWake() override;

 private:
  uint32_t Room(uint64_t pending) const;
  void Fill(uint32_t length, Wakes& wakes);

  std::atomic<bool> is_hungry_{false};
  bool wants_room_ = false;
  bool is_ending_ = false;
};

}  // namespace vsnd
