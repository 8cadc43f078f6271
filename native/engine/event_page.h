#pragma once

#include "front_ring.h"

namespace vsnd {

/** The frontend's side of an event page (struct xensnd_event_page), from where src/wire/event-page.ts has
 * left it. */
class EventPage {
 public:
  /** XENSND_IN_RING_LEN */
  static constexpr uint32_t kSize = 63;
  /** No event's type: src/wire/event-page.ts marks a slot so whose event has not landed yet. */
  static constexpr uint8_t kNotLanded = 0xff;

  explicit EventPage(uint8_t* page) : page_(page) {}

  void Continue(uint32_t in_cons) { in_cons_ = in_cons; }
  uint32_t in_cons() const { return in_cons_; }

  /** Copies the oldest event, and leaves it there: Advance() takes it. One that has not landed is no ordinary
   * one. */
  Found Peek(Entry* event) const {
    uint32_t waiting =
        Word(kInProd).LoadAcquire() - in_cons_;  // orders: the index before the events it announces
    if (waiting == 0) return Found::kNothing;
    if (waiting > kSize) return Found::kCorrupt;
    std::memcpy(event->bytes, Slot(), kEntrySize);
    return event->operation() == kNotLanded ? Found::kCorrupt : Found::kEntry;
  }

  void Advance() {
    Slot()[kType] = kNotLanded;
    in_cons_++;
    Word(kInCons).StoreRelease(
        in_cons_);  // orders: our copy and the mark before the slot is the backend's again
  }

 private:
  static constexpr size_t kInCons = 0;
  static constexpr size_t kInProd = 4;
  static constexpr size_t kEvents = 64;
  static constexpr size_t kType = 2;

  SharedWord Word(size_t offset) const { return SharedWord(page_ + offset); }
  uint8_t* Slot() const { return page_ + kEvents + (in_cons_ % kSize) * kEntrySize; }

  uint8_t* page_;
  uint32_t in_cons_ = 0;
};

}  // namespace vsnd
