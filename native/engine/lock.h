#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace vsnd {

/**
 * A lock between the thread of an engine and JavaScript's. Whoever holds it inherits the priority of who
 * waits for it (FUTEX_LOCK_PI), so that a JavaScript thread without a processor delays no real-time thread.
 * glibc's own such mutex has a newer name than the oldest glibc that Node runs on.
 */
class Lock {
 public:
  void Acquire(int tid) {
    int expected = 0;
    if (!word_.compare_exchange_strong(expected, tid, std::memory_order_acquire)) {
      while (syscall(SYS_futex, &word_, FUTEX_LOCK_PI_PRIVATE, 0, nullptr, nullptr, 0) != 0) {
      }
    }
    handed_over_.load(
        std::memory_order_acquire);  // orders: what the last holder did, where the kernel gave us the word
  }

  void Release(int tid) {
    handed_over_.store(1, std::memory_order_release);
    int expected = tid;
    if (!word_.compare_exchange_strong(expected, 0, std::memory_order_release)) {
      syscall(SYS_futex, &word_, FUTEX_UNLOCK_PI_PRIVATE, 0, nullptr, nullptr, 0);
    }
  }

 private:
  static_assert(sizeof(std::atomic<int>) == sizeof(int), "the kernel takes the address of an int");
  std::atomic<int> word_{0};
  std::atomic<int> handed_over_{0};
};

/** gettid(2) */
inline int OwnTid() {
  return static_cast<int>(syscall(SYS_gettid));
}

/** Holds a lock for a thread, by its number: it costs a system call to ask for that. */
class Hold {
 public:
  explicit Hold(Lock& lock) : Hold(lock, OwnTid()) {}
  Hold(Lock& lock, int tid) : lock_(lock), tid_(tid) { lock_.Acquire(tid_); }
  ~Hold() { lock_.Release(tid_); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  Lock& lock_;
  int tid_;
};

}  // namespace vsnd
