#pragma once

#include "event_ports.h"
#include "poller.h"

namespace vsnd {

/** /dev/xen/evtchn, read by the event loop. */
class EventPoller final : public Poller {
 public:
  EventPoller(Napi::Env env, Fd fd, std::string device)
      : Poller(env, std::move(fd), device), ports_(this->fd(), std::move(device)) {}

  EventPorts& ports() { return ports_; }

 private:
  /** Where a restore can be neither ruled out nor dealt with: a file that stays open does no harm. */
  bool StaysOpen() override {
    bool is_unknown = ports_.ForgetIfRestored() == Ports::kUnknown;
    ports_.End();
    return is_unknown;
  }

  EventPorts ports_;
};

}  // namespace vsnd
