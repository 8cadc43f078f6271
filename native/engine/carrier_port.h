#pragma once

#include "carrier.h"
#include "lock.h"
#include "loop.h"
#include "port.h"

namespace vsnd {

/** The port of a carrier: its bytes go through the staging ring, whoever carries the stream, the thread or
 * JavaScript. */
class CarrierPort final : public Port {
 public:
  CarrierPort(Loop& loop, Carrier& carrier) : loop_(loop), carrier_(&carrier) {}

  size_t Write(const uint8_t* bytes, size_t length) override;
  size_t Read(uint8_t* into, size_t length) override;
  size_t Readable() override;
  uint64_t Listen(OnMoved on_moved, void* listener) override;

  /** From now on it takes and gives nothing: before the carrier ends, and the loop. Idempotent. */
  void Close();

 private:
  /** Runs `work` where there is a carrier, which stays until it returns; else says 0. */
  template <typename Work>
  uint64_t WithCarrier(Work work);

  Loop& loop_;
  Lock lock_;
  Carrier* carrier_;
};

}  // namespace vsnd
