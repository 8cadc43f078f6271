// What a node does every cycle of the graph, in libpipewire's data thread.
#pragma once

#include <pipewire/pipewire.h>
#include <spa/node/io.h>

#include <atomic>
#include <vector>

#include "../engine/lock.h"
#include "../engine/port.h"
#include "rate_matcher.h"
#include "session.h"

namespace vsnd {

/** What does not change while a node is there. */
struct NodeShape {
  bool is_sink;
  /** Never resample. */
  bool is_exact;
  /** Hz */
  uint32_t rate;
  uint32_t frame_bytes;
  /** Frames that wait at the card when the graph has brought some, unless its cycles are so long that it must
   * be more. */
  uint32_t latency_frames;
};

/**
 * Drives the graph by the positions of the card, or follows another driver by resampling. Between two
 * positions time is counted on; a card that stands still has the graph stand still.
 */
class Driver {
 public:
  Driver(Session& session, const NodeShape& shape);
  virtual ~Driver() = default;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // Of JavaScript's thread.
  void Start(pw_stream* stream);
  /** Idempotent. */
  void Stop();
  /**
   * The card's stream is open, anew perhaps: `written` frames were put into it before; a position comes every
   * `period`. Nothing that the graph brings meanwhile is lost.
   */
  void Attach(Port* port, uint64_t written, uint32_t period);
  /** Idempotent. */
  void Detach();
  /** By how much the card's clock is fast, against the system's: 1e-6 is a ppm. */
  void SetDeviation(double deviation) { deviation_.store(deviation, std::memory_order_relaxed); }
  void HandleIo(uint32_t id, void* area);

  // Of the data thread.
  virtual void HandleProcess() = 0;

  // Of any thread.
  /** Frames of the card in a cycle of the graph; 0 where there has been none. */
  uint32_t quantum() const { return quantum_.load(std::memory_order_relaxed); }
  /** Frames between the graph and the card's loudspeaker or microphone, beside the cycle's own. */
  virtual uint32_t latency() const = 0;
  bool is_driving() const { return is_driving_.load(std::memory_order_relaxed); }
  /** Frames that went through. */
  uint64_t frames() const { return frames_.load(std::memory_order_relaxed); }
  /** How often frames were left out, or silence put in, where another drives. */
  uint32_t slips() const { return slips_.load(std::memory_order_relaxed); }

 protected:
  /** A position, frames, and when it came, ns. */
  struct Report {
    uint64_t frames = 0;
    uint64_t time = 0;
  };

  static uint64_t Now();
  virtual void HandleAttached(uint64_t written) = 0;
  virtual void HandleDetached() {}
  /** Triggers a cycle where it is time for one; else sees to it that it is called again. */
  virtual void Schedule() = 0;

  bool LookWhoDrives();
  void LookAtQuantum();
  /** Whether the graph runs at the card's rate: nothing is resampled then. */
  bool has_graph_rate() const;
  void Trigger(uint64_t now);
  /** Whether a cycle that was triggered is still under way, and no lost one. */
  bool IsCycling(uint64_t now);
  void Arm(uint64_t time);
  /** Schedule() is called at the next position; false where one has come since `seen`. */
  bool WaitFor(const Report& seen);
  Report report();
  /** Frames of the card that pass in `ns`. */
  double FramesIn(uint64_t ns) const;

  Session& session_;
  const NodeShape shape_;
  pw_stream* stream_ = nullptr;
  Port* port_ = nullptr;
  uint32_t period_ = 0;
  spa_io_rate_match* rate_match_ = nullptr;
  RateMatcher matcher_;
  bool is_cycling_ = false;
  /** ns: no cycle before. */
  uint64_t next_at_ = 0;
  std::atomic<uint64_t> frames_{0};
  std::atomic<uint32_t> slips_{0};

 private:
  void NoteMoved(uint64_t bytes);
  void Leave(Port* port);
  void WriteClock(uint64_t now);

  spa_source* wake_ = nullptr;
  spa_source* timer_ = nullptr;
  spa_io_position* position_ = nullptr;
  spa_io_clock* clock_ = nullptr;
  uint64_t triggered_at_ = 0;
  std::atomic<uint32_t> quantum_{0};
  std::atomic<bool> is_driving_{false};
  std::atomic<double> deviation_{0};
  std::atomic<bool> is_waiting_{false};
  Lock lock_;
  Report report_;
};

/** What programs play goes to the card. */
class SinkDriver final : public Driver {
 public:
  SinkDriver(Session& session, const NodeShape& shape);
  void HandleProcess() override;
  uint32_t latency() const override;

 protected:
  void HandleAttached(uint64_t written) override { written_ = written; }
  void HandleDetached() override { kept_.clear(); }
  void Schedule() override;

 private:
  void Take(const uint8_t* bytes, size_t length, bool is_driving);
  void Put(const uint8_t* bytes, size_t length);
  size_t Write(const uint8_t* bytes, size_t length);
  /** Whether nothing is kept any more. */
  bool PutKept();
  void PutSilence(uint32_t frames);
  double Fill(uint64_t now);
  uint32_t target() const;

  /** Frames that were put into the stream since it was opened. */
  uint64_t written_ = 0;
  /** Bytes that the port has not taken: its stream has ended, and another one will come. They go before all
   * others. */
  std::vector<uint8_t> kept_;
};

/** What the card captures goes to programs. */
class SourceDriver final : public Driver {
 public:
  using Driver::Driver;
  void HandleProcess() override;
  uint32_t latency() const override { return period_frames_.load(std::memory_order_relaxed) / 2; }

 protected:
  void HandleAttached(uint64_t written) override;
  void Schedule() override;

 private:
  std::atomic<uint32_t> period_frames_{0};
};

}  // namespace vsnd
