#pragma once

#include <atomic>
#include <cstdint>

namespace vsnd {

/**
 * What JavaScript reads of a stream without a call: `words`, `numbers` and `reports` of an ArrayBuffer, laid
 * out as src/xen/linux/engine.ts has it. The engine alone writes.
 */
class Gauge {
 public:
  /** Reports that are kept, the newest. */
  static constexpr uint32_t kReports = 1024;
  static constexpr size_t kBytes = 8 * (4 + 2 * kReports);

  explicit Gauge(void* memory) : cells_(static_cast<std::atomic<uint64_t>*>(memory)) {}

  /** Bytes: what has been put into the shared buffer, or asked for. */
  void SetApplied(uint64_t bytes) { Store(1, static_cast<double>(bytes)); }
  /** Bytes that were ever read from the staging ring, or written to it. */
  void SetStaged(uint64_t bytes) { Store(2, static_cast<double>(bytes)); }

  /** Bytes that another addon has written to the staging ring, or read from it. */
  void SetPorted(uint64_t bytes) { Store(3, static_cast<double>(bytes)); }

  /** A position, bytes, and when it was noticed, ns of JavaScript's clock. */
  void Report(uint64_t bytes, double time) {
    uint32_t slot = count_ % kReports;
    Store(4 + 2 * slot, static_cast<double>(bytes));
    Store(5 + 2 * slot, time);
    count_++;
    // orders: the report before the count that announces it
    reinterpret_cast<std::atomic<uint32_t>*>(cells_)->store(count_, std::memory_order_release);
  }
  uint32_t count() const { return count_; }

 private:
  static_assert(sizeof(std::atomic<uint64_t>) == 8, "JavaScript reads a Float64Array");

  void Store(size_t cell, double value) {
    uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    cells_[cell].store(bits, std::memory_order_relaxed);
  }

  std::atomic<uint64_t>* cells_;
  uint32_t count_ = 0;
};

}  // namespace vsnd
