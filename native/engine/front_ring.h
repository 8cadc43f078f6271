#pragma once

#include "sndif.h"

namespace vsnd {

/** What a look at shared memory has found. */
enum class Found { kNothing, kEntry, kCorrupt };

/** The frontend's side of a request ring (ring.h, FRONT_RING), from where src/wire/ring.ts has left it. */
class FrontRing {
 public:
  static constexpr uint32_t kSize = 32;

  explicit FrontRing(uint8_t* page) : page_(page) {}

  /** Between publications, and with both indexes as they stand. */
  void Continue(uint32_t req_prod, uint32_t rsp_cons) {
    req_prod_ = published_ = req_prod;
    rsp_cons_ = rsp_cons;
  }
  uint32_t req_prod() const { return req_prod_; }
  uint32_t rsp_cons() const { return rsp_cons_; }
  uint32_t free() const { return kSize - (req_prod_ - rsp_cons_); }

  /** Behind the last request; there is a slot free. */
  void Put(const Entry& request) {
    std::memcpy(Slot(req_prod_), request.bytes, kEntrySize);
    req_prod_++;
  }

  /** RING_PUSH_REQUESTS_AND_CHECK_NOTIFY: whether the peer is to be notified. */
  bool Publish() {
    uint32_t old = published_;
    published_ = req_prod_;
    Word(kReqProd).StoreRelease(req_prod_);  // orders: the requests before the index that announces them
    FullBarrier();                           // orders: our index before reading what the peer waits for
    uint32_t event = Word(kReqEvent).LoadAcquire();
    return req_prod_ - event < req_prod_ - old;
  }

  /** Copies the oldest response, and leaves it there: Advance() takes it. */
  Found Peek(Entry* response) const {
    uint32_t waiting =
        Word(kRspProd).LoadAcquire() - rsp_cons_;  // orders: the index before the entries it announces
    if (waiting == 0) return Found::kNothing;
    if (waiting > published_ - rsp_cons_) return Found::kCorrupt;
    std::memcpy(response->bytes, Slot(rsp_cons_), kEntrySize);
    return Found::kEntry;
  }
  void Advance() { rsp_cons_++; }

  /** RING_FINAL_CHECK_FOR_RESPONSES: asks to be notified of the next response; whether one has come
   * meanwhile. */
  bool Rearm() {
    Word(kRspEvent).StoreRelease(rsp_cons_ + 1);
    FullBarrier();  // orders: our wish before the last look
    return Word(kRspProd).LoadAcquire() != rsp_cons_;
  }

 private:
  // struct xen_sndif_sring
  static constexpr size_t kReqProd = 0;
  static constexpr size_t kReqEvent = 4;
  static constexpr size_t kRspProd = 8;
  static constexpr size_t kRspEvent = 12;
  static constexpr size_t kEntries = 64;

  SharedWord Word(size_t offset) const { return SharedWord(page_ + offset); }
  uint8_t* Slot(uint32_t index) const { return page_ + kEntries + (index % kSize) * kEntrySize; }

  uint8_t* page_;
  uint32_t req_prod_ = 0;
  uint32_t published_ = 0;
  uint32_t rsp_cons_ = 0;
};

}  // namespace vsnd
