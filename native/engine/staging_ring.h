#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>

namespace vsnd {

/**
 * Bytes on their way between two threads: one writes, one reads, neither waits for the other. Both counts run
 * freely; they are written by one side each.
 */
class StagingRing {
 public:
  /** `capacity`: bytes. */
  explicit StagingRing(size_t capacity) : bytes_(new uint8_t[capacity]), capacity_(capacity) {}

  size_t capacity() const { return capacity_; }
  uint8_t* data() const { return bytes_.get(); }
  /** Bytes that were ever written. */
  uint64_t written() const { return written_.load(std::memory_order_acquire); }
  /** Bytes that were ever read. */
  uint64_t read() const { return read_.load(std::memory_order_acquire); }
  /** Bytes that wait. The writer sees too many at worst, the reader too few. */
  size_t filled() const {
    uint64_t read = this->read();
    return static_cast<size_t>(written() - read);
  }
  size_t free() const { return capacity_ - filled(); }

  /** The writer: copies as many of the bytes as have room. */
  size_t Write(const uint8_t* source, size_t length) {
    uint64_t at = written_.load(std::memory_order_relaxed);
    // orders: the reader has copied out what it gave back, before we write over it
    size_t room = capacity_ - static_cast<size_t>(at - read_.load(std::memory_order_acquire));
    if (length > room) length = room;
    if (length == 0) return 0;
    size_t offset = static_cast<size_t>(at % capacity_);
    size_t first = length < capacity_ - offset ? length : capacity_ - offset;
    std::memcpy(bytes_.get() + offset, source, first);
    std::memcpy(bytes_.get(), source + first, length - first);
    // orders: the bytes before the count that announces them
    written_.store(at + length, std::memory_order_release);
    return length;
  }

  /** The reader: copies out as many bytes as there are, `length` at most. */
  size_t Read(uint8_t* target, size_t length) {
    uint64_t at = read_.load(std::memory_order_relaxed);
    // orders: the count before the bytes that it announces
    size_t filled = static_cast<size_t>(written_.load(std::memory_order_acquire) - at);
    if (length > filled) length = filled;
    if (length == 0) return 0;
    size_t offset = static_cast<size_t>(at % capacity_);
    size_t first = length < capacity_ - offset ? length : capacity_ - offset;
    std::memcpy(target, bytes_.get() + offset, first);
    std::memcpy(target + first, bytes_.get(), length - first);
    // orders: our copy before the room is the writer's again
    read_.store(at + length, std::memory_order_release);
    return length;
  }

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  size_t capacity_;
  std::atomic<uint64_t> written_{0};
  // Neither side's count takes the other's cache line away. (alignas would ask for another operator new.)
  char apart_[64 - sizeof(std::atomic<uint64_t>)] = {};
  std::atomic<uint64_t> read_{0};
};

}  // namespace vsnd
