#pragma once

#include <cstdint>
#include <vector>

#include "poller.h"

namespace vsnd {

/** What has become of the ports of an open evtchn. */
enum class Ports {
  kBound,
  /** The domain has been restored; the kernel has forgotten them. */
  kForgotten,
  /** errno says why it cannot be found out. */
  kUnknown,
};

/**
 * /dev/xen/evtchn with the ports that are bound through it, so that nothing that ends them is fatal.
 *
 * A restore of the domain (xl restore, migration) takes its ports without a sign: no error, no wake-up. The
 * kernel still has them in this file's tree, and to give one back from there (UNBIND, close, the end of the
 * process) is a BUG (drivers/xen/evtchn.c) that kills the process and may leave it stuck. So each of these
 * looks for a restore first. What no process can help: a signal that kills it between a restore and that.
 */
class EventPoller final : public Poller {
 public:
  EventPoller(Napi::Env env, Fd fd, std::string device);
  ~EventPoller() override;

  /** ioctl(2) with a request that binds: the port, or -1 with errno; EEXIST once the domain is restored. */
  int Bind(unsigned long request, void* argument);

  /** IOCTL_EVTCHN_UNBIND: 0, also where the domain has been restored; or -1 with errno. */
  int Unbind(uint32_t port);

  /** IOCTL_EVTCHN_NOTIFY: 0, also where the domain has been restored; or -1 with errno. */
  int Notify(uint32_t port);

  /** Looks for a restore, and then has the kernel forget the ports. What it has once found stays so. */
  Ports ForgetIfRestored();

  /** The same for every one of this process. */
  static void ForgetAll();

 private:
  /** Where a restore can be neither ruled out nor dealt with: a file that stays open does no harm. */
  bool StaysOpen() override { return ForgetIfRestored() == Ports::kUnknown; }

  Ports Find();
  Ports Probe();
  bool KernelForgot();

  std::vector<uint32_t> ports_;
  bool restored_ = false;
};

}  // namespace vsnd
