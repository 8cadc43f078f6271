// Of sndif.h and ring.h what the ordinary period needs. Offsets are in bytes; test/golden has them from Xen's
// own headers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace vsnd {

/** sizeof(struct xensnd_req), (struct xensnd_resp) and (struct xensnd_evt). */
constexpr size_t kEntrySize = 64;

constexpr uint8_t kOpRead = 2;     // XENSND_OP_READ
constexpr uint8_t kOpWrite = 3;    // XENSND_OP_WRITE
constexpr uint8_t kEvtCurPos = 0;  // XENSND_EVT_CUR_POS

/** A copy of one request, response or event: what the peer wrote is looked at only here. */
struct Entry {
  uint8_t bytes[kEntrySize] = {};

  template <typename T>
  T Get(size_t offset) const {
    T value;
    std::memcpy(&value, bytes + offset, sizeof value);
    return value;
  }
  template <typename T>
  void Set(size_t offset, T value) {
    std::memcpy(bytes + offset, &value, sizeof value);
  }

  uint16_t id() const { return Get<uint16_t>(0); }
  /** Of a response; of an event its type. */
  uint8_t operation() const { return bytes[2]; }
  int32_t status() const { return Get<int32_t>(4); }
  uint64_t position() const { return Get<uint64_t>(8); }

  /** struct xensnd_rw_req */
  static Entry BufferRequest(uint16_t id, uint8_t operation, uint32_t offset, uint32_t length) {
    Entry entry;
    entry.Set(0, id);
    entry.bytes[2] = operation;
    entry.Set(8, offset);
    entry.Set(12, length);
    return entry;
  }
};

/** A word that two domains see. */
class SharedWord {
 public:
  explicit SharedWord(uint8_t* address) : word_(reinterpret_cast<uint32_t*>(address)) {}
  uint32_t LoadAcquire() const { return __atomic_load_n(word_, __ATOMIC_ACQUIRE); }
  void StoreRelease(uint32_t value) { __atomic_store_n(word_, value, __ATOMIC_RELEASE); }

 private:
  uint32_t* word_;
};

/** Keeps our store before our next load for the other domain: neither release nor acquire does. */
inline void FullBarrier() {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

}  // namespace vsnd
