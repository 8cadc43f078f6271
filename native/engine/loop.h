#pragma once

#include <sys/eventfd.h>
#include <uv.h>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "../event_ports.h"
#include "../posix.h"
#include "carrier.h"
#include "lock.h"

namespace vsnd {

/**
 * The thread of one card's evtchn. It hands ports on to JavaScript, but those of streams that it carries, and
 * tells of all that JavaScript has to look at by `on_news`, from its own thread.
 */
class Loop final : private Wakes, private EventPorts::User {
 public:
  /** `now`: JavaScript's clock at this moment, ns. */
  Loop(Fd evtchn, std::string device, double now, void (*on_news)(void*), void* context);
  ~Loop() override;

  EventPorts& ports() { return ports_; }
  int fd() const { return evtchn_.get(); }

  /** Starts the thread, or has it go on reading after an error: 0, or an errno. */
  int Start();
  /** Ends the thread, before anything that it uses, and carries nothing any more. Idempotent. */
  void Stop();
  /** Closes the device, or leaves it open where closing does harm. Stop() comes first. */
  void Close();

  /** Whether there are ports for JavaScript, or an error. */
  bool HasPorts();
  /** Up to so many of the ports that JavaScript is to look at; -1 with errno where the device has failed. */
  int TakePorts(uint32_t* ports, size_t most);
  /** Whether one of the carriers has something for JavaScript; it is told once. */
  bool TakeWake(Carrier& carrier);

  // Of JavaScript's thread. A carrier is parked before it ends.
  bool Carry(Carrier& carrier, const Standing& standing);
  Standing TakeBack(Carrier& carrier, Parked* reason);
  /** The other side of its staging ring has done something. */
  void HandleStaged(Carrier& carrier);
  /** Looks at what has come now, and again whenever something does, for so many ns. */
  void Attend(Carrier& carrier, double duration);
  /** The thread looks again now at what has come. */
  void EndRest() { eventfd_write(wake_.get(), 1); }
  template <typename Change>
  void With(Carrier& carrier, Change change) {
    With(carrier, script_tid_, change);
  }

  // Of any thread, by its number.
  /** Runs `change` under the lock, and tells what it comes to. */
  template <typename Change>
  void With(Carrier& carrier, int tid, Change change) {
    {
      Hold hold(lock_, tid);
      BeginTurn();
      change();
      has_news_ |= carrier.is_wake_due();
    }
    TellNews(tid);
  }
  /** The other side of its staging ring has done something: another addon, with so many bytes. */
  void HandlePorted(Carrier& carrier, size_t length, int tid);

  /** The thread's policy as it is: SCHED_FIFO, or SCHED_OTHER where the process may have no other. */
  int policy() const { return policy_.load(std::memory_order_relaxed); }

 private:
  void Notify(uint32_t port) override;
  double now() const override { return now_; }
  void EndThread() override { Stop(); }

  void Run();
  /** Waits; whether there is something to read. */
  bool Wait();
  void ReadPorts();
  /** Ends a rest: what has come since ports were masked makes the kernel tell of them again. */
  void Unmask();
  /** What the staging ring makes possible. Whether the stream is carried. */
  bool Work(Carrier& carrier);
  /** Whether the thread deals with it; else JavaScript does. */
  bool Handle(uint32_t port);
  void LookAtAges(bool has_read);
  void HandOn(uint32_t port);
  /** `tid`: of the thread that calls. */
  void TellNews(int tid);
  void BeginTurn();

  Fd evtchn_;
  Fd wake_;
  EventPorts ports_;
  const double origin_;
  /** Of JavaScript's thread, whose calls all others here are. */
  const int script_tid_;
  void (*const on_news_)(void*);
  void* const context_;
  uv_thread_t thread_ = {};
  bool is_running_ = false;
  std::atomic<int> tid_{0};
  std::atomic<int> policy_{0};
  std::atomic<bool> is_stopping_{false};
  // The thread's own: ports that it has dealt with and not unmasked, and for how long it rests so, ns.
  std::array<uint32_t, 64> masked_ = {};
  size_t masked_count_ = 0;
  double rest_ = 0;

  // Under the lock.
  Lock lock_;
  std::vector<Carrier*> carried_;
  std::vector<uint32_t> handed_on_;
  int error_ = 0;
  bool has_news_ = false;
  bool is_ended_ = false;
  double now_ = 0;
  double looked_at_ = 0;
};

}  // namespace vsnd
